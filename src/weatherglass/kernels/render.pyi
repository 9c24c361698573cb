from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

def cells(
    heads: bytes,
    ends: NDArray[np.int64],
    values: NDArray[np.float64],
    present: NDArray[np.uint8],
    number: Callable[[float], str],
) -> bytes: ...
