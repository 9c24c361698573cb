"""How rooms reach each other without importing each other: values that cross rooms, and small interfaces.

A room implements one of these, `house/` hands it to whoever needs it. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

Labels = tuple[tuple[str, str], ...]
"""Label pairs sorted by name, no empty values: what identifies a series. `__name__` is among them."""


# --- who is asking ---------------------------------------------------------------------------------------


class Role(StrEnum):
    """What a principal may do, weakest first; `agent` stands beside the ladder."""

    VIEWER = "viewer"
    MEMBER = "member"
    OPERATOR = "operator"
    ADMIN = "admin"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: from a token or a session, never from a header of the client's own making.

    `tenants` are those it may read and write; `("*",)` is every one. An agent's `host` is the one host it
    may speak for (`host/…`).
    """

    name: str
    role: Role
    tenants: tuple[str, ...]
    host: str = ""
    expires_ns: int = 0

    def may_see(self, tenant: str) -> bool:
        return "*" in self.tenants or tenant in self.tenants


class Tokens(Protocol):
    """Turns a bearer token into a principal."""

    def resolve(self, token: str) -> Principal:
        """Raises Unauthenticated."""
        ...


# --- samples ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Samples:
    """A batch of one tenant's samples, for writers inside the house (few series, few samples).

    `series[i]` has the instants `times_ms[i]` (ms since the epoch, ascending) and `values[i]` (float64).
    """

    series: Sequence[Labels]
    times_ms: Sequence[Sequence[int]]
    values: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write that was acknowledged: counts, and what was told rather than stored.

    `histograms` of those `stored` are native ones; `left_out` could not be taken, as `note` tells.
    """

    stored: int
    duplicates: int = 0
    out_of_order: int = 0
    too_old: int = 0
    note: str = ""
    histograms: int = 0
    exemplars: int = 0
    left_out: int = 0


class SampleSink(Protocol):
    """Takes samples; on return they are durable. Raises LimitExceeded (nothing of the batch is stored), Invalid."""

    def append(self, tenant: str, batch: Samples) -> Written: ...


# --- events (logs) ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One framed event as the agent saw it: whole text (many lines where they belong together), not yet parsed."""

    seen_ns: int
    labels: Labels  # site, host, zone, service, replica, source (the file's path)
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """One parsed event. `fields` are those the parser knew (level, logger, pid, request_id, project, exception …)."""

    time_ns: int
    seen_ns: int
    labels: Labels
    level: str  # DEBUG INFO WARNING ERROR CRITICAL, or "" where the source has none
    logger: str
    message: str
    raw: str
    fields: Mapping[str, str] = field(default_factory=dict)


class EventSink(Protocol):
    """Takes events; on return they are durable. Returns how many were stored."""

    def write_raw(self, tenant: str, events: Sequence[RawEvent]) -> int: ...


# --- what agents report ----------------------------------------------------------------------------------


class Running(StrEnum):
    """What the host sees of a replica's process or cgroup: a witness (docs/health.md)."""

    RUNNING = "running"  # exists and is scheduled
    STOPPED = "stopped"  # exists, but stopped or frozen (T, freezer): cannot answer
    STARTING = "starting"
    EXITED = "exited"  # was there, is gone
    ABSENT = "absent"  # never was
    QUARANTINED = "quarantined"  # failed too often; left alone until asked


@dataclass(frozen=True, slots=True)
class ReplicaSeen:
    """A replica as its agent sees it, at the moment of a heartbeat."""

    replica: str  # name, `keystone.1@ctl-1`
    state: Running
    pid: int = 0
    started_ns: int = 0
    exit_code: int | None = None
    restarts: int = 0
    detail: str = ""
    psi_share: float = (
        0.0  # share of the last 10 s in which some task of the replica's cgroup was stalled, 0…1
    )
    limits: Mapping[str, float] = field(
        default_factory=dict
    )  # resource → share in use, 0…1 (fd, pids, memory)


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """A sized volume as its host sees it."""

    volume: str
    size_bytes: int
    free_bytes: int
    read_only: bool = False
    attached_to: tuple[str, ...] = ()  # replicas' names


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One functional probe from one vantage point (`host/…` of the agent, or `server`)."""

    entity: str  # replica/…, service/… or tenant/…
    vantage: str
    at_ns: int
    ok: bool
    seconds: float
    detail: str = ""  # why it failed, in a line: `connection refused`, `timed out after 3 s`, `HTTP 500`


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What an agent says of itself and its host at short, even intervals."""

    host: str  # name, without `host/`
    boot: str  # changes when the agent's process does
    seq: int  # rises by one within a boot
    sent_ns: int
    period_s: float
    replicas: tuple[ReplicaSeen, ...] = ()
    volumes: tuple[VolumeSeen, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    agent: Mapping[str, float] = field(
        default_factory=dict
    )  # pss_bytes, cpu_seconds, spool_bytes, spool_lag_s …


# --- actions and work ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """An action asked for: which, on what, by whom and why. Everything that acts goes through one of these."""

    action: str  # "deploy.restart", "deploy.grow", "deploy.rollback" …
    entity: str
    who: str
    why: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: `accepted` says it was taken up, not that it is finished (the ledger tells)."""

    accepted: bool
    reference: str = ""  # where to follow it: a run's id
    reason: str = ""  # why it was refused, or merged with one under way


class ActionRegistry(Protocol):
    """The actions rooms offer each other. `register` at start, `ask` at any time."""

    def register(self, action: str, handler: Callable[[Request], Outcome], doc: str) -> None: ...

    def ask(self, request: Request) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Work:
    """One item of an agent's work stream. Idempotent: the same `key` (a content hash) is done once, answered again."""

    offset: int
    kind: str  # which executor: "deploy", "fault" …
    key: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkResult:
    """What an executor made of one item."""

    offset: int
    key: str
    status: Literal["done", "failed", "progress"]
    body: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


class WorkQueue(Protocol):
    """The server's side of every agent's work stream."""

    def send(self, host: str, kind: str, body: Mapping[str, Any]) -> Work:
        """Durable on return; delivered when the agent's stream is open."""
        ...

    def wait(self, host: str, work: Work, timeout_s: float) -> WorkResult:
        """The final result. Raises Unavailable after `timeout_s`."""
        ...


# --- the ledger ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One change made by anyone through the house (docs/site.md)."""

    at_ns: int
    who: str
    what: str  # "plan", "apply", "restart", "token.create", "silence" …
    entity: str
    why: str = ""
    before: Any = None
    after: Any = None
    generation: int = 0
    offset: int = -1  # given by the ledger


class Ledger(Protocol):
    """Append-only record of every change; durable on return."""

    def append(self, entry: Entry) -> int: ...

    def read(
        self, *, entity: str = "", start_ns: int = 0, end_ns: int = 0, limit: int = 200
    ) -> Sequence[Entry]:
        """Newest first."""
        ...


# --- the bus ---------------------------------------------------------------------------------------------


class Bus(Protocol):
    """Tells whoever listens inside this process that something changed. A hint to look, never the only copy."""

    def publish(self, topic: str, body: Mapping[str, Any]) -> None:
        """Never blocks; callable from any thread. Topics: `state`, `incident`, `ledger`, `deploy`, `inventory`, `log`."""
        ...

    def subscribe(self, *topics: str) -> Subscription: ...


class Subscription(Protocol):
    """A bounded queue of messages; a slow reader loses the oldest and is told (`lost`)."""

    lost: int

    def get(self, timeout_s: float) -> tuple[str, Mapping[str, Any]] | None:
        """The next message, or None after `timeout_s`."""
        ...

    def close(self) -> None: ...
