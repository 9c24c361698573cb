"""What is counted over the events that a filter holds for: values, and no evaluation. Pure.

`Logs.aggregate(tenant, filter, {name: agg})` gives {name: result}. Results are plain data:

| agg | result |
|---|---|
| Terms, Rare, DateHistogram, Histogram, Filters, Range, Composite | `Buckets` of `Bucket(key, count, subs, bounds)` |
| Cardinality, Metric | a number (None of nothing) |
| Percentiles | {percent: value or None} |
| Stats | `Summary(count, min, max, sum, sum_of_squares)` |
| TopHits | `Hits` (`answers.Hits`) |
| Missing | `Bucket` |

`subs` of an agg with buckets are counted within each. Times are ns since the epoch, in keys as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.logs.filter import Filter, Scalar

Sort = tuple[tuple[str, bool], ...]
"""(field, descending) … ; `_key` and `_count` in the order of buckets; `@timestamp` is time and then arrival."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The most frequent values. `order` by (`_count` | `_key` | a sub-agg's name, `stats.max`; descending)."""

    field: str
    size: int = 10
    order: Sort = (("_count", True),)
    min_count: int = 1
    missing: Scalar | None = None
    include: str | tuple[str, ...] = ""  # a regular expression, or the very values
    exclude: str | tuple[str, ...] = ""
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rare:
    """The least frequent values: those of at most `most` events (rare_terms)."""

    field: str
    most: int = 1
    size: int = 1000
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DateHistogram:
    """Even spans (`fixed_ns`) or calendar ones (minute hour day week month quarter year) in a time zone (IANA or +01:00).

    `bounds` (first_ns, last_ns) adds the empty buckets there; with `min_count` 0 the gaps are filled too.
    """

    field: str = "@timestamp"
    fixed_ns: int = 0
    calendar: str = ""
    tz: str = "UTC"
    offset_ns: int = 0
    min_count: int = 0
    bounds: tuple[int, int] | None = None
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Even spans of a number."""

    field: str
    interval: float
    offset: float = 0.0
    min_count: int = 0
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filters:
    """A bucket for each named filter; `other` names one for the rest ("" for none). An event may be in several."""

    filters: Mapping[str, Filter]
    other: str = ""
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Range:
    """A bucket for each (key, from, to): from ≤ value < to, None for no bound. Times in ns."""

    field: str
    ranges: tuple[tuple[str, float | None, float | None], ...]
    time: bool = False  # values are dates: ISO text or ms, read as ns
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """One bucket: the events without the field."""

    field: str
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """One part of a composite key: `of` is Terms, Histogram or DateHistogram (their field and span count alone)."""

    name: str
    of: Terms | Histogram | DateHistogram
    descending: bool = False
    missing: bool = False  # events without the field come under None; else they are left out


@dataclass(frozen=True, slots=True)
class Composite:
    """Every combination of keys, in order, a page at a time: keys are tuples; `after` is the last key of a page."""

    sources: tuple[Source, ...]
    size: int = 10
    after: tuple[Any, ...] | None = None
    subs: Mapping[str, Agg] = made(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cardinality:
    """How many different values: exact."""

    field: str


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Between ranks linearly, exact."""

    field: str
    percents: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Stats:
    """Count, least, most, sum, sum of squares of the field's numbers; mean and variance follow from them."""

    field: str
    time: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of the field's numbers: `min`, `max`, `sum`, `avg`, `value_count` (of any value)."""

    of: str
    field: str
    time: bool = False


@dataclass(frozen=True, slots=True)
class TopHits:
    """Some events of the bucket."""

    size: int = 3
    sort: Sort = (("@timestamp", True),)


Agg = (
    Terms
    | Rare
    | DateHistogram
    | Histogram
    | Filters
    | Range
    | Missing
    | Composite
    | Cardinality
    | Percentiles
    | Stats
    | Metric
    | TopHits
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket. `key`: text, number, ns, a filter's name, a tuple (composite). `bounds` of a range."""

    key: Any
    count: int
    subs: Mapping[str, Any] = made(default_factory=dict)
    bounds: tuple[float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets in order; `other`: events in buckets that are not listed; `after`: where a composite goes on."""

    buckets: tuple[Bucket, ...]
    other: int = 0
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    count: int
    min: float | None
    max: float | None
    sum: float
    sum_of_squares: float


def of_text(text: str) -> Agg:
    """`avg:took`, `p95:took`, `cardinality:request_id` as people write one. Raises Invalid."""
    kind, colon, name = text.partition(":")
    percent = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", kind)
    if colon and name:
        if kind in ("min", "max", "sum", "avg", "value_count"):
            return Metric(kind, name)
        if percent:
            return Percentiles(name, (float(percent[1]),))
        if kind in ("cardinality", "stats"):
            return Cardinality(name) if kind == "cardinality" else Stats(name)
    raise Invalid(
        f"{text[:80]!r} cannot be counted",
        where="stat",
        mend="min, max, sum, avg, value_count, stats, cardinality or p95, a colon, a field",
    )
