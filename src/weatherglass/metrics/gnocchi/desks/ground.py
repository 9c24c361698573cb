"""What every desk stands on: tables, the store of samples, the clock, the settings, and who is known to ingest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from weatherglass.base.time import Clock
from weatherglass.engine.protocols import Written
from weatherglass.engine.tables import Tables
from weatherglass.metrics.gnocchi.model import Metric
from weatherglass.metrics.gnocchi.rules import RULES
from weatherglass.metrics.index import canonical_key
from weatherglass.metrics.types import Matcher, Selection


class Store(Protocol):
    """What is asked of the store of samples (`metrics.Metrics`)."""

    def append_batch(self, tenant: str, batch: Any) -> Written: ...
    def select(self, tenant: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection: ...
    def delete(self, tenant: str, matchers_list: Sequence[Sequence[Matcher]]) -> int: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How this Gnocchi is run. `auth` says how its clients log in: `token` is the house's own way."""

    auth: str = "token"
    max_limit: int = 1000
    janitor_s: float = 60.0
    origins: frozenset[str] = frozenset()  # whose pages may ask (CORS)
    proxied: bool = False  # Forwarded and X-Forwarded-* are believed
    keystone: str = ""  # its address, for `keystone`
    defaults: bool = True  # policies and the rule of a new installation
    rules: Mapping[str, str] = field(default_factory=lambda: RULES)


BARE = Settings(
    max_limit=7, janitor_s=1.0, origins=frozenset({"http://foobar.com"}), proxied=True, defaults=False
)
"""What Gnocchi's own functional tests ask for."""


@dataclass(frozen=True, slots=True)
class Known:
    """A metric as ingest needs it: its series' bytes in the store."""

    metric: Metric
    key: bytes
    size: int
    owner: tuple[str, str | None]  # tenant, creator

    @classmethod
    def of(cls, metric: Metric) -> Known:
        key = canonical_key(metric.labels)
        return cls(metric, key, len(key), (metric.tenant, metric.creator))


class Cache:
    """Metrics that were written to lately, by id and by (resource, name). Thrown away where it grows too large, and
    whenever a metric changes hands."""

    def __init__(self, most: int = 1_000_000) -> None:
        self._most = most
        self.mark = 0
        self._by_id: dict[str, Known] = {}
        self._by_name: dict[tuple[str, str], Known] = {}

    def by_id(self, identity: str) -> Known | None:
        return self._by_id.get(identity)

    def by_name(self, resource: str, name: str) -> Known | None:
        return self._by_name.get((resource, name))

    def keep(self, metrics: Iterable[Metric], mark: int) -> list[Known]:
        """Metrics as ingest needs them; remembered, unless one changed hands since `mark` was taken."""
        found = [Known.of(metric) for metric in metrics]
        if mark != self.mark:
            return found
        if len(self._by_id) + len(found) > self._most:
            self.clear()
        for one in found:
            self._by_id[one.metric.id] = one
            if one.metric.resource_id and one.metric.name:
                self._by_name[one.metric.resource_id, one.metric.name] = one
        return found

    def clear(self) -> None:
        """To be called once the change is committed: who looked before it does not remember what they saw."""
        self.mark += 1
        self._by_id, self._by_name = {}, {}


@dataclass(slots=True)
class Late:
    """What was told of measures since the start: those behind the newest of their metric, those past retention."""

    stored: int = 0
    late: int = 0
    too_old: int = 0

    def count(self, written: Written) -> None:
        self.stored += written.stored
        self.late += written.out_of_order
        self.too_old += written.too_old


@dataclass(slots=True)
class Ground:
    tables: Tables
    store: Store
    clock: Clock
    settings: Settings
    cache: Cache = field(default_factory=Cache)
    late: Late = field(default_factory=Late)

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    @property
    def now_us(self) -> int:
        return self.clock.now_ns() // 1000
