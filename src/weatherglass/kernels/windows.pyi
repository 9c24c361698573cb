import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]

def places(
    times: list[Int64Array], values: list[FloatArray], time_column: Int64Array, value_column: FloatArray
) -> Int64Array | None: ...
def edges(
    times: Int64Array, starts: Int64Array, lengths: Int64Array, ends: Int64Array, range_ms: int
) -> tuple[Int64Array, Int64Array, Int64Array]: ...
def ended(values: FloatArray) -> bool: ...
def instants(
    values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array,
    out: FloatArray, present: NDArray[np.uint8], first: int, last: int,
) -> None: ...  # fmt: skip
def extrapolated(
    times: Int64Array, values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array,
    ends: Int64Array, range_ms: int, counter: bool, per_second: bool, zero_first: bool,
    out: FloatArray, first: int, last: int,
) -> None: ...  # fmt: skip
def last_two(
    times: Int64Array, values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array,
    rate: bool, out: FloatArray, first: int, last: int,
) -> None: ...  # fmt: skip
def sums(
    values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array,
    out: FloatArray, first: int, last: int,
) -> None: ...  # fmt: skip
def variances(
    values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array,
    out: FloatArray, first: int, last: int,
) -> None: ...  # fmt: skip
def extremes(
    values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array, largest: bool,
    out: FloatArray, first: int, last: int,
) -> None: ...  # fmt: skip
def quantiles(
    values: FloatArray, starts: Int64Array, clock_of: Int64Array, lo: Int64Array, hi: Int64Array, q: FloatArray,
    out: FloatArray, first: int, last: int,
) -> None: ...  # fmt: skip
