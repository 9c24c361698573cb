"""The newest events of one tenant, in memory until they are sealed.

A write waits as it came until somebody asks or enough have come; then all that wait become one table (`settle`).
Tables are merged as they grow, so that there are few. The store's lock guards what is here; the taker, which learns
templates, works under a lock of its own, as that takes long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from weatherglass.logs.frame import Columns, Frame
from weatherglass.logs.taking import Taker, Write, joined

if TYPE_CHECKING:
    import pyarrow as pa

SETTLE_EVENTS = 8192
SEQUENCE_BITS = 16


class Part(NamedTuple):
    """One write: its offset in the log, when it came, its text's bytes, how many events."""

    offset: int
    at_ns: int
    size: int
    events: int


class Head:
    """What no block of the tenant holds yet."""

    def __init__(self, taker: Taker) -> None:
        self.taker = taker
        self.taking = threading.Lock()
        self.parts: list[Part] = []
        self.waiting: list[Write] = []
        self.waiting_events = 0
        self.frames: list[tuple[pa.Table, Frame]] = []
        self.events = 0
        self.size = 0

    def add(self, part: Part, write: Write) -> None:
        self.parts.append(part)
        self.waiting.append(write)
        self.waiting_events += part.events
        self.events += part.events
        self.size += part.size

    def settle(self, lock: threading.Lock, told: Callable[[pa.Table], None]) -> None:
        """Make a table of what waits; `told` hears of it. `lock` is the store's, and not held."""
        with self.taking:
            with lock:
                waiting, self.waiting, self.waiting_events = self.waiting, [], 0
            if not waiting:
                return
            table = self.taker.take(waiting)
            told(table)
            with lock:
                tables = [one for one, _ in self.frames]
                while tables and len(tables[-1]) <= 2 * len(table):
                    table = joined([tables.pop(), table])
                self.frames = [*self.frames[: len(tables)], (table, frame_of(table))]

    def tables_before(self, offset: int) -> list[pa.Table]:
        """The events that a seal up to `offset` takes."""
        return [table for table in (_cut(one, offset)[0] for one, _ in self.frames) if len(table)]

    def drop(self, offset: int) -> None:
        """Forget those: a block holds them."""
        self.parts = [part for part in self.parts if part.offset >= offset]
        self.events = sum(part.events for part in self.parts)
        self.size = sum(part.size for part in self.parts)
        kept = []
        for table, frame in self.frames:
            before, after = _cut(table, offset)
            if not len(before):
                kept.append((table, frame))
            elif len(after):
                kept.append((after, frame_of(after)))
        self.frames = kept

    @property
    def first(self) -> int | None:
        """The lowest offset it holds."""
        return min((part.offset for part in self.parts), default=None)

    @property
    def oldest_ns(self) -> int:
        """When its first part came; 0 when it is empty."""
        return min((part.at_ns for part in self.parts), default=0)


def _cut(table: pa.Table, offset: int) -> tuple[pa.Table, pa.Table]:
    """(events of writes before the offset, the others)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sequences = table.column("sequence")
    span = pc.min_max(sequences).as_py()
    if span["max"] is None or span["max"] < offset << SEQUENCE_BITS:
        return table, table.slice(0, 0)
    if span["min"] >= offset << SEQUENCE_BITS:
        return table.slice(0, 0), table
    before = pc.less(sequences, pa.scalar(offset << SEQUENCE_BITS, pa.int64()))
    return table.filter(before), table.filter(pc.invert(before))


def frame_of(table: pa.Table) -> Frame:
    """A table in memory as a frame."""
    import pyarrow.compute as pc

    span = pc.min_max(table.column("time")).as_py()
    return Frame(Columns(table), len(table), span=(span["min"], span["max"]))
