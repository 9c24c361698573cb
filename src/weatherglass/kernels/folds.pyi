import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Bytes = NDArray[np.uint8]

def sums(
    values: FloatArray, present: Bytes, of: Int64Array, out: FloatArray, lost: FloatArray, count: FloatArray
) -> None: ...
def extremes(values: FloatArray, present: Bytes, of: Int64Array, largest: bool, out: FloatArray) -> None: ...
def tops(
    values: FloatArray, present: Bytes, of: Int64Array, wanted: Int64Array, largest: bool,
    best: FloatArray, rows: Int64Array, held: Int64Array,
) -> None: ...  # fmt: skip
