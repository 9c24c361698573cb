"""Aggregations with buckets: terms, histograms, filters, ranges, composite keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from weatherglass.base.errors import Invalid
from weatherglass.logs import aggs
from weatherglass.logs.aggregations.numbers import (
    CardinalityOf,
    PercentilesOf,
    StatsOf,
    TopHitsOf,
    ValueCountOf,
)
from weatherglass.logs.aggs import Agg, Bucket, Buckets, Summary
from weatherglass.logs.fields import TIMES, bare
from weatherglass.logs.frame import Frame
from weatherglass.logs.leaves import as_number
from weatherglass.logs.matching import prepare
from weatherglass.logs.sorting import rank
from weatherglass.logs.spans import CALENDAR, MAX_BUCKETS, edges_calendar, floor_fixed, zone
from weatherglass.logs.values import numbers_of, values_of

if TYPE_CHECKING:
    import numpy as np


class Collector(Protocol):
    """Takes frames and rows of them (None: all), then gives what `aggs` says."""

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None: ...

    def result(self) -> Any: ...


def collector(agg: Agg) -> Collector:
    """Raises Invalid."""
    if isinstance(agg, aggs.Metric):
        return ValueCountOf(agg) if agg.of == "value_count" else StatsOf(agg)
    made: Callable[[Any], Collector] = _COLLECTORS[type(agg)]
    return made(agg)


class Node:
    """One bucket while it is counted."""

    __slots__ = ("count", "subs")

    def __init__(self, subs: Mapping[str, Agg]) -> None:
        self.count = 0
        self.subs = {name: collector(agg) for name, agg in subs.items()}

    def collect(self, frame: Frame, rows: np.ndarray | None, count: int) -> None:
        self.count += count
        for sub in self.subs.values():
            sub.collect(frame, rows)

    def bucket(self, key: Any, bounds: tuple[float | None, float | None] | None = None) -> Bucket:
        return Bucket(key, self.count, {name: sub.result() for name, sub in self.subs.items()}, bounds)


class Nodes(dict[Any, Node]):
    """Key → bucket, made when first counted."""

    def __init__(self, subs: Mapping[str, Agg]) -> None:
        super().__init__()
        self._subs = subs

    def __missing__(self, key: Any) -> Node:
        node = self[key] = Node(self._subs)
        return node

    def pairs(self, frame: Frame, rows: np.ndarray, keys: Sequence[Any], codes: np.ndarray) -> None:
        """Count pairs of rows and keys' numbers."""
        import numpy as np

        counts = np.bincount(codes, minlength=len(keys))
        if not self._subs:
            for code in np.flatnonzero(counts).tolist():
                self[keys[code]].count += int(counts[code])
            return
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(counts)
        for code in np.flatnonzero(counts).tolist():
            mine = rows[order[ends[code] - counts[code] : ends[code]]]
            self[keys[code]].collect(frame, mine, int(counts[code]))


class TermsOf:
    def __init__(self, agg: aggs.Terms | aggs.Rare) -> None:
        self._agg, self._nodes = agg, Nodes(agg.subs)

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        agg = self._agg
        missing = agg.missing if isinstance(agg, aggs.Terms) else None
        if rows is None and not agg.subs and missing is None and self._whole(frame):
            return
        places, values, codes = values_of(frame, agg.field, rows)
        self._nodes.pairs(frame, places, values, codes)
        if missing is not None:
            every = np.arange(frame.rows) if rows is None else rows
            without = np.setdiff1d(every, places) if len(places) < len(every) else places[:0]
            if len(without):
                self._nodes[missing].collect(frame, without, len(without))

    def _whole(self, frame: Frame) -> bool:
        """All rows of a frame, where they are counted already."""
        name = bare(self._agg.field)
        if (
            name not in ("level", "logger", "service", "host", "template", "format")
            or frame.has("rest")
            or frame.has(f"f.{name}")
        ):
            return False
        coded = frame.coded(name)
        if coded is not None:
            for value, count in zip(coded.values.to_pylist(), frame.counts(name).tolist(), strict=False):
                if count:
                    self._nodes[value].count += count
        return True

    def result(self) -> Buckets:
        agg = self._agg
        keys: Iterable[Any] = self._nodes
        if isinstance(agg, aggs.Rare):
            rare = sorted((key for key in keys if self._nodes[key].count <= agg.most), key=_ascending)
            return Buckets(tuple(self._nodes[key].bucket(key) for key in rare[: agg.size]))
        chosen = [key for key in keys if self._nodes[key].count >= agg.min_count and self._wanted(key)]
        chosen.sort(key=_ascending)
        for name, down in reversed(agg.order):
            if name in ("_key", "_term"):
                chosen.sort(key=_ascending, reverse=down)
            elif name == "_count":
                chosen.sort(key=lambda key: self._nodes[key].count, reverse=down)
            else:
                measured = {key: _measure(self._nodes[key], name) for key in chosen}
                chosen.sort(key=lambda key: rank(measured[key], down))
        listed = chosen[: agg.size]
        other = sum(self._nodes[key].count for key in chosen[agg.size :])
        return Buckets(tuple(self._nodes[key].bucket(key) for key in listed), other)

    def _wanted(self, key: Any) -> bool:
        assert isinstance(self._agg, aggs.Terms)
        return (not self._agg.include or _like(key, self._agg.include)) and not (
            self._agg.exclude and _like(key, self._agg.exclude)
        )


