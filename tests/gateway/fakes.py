"""Rooms that are fakes, for testing HTTP alone: they note what they were asked and answer what a test sets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from weatherglass.base.errors import Conflict, Invalid, NotFound, TooLarge, WeatherglassError
from weatherglass.base.time import SystemClock
from weatherglass.engine.actions import Actions
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.protocols import Entry, Outcome, RawEvent, Work, WorkResult, Written
from weatherglass.engine.tables import Tables
from weatherglass.gateway import Absent, Rooms
from weatherglass.identity import ROOM, Identity
from weatherglass.metrics.types import QueryResult


@dataclass
class FakeLedger:
    entries: list[Entry] = field(default_factory=list)

    def append(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1

    def read(self, *, entity: str = "", start_ns: int = 0, end_ns: int = 0, limit: int = 200) -> list[Entry]:
        kept = [one for one in self.entries if not entity or one.entity == entity]
        return kept[::-1][:limit]


@dataclass
class FakeMetrics:
    written: list[tuple[str, bytes]] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    answer: QueryResult | None = None

    def write(self, tenant: str, body: bytes, encoding: str = "snappy") -> Written:
        if not body.startswith(b"snappy"):
            raise Invalid("the body is not snappy", where="body")
        if body.startswith(b"snappy bomb"):
            raise TooLarge("the body decompresses to more than its bound", where="body")
        self.written.append((tenant, body))
        return Written(stored=3, duplicates=1, note="fake")

    def write2(self, tenant: str, body: bytes, encoding: str = "snappy") -> Written:
        written = self.write(tenant, body, encoding)
        if body == b"snappy partial":
            return replace(written, histograms=1, exemplars=2, left_out=1, note="a series without a name")
        return written

    def query(self, tenant: str, expr: str, at_ms: int, query: Any = None) -> QueryResult:
        self.asked.append((tenant, expr, at_ms))
        return self.answer or result("vector", [(("__name__", expr),)], [at_ms], [[1.0]])

    def query_range(
        self, tenant: str, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Any = None
    ) -> QueryResult:
        self.asked.append((tenant, expr, start_ms, end_ms, step_ms))
        return self.answer or result("matrix", [(("__name__", expr),)], [start_ms], [[1.0]])

    def series(self, tenant: str, matchers: Any, start_ms: int, end_ms: int) -> list[dict[str, str]]:
        self.asked.append((tenant, matchers, start_ms, end_ms))
        return [{"__name__": "up", "job": "x"}]

    def label_names(self, tenant: str, matchers: Any, start_ms: int, end_ms: int) -> list[str]:
        return ["__name__", "job"]

    def label_values(self, tenant: str, name: str, matchers: Any, start_ms: int, end_ms: int) -> list[str]:
        return ["x", "y"]

    def metadata(self, tenant: str) -> dict[str, Any]:
        return {"up": {"type": "gauge", "help": "Whether it is up.", "unit": ""}}

    def stats(self) -> dict[str, Any]:
        return {"series": 7, "note": "not a number", "tenants": {"genomics": {"series": 5}}}


def result(
    kind: Any, series: list[Any], times_ms: list[int], values: list[list[float]], present: Any = None
) -> QueryResult:
    cells = np.array(values, float)
    shown = np.ones(cells.shape, bool) if present is None else np.array(present, bool)
    return QueryResult(kind, series, np.array(times_ms, np.int64), cells, shown)


@dataclass(frozen=True)
class FakePage:
    events: list[Any]
    next: str
    scanned: int
    took_s: float


EVENT = {
    "time_ns": 1_800_000_000_000_000_000,
    "seen_ns": 1_800_000_000_000_000_000,
    "labels": [["service", "keystone"]],
    "level": "ERROR",
    "logger": "keystone.db",
    "message": "it broke",
    "raw": "ERROR keystone.db it broke",
}


@dataclass
class FakeLogs:
    events: list[RawEvent] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)

    def write_raw(self, tenant: str, events: Sequence[RawEvent]) -> int:
        self.tenants.append(tenant)
        self.events.extend(events)
        return len(events)

    def search(self, tenant: str, **asked: Any) -> FakePage:
        self.asked.append({"tenant": tenant, **asked})
        return FakePage([EVENT], "next-page", 1, 0.001)

    def histogram(self, tenant: str, **asked: Any) -> list[tuple[int, dict[str, int]]]:
        self.asked.append({"tenant": tenant, **asked})
        return [(0, {"ERROR": 1})]

    def stats(self) -> dict[str, Any]:
        return {"events": len(self.events)}


@dataclass
class FakeHealth:
    beats: list[Any] = field(default_factory=list)
    approved: list[Any] = field(default_factory=list)
    outcome: Outcome = field(default_factory=lambda: Outcome(True, "7"))

    def approve(self, incident: int, action: str, who: str) -> Outcome:
        if action != "restart":
            raise Conflict(f"{action} is not proposed for incident {incident}", mend="look at it again")
        self.approved.append((incident, action, who))
        return self.outcome

    def heartbeat(self, heartbeat: Any, received_ns: int) -> None:
        self.beats.append(heartbeat)

    def sentence(self) -> list[Any]:
        return ["All is well with ", ["service/keystone", "keystone"], "."]

    def blind(self) -> str:
        return ""


@dataclass
class FakeWork:
    """Items in memory, as the engine's queues hold them on disk."""

    items: list[Work] = field(default_factory=list)
    results: list[tuple[str, WorkResult]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def send(self, host: str, kind: str, body: Mapping[str, Any]) -> Work:
        with self.arrived:
            work = Work(len(self.items), kind, f"key-{len(self.items)}", body)
            self.items.append(work)
            self.arrived.notify_all()
        return work

    def wait(self, host: str, work: Work, timeout_s: float) -> WorkResult:
        return WorkResult(work.offset, work.key, "done", {"did": work.kind})

    def result(self, host: str, result: WorkResult) -> None:
        self.results.append((host, result))

    def stream(self, host: str, start: int, timeout_s: float) -> Iterator[Work]:
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.items) > start, timeout_s)
            return iter(self.items[start:])


