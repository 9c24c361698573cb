"""The first rows of many frames by any fields: values with text after numbers, what has none last.

Ties are broken by time and arrival, in the direction of the first field, so that every order is total and
`after` goes on exactly where a page ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import TYPE_CHECKING, Any

from weatherglass.engine.protocols import Event
from weatherglass.logs.aggs import Sort
from weatherglass.logs.fields import TIMES
from weatherglass.logs.frame import Frame
from weatherglass.logs.values import values_of

if TYPE_CHECKING:
    import numpy as np

NEWEST: Sort = (("@timestamp", True),)


@dataclass(frozen=True, slots=True)
class Hit:
    """One event that was found. `sort`: its values of the sort's fields (None for none), then time_ns and sequence."""

    event: Event
    cursor: str
    sort: tuple[Any, ...]

    @property
    def index(self) -> str:
        return self.event.fields.get("_index", "")

    @property
    def id(self) -> str:
        """A document's own, else the cursor."""
        return self.event.fields.get("_id", "") or self.cursor


@dataclass(frozen=True, slots=True)
class Hits:
    """Events in order; `total` events were found altogether (at least so many, when `exact` is false).

    `next` goes on after the last (`after=`); "" at the end.
    """

    hits: tuple[Hit, ...]
    total: int
    exact: bool = True
    next: str = ""

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(hit.event for hit in self.hits)


@total_ordering
class _Down:
    """A key whose order is turned round."""

    __slots__ = ("of",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, of: Any) -> None:
        self.of = of

    def __lt__(self, other: Any) -> bool:
        return bool(other.of < self.of)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and bool(self.of == other.of)


def rank(value: Any, descending: bool) -> tuple[int, Any]:
    """The key of one value: what has none comes last both ways."""
    if value is None:
        return (2, 0)
    kind = 1 if isinstance(value, str) else 0
    return (kind, _Down(value) if descending else value)


class Best:
    """The first `limit` rows by `sort`, frame after frame. `after`: the sort values of the row to go on from."""

    def __init__(self, sort: Sort, limit: int, after: Sequence[Any] | None = None) -> None:
        self.sort, self.limit = sort, limit
        self.by_time = len(sort) == 1 and TIMES.get(sort[0][0]) == "time"
        self._down = sort[0][1] if sort else True
        self._after = self._key(list(after)) if after is not None else None
        self._after_values = list(after) if after is not None else None
        self._found: list[tuple[Any, Frame, int, tuple[Any, ...]]] = []

    def _key(self, values: list[Any]) -> tuple[Any, ...]:
        """Of a row's values, time and sequence; the last two may be missing in an `after`."""
        given = [rank(value, down) for value, (_, down) in zip(values, self.sort, strict=False)]
        ties = values[len(self.sort) :]
        return (*given, *(rank(value, self._down) for value in ties))

    @property
    def full(self) -> bool:
        return len(self._found) >= self.limit

    def edge(self) -> int:
        """When the list is full: the time of its last, in an order by time."""
        return int(self._found[-1][3][0])

    def beyond(self, span: tuple[int, int]) -> bool:
        """Whether nothing of these times can come in, in an order by time."""
        if not self.by_time:
            return False
        first, last = span
        if self._after_values:
            at = self._after_values[0]
            if (first > at) if self._down else (last < at):
                return True
        return self.limit == 0 or (
            self.full and ((last < self.edge()) if self._down else (first > self.edge()))
        )

    def add(self, frame: Frame, rows: np.ndarray | None) -> None:
        """Rows of a frame (all), ascending."""
        import numpy as np

        if self.limit <= 0 or self.beyond(frame.span):
            return
        chosen = np.arange(frame.rows) if rows is None else rows
        if self.by_time:
            chosen = self._by_time(frame, chosen)
        if not len(chosen):
            return
        columns = [self._values(frame, field, down, chosen) for field, down in self.sort]
        ties = frame.keys(chosen)
        new = []
        for number, row in enumerate(chosen.tolist()):
            values = (*(column[number] for column in columns), *ties[number])
            key = self._key(list(values))
            if self._after is None or self._follows(key):
                new.append((key, frame, row, values))
        self._found = heapq.nsmallest(self.limit, [*self._found, *new], key=lambda one: one[0])

    def _follows(self, key: tuple[Any, ...]) -> bool:
        assert self._after is not None
        return key[: len(self._after)] > self._after

    def _by_time(self, frame: Frame, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that may come in, found by whole arrays."""
        import numpy as np

        times, sequences = frame.ints("time")[rows], frame.ints("sequence")[rows]
        if self._after_values:
            at = self._after_values[0]
            tie = self._after_values[2] if len(self._after_values) > 2 else None
            keep = times < at if self._down else times > at
            if tie is not None:
                keep |= (times == at) & ((sequences < tie) if self._down else (sequences > tie))
            rows, times, sequences = rows[keep], times[keep], sequences[keep]
        if len(rows) <= self.limit:
            return rows
        if frame.ordered:
            return rows[-self.limit :] if self._down else rows[: self.limit]
        order = np.lexsort((sequences, times))
        return rows[np.sort(order[-self.limit :] if self._down else order[: self.limit])]

    def _values(self, frame: Frame, field: str, down: bool, rows: np.ndarray) -> list[Any]:
        """One value a row: of several the first in the order."""
        if TIMES.get(field) == "time":
            return frame.ints("time")[rows].tolist()  # type: ignore[no-any-return]
        if field in ("_doc", "_seq_no", "_shard_doc", "sequence"):
            return frame.ints("sequence")[rows].tolist()  # type: ignore[no-any-return]
        if field == "_score":
            return [1.0] * len(rows)
        places, values, codes = values_of(frame, field, rows)
        best: dict[int, Any] = {}
        for row, code in zip(places.tolist(), codes.tolist(), strict=True):
            value = values[code]
            if row not in best or rank(value, down) < rank(best[row], down):
                best[row] = value
        return [best.get(row) for row in rows.tolist()]

    def hits(self, total: int = 0, exact: bool = True, more: bool = False) -> Hits:
        import numpy as np

        from weatherglass.logs.query import cursor

        shown: dict[tuple[int, int], Event] = {}
        frames: dict[int, tuple[Frame, list[int]]] = {}
        for _, frame, row, _ in self._found:
            frames.setdefault(id(frame), (frame, []))[1].append(row)
        for frame, rows in frames.values():
            for row, event in zip(rows, frame.events(np.array(rows)), strict=True):
                shown[id(frame), row] = event
        hits = tuple(
            Hit(shown[id(frame), row], cursor((values[-2], values[-1])), values)
            for _, frame, row, values in self._found
        )
        following = hits[-1].cursor if hits and (more or len(hits) == self.limit) else ""
        return Hits(hits, total or len(hits), exact, following)
