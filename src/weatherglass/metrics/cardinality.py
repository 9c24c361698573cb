"""How many series a tenant has, what they differ by, and who makes new ones: what to look at when a limit is near."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from weatherglass.base.time import Clock
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.births import Count, varying, worst
from weatherglass.metrics.index import Index
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.types import Int64Array, SeriesLimits

TOP = 10
_LOOKED_AT = 20_000
_PIECE = 10_000


@dataclass(frozen=True, slots=True)
class Cardinality:
    """One tenant's series, counted. Lists hold the most first.

    `new` series came in the last `new_s` seconds (since the start, where that is less); of those that were looked at,
    `new_by_metric` says whose they are and `new_by_label` how many values each label brought. `blame` is a sentence.
    """

    series: int = 0
    pairs: int = 0
    limit: int = 0  # of series; 0: none
    by_metric: list[Count] = field(default_factory=list)  # series
    by_label: list[Count] = field(default_factory=list)  # distinct values
    by_label_bytes: list[Count] = field(default_factory=list)
    by_pair: list[Count] = field(default_factory=list)  # series; `name=value`
    new: int = 0
    new_s: float = 0.0
    new_by_metric: list[Count] = field(default_factory=list)
    new_by_label: list[Count] = field(default_factory=list)
    blame: str = ""


def counted(partition: Partition, limit: int, monotonic: float, top: int = TOP) -> Cardinality:
    """A tenant's series, counted; the partition's lock is held a little at a time."""
    index = partition.index
    with partition.lock:
        by_name = {name: index.pairs_of(name) for name in index.names()}
        first, span = partition.births.since(monotonic)
        new = index.published_from(first) if first >= 0 else np.empty(0, np.int64)
        series = index.series
    sizes = np.concatenate([one[1] for one in by_name.values()]) if by_name else np.empty(0, np.int64)
    entries = np.concatenate([one[0] for one in by_name.values()]) if by_name else np.empty(0, np.int64)
    metrics, held = by_name.get("__name__", (np.empty(0, np.int64), np.empty(0, np.int64)))
    order = np.argsort(-sizes, kind="stable")[:top]
    ends = np.cumsum([len(one[0]) for one in by_name.values()])
    names = list(by_name)
    with partition.lock:
        by_pair = [
            Count(
                f"{names[int(np.searchsorted(ends, at, side='right'))]}={index.text(int(entries[at]))}",
                int(sizes[at]),
            )
            for at in order.tolist()
        ]
        by_metric = [
            Count(index.text(int(metrics[at])), int(held[at]))
            for at in np.argsort(-held, kind="stable")[:top].tolist()
        ]
    values = Counter({name: len(one[0]) for name, one in by_name.items()})
    sized = Counter({name: _bytes(partition, index, by_name[name][0]) for name in by_name})
    looked = _labels(partition, index, new[-_LOOKED_AT:])
    fresh = Counter(dict(one).get("__name__", "") for one in looked)
    return Cardinality(
        series=series,
        pairs=len(entries),
        limit=limit,
        by_metric=by_metric,
        by_label=[Count(*one) for one in values.most_common(top)],
        by_label_bytes=[Count(*one) for one in sized.most_common(top)],
        by_pair=by_pair,
        new=len(new),
        new_s=span,
        new_by_metric=[Count(*one) for one in fresh.most_common(top)],
        new_by_label=varying(looked)[:top],
        blame=_blame(series, len(new), by_metric, values, looked),
    )


def _bytes(partition: Partition, index: Index, entries: Int64Array) -> int:
    total = 0
    for at in range(0, len(entries), _PIECE):
        with partition.lock:
            total += sum(index.size(one) for one in entries[at : at + _PIECE].tolist())
    return total


def _labels(partition: Partition, index: Index, numbers: Int64Array) -> list[Labels]:
    found: list[Labels] = []
    for at in range(0, len(numbers), _PIECE // 10):
        with partition.lock:
            found += [index.labels(one) for one in numbers[at : at + _PIECE // 10].tolist()]
    return found


def _blame(series: int, new: int, by_metric: list[Count], values: Counter[str], looked: list[Labels]) -> str:
    if not series:
        return ""
    if new * 10 > series and (told := worst(looked)):
        return f"{new} of {series} series are new: {told}."
    labels = [(name, count) for name, count in values.most_common() if name != "__name__"]
    told = f"{by_metric[0].name} has {by_metric[0].many} of {series} series"
    return f"{told}; the label {labels[0][0]} has {labels[0][1]} values." if labels else f"{told}."


class Counting:
    """The part of `Metrics` that counts series. Any thread may call any method."""

    _clock: Clock
    _partitions: dict[str, Partition]
    _limits: Callable[[str], SeriesLimits]

    def cardinality(self, tenant: str, top: int = TOP) -> Cardinality:
        """What a tenant's series are, most first; `top` of each."""
        partition = self._partitions.get(tenant)
        if partition is None:
            return Cardinality()
        return counted(partition, self._limits(tenant).series, self._clock.monotonic(), top)
