import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]

def decode(body: bytes) -> tuple[list[str], U32, I64, F64] | None: ...
