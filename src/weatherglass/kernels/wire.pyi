import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]
U8 = NDArray[np.uint8]

class Batch:
    raw: bytes | memoryview
    starts: I64
    sizes: I64
    counts: U32
    times: I64
    values: F64
    metadata: int
    histograms: int

def decode(raw: bytes) -> Batch: ...
def hash_of(key: bytes) -> int: ...
