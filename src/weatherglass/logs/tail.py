"""Live tail: what is new, as it is taken in, for those who wait for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from weatherglass.logs import filter as f
from weatherglass.logs.answers import FOREVER, chosen
from weatherglass.logs.frame import Frame
from weatherglass.logs.head import frame_of
from weatherglass.logs.matching import prepare
from weatherglass.logs.sorting import Best, Hit

if TYPE_CHECKING:
    import pyarrow as pa

MOST_FRAMES = 64
MOST_EVENTS = 1000


class Tail:
    """One who follows a tenant. `missed` counts the events that came faster than they were fetched."""

    def __init__(
        self,
        tenant: str,
        filter: f.Filter,
        follow: Callable[[Callable[[str, pa.Table], None]], Callable[[], None]],
    ) -> None:
        self._tenant, self._asked = tenant, prepare(filter)
        self._frames: deque[Frame] = deque()
        self._new = threading.Condition()
        self.missed = 0
        self._closed = False
        self._end = follow(self._take)

    def _take(self, tenant: str, table: pa.Table) -> None:
        """Called by whoever takes events in: puts them aside, and no more."""
        if tenant != self._tenant:
            return
        with self._new:
            self._frames.append(frame_of(table))
            while len(self._frames) > MOST_FRAMES:
                self.missed += self._frames.popleft().rows
            self._new.notify_all()

    def get(self, timeout_s: float) -> list[Hit]:
        """What came since, oldest first; empty when nothing did within the time."""
        with self._new:
            if not self._frames and not self._closed:
                self._new.wait(timeout_s)
            frames = list(self._frames)
            self._frames.clear()
        best = Best((("@timestamp", False),), MOST_EVENTS)
        found = 0
        for frame in frames:
            rows = chosen(frame, self._asked, FOREVER)
            if rows is not False:
                found += frame.rows if rows is None else len(rows)
                best.add(frame, rows)
        self.missed += max(0, found - MOST_EVENTS)
        return list(best.hits().hits)

    def close(self) -> None:
        self._end()
        with self._new:
            self._closed = True
            self._new.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
