"""Exemplars of one tenant: a bounded ring in memory, by series. The oldest give way; none outlives the process.

As Prometheus keeps them (`exemplar-storage`): one that is not newer than its series' last is not stored again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence

from weatherglass.engine.protocols import Labels
from weatherglass.metrics.formats.taken import Exemplar
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.types import Matcher

MOST = 100_000
LABELS_MOST = 128
"""Characters of an exemplar's labels (OpenMetrics §Exemplars)."""


class Exemplars:
    """Any thread may call any method."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._order: deque[Labels] = deque()
        self._kept: dict[Labels, deque[Exemplar]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def add(self, many: Iterable[Exemplar], now_ms: int) -> int:
        """How many were stored; the others were there already, older than what is there, or too long."""
        stored = 0
        with self._lock:
            for one in many:
                if sum(len(name) + len(value) for name, value in one.labels) > LABELS_MOST:
                    continue
                own = self._kept.get(one.series)
                last = own[-1] if own else None
                if one.time_ms is None:
                    if last and (last.labels, last.value) == (one.labels, one.value):
                        continue  # a target tells its last one at every scrape
                    one = one._replace(time_ms=now_ms)
                if last and (one.time_ms or 0) <= (last.time_ms or 0):
                    continue
                if own is None:
                    own = self._kept[one.series] = deque()
                own.append(one)
                self._order.append(one.series)
                stored += 1
                if len(self._order) > self._most:
                    self._drop()
        return stored

    def _drop(self) -> None:
        series = self._order.popleft()  # each series' own are in the order of their coming, too
        own = self._kept[series]
        own.popleft()
        if not own:
            del self._kept[series]

    def find(
        self, matchers_list: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, list[Exemplar]]]:
        """Those of series that any list of matchers finds, `start_ms <= t <= end_ms`. Raises Invalid for a bad regex."""
        asked = [[(one.name, accepts(one)) for one in matchers] for matchers in matchers_list]
        with self._lock:
            every = [(series, list(own)) for series, own in self._kept.items()]
        found = []
        for series, own in sorted(every):
            labels = dict(series)
            if any(all(passes(labels.get(name, "")) for name, passes in one) for one in asked):
                inside = [one for one in own if start_ms <= (one.time_ms or 0) <= end_ms]
                if inside:
                    found.append((series, inside))
        return found