def _like(key: Any, wanted: str | tuple[str, ...]) -> bool:
    if isinstance(wanted, tuple):
        return str(key) in wanted or key in wanted
    try:
        return re.fullmatch(wanted, str(key)) is not None
    except re.error as error:
        raise Invalid(f"not a regular expression: {error}", where="include") from error


def _ascending(key: Any) -> tuple[int, Any]:
    return (1, key) if isinstance(key, str) else (0, key)


def _measure(node: Node, path: str) -> Any:
    """What a sub-agg, or a part of its result, comes to: `latest`, `times.max`, `load.95`."""
    name, _, part = path.replace(">", ".").partition(".")
    if name not in node.subs:
        raise Invalid(f"no sub-aggregation {name!r} to order by", where="order")
    found = node.subs[name].result()
    if isinstance(found, Summary):
        if part == "avg":
            return found.sum / found.count if found.count else None
        return getattr(found, part or "count", None)
    if isinstance(found, dict):
        return found.get(as_number(part))
    return found.count if isinstance(found, Bucket) else found


class DateHistogramOf:
    def __init__(self, agg: aggs.DateHistogram) -> None:
        if bool(agg.fixed_ns) == bool(agg.calendar) or agg.fixed_ns < 0:
            raise Invalid(
                "a histogram of time needs one interval, fixed or of the calendar", where="interval"
            )
        if agg.calendar and agg.calendar not in CALENDAR:
            raise Invalid(
                f"no calendar interval {agg.calendar!r}", where="calendar_interval", mend=", ".join(CALENDAR)
            )
        self._agg, self._nodes, self._zone = agg, Nodes(agg.subs), zone(agg.tz)

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        agg = self._agg
        place = TIMES.get(bare(agg.field))
        if place == "time" and frame.ordered:
            self._ordered(frame, rows)
            return
        if place:
            times = frame.ints(place)
            chosen = np.arange(frame.rows) if rows is None else rows
            times = times[chosen]
        else:
            chosen, times = numbers_of(frame, agg.field, rows, time=True)
        if not len(times):
            return
        if agg.calendar:
            edges = np.array(
                edges_calendar(int(times.min()), int(times.max()), agg.calendar, self._zone, agg.offset_ns)
            )
            codes = np.searchsorted(edges, times, "right") - 1
            self._nodes.pairs(frame, chosen, edges.tolist(), codes)
        else:
            keys, codes = np.unique(
                floor_fixed(times, agg.fixed_ns, self._zone, agg.offset_ns), return_inverse=True
            )
            self._bound(len(keys))
            self._nodes.pairs(frame, chosen, keys.tolist(), codes)

    def _ordered(self, frame: Frame, rows: np.ndarray | None) -> None:
        """Rows in the order of time: where the spans begin is looked up, not computed for each."""
        import numpy as np

        agg = self._agg
        if rows is not None and not len(rows):
            return
        first, last = frame.span
        if agg.calendar:
            edges = np.array(edges_calendar(first, last, agg.calendar, self._zone, agg.offset_ns))
        else:
            ends = floor_fixed(np.array([first, last]), agg.fixed_ns, self._zone, agg.offset_ns)
            if (ends[1] - ends[0]) // agg.fixed_ns > MAX_BUCKETS or _shifts(first, last, self._zone):
                times = frame.ints("time") if rows is None else frame.ints("time")[rows]
                edges = np.unique(floor_fixed(times, agg.fixed_ns, self._zone, agg.offset_ns))
                self._bound(len(edges))
            else:
                edges = np.arange(ends[0], ends[1] + 1, agg.fixed_ns)
        if len(edges) == 1 or edges[1] > last:
            size = frame.rows if rows is None else len(rows)
            self._nodes[int(edges[0])].collect(frame, rows, size)
            return
        times = frame.ints("time") if rows is None else frame.ints("time")[rows]
        cuts = np.searchsorted(times, edges)
        for key, begin, end in zip(
            edges.tolist(), cuts.tolist(), [*cuts[1:].tolist(), len(times)], strict=True
        ):
            if end > begin:
                whole = np.arange(begin, end) if rows is None and agg.subs else None
                mine = whole if rows is None else rows[begin:end]
                self._nodes[key].collect(frame, mine, end - begin)

    def _bound(self, size: int) -> None:
        if size + len(self._nodes) > 4 * MAX_BUCKETS:
            raise Invalid(f"more than {MAX_BUCKETS} buckets", where="interval", mend="ask for longer spans")

    def result(self) -> Buckets:
        agg, keys = self._agg, sorted(self._nodes)
        if agg.min_count <= 0:
            low, high = [keys[0], keys[-1]] if keys else [0, -1]
            if agg.bounds:
                low, high = (min(low, agg.bounds[0]), max(high, agg.bounds[1])) if keys else agg.bounds
            if high >= low:
                for key in self._every(low, high):
                    self._nodes[key].count += 0
            keys = sorted(self._nodes)
        return Buckets(
            tuple(self._nodes[key].bucket(key) for key in keys if self._nodes[key].count >= agg.min_count)
        )

    def _every(self, low: int, high: int) -> list[int]:
        import numpy as np

        agg = self._agg
        if agg.calendar:
            return [
                edge
                for edge in edges_calendar(low, high, agg.calendar, self._zone, agg.offset_ns)
                if edge <= high
            ]
        if (high - low) // agg.fixed_ns > MAX_BUCKETS:
            raise Invalid(
                f"more than {MAX_BUCKETS} buckets",
                where="interval",
                mend="longer spans, less time, or min_doc_count 1",
            )
        steps = np.arange(low, high + 1, agg.fixed_ns)
        return [int(one) for one in np.unique(floor_fixed(steps, agg.fixed_ns, self._zone, agg.offset_ns))]


