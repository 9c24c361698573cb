"""The server's own vantage point: every probe that can be made from here, in a small pool of threads.

One probe of an entity is under way at a time. Which probe, and how, is the prober's (the agents' own, handed in).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import EntityId
from weatherglass.engine.protocols import ProbeResult
from weatherglass.health.crew import Crew

Prober = Callable[[Mapping[str, Any]], ProbeResult]
"""Makes one probe from a spec of `site.probe_specs`; raises Invalid for one that makes no sense."""

CALM_S: Final = 5.0
SICK_S: Final = 1.0
SPARED: Final = 4
"""A good answer that took long is waited for only every so many times its span: asking must not be what ails it."""


class Vantage:
    """Asks, when it is due. `due` and `results` are one thread's."""

    def __init__(self, prober: Prober, threads: int = 8) -> None:
        self._prober = prober
        self._crew = Crew("vantage", threads)
        self._lock = threading.Lock()
        self._asked: dict[EntityId, float] = {}
        self._took: dict[EntityId, float] = {}
        self._under_way: set[EntityId] = set()
        self._results: list[ProbeResult] = []
        self.refused: dict[EntityId, str] = {}

    def due(
        self, specs: Sequence[Mapping[str, Any]], hurried: Collection[EntityId] | None, now: float
    ) -> None:
        """Start what is due: every 5 s, every second where `hurried` names it (None: nothing is)."""
        known = set()
        for spec in specs:
            if not spec.get("server", True):
                continue
            name = EntityId(str(spec["entity"]))
            known.add(name)
            if name in self._under_way:
                continue
            period = CALM_S
            if hurried is not None and name in hurried:
                period = min(CALM_S, max(SICK_S, SPARED * self._took.get(name, 0.0)))
            if now - self._asked.get(name, float("-inf")) >= period:
                self._asked[name] = now
                self._under_way.add(name)
                self._crew.give(partial(self._ask, dict(spec)))
        for name in [name for name in self._asked if name not in known]:
            del self._asked[name]
            self._took.pop(name, None)

    def _ask(self, spec: Mapping[str, Any]) -> None:
        name = EntityId(str(spec["entity"]))
        try:
            result = self._prober(spec)
        except WeatherglassError as error:
            self.refused[name] = error.message
        else:
            self.refused.pop(name, None)
            self._took[name] = result.seconds if result.ok else 0.0
            with self._lock:
                self._results.append(result)
        finally:
            self._under_way.discard(name)

    def results(self) -> list[ProbeResult]:
        """What has come since the last call."""
        with self._lock:
            found, self._results = self._results, []
        return found

    def stop(self) -> None:
        """No new probe; those under way end by their own time-out and are not waited for."""
        self._crew.stop()
