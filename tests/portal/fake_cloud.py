"""A made-up institute for looking at pages: fake rooms over a real declaration, with made-up signals.

One incident is under way, one is closed, a volume will be full, a collector is silent. `empty()` is a house with
nothing declared; `large()` has ten thousand entities. Nothing here is measured; the time stands still.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from portal.fake_deploy import FakeDeploy
from portal.fake_signals import FakeMetrics
from portal.made_logs import MadeLogs
from weatherglass.base.errors import NotFound, Unauthenticated
from weatherglass.base.ids import kind_of
from weatherglass.base.time import SECOND_NS, ManualClock, parse_iso
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.protocols import Entry, Outcome, Principal, Role
from weatherglass.inventory.model import Evidence, Incident, Moment, State, StateRecord
from weatherglass.site.graph import Graph, graph
from weatherglass.site.load import parse
from weatherglass.site.model import Site

NOW = parse_iso("2026-11-22T14:10:20")
MIN = 60 * SECOND_NS


def at(clock: str) -> int:
    """Nanoseconds of a time of the fake day."""
    return parse_iso(f"2026-11-22T{clock}")


SITE = """
site: aurora
zones: {rack-a: {}, rack-b: {}, rack-c: {}}
hosts:
  ctl-1: {address: 10.0.0.11, roles: [controller], zone: rack-a}
  ctl-2: {address: 10.0.0.12, roles: [controller, database], zone: rack-b}
  ctl-3: {address: 10.0.0.13, roles: [controller], zone: rack-c}
  str-[1..2]: {address: "10.0.0.2[1..2]", roles: [storage], zone: [rack-a, rack-b]}
  cmp-[1..6]: {address: "10.0.1.[1..6]", roles: [compute], zone: [rack-a, rack-b, rack-c]}
roles:
  controller: [rabbitmq, memcached, keystone, glance, placement, neutron, nova-api, horizon]
  database: [mariadb]
  storage: [object-store, object-disk]
  compute: [nova-compute]
services:
  mariadb: {command: [mariadbd], ports: {sql: 3306}, volumes: {/var/lib/mysql: mariadb-data}, probe: {mysql: sql}, objective: {p95: 50ms}}
  rabbitmq: {command: [rabbitmq-server], ports: {amqp: 5672}}
  memcached: {command: [memcached], ports: {cache: 11211}}
  keystone: {command: [uwsgi], ports: {api: 5000}, needs: [mariadb, memcached], probe: {http: /v3}, objective: {p95: 300ms}}
  glance: {command: [glance-api], ports: {api: 9292}, needs: [keystone, mariadb, object-store], objective: {p95: 400ms}}
  placement: {command: [placement-api], ports: {api: 8778}, needs: [keystone, mariadb]}
  neutron: {command: [neutron-server], ports: {api: 9696}, needs: [keystone, mariadb, rabbitmq]}
  nova-api: {command: [nova-api], ports: {api: 8774}, needs: [keystone, placement, rabbitmq]}
  nova-compute: {command: [nova-compute], needs: [rabbitmq, placement]}
  horizon: {command: [gunicorn], ports: {web: 80}, needs: [keystone, nova-api]}
  object-store: {command: [swift-proxy], ports: {api: 8080}, needs: [object-disk]}
  object-disk: {command: [swift-object], replicas: 1, volumes: {/srv/objects: objects}}
volumes:
  mariadb-data: {size: 20GB, max: 60GB}
  objects: {size: 400GB, max: 400GB}
tenants:
  genomics: {project: genomics, uses: [keystone, nova-api, object-store], limits: {series: 200k, logs: 50GB/day}}
  imaging: {project: imaging, uses: [object-store, glance], limits: {series: 50k, logs: 10GB/day}}
  resops-course: {uses: [horizon], seats: 30, expires: 2027-07-04, credits: 500}