def _shifts(first: int, last: int, tz: Any) -> bool:
    from weatherglass.logs.spans import shift_of

    return shift_of(first, tz) != shift_of(last, tz)


class HistogramOf:
    def __init__(self, agg: aggs.Histogram) -> None:
        if not agg.interval > 0:
            raise Invalid("an interval is more than 0", where="interval")
        self._agg, self._nodes = agg, Nodes(agg.subs)

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        chosen, values = numbers_of(frame, self._agg.field, rows)
        if len(values):
            steps, codes = np.unique(
                np.floor((values.astype(float) - self._agg.offset) / self._agg.interval), return_inverse=True
            )
            self._nodes.pairs(frame, chosen, steps.astype(np.int64).tolist(), codes)

    def result(self) -> Buckets:
        agg, steps = self._agg, sorted(self._nodes)
        if agg.min_count <= 0 and steps:
            if steps[-1] - steps[0] > MAX_BUCKETS:
                raise Invalid(f"more than {MAX_BUCKETS} buckets", where="interval", mend="a longer interval")
            steps = list(range(steps[0], steps[-1] + 1))
        nodes = [(step * agg.interval + agg.offset, self._nodes[step]) for step in steps]
        return Buckets(tuple(node.bucket(key) for key, node in nodes if node.count >= agg.min_count))


class FiltersOf:
    def __init__(self, agg: aggs.Filters) -> None:
        self._agg = agg
        self._asked = {name: prepare(filter) for name, filter in agg.filters.items()}
        self._nodes = {name: Node(agg.subs) for name in (*agg.filters, *([agg.other] if agg.other else []))}

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        every = np.arange(frame.rows) if rows is None else rows
        seen = np.zeros(frame.rows, bool)
        for name, asked in self._asked.items():
            mask = asked(frame)
            if mask is False:
                continue
            mine = every if mask is True else every[mask[every]]
            seen[mine] = True
            if len(mine):
                self._nodes[name].collect(frame, mine, len(mine))
        if self._agg.other:
            rest = every[~seen[every]]
            if len(rest):
                self._nodes[self._agg.other].collect(frame, rest, len(rest))

    def result(self) -> Buckets:
        return Buckets(tuple(node.bucket(name) for name, node in self._nodes.items()))


class RangeOf:
    def __init__(self, agg: aggs.Range) -> None:
        self._agg, self._nodes = agg, [Node(agg.subs) for _ in agg.ranges]

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        chosen, values = numbers_of(frame, self._agg.field, rows, time=self._agg.time)
        for node, (_, low, high) in zip(self._nodes, self._agg.ranges, strict=True):
            inside = np.ones(len(values), bool)
            if low is not None:
                inside &= values >= low
            if high is not None:
                inside &= values < high
            mine = np.unique(chosen[inside])
            if len(mine):
                node.collect(frame, mine, len(mine))

    def result(self) -> Buckets:
        return Buckets(
            tuple(
                node.bucket(key, (low, high))
                for node, (key, low, high) in zip(self._nodes, self._agg.ranges, strict=True)
            )
        )


