"""What a client keeps open between requests: scrolls and points in time. In memory, bounded, let go when they expire."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from typing import Any

from weatherglass.base.time import Clock
from weatherglass.gateway.elastic.dates import duration_ms
from weatherglass.gateway.elastic.faults import Fault, argument

MOST = 500
_LONGEST_MS = 24 * 3_600_000


@dataclass(slots=True)
class Open:
    """One of them; `value` is what goes on from."""

    tenant: str
    until: float
    value: Any


class Contexts:
    """All that are open, by id; any thread."""

    def __init__(self, clock: Clock, what: str) -> None:
        self._clock, self._what = clock, what
        self._lock = threading.Lock()
        self._open: dict[str, Open] = {}

    def keep(self, text: str) -> float:
        """Until when, for a `keep_alive` of `1m`. Raises Fault."""
        length = duration_ms(text, "keep_alive")
        if not 0 < length <= _LONGEST_MS:
            raise argument(f"Keep alive for request ({text[:20]}) is too large. It must be less than (24h).")
        return self._clock.monotonic() + length / 1000

    def add(self, tenant: str, keep_alive: str, value: Any) -> str:
        """The id. Raises Fault (429) when too many are open."""
        until, now = self.keep(keep_alive), self._clock.monotonic()
        id = secrets.token_urlsafe(24)
        with self._lock:
            self._open = {key: one for key, one in self._open.items() if one.until > now}
            if len(self._open) >= MOST:
                raise Fault(
                    "es_rejected_execution_exception",
                    f"Trying to create too many {self._what} contexts. Must be less than or equal to: [{MOST}].",
                    429,
                )
            self._open[id] = Open(tenant, until, value)
        return id

    def get(self, tenant: str, id: str, keep_alive: str = "") -> Open:
        """Raises Fault (404) for one that is not open (any more), or another's."""
        with self._lock:
            found = self._open.get(id)
            if found is None or found.tenant != tenant or found.until <= self._clock.monotonic():
                inner = Fault(
                    "search_context_missing_exception", f"No search context found for id [{id[:40]}]", 404
                )
                raise Fault(
                    "search_phase_execution_exception",
                    "all shards failed",
                    404,
                    more={"phase": "query"},
                    cause=inner,
                )
            if keep_alive:
                found.until = self.keep(keep_alive)
            return found

    def drop(self, tenant: str, id: str) -> int:
        """How many were let go; `_all` means every one of the tenant's."""
        with self._lock:
            mine = [
                key for key, one in self._open.items() if one.tenant == tenant and (id == "_all" or key == id)
            ]
            for key in mine:
                del self._open[key]
            return len(mine)