"""

E = Evidence
ILL: dict[str, tuple[State, str, str, str, tuple[Evidence, ...]]] = {
    "replica/mariadb.1@ctl-2": (State.SICK, "14:02:09", "hung", "", (
        E("witness", "ctl-2 sees process 2114 stopped (state T) since 14:02:09; it holds its port but answers nothing.", None, None, "", at("14:02:10")),
        E("probe", "12 of 12 probes from ctl-2 and from the server timed out after 3 s.", 3.0, 0.05, "s", at("14:02:13"), 'max by (vantage) (weatherglass_probe_seconds{replica="mariadb.1@ctl-2"})'),
    )),
    "service/mariadb": (State.SICK, "14:02:13", "hung", "", (
        E("probe", "Its only replica answers nothing.", 1.0, 0.01, "share", at("14:02:13"), '1 - avg(avg_over_time(weatherglass_probe_success{service="mariadb"}[1m]))'),
    )),
    "service/keystone": (State.SICK, "14:02:15", "extrinsic", "service/mariadb", (
        E("latency", "p95 of tokens is 2.9 s against 300 ms; explained by mariadb (residual 0.3 sd).", 2.9, 0.3, "s", at("14:02:17"), 'max by (vantage) (weatherglass_probe_seconds{service="keystone"})'),
        E("logs", "38 lines of a template never seen before: OperationalError (2013) lost connection.", 38, 0, "", at("14:02:20"), 'sum(rate(weatherglass_log_events_total{service="keystone",level="ERROR"}[1m]))'),
    )),
    "service/glance": (State.SICK, "14:02:31", "extrinsic", "service/mariadb", (
        E("latency", "p95 is 1.1 s against 400 ms; explained by mariadb.", 1.1, 0.4, "s", at("14:02:31"), 'max by (vantage) (weatherglass_probe_seconds{service="glance"})'),
    )),
    "tenant/genomics": (State.SICK, "14:02:22", "extrinsic", "service/mariadb", (
        E("probe", "9 of 10 tokens were refused or late; the objective is 99 %.", 0.9, 0.01, "share", at("14:02:22"), '1 - avg(avg_over_time(weatherglass_probe_success{entity="tenant/genomics"}[1m]))'),
    )),
    "volume/objects": (State.DYING, "13:31:00", "intrinsic", "", (
        E("forecast", "It fills by 1.9 GB an hour and will be full between 17:00 and 18:30; it is at its largest already.", 0.963, 0.95, "share", at("13:31:00"), 'weatherglass_volume_used_share{volume="objects"}'),
    )),
    "host/str-2": (State.UNKNOWN, "14:09:40", "", "", (
        E("phi", "Its collector is silent for 40 s; so are three others behind rack-b's switch, so the observer is in doubt.", 5.1, 3.0, "", at("14:09:40")),
    )),
    "replica/object-store.2@str-2": (State.UNKNOWN, "14:09:40", "extrinsic", "host/str-2", ()),
}  # fmt: skip

STORY = (
    Moment(at("14:02:09"), "First sign", "ctl-2 sees the database's process stop running while it holds its port.", ("replica/mariadb.1@ctl-2",)),
    Moment(at("14:02:13"), "Detected", "Probes from two vantage points time out. The process is there: hung, not dead.", ("service/mariadb",)),
    Moment(at("14:02:17"), "Spread", "keystone's tokens slow from 61 ms to 2.9 s; glance follows 14 s later; genomics is over its objective.", ("service/keystone", "service/glance", "tenant/genomics")),
    Moment(at("14:02:18"), "Cause named", "mariadb.1 on ctl-2 (0.97), then generation 41 (0.02). What remains of keystone's delay given mariadb's is 0.3 sd, and its siblings share it.", ("replica/mariadb.1@ctl-2",)),
    Moment(at("14:02:20"), "Remedy", "Asked for a restart of mariadb.1. The budget allows it: 1 of 6 this hour.", ("replica/mariadb.1@ctl-2",)),
)  # fmt: skip

INCIDENT = Incident(
    118, at("14:02:13"), 0, "open", "replica/mariadb.1@ctl-2", 0.97, "hung",
    affected=("replica/mariadb.1@ctl-2", "service/mariadb", "service/keystone", "service/glance", "tenant/genomics"),
    tenants=("tenant/genomics",), moments=STORY,
    spans={"replica/mariadb.1@ctl-2": (at("14:02:09"), 0), "service/mariadb": (at("14:02:13"), 0), "service/keystone": (at("14:02:15"), 0), "service/glance": (at("14:02:31"), 0), "tenant/genomics": (at("14:02:22"), 0)},
    evidence={id: ILL[id][4] for id in ("replica/mariadb.1@ctl-2", "service/mariadb", "service/keystone", "service/glance", "tenant/genomics")},
    remedies=({"action": "deploy.restart", "entity": "replica/mariadb.1@ctl-2", "at_ns": at("14:02:20"), "outcome": "under way", "reference": "run 62"},),
    sentence="mariadb hangs on ctl-2 since 14:02; keystone and glance are sick with it, and tenant genomics feels it.",
    parts=(("replica/mariadb.1@ctl-2", "mariadb"), " hangs on ", ("host/ctl-2", "ctl-2"), " since 14:02; ", ("service/keystone", "keystone"), " and ", ("service/glance", "glance"), " are sick with it, and tenant ", ("tenant/genomics", "genomics"), " feels it."),
    onset_ns=at("14:02:09"), detected_ns=at("14:02:13"),
)  # fmt: skip

CLOSED = Incident(
    117, at("09:40:03"), at("09:40:41"), "closed", "replica/rabbitmq.3@ctl-3", 0.99, "dead",
    affected=("replica/rabbitmq.3@ctl-3", "service/rabbitmq", "service/neutron"), tenants=("tenant/resops-course",),
    spans={"replica/rabbitmq.3@ctl-3": (at("09:40:01"), at("09:40:14")), "service/neutron": (at("09:40:05"), at("09:40:16"))},
    moments=(
        Moment(at("09:40:01"), "First sign", "Process 881 of rabbitmq.3 left with status 137.", ("replica/rabbitmq.3@ctl-3",)),
        Moment(at("09:40:03"), "Detected", "Its host saw it go; its probe is refused.", ("replica/rabbitmq.3@ctl-3",)),
        Moment(at("09:40:05"), "Cause named", "rabbitmq.3 on ctl-3 (0.99).", ("replica/rabbitmq.3@ctl-3",)),
        Moment(at("09:40:06"), "Remedy", "Restarted.", ("replica/rabbitmq.3@ctl-3",)),
        Moment(at("09:40:16"), "Recovered", "3 good probes in a row; dependants are healthy.", ("replica/rabbitmq.3@ctl-3", "service/neutron")),
    ),
    evidence={"replica/rabbitmq.3@ctl-3": (E("witness", "ctl-3 saw process 881 leave with status 137.", 137, None, "", at("09:40:03")),)},
    remedies=({"action": "deploy.restart", "entity": "replica/rabbitmq.3@ctl-3", "at_ns": at("09:40:06"), "outcome": "verified in 10 s"},),
    sentence="rabbitmq died on ctl-3 at 09:40 and was restarted 3 s later; neutron felt it for 11 s.",
    parts=(("replica/rabbitmq.3@ctl-3", "rabbitmq"), " died on ", ("host/ctl-3", "ctl-3"), " at 09:40 and was restarted 3 s later; ", ("service/neutron", "neutron"), " felt it for 11 s."),
    onset_ns=at("09:40:01"), detected_ns=at("09:40:03"), healed_ns=at("09:40:16"),
)  # fmt: skip

SENTENCE = (
    ("service/keystone", "keystone"), " is sick since 14:02 because ", ("replica/mariadb.1@ctl-2", "mariadb on ctl-2"),
    " hangs; tenant ", ("tenant/genomics", "genomics"), " feels it. A restart is under way.",
)  # fmt: skip

LEDGER = [
    Entry(at("14:02:20"), "health", "deploy.restart", "replica/mariadb.1@ctl-2", "hung, seen by its host", generation=41),
    Entry(at("14:02:13"), "health", "incident.open", "service/mariadb", "mariadb hangs", after={"incident": 118}),
    Entry(at("13:31:00"), "health", "threat.raise", "volume/objects", "full between 17:00 and 18:30"),
    Entry(at("12:06:10"), "mira", "deploy.apply", "site/aurora", "neutron 29.0.1, canary first", generation=41),
    Entry(at("12:05:30"), "mira", "deploy.plan", "site/aurora", "4 changes, 0 irreversible", generation=41),
    Entry(at("11:10:00"), "mira", "token.create", "tenant/imaging", "for the microscopes' uploads", after={"name": "imaging-upload", "role": "member"}),
    Entry(at("09:40:41"), "health", "incident.close", "service/rabbitmq", "3 good probes in a row", before={"incident": 117}),
    Entry(at("09:40:06"), "health", "deploy.restart", "replica/rabbitmq.3@ctl-3", "left with status 137", before={"state": "exited"}, after={"state": "running"}, generation=40),
]  # fmt: skip


class FakeHealth:
    """Says one sentence; keeps what it was told to do."""

    def __init__(self, sentence: Sequence[Any]) -> None:
        self._sentence = sentence
        self.approved: list[tuple[int, str, str]] = []

    def sentence(self) -> Sequence[Any]:
        return self._sentence

    def approve(self, incident: int, action: str, who: str) -> Outcome:
        self.approved.append((incident, action, who))
        return Outcome(True, "62")


class FakeIdentity:
    """Three people: an operator, a member of genomics, a member of imaging. Their tokens are their names."""

    def __init__(self) -> None:
        self.people = {
            "mira": Principal("mira", Role.ADMIN, ("*",)),
            "noor": Principal("noor", Role.VIEWER, ("*",)),
            "greta": Principal("greta", Role.MEMBER, ("genomics",)),
            "ivo": Principal("ivo", Role.MEMBER, ("imaging",)),
        }
        self.made: list[str] = []
        self.revoked: list[str] = []

    def resolve(self, token: str) -> Principal:
        if token not in self.people:
            raise Unauthenticated("the token is unknown or was revoked")
        return self.people[token]

    session = resolve

    def login(self, token: str) -> str:
        return self.resolve(token).name

    def redeem(self, code: str) -> str:
        return self.login(code)

    def logout(self, session: str) -> None: ...

    def csrf(self, session: str) -> str:
        return f"csrf-of-{session}"

    def csrf_holds(self, session: str, token: str) -> bool:
        return token == self.csrf(session)

    def create(self, name: str, role: Any, tenants: Sequence[str], ttl_s: float = 0, host: str = "", *, who: str = "", why: str = "") -> tuple[str, str]:  # fmt: skip
        self.made.append(name)
        return "8f2c1a", "wg_8f2c1a_made-up-secret"

    def revoke(self, token: str, *, who: str = "", why: str = "") -> None:
        self.revoked.append(token)

    def list(self, *, all: bool = False) -> list[Any]:
        rows = (("1a", "mira", "admin", ("*",), ""), ("2b", "noor", "viewer", ("*",), ""), ("3c", "greta", "member", ("genomics",), ""), ("4d", "ivo", "member", ("imaging",), ""), ("5e", "agent ctl-1", "agent", ("site",), "host/ctl-1"))  # fmt: skip
        return [
            SimpleNamespace(id=id, name=name, role=Role(role), tenants=tenants, host=host, created_ns=at("08:00:00"), created_by="house", expires_ns=0, revoked_ns=0)
            for id, name, role, tenants, host in rows
        ]  # fmt: skip


class FakeInventory:
    def __init__(self, web: Graph, states: Mapping[str, StateRecord], incidents: Sequence[Incident]) -> None:
        self._graph, self._states, self._incidents = web, dict(states), list(incidents)

    def graph(self, at_ns: int | None = None) -> Graph:
        return self._graph

    def entity(self, id: str) -> Any:
        return self._graph.entities[id]

    def states(self, at_ns: int | None = None) -> dict[str, StateRecord]:
        if at_ns and at_ns < at("14:02:00"):
            return {id: StateRecord(id, State.HEALTHY, at("08:00:00"), at_ns) for id in self._states}
        return self._states

    def state(self, id: str) -> StateRecord:
        return self._states[id]

    def state_history(self, id: str, start_ns: int, end_ns: int) -> list[StateRecord]:
        now = self._states.get(id)
        if now is None:
            return []
        before = StateRecord(id, State.HEALTHY, at("08:00:00"), at("08:00:00"))
        return [before] if now.state == State.HEALTHY else [before, now]

    def search(self, text: str, limit: int = 20) -> list[Any]:
        return [e for e in self._graph.entities.values() if text in e.id][:limit]

    def incidents(self, open_only: bool = False, limit: int = 100) -> list[Incident]:
        return [i for i in self._incidents if not open_only or i.state != "closed"][:limit]

    def incident(self, id: int) -> Incident:
        for incident in self._incidents:
            if incident.id == id:
                return incident
        raise NotFound(f"no incident {id}")


class FakeLedger:
    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)

    def append(self, entry: Entry) -> int:
        self.entries.insert(0, entry)
        return len(self.entries)

    def read(self, *, entity: str = "", start_ns: int = 0, end_ns: int = 0, limit: int = 200) -> list[Entry]:
        return [
            e for e in self.entries
            if (not entity or e.entity == entity) and e.at_ns >= start_ns and (not end_ns or e.at_ns <= end_ns)
        ][:limit]  # fmt: skip


@dataclass
class FakeRooms:
    """Fits both the portal's and the gateway's idea of the rooms."""

    identity: FakeIdentity
    metrics: FakeMetrics
    logs: MadeLogs
    inventory: FakeInventory
    health: Any
    deploy: FakeDeploy
    ledger: FakeLedger
    declared: Site | None
    used: Mapping[str, Any]
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    bus: LocalBus = field(default_factory=LocalBus)
    stopping: threading.Event = field(default_factory=threading.Event)
    work: Any = None
    actions: Any = None
    state: Path = Path("/nonexistent")
    more: Any = field(default_factory=dict)
    promql_experimental: bool = False
    anyone: Any = None
    app: Any = None  # made once by `pages.client`

    def costs(self) -> Mapping[str, Any]:
        return self.used

    def site(self) -> Site | None:
        return self.declared

    def ready(self) -> str:
        return ""

    def secret(self, name: str) -> str:
        raise NotFound(f"no secret {name}")

    def backup(self, path: Path) -> None: ...

    def probes(self) -> Sequence[Any]:
        return ()


def _states(web: Graph) -> dict[str, StateRecord]:
    found = {}
    for id in web.entities:
        if kind_of(id) not in ("zone", "site"):
            state, since, kind, because, evidence = ILL.get(id, (State.HEALTHY, "08:00:12", "", "", ()))
            found[id] = StateRecord(id, state, at(since), NOW, evidence, kind, because)
    return found


def _rooms(site: Site | None, web: Graph, states: Mapping[str, StateRecord], incidents: Sequence[Incident], sentence: Sequence[Any], entries: Sequence[Entry]) -> FakeRooms:  # fmt: skip
    services = [e.name for e in web.entities.values() if e.kind == "service"]
    used = {"cores": 0.31, "memory_bytes": 412e6, "bytes_per_day": 2.1e9} if services else {"cores": 0.02, "memory_bytes": 96e6, "bytes_per_day": 4e6}  # fmt: skip
    return FakeRooms(
        FakeIdentity(), FakeMetrics(web, bool(services)), MadeLogs(bool(services), ManualClock(NOW)),
        FakeInventory(web, states, incidents), FakeHealth(sentence),
        FakeDeploy(site is not None, at), FakeLedger(entries), site, used,
    )  # fmt: skip


def rich() -> FakeRooms:
    """The institute on a bad afternoon."""
    site = parse({"site.yaml": SITE}, "site.yaml")
    web = graph(site)
    return _rooms(site, web, _states(web), (INCIDENT, CLOSED), SENTENCE, LEDGER)


def empty() -> FakeRooms:
    """A house just started, with nothing declared."""
    return _rooms(None, Graph({}, ()), {}, (), ("Nothing is declared yet.",), ())


def large() -> FakeRooms:
    """The institute grown to ten thousand entities: 1,900 compute hosts with four replicas each."""
    names = [f"app-{n}" for n in range(150)]
    more = "\n".join(f"  {n}: {{command: [serve], replicas: 3, needs: [keystone]}}" for n in names)
    node = ["telemetry", "image-cache", "scratch"]
    more += "\n" + "\n".join(f"  {n}: {{command: [serve], needs: [rabbitmq]}}" for n in node)
    text = SITE.replace("cmp-[1..6]", "cmp-[1..1900]").replace('"10.0.1.[1..6]"', '"cmp-[1..1900].aurora"')
    text = text.replace(
        "compute: [nova-compute]", f"compute: [nova-compute, {', '.join(node)}]\n  apps: [{', '.join(names)}]"
    )
    text = text.replace("roles: [storage]", "roles: [storage, apps]")
    site = parse({"site.yaml": text.replace("\nvolumes:", f"\n{more}\nvolumes:")}, "site.yaml")
    web = graph(site)
    return _rooms(site, web, _states(web), (INCIDENT, CLOSED), SENTENCE, LEDGER)
