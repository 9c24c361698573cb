"""The rooms as the gateway sees them: one dataclass that `house/` fills. No room is imported here.

Each Protocol names only what the gateway calls. A part that does not run in this process (`up --only`) is an
`Absent`: every call on it is Unavailable, never an AttributeError.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from weatherglass.base.errors import Unavailable
from weatherglass.base.time import Clock
from weatherglass.engine.protocols import (
    ActionRegistry,
    Bus,
    Heartbeat,
    Ledger,
    Outcome,
    Principal,
    ProbeResult,
    RawEvent,
    Role,
    Work,
    WorkResult,
    Written,
)


class IdentityRoom(Protocol):
    def create(
        self,
        name: str,
        role: Role | str,
        tenants: Sequence[str],
        ttl_s: float = 0,
        host: str = "",
        *,
        who: str = "house",
        why: str = "",
    ) -> tuple[str, str]: ...
    def resolve(self, token: str) -> Principal: ...
    def revoke(self, token: str, *, who: str = "house", why: str = "") -> Any: ...
    def list(self, *, all: bool = False) -> Sequence[Any]: ...
    def issue_seats(self, tenant: str, *, who: str = "house") -> Sequence[tuple[str, tuple[str, str]]]: ...
    def login_ticket(self, principal: Principal) -> str: ...
    def redeem(self, code: str) -> str: ...
    def login(self, token: str) -> str: ...
    def logout(self, session: str) -> None: ...
    def session(self, session: str) -> Principal: ...
    def csrf(self, session: str) -> str: ...
    def csrf_holds(self, session: str, token: str) -> bool: ...


class MetricsRoom(Protocol):
    def write(self, tenant: str, body: bytes, encoding: str = "snappy") -> Written: ...
    def write2(self, tenant: str, body: bytes, encoding: str = "snappy") -> Written: ...
    def receive(self, tenant: str, taken: Any, now_ms: int) -> Written: ...
    def exemplars(
        self, tenant: str, matchers_list: Sequence[Any], start_ms: int, end_ms: int
    ) -> Sequence[tuple[Any, Sequence[Any]]]: ...
    def query(self, tenant: str, expr: str, at_ms: int, query: Any = None) -> Any: ...
    def query_range(
        self, tenant: str, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Any = None
    ) -> Any: ...
    def select(self, tenant: str, matchers: Sequence[Any], start_ms: int, end_ms: int) -> Any: ...
    def delete(self, tenant: str, matchers_list: Sequence[Any], start_ms: int, end_ms: int) -> int: ...
    def clean(self, tenant: str | None = None) -> int: ...
    def snapshot(self, folder: Path) -> Any: ...
    def series(
        self, tenant: str, matchers_list: Sequence[Any], start_ms: int, end_ms: int
    ) -> Sequence[Mapping[str, str]]: ...
    def label_names(
        self, tenant: str, matchers_list: Sequence[Any], start_ms: int, end_ms: int
    ) -> Sequence[str]: ...
    def label_values(
        self, tenant: str, name: str, matchers_list: Sequence[Any], start_ms: int, end_ms: int
    ) -> Sequence[str]: ...
    def metadata(self, tenant: str) -> Mapping[str, Any]: ...
    def stats(self) -> Mapping[str, Any]: ...


class LogsRoom(Protocol):
    def write_documents(self, tenant: str, documents: Sequence[Any]) -> int: ...
    def find(
        self,
        tenant: str,
        filter: Any,
        *,
        start_ns: int = ...,
        end_ns: int = ...,
        sort: Any = ...,
        limit: int = ...,
        after: Any = ...,
        track_total: bool | int = ...,
    ) -> Any: ...
    def aggregate(
        self, tenant: str, filter: Any, aggs: Mapping[str, Any], *, start_ns: int = ..., end_ns: int = ...
    ) -> Any: ...
    def count(self, tenant: str, filter: Any, *, start_ns: int = ..., end_ns: int = ...) -> int: ...
    def write_raw(self, tenant: str, events: Sequence[RawEvent]) -> int: ...
    def search(
        self,
        tenant: str,
        *,
        start_ns: int,
        end_ns: int,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] = ...,
        limit: int = 100,
        before: Any = ...,
    ) -> Any: ...
    def histogram(
        self,
        tenant: str,
        *,
        start_ns: int,
        end_ns: int,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] = ...,
        buckets: int = 60,
    ) -> Sequence[Any]: ...
    def stats(self) -> Mapping[str, Any]: ...


class InventoryRoom(Protocol):
    def graph(self, at_ns: int | None = None) -> Any: ...
    def entity(self, id: Any) -> Any: ...
    def search(self, text: str, limit: int) -> Sequence[Any]: ...
    def state(self, id: Any) -> Any: ...
    def states(self, at_ns: int | None = None) -> Mapping[Any, Any]: ...
    def state_history(self, id: Any, start_ns: int, end_ns: int) -> Sequence[Any]: ...
    def incidents(self, open_only: bool = False, limit: int = 100) -> Sequence[Any]: ...
    def incident(self, id: int) -> Any: ...


class HealthRoom(Protocol):
    def heartbeat(self, heartbeat: Heartbeat, received_ns: int) -> None: ...
    def sentence(self) -> Any: ...
    def blind(self) -> Any: ...
    def approve(self, incident: int, action: str, who: str) -> Outcome: ...


class DeployRoom(Protocol):
    def check(self, source: Path | str | None = None) -> Any: ...
    def plan(self, source: Path | str | None = None) -> Any: ...
    def apply(
        self,
        source: Path | str | None = None,
        *,
        who: str,
        why: str = "",
        expect: Mapping[str, Any] | None = None,
    ) -> int: ...
    def run(self, number: int) -> Any: ...
    def runs(self, limit: int = 50) -> Sequence[Any]: ...
    def rollback(self, *, who: str, why: str = "", to: int | None = None) -> int: ...
    def generations(self) -> Sequence[Any]: ...
    def drift(self) -> Any: ...
    def status(self) -> Mapping[str, Any]: ...
    def pause(self, who: str, why: str = "") -> None: ...
    def resume(self, who: str, why: str = "") -> None: ...
    def secrets_of(self, host: str) -> frozenset[str]: ...


class WorkRoom(Protocol):
    def send(self, host: str, kind: str, body: Mapping[str, Any]) -> Work: ...
    def wait(self, host: str, work: Work, timeout_s: float) -> WorkResult: ...
    def result(self, host: str, result: WorkResult) -> None: ...
    def stream(self, host: str, start: int, timeout_s: float) -> Iterable[Work]:
        """What lies at or after `start`, as it comes; ends when nothing came for `timeout_s`."""
        ...


@dataclass(frozen=True, slots=True)
class Absent:
    """A room that does not run in this process: whatever is asked of it is Unavailable."""

    room: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Unavailable(f"{self.room} does not run in this process", mend="see `weatherglass up --only`")


def _no_probes() -> Sequence[ProbeResult]:
    return ()


@dataclass(slots=True)
class Rooms:
    """Everything a request may reach. Fields may be set until the app serves; none changes after."""

    identity: IdentityRoom
    metrics: MetricsRoom
    logs: LogsRoom
    inventory: InventoryRoom
    health: HealthRoom
    deploy: DeployRoom
    work: WorkRoom
    ledger: Ledger
    bus: Bus
    actions: ActionRegistry
    clock: Clock
    costs: Callable[[], Mapping[str, Any]]  # what the house itself uses: cores, memory_bytes, bytes_per_day …
    state: Path
    stopping: threading.Event  # set by the house at its first signal; every stream ends within a second
    site: Callable[[], Any]  # the Site now declared, or None
    ready: Callable[[], str]  # "" when every room has started, else what is still awaited
    secret: Callable[[str], str]  # a secret's value by its name; raises NotFound
    backup: Callable[[Path], Any]  # writes a consistent backup of the state to a new file
    probes: Callable[[], Sequence[ProbeResult]] = field(default=_no_probes)  # the latest of every probe
    more: Mapping[str, Any] = field(default_factory=dict)  # rooms that plugged themselves in, by name
    promql_experimental: bool = False  # whether what Prometheus 3 calls experimental is answered
    anyone: Principal | None = None  # who asks where no token is asked: on loopback alone, when told so
