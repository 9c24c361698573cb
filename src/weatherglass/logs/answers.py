"""Answers from the head and the blocks together: what is found, in order, and what is counted.

A `View` is what the store held at one moment: the head's frames and the catalogue's blocks. Blocks are read
through `opened`, which gives None for one that retention has taken meanwhile. Nothing here writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.engine.protocols import Event
from weatherglass.logs import filter as f
from weatherglass.logs.aggregations import collector
from weatherglass.logs.aggs import Agg, DateHistogram, Sort, Terms
from weatherglass.logs.blocks import Block
from weatherglass.logs.catalogue import BlockRow
from weatherglass.logs.fields import LABELS, TIMES, bare, field_of
from weatherglass.logs.frame import Frame
from weatherglass.logs.lookups import rest_of
from weatherglass.logs.matching import NO_FIELD, Asked, bounds_ns, prepare
from weatherglass.logs.query import Key, cursor, parse_cursor
from weatherglass.logs.sorting import NEWEST, Best, Hits

if TYPE_CHECKING:
    pass

ERRORS = ("CRITICAL", "ERROR")
MAX_BUCKETS = 2000
FOREVER = (0, 1 << 62)
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Page:
    """Events newest first, a cursor for each, and `next`: what to give as `before` for more ("" at the end).

    `scanned` counts the events of the row groups that were looked into, after pruning.
    """

    events: tuple[Event, ...]
    cursors: tuple[str, ...]
    next: str
    scanned: int
    took_s: float


@dataclass(frozen=True, slots=True)
class View:
    """One tenant's events at one moment."""

    head: Sequence[Frame]
    blocks: Sequence[BlockRow]
    opened: Callable[[BlockRow], Block | None]

    def frames(self, span: Span, *, newest: bool, wanted: Callable[[Span], bool]) -> Iterator[Frame]:
        """The frames that may have events of start ≤ time < end, in the order of their last or first event.

        `wanted` is asked of each one's times right before it is opened.
        """
        start, end = span
        sources: list[tuple[Span, Frame | BlockRow]] = [(frame.span, frame) for frame in self.head]
        sources += [((row.first_ns, row.last_ns), row) for row in self.blocks]
        sources = [one for one in sources if one[0][1] >= start and one[0][0] < end]
        sources.sort(key=lambda one: -one[0][1] if newest else one[0][0])
        for times, source in sources:
            if not wanted(times):
                continue
            if isinstance(source, Frame):
                yield source
                continue
            block = self.opened(source)
            for frame in (reversed(block.frames) if newest else block.frames) if block else ():
                if frame.span[1] >= start and frame.span[0] < end and wanted(frame.span):
                    yield frame


def chosen(frame: Frame, asked: Asked, span: Span) -> Any:
    """The rows of a frame that are asked for, ascending; None for all, False for none."""
    import numpy as np

    mask = asked(frame)
    if mask is False:
        return False
    start, end = span
    if frame.span[0] < start or frame.span[1] >= end:
        times = frame.ints("time")
        inside = (times >= start) & (times < end)
        mask = inside if mask is True else mask & inside
    if mask is True:
        return None
    rows = np.flatnonzero(mask)
    return rows if len(rows) else False


def window(filter: f.Filter, span: Span) -> Span:
    """The span, narrowed by what the filter itself says of time."""
    start, end = span
    for one in filter.of if isinstance(filter, f.And) else (filter,):
        if isinstance(one, f.Range) and TIMES.get(bare(one.field)) == "time":
            low, high = bounds_ns(one)
            start, end = max(start, low), min(end, high)
    return start, end


def find(
    view: View,
    filter: f.Filter,
    *,
    span: Span = FOREVER,
    sort: Sort = NEWEST,
    limit: int = 100,
    after: Sequence[Any] | None = None,
    track_total: bool | int = True,
) -> tuple[Hits, int]:
    """(the first `limit` events in order, how many events were looked at).

    `track_total`: count all that is found (True), at least so many, or only what the page needs (False).
    """
    asked = prepare(filter)
    span = window(filter, span)
    best = Best(sort, limit, after)
    newest = not best.by_time or sort[0][1]
    most = (1 << 62) if track_total is True else int(track_total)
    total = scanned = 0
    exact = True

    def wanted(times: Span) -> bool:
        nonlocal exact
        if total < most or not best.beyond(times):
            return True
        exact = False
        return False

    for frame in view.frames(span, newest=newest, wanted=wanted):
        rows = chosen(frame, asked, span)
        if rows is False:
            continue
        scanned += frame.rows
        total += frame.rows if rows is None else len(rows)
        best.add(frame, rows)
    return best.hits(total, exact), scanned