@dataclass
class FakeTenant:
    uses: tuple[str, ...] = ()
    seats: int = 0
    expires_ns: int = 0
    limits: Any = None


@dataclass
class FakeSite:
    name: str = "aurora"
    tenants: dict[str, FakeTenant] = field(default_factory=dict)


def fake_rooms(folder: Path, **given: Any) -> tuple[Rooms, Tables]:
    """Rooms of fakes over a real identity; what is not given and not faked is Absent."""
    tables = Tables(folder / "tables.db")
    tables.migrate(ROOM)
    clock, ledger = SystemClock(), FakeLedger()
    site = given.pop("site", FakeSite())
    secrets = {"keystone-db": "swordfish"}

    def secret(name: str) -> str:
        if name not in secrets:
            raise NotFound(f"no secret {name}")
        return secrets[name]

    made: dict[str, Any] = {
        "identity": Identity(tables, clock, ledger, lambda: site.tenants),
        "metrics": FakeMetrics(),
        "logs": FakeLogs(),
        "inventory": Absent("inventory"),
        "health": FakeHealth(),
        "deploy": Absent("deploy"),
        "work": FakeWork(),
        "ledger": ledger,
        "bus": LocalBus(),
        "actions": Actions(),
        "clock": clock,
        "costs": lambda: {"cores": 0.1, "memory_bytes": 1 << 20},
        "state": folder,
        "stopping": threading.Event(),
        "site": lambda: site,
        "ready": lambda: "",
        "secret": secret,
        "backup": lambda path: path.write_bytes(b"a backup"),
    }
    return Rooms(**made | given), tables


class Broken:
    """A room that fails in the way a test says."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise self._error

        return fail


def wait_until(true: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.01)


__all__ = ["Broken", "FakeSite", "WeatherglassError", "fake_rooms", "result", "wait_until"]
