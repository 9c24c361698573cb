"""Aggregates of metrics, computed from their samples whole: over chunk edges, and right for late measures.

Reads the store through one function; what is kept of a level's points, and calendars, are here; the algebra is
`metrics.granularity`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from weatherglass.metrics.gnocchi.model import METRIC_LABEL, Metric
from weatherglass.metrics.granularity import RATE, aggregate, floor
from weatherglass.metrics.reading import FIRST_MS, LAST_MS
from weatherglass.metrics.types import FloatArray, Int64Array, Matcher, Selection

MS_NS = 1_000_000
_SLICE = 500
Select = Callable[[str, Sequence[Matcher], int, int], Selection]
"""(tenant, matchers, start_ms, end_ms) → samples."""


@dataclass(frozen=True, slots=True)
class Samples:
    """One metric's samples in order of time: instants in ns, values."""

    times: Int64Array
    values: FloatArray


_NOTHING = Samples(np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True, slots=True)
class Points:
    """Aggregates of one granularity: starts in ns, values."""

    granularity_ns: int
    starts: Int64Array
    values: FloatArray


def samples(select: Select, metrics: Iterable[Metric], start_ms: int = FIRST_MS) -> dict[str, Samples]:
    """Every sample from `start_ms` on of each metric, by its id; several series of one metric are put together."""
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for metric in metrics:
        by_tenant[metric.tenant].append(metric.id)
    parts: dict[str, list[Samples]] = defaultdict(list)
    for tenant, ids in by_tenant.items():
        for k in range(0, len(ids), _SLICE):
            few = ids[k : k + _SLICE]
            matcher = (
                Matcher(METRIC_LABEL, "=", few[0])
                if len(few) == 1
                else Matcher(METRIC_LABEL, "=~", "|".join(few))
            )
            found = select(tenant, [matcher], start_ms, LAST_MS)
            for labels, moments, values in zip(found.labels, found.times, found.values, strict=True):
                parts[dict(labels)[METRIC_LABEL]].append(Samples(moments * MS_NS, values))
    return {metric: _merged(series) for metric, series in parts.items()}


def _merged(series: Sequence[Samples]) -> Samples:
    if len(series) == 1:
        return series[0]
    moments = np.concatenate([one.times for one in series])
    order = np.argsort(moments, kind="stable")
    return Samples(moments[order], np.concatenate([one.values for one in series])[order])


@dataclass(frozen=True, slots=True)
class Asked:
    """One read: which method at which granularities, of which span (ns; None: all), and resampled to what."""

    method: str
    granularities: Sequence[int]
    start_ns: int | None = None
    stop_ns: int | None = None
    resample: int | str | None = None


def read(select: Select, metrics: Sequence[Metric], asked: Asked) -> dict[str, list[Points]]:
    """The points of each metric, a granularity after the other as asked. The metrics' policies must be known."""
    first = FIRST_MS
    if asked.start_ns is not None and asked.granularities:
        coarse = max(*asked.granularities, asked.resample if isinstance(asked.resample, int) else 0)
        first = (asked.start_ns - asked.start_ns % coarse - coarse) // MS_NS
    found = samples(select, metrics, first)
    if first != FIRST_MS and asked.method.startswith(RATE):
        # a difference needs the sample before, however long ago it was
        before = (first + 1) * MS_NS
        alone = [
            one
            for one in metrics
            if not len(found.get(one.id, _NOTHING).times) or found[one.id].times[0] > before
        ]
        found |= samples(select, alone)
    # one pass a granularity over all metrics: ten thousand small arrays cost more than one large one
    raw = [found.get(metric.id, _NOTHING) for metric in metrics]
    bounds = np.cumsum([0] + [len(one.times) for one in raw]).astype(np.int64)
    moments = np.concatenate([one.times for one in raw]) if raw else _NOTHING.times
    values = np.concatenate([one.values for one in raw]) if raw else _NOTHING.values
    answer: dict[str, list[Points]] = {metric.id: [] for metric in metrics}
    for granularity in asked.granularities:
        together = aggregate(moments, values, granularity, [asked.method], bounds)
        ends = together.bounds.tolist()
        for k, metric in enumerate(metrics):
            starts, column = together.of(asked.method, slice(ends[k], ends[k + 1]))
            answer[metric.id].append(_points(metric, starts, column, granularity, asked))
    return answer


def _points(metric: Metric, starts: Int64Array, values: FloatArray, granularity: int, asked: Asked) -> Points:
    """What is kept of one metric's aggregates and lies in the span asked for, resampled where asked."""
    level = metric.policy.level(granularity) if metric.policy else None
    if level is not None and level.timespan_ns is not None and len(starts):
        kept = np.searchsorted(starts, starts[-1] - level.timespan_ns, side="right")
        starts, values = starts[kept:], values[kept:]
    if isinstance(asked.resample, int):
        granularity = asked.resample
        starts, values = aggregate(starts, values, granularity, [asked.method]).of(asked.method)
    elif asked.resample is not None:
        starts, values = by_calendar(starts, values, asked.resample, asked.method)
        return Points(granularity, *_cut(starts, values, asked.start_ns, asked.stop_ns))
    start = None if asked.start_ns is None else asked.start_ns - asked.start_ns % granularity
    return Points(granularity, *_cut(starts, values, start, asked.stop_ns))


def _cut(
    starts: Int64Array, values: FloatArray, start: int | None, stop: int | None
) -> tuple[Int64Array, FloatArray]:
    low = 0 if start is None else int(np.searchsorted(starts, start))
    high = len(starts) if stop is None else int(np.searchsorted(starts, stop))
    return starts[low:high], values[low:high]


# --- calendars -------------------------------------------------------------------------------------------


def _months(moments: Int64Array, size: int) -> Int64Array:
    """The start of the group of `size` months, within its year, that each instant is in."""
    months = moments.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    return (months - months % size).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)


def _weeks(moments: Int64Array) -> Int64Array:
    """The Sunday that each instant's week begins with."""
    day = 86_400 * 1_000_000_000
    return floor(moments + 4 * day, 7 * day) - 4 * day


CALENDAR: dict[str, Callable[[Int64Array], Int64Array]] = {
    "Y": lambda moments: _months(moments, 12),
    "H": lambda moments: _months(moments, 6),
    "Q": lambda moments: _months(moments, 3),
    "M": lambda moments: _months(moments, 1),
    "W": _weeks,
}


def by_calendar(
    starts: Int64Array, values: FloatArray, group: str, method: str
) -> tuple[Int64Array, FloatArray]:
    """Points put together by years, halves, quarters, months or weeks."""
    if not len(starts):
        return starts, values
    groups = CALENDAR[group](starts)
    found, places = np.unique(groups, return_inverse=True)
    # the groups' numbers stand for times, so that one unit is one group
    edges, together = aggregate(places.astype(np.int64), values, 1, [method]).of(method)
    return found[edges], together