def aggregate(
    view: View, filter: f.Filter, aggs: Mapping[str, Agg], *, span: Span = FOREVER
) -> tuple[dict[str, Any], int]:
    """({name: result} as `aggs` says, how many events it was counted over)."""
    collectors = {name: collector(agg) for name, agg in aggs.items()}
    asked = prepare(filter)
    span = window(filter, span)
    total = 0
    for frame in view.frames(span, newest=False, wanted=lambda times: True):
        rows = chosen(frame, asked, span)
        if rows is False:
            continue
        total += frame.rows if rows is None else len(rows)
        for one in collectors.values():
            one.collect(frame, rows)
    return {name: one.result() for name, one in collectors.items()}, total


# --- what the house's pages ask --------------------------------------------------------------------------


def page(view: View, filter: f.Filter, span: Span, limit: int, before: str) -> Page:
    """The newest `limit` events that are asked for."""
    began = time.perf_counter()
    after = _after(parse_cursor(before)) if before else None
    hits, scanned = find(view, filter, span=span, limit=limit, after=after, track_total=False)
    return _page(hits, scanned, began)


def _after(key: Key) -> tuple[int, int, int]:
    return key[0], key[0], key[1]


def _page(hits: Hits, scanned: int, began: float) -> Page:
    return Page(
        hits.events,
        tuple(hit.cursor for hit in hits.hits),
        hits.next,
        scanned,
        time.perf_counter() - began,
    )


def around(view: View, key: Key, count: int) -> Page:
    """The event at `key` with `count` before and `count` after it of the same labels, newest first.

    Raises NotFound when no such event is there (any more).
    """
    began = time.perf_counter()
    here, scanned = find(view, f.Ids((cursor(key),)), span=(key[0], key[0] + 1), limit=1, track_total=False)
    if not here.hits:
        raise NotFound("this event is not there (any more)", where="cursor", mend="search for it again")
    labels = dict(here.events[0].labels)
    same = f.both(
        *(
            f.Term(name, value) if name in LABELS else f.Term(f"label.{name}", value)
            for name, value in labels.items()
        ),
        *(
            f.Not(f.Exists(name))
            for name in ("labels", *LABELS)
            if name not in labels and (name != "labels" or not set(labels) - set(LABELS))
        ),
    )
    older, looked = find(view, same, limit=count, after=_after(key), track_total=False)
    newer, looked_again = find(
        view, same, sort=(("@timestamp", False),), limit=count, after=_after(key), track_total=False
    )
    hits = (*reversed(newer.hits), *here.hits, *older.hits)
    return _page(Hits(hits, len(hits)), scanned + looked + looked_again, began)


def histogram(view: View, filter: f.Filter, span: Span, buckets: int) -> list[tuple[int, dict[str, int]]]:
    """(start_ns, events by level) of even buckets from start to end; empty ones too."""
    start, end = span
    width = max(1, -(-(end - start) // max(1, min(buckets, MAX_BUCKETS))))
    bars: list[dict[str, int]] = [{} for _ in range(-(-(end - start) // width))]
    levels = Terms("level", size=1000, missing="")
    agg = DateHistogram(fixed_ns=width, offset_ns=start % width, min_count=1, subs={"levels": levels})
    found, _ = aggregate(view, filter, {"bars": agg}, span=span)
    for bucket in found["bars"].buckets:
        counts = {one.key: one.count for one in bucket.subs["levels"].buckets}
        bars[(bucket.key - start) // width] = counts
    return [(start + number * width, counts) for number, counts in enumerate(bars)]


def error_counts(view: View, span: Span, by: str, labels: Mapping[str, str]) -> dict[str, int]:
    """Label value → events of level ERROR or CRITICAL; events without the label are under ""."""
    if by not in LABELS:
        raise Invalid(f"events cannot be counted by {by!r}", where="by", mend=f"one of {', '.join(LABELS)}")
    parts = [f.Term(name if name in LABELS else f"label.{name}", value) for name, value in labels.items()]
    blocks = [row for row in view.blocks if row.errors]
    if not view.head and not blocks:
        return {}
    found, _ = aggregate(
        View(view.head, blocks, view.opened),
        f.both(f.Terms("level", ERRORS), *parts),
        {"by": Terms(by, size=1 << 31, missing="")},
        span=span,
    )
    return {bucket.key: bucket.count for bucket in found["by"].buckets}


def fields(view: View, span: Span) -> dict[str, set[str]]:
    """Field → types of its values, of the frames that lie in the span."""
    found: dict[str, set[str]] = {}
    for frame in view.frames(span, newest=True, wanted=lambda times: True):
        for column in frame.columns.names - NO_FIELD:
            found.setdefault(field_of(column), set()).add(
                column.rpartition(":")[2] if ":" in column else "text"
            )
        for _, key, _ in rest_of(frame, None):
            found.setdefault(field_of(key), set()).add(key.rpartition(":")[2] if ":" in key else "text")
        found.setdefault("message", set()).add("text")
    return found
