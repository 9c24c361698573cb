"""Answers from the head and the blocks together: pages, histograms, counts of errors, what stands around an event.

A `View` is what the store held at one moment: the head's rows (any order) and the catalogue's blocks. Blocks are
read through `opened`, which gives None for one that retention has taken meanwhile. Nothing here writes.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from weatherglass.base.errors import NotFound
from weatherglass.engine.protocols import Event
from weatherglass.logs.blocks import Block
from weatherglass.logs.catalogue import BlockRow
from weatherglass.logs.query import Key, Query, Row, cursor, predicate

ERRORS = frozenset(("ERROR", "CRITICAL"))
MAX_BUCKETS = 2000


@dataclass(frozen=True, slots=True)
class Page:
    """Events newest first, a cursor for each, and `next`: what to give as `before` for more ("" at the end).

    `scanned` counts the events that were looked at, after pruning.
    """

    events: tuple[Event, ...]
    cursors: tuple[str, ...]
    next: str
    scanned: int
    took_s: float


@dataclass(frozen=True, slots=True)
class View:
    """One tenant's events at one moment."""

    head: Sequence[Row]
    blocks: Sequence[BlockRow]
    opened: Callable[[BlockRow], Block | None]


def _key(row: Row) -> Key:
    return row[0], row[1]


def find(view: View, query: Query, limit: int, *, newest: bool = True) -> tuple[list[Row], int]:
    """Up to `limit` rows, the newest first (or the oldest first), and how many were looked at."""
    if limit <= 0:
        return [], 0
    best = heapq.nlargest if newest else heapq.nsmallest
    asked = predicate(query)
    rows: list[Row] = best(limit, filter(asked, view.head), key=_key)
    scanned = len(view.head)
    # The blocks whose events may come first, first: once the page is full, the rest cannot add to it.
    blocks = sorted(
        (block for block in view.blocks if query.within(block.first_ns, block.last_ns)),
        key=lambda block: -block.last_ns if newest else block.first_ns,
    )
    for row in blocks:
        if len(rows) >= limit and (row.last_ns < rows[-1][0] if newest else row.first_ns > rows[-1][0]):
            break
        block = view.opened(row)
        if block is None:
            continue
        numbers = range(len(block.groups))
        for group in reversed(numbers) if newest else numbers:
            first, last = block.groups[group]
            if len(rows) >= limit and (last < rows[-1][0] if newest else first > rows[-1][0]):
                break
            if not block.may_match(group, query):
                continue
            found, _ = block.match(group, query)
            scanned += block.rows_of(group)
            if len(found):
                found = found[-limit:] if newest else found[:limit]
                rows = best(limit, [*rows, *block.rows(group, found)], key=_key)
    return rows, scanned


def page(view: View, query: Query, limit: int) -> Page:
    """The newest `limit` events that are asked for."""
    began = time.perf_counter()
    rows, scanned = find(view, query, limit)
    return _page(rows, scanned, began, cursor(_key(rows[-1])) if rows and len(rows) == limit else "")


def _page(rows: Sequence[Row], scanned: int, began: float, following: str) -> Page:
    return Page(
        tuple(event for _, _, event in rows),
        tuple(cursor(_key(row)) for row in rows),
        following,
        scanned,
        time.perf_counter() - began,
    )


def around(view: View, key: Key, count: int) -> Page:
    """The event at `key` with `count` before and `count` after it of the same labels, newest first.

    Raises NotFound when no such event is there (any more).
    """
    began = time.perf_counter()
    rows, scanned = find(view, Query(key[0], key[0] + 1, after=(key[0], key[1] - 1)), 1, newest=False)
    if not rows or _key(rows[0]) != key:
        raise NotFound("this event is not there (any more)", where="cursor", mend="search for it again")
    given = rows[0][2].labels
    same = Query(0, 1 << 62, labels=given)
    older, looked = find(view, same.next_to(before=key), count)
    newer, looked_again = find(view, same.next_to(after=key), count, newest=False)
    return _page([*reversed(newer), rows[0], *older], scanned + looked + looked_again, began, "")


def _matches(view: View, query: Query) -> Iterator[tuple[BlockRow, Block, int]]:
    for row in view.blocks:
        if query.within(row.first_ns, row.last_ns):
            block = view.opened(row)
            for group in range(len(block.groups)) if block else ():
                if block and block.may_match(group, query):
                    yield row, block, group


def histogram(view: View, query: Query, buckets: int) -> list[tuple[int, dict[str, int]]]:
    """(start_ns, events by level) of even buckets from start to end; empty ones too."""
    import numpy as np

    width = max(1, -(-(query.end_ns - query.start_ns) // max(1, min(buckets, MAX_BUCKETS))))
    counts: list[Counter[str]] = [Counter() for _ in range(-(-(query.end_ns - query.start_ns) // width))]
    asked = predicate(query)
    for row in filter(asked, view.head):
        counts[(row[0] - query.start_ns) // width][row[2].level] += 1
    for _, block, group in _matches(view, query):
        found, table = block.match(group, query)
        if len(found):
            times = table.column("time_ns").to_numpy()[found]
            levels = table.column("level").take(found).combine_chunks().dictionary_encode()
            names = [
                name.decode() if isinstance(name, bytes) else name for name in levels.dictionary.to_pylist()
            ]
            codes = levels.indices.fill_null(len(names)).to_numpy()
            places = (times - query.start_ns) // width * (len(names) + 1) + codes
            for place, count in zip(
                *(part.tolist() for part in np.unique(places, return_counts=True)), strict=True
            ):
                bucket, code = divmod(place, len(names) + 1)
                counts[bucket][names[code] if code < len(names) else ""] += count
    return [(query.start_ns + number * width, dict(count)) for number, count in enumerate(counts)]


def error_counts(view: View, query: Query, by: str) -> dict[str, int]:
    """Label value → events of level ERROR or CRITICAL; events without the label are under ""."""
    counts: Counter[str] = Counter()
    for _, _, event in filter(predicate(query), view.head):
        counts[next((value for name, value in event.labels if name == by), "")] += 1
    with_errors = View((), [block for block in view.blocks if block.errors], view.opened)
    for _, block, group in _matches(with_errors, query):
        found, _ = block.match(group, query)
        if len(found):
            counts.update(block.values(group, by, found))
    return dict(counts)
