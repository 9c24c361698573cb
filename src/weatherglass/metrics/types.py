"""The values that the store, PromQL and their callers hand each other. No I/O, no behaviour beyond checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.histogram import Histogram

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STALE_BITS = 0x7FF0_0000_0000_0002
"""The NaN that Prometheus writes when a series ends; every other NaN is an ordinary value."""

MatchOp = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. An absent label matches as the empty string; regexes are anchored (Prometheus)."""

    name: str
    op: MatchOp
    value: str

    def __post_init__(self) -> None:
        if self.op not in ("=", "!=", "=~", "!~"):
            raise Invalid(f"{self.op!r} is not a matcher", mend="one of =, !=, =~, !~")


@dataclass(frozen=True, slots=True)
class Selection:
    """Raw samples of the series that match, all three lists in step.

    `times[i]` int64 ms and `values[i]` float64 of `labels[i]`, strictly ascending, `start_ms <= t <= end_ms`.
    Stale markers are kept (NaN with the bits STALE_BITS). Arrays are read-only and may be shared among series.
    Series without a sample in the span are left out. `histograms[i]` are the native histograms of `labels[i]`, with
    times of their own, that ascend too and are none of `times[i]`; None where no series has any.
    """

    labels: list[Labels]
    times: list[Int64Array]
    values: list[FloatArray]
    histograms: list[tuple[Int64Array, list[Histogram]]] | None = None


Select = Callable[[Sequence[Matcher], int, int], Selection]
"""(matchers, start_ms, end_ms) → Selection: all that PromQL knows of the store."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query came to.

    `values` and `present` are (n_series, n_steps); a cell counts only where `present` is true (a NaN there is a
    value). `vector` has one step; a `scalar` is one series without labels; a `string` has its `text` alone.
    """

    type: Literal["vector", "matrix", "scalar", "string"]
    series: list[Labels]
    times_ms: Int64Array
    values: FloatArray
    present: BoolArray
    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    text: str = ""
    histograms: NDArray[np.object_] | None = (
        None  # where a cell is a Histogram, that counts and not its value
    )


@dataclass(frozen=True, slots=True)
class SeriesLimits:
    """What one tenant may hold and send. 0 is no limit."""

    series: int = 1_000_000
    samples_per_s: int = 0
    label_names: int = 64
    label_name_bytes: int = 512
    label_value_bytes: int = 4096
