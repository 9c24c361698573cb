"""The newest events of one tenant, in memory until they are sealed: one part a write, in no order of time.

Not safe by itself: the store's lock guards it. What it hands out is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from weatherglass.logs.query import Row
from weatherglass.logs.search import ERRORS


@dataclass(frozen=True, slots=True)
class Part:
    """One write: its offset in the log, when it came, its text's bytes, its events."""

    offset: int
    at_ns: int
    size: int
    rows: Sequence[Row]
    errors: Sequence[Row]


@dataclass(slots=True)
class Head:
    """The parts that no block holds yet."""

    parts: list[Part] = field(default_factory=list)
    events: int = 0
    size: int = 0

    def add(self, part: Part) -> None:
        self.parts.append(part)
        self.events += len(part.rows)
        self.size += part.size

    def before(self, offset: int) -> list[Part]:
        """The parts that a seal up to `offset` takes."""
        return [part for part in self.parts if part.offset < offset]

    def drop(self, offset: int) -> None:
        """Forget those parts: a block holds them."""
        kept = [part for part in self.parts if part.offset >= offset]
        self.parts, self.events, self.size = [], 0, 0
        for part in kept:
            self.add(part)

    def rows(self) -> list[Row]:
        return [row for part in self.parts for row in part.rows]

    def errors(self) -> list[Row]:
        return [row for part in self.parts for row in part.errors]

    @property
    def first(self) -> int | None:
        """The lowest offset it holds."""
        return min((part.offset for part in self.parts), default=None)

    @property
    def oldest_ns(self) -> int:
        """When its first part came; 0 when it is empty."""
        return min((part.at_ns for part in self.parts), default=0)


def part_of(offset: int, at_ns: int, size: int, rows: Sequence[Row]) -> Part:
    """A part, with its errors set apart: health counts them every second."""
    return Part(offset, at_ns, size, rows, [row for row in rows if row[2].level in ERRORS])
