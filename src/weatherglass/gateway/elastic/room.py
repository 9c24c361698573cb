"""The logs room as this protocol uses it: documents in, hits and counts out. Everything else here is above this line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from weatherglass.base.time import iso
from weatherglass.gateway.rooms import LogsRoom
from weatherglass.logs import aggs
from weatherglass.logs import filter as ask
from weatherglass.logs.aggs import Agg, Sort
from weatherglass.logs.documents import Document
from weatherglass.logs.filter import Filter
from weatherglass.logs.sorting import Hit, Hits

_SERVICES_S = 2.0
_MOST_SERVICES = 10_000
_OWN = frozenset(("_index", "_id"))


class Store:
    """Calls on the room, in this protocol's terms; any thread."""

    def __init__(self, room: LogsRoom) -> None:
        self._room = room
        self._services: dict[str, tuple[float, dict[str, int]]] = {}

    def write(self, tenant: str, documents: Sequence[Document]) -> None:
        """Durable on return. Raises LimitExceeded, Invalid, TooLarge, Unavailable."""
        self._room.write_documents(tenant, documents)

    def find(
        self,
        tenant: str,
        holds: Filter,
        sort: Sort,
        limit: int,
        after: Sequence[Any] | None = None,
        track: bool | int = True,
    ) -> Hits:
        """`track`: count all that is found, at least so many, or none but the page's."""
        found: Hits = self._room.find(tenant, holds, sort=sort, limit=limit, after=after, track_total=track)
        return found

    def count(self, tenant: str, holds: Filter) -> int:
        return int(self._room.count(tenant, holds))

    def aggregate(self, tenant: str, holds: Filter, asked: Mapping[str, Agg]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._room.aggregate(tenant, holds, asked)
        return found

    def by_ids(self, tenant: str, stored: str, ids: Sequence[str]) -> list[Found]:
        """The documents of an index with these ids."""
        holds = ask.both(ask.Term("_index", stored), ask.Ids(tuple(ids)))
        return [
            Found(hit)
            for hit in self.find(tenant, holds, (("@timestamp", True),), len(ids), track=False).hits
        ]

    def services(self, tenant: str, *, fresh: bool = False) -> list[str]:
        """The services whose events are here, "" for events of none."""
        return list(self.counts(tenant, fresh=fresh))

    def counts(self, tenant: str, *, fresh: bool = False) -> Mapping[str, int]:
        """Service → its events that are in no index, "" for those of none; looked for every other second."""
        known = self._services.get(tenant)
        if known is not None and not fresh and time.monotonic() < known[0]:
            return known[1]
        counted = self.aggregate(
            tenant,
            ask.Not(ask.Exists("_index")),
            {"named": aggs.Terms("service", size=_MOST_SERVICES), "rest": aggs.Missing("service")},
        )
        found = {str(bucket.key): bucket.count for bucket in counted["named"].buckets}
        if counted["rest"].count:
            found[""] = counted["rest"].count
        self._services[tenant] = time.monotonic() + _SERVICES_S, found
        return found

    def bytes_each(self) -> float:
        """What an event takes on disk, on average over all tenants."""
        told = self._room.stats()
        taken = int(told.get("bytes_stored", 0)) + int(told.get("head_bytes", 0))
        return taken / max(1, int(told.get("events", 0)))


class Found:
    """One hit: its index in the store, its id, its source."""

    def __init__(self, hit: Hit) -> None:
        self._hit = hit
        self._source: dict[str, Any] | None = None

    @property
    def index(self) -> str:
        return self._hit.index

    @property
    def id(self) -> str:
        return self._hit.id

    @property
    def sort(self) -> tuple[Any, ...]:
        return self._hit.sort

    @property
    def service(self) -> str:
        return dict(self._hit.event.labels).get("service", "")

    @property
    def text(self) -> str:
        return self._hit.event.raw

    def source(self) -> dict[str, Any]:
        """The document as it came; an event of the house as a document."""
        if self._source is None:
            self._source = self._read()
        return self._source

    def _read(self) -> dict[str, Any]:
        event = self._hit.event
        if self.index and event.raw.startswith("{"):
            try:
                value = json.loads(event.raw)
            except ValueError:
                value = None
            if isinstance(value, dict):
                return value
        made: dict[str, Any] = {"@timestamp": iso(event.time_ns), "message": event.message}
        for name, one in (("level", event.level), ("logger", event.logger)):
            if one:
                made[name] = one
        made.update(event.labels)
        made.update((name, value) for name, value in event.fields.items() if name not in _OWN)
        made["event"] = {"original": event.raw}
        return made
