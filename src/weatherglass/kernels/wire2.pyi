from numpy import int64
from numpy.typing import NDArray

from weatherglass.kernels.wire import Batch

BAD: int
HISTOGRAMS: int
EXEMPLARS: int
EMPTY: int
SPANS_MAX: int

class Request:
    batch: Batch
    raw: bytes | memoryview
    series: NDArray[int64]
    texts: NDArray[int64]
    lengths: NDArray[int64]

def decode(raw: bytes) -> Request: ...