class MissingOf:
    def __init__(self, agg: aggs.Missing) -> None:
        self._agg, self._node = agg, Node(agg.subs)

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        every = np.arange(frame.rows) if rows is None else rows
        without = np.setdiff1d(every, values_of(frame, self._agg.field, rows)[0])
        if len(without):
            self._node.collect(frame, without, len(without))

    def result(self) -> Bucket:
        return self._node.bucket(None)


class CompositeOf:
    def __init__(self, agg: aggs.Composite) -> None:
        if not agg.sources:
            raise Invalid("a composite needs a source", where="sources")
        self._agg, self._nodes = agg, Nodes(agg.subs)

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        places = np.arange(frame.rows) if rows is None else rows
        keys: list[tuple[Any, ...]] = [()]
        codes = np.zeros(len(places), np.int64)
        for source in self._agg.sources:
            own, values, own_codes = _keys(frame, source.of, rows)
            if source.missing:
                every = np.arange(frame.rows) if rows is None else rows
                without = np.setdiff1d(every, own)
                own = np.concatenate([own, without])
                own_codes = np.concatenate([own_codes, np.full(len(without), len(values))])
                values = [*values, None]
                order = np.argsort(own, kind="stable")
                own, own_codes = own[order], own_codes[order]
            begin, end = np.searchsorted(own, places, "left"), np.searchsorted(own, places, "right")
            sizes = end - begin
            picked = np.repeat(begin - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
            codes = np.repeat(codes, sizes) * max(1, len(values)) + own_codes[picked]
            places = np.repeat(places, sizes)
            used, codes = np.unique(codes, return_inverse=True)
            width = max(1, len(values))
            keys = [(*keys[one // width], values[one % width]) for one in used.tolist()]
        if len(places):
            self._nodes.pairs(frame, places, keys, codes)

    def result(self) -> Buckets:
        def order(key: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(
                (-1 if not source.descending else 3, 0) if value is None else rank(value, source.descending)
                for value, source in zip(key, self._agg.sources, strict=True)
            )

        keys = sorted(self._nodes, key=order)
        if self._agg.after is not None:
            if len(self._agg.after) != len(self._agg.sources):
                raise Invalid("`after` has one value for each source", where="after")
            edge = order(self._agg.after)
            keys = [key for key in keys if order(key) > edge]
        page = keys[: self._agg.size]
        return Buckets(tuple(self._nodes[key].bucket(key) for key in page), after=page[-1] if page else None)


def _keys(
    frame: Frame, of: aggs.Terms | aggs.Histogram | aggs.DateHistogram, rows: np.ndarray | None
) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """(rows, keys, codes) of one source of a composite."""
    import numpy as np

    if isinstance(of, aggs.Terms):
        return values_of(frame, of.field, rows)
    if isinstance(of, aggs.Histogram):
        chosen, values = numbers_of(frame, of.field, rows)
        steps, codes = np.unique(
            np.floor((values.astype(float) - of.offset) / of.interval), return_inverse=True
        )
        return chosen, (steps * of.interval + of.offset).tolist(), codes
    chosen, times = numbers_of(frame, of.field, rows, time=bare(of.field) not in TIMES)
    if not len(times):
        return chosen, [], np.array([], np.int64)
    if of.calendar:
        edges = np.array(
            edges_calendar(int(times.min()), int(times.max()), of.calendar, zone(of.tz), of.offset_ns)
        )
        return chosen, edges.tolist(), np.searchsorted(edges, times, "right") - 1
    starts, codes = np.unique(floor_fixed(times, of.fixed_ns, zone(of.tz), of.offset_ns), return_inverse=True)
    return chosen, starts.tolist(), codes


_COLLECTORS: dict[type, Callable[[Any], Collector]] = {
    aggs.Terms: TermsOf,
    aggs.Rare: TermsOf,
    aggs.DateHistogram: DateHistogramOf,
    aggs.Histogram: HistogramOf,
    aggs.Filters: FiltersOf,
    aggs.Range: RangeOf,
    aggs.Missing: MissingOf,
    aggs.Composite: CompositeOf,
    aggs.Cardinality: CardinalityOf,
    aggs.Percentiles: PercentilesOf,
    aggs.Stats: StatsOf,
    aggs.TopHits: TopHitsOf,
}
