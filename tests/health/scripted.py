"""A scripted cloud around a real Health: heartbeats and probes made from facts, on a clock moved by hand.

Facts say what is true from a moment on (a replica's process, what a probe gets, how full a volume is). Agents beat
every 2 s and at once on a change; probes come every 5 s, every second while anything is not healthy, from the
host's agent and from the server; one that times out comes 3 s after it was asked. Remedies asked for are fake:
they set facts after a delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from weatherglass.base.ids import EntityId
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.actions import Actions
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.protocols import (
    Entry,
    Heartbeat,
    Outcome,
    ProbeResult,
    ReplicaSeen,
    Request,
    Running,
    Samples,
    VolumeSeen,
    Written,
)
from weatherglass.engine.tables import Tables
from weatherglass.health import Health
from weatherglass.inventory import METADATA, MIGRATIONS, Incident, Inventory, State
from weatherglass.site import Site, graph, parse, probe_specs

T0 = 1_800_000_000 * SECOND_NS
STEP_S = 0.25

SITE = """\
site: small
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [mariadb, keystone, placement, other]}
volumes: {db-data: {size: 1GiB, max: 2GiB}}
services:
  mariadb: {command: [x], ports: {sql: 3306}, volumes: {/var/lib/mysql: db-data}, probe: {mysql: sql}}
  keystone:
    command: [x]
    ports: {api: 5000}
    needs: [mariadb]
    probe: {openstack-token: {user: p, password: keystone-probe}}
    objective: {availability: 99%, p95: 300ms}
  placement: {command: [x], ports: {api: 8778}, needs: [mariadb, keystone], probe: {http: /}}
  other: {command: [x], ports: {p: 9000}, probe: {tcp: p}, remedies: [restart, rollback]}
tenants:
  genomics: {uses: [keystone], probe: {openstack-token: {user: g, password: keystone-g}}}
remedies: {budget: 6/hour}
"""


class FakeLedger:
    """Keeps entries in a list."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1

    def read(self, *, entity: str = "", start_ns: int = 0, end_ns: int = 0, limit: int = 200) -> list[Entry]:
        found = [
            one
            for one in reversed(self.entries)
            if (not entity or one.entity == entity)
            and one.at_ns >= start_ns
            and (not end_ns or one.at_ns <= end_ns)
        ]
        return found[:limit]


class FakeSink:
    """Keeps batches; refuses them while `error` is set."""

    def __init__(self) -> None:
        self.batches: list[Samples] = []
        self.error: Exception | None = None

    def append(self, tenant: str, batch: Samples) -> Written:
        assert tenant == "site"
        if self.error:
            raise self.error
        assert len(batch.series) == len(batch.times_ms) == len(batch.values)
        for times in batch.times_ms:
            assert list(times) == sorted(set(times))
        self.batches.append(batch)
        return Written(len(batch.series))


@dataclass
class Facts:
    """What is true now, by name."""

    replicas: dict[str, Any] = field(default_factory=dict)
    probes: dict[str, Any] = field(default_factory=dict)
    volumes: dict[str, Any] = field(default_factory=dict)
    agents: dict[str, Any] = field(default_factory=dict)
    psi: dict[str, float] = field(default_factory=dict)
    vantages: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def update(self, told: Mapping[str, Any]) -> None:
        for table, values in told.items():
            getattr(self, table).update(values)


class Cloud:
    """The scripted cloud; `run(seconds)` lets time pass."""

    def __init__(
        self, folder: Path, site_text: str = SITE, remedies: Mapping[str, Any] | None = None
    ) -> None:
        self.clock = ManualClock(T0)
        self.site: Site = parse({"site.yaml": site_text}, "site.yaml")
        folder.mkdir(exist_ok=True)
        self.tables = Tables(folder / "tables.db")
        self.tables.migrate({"inventory": (METADATA, MIGRATIONS)})
        self.bus = LocalBus()
        self.inventory = Inventory(self.tables, self.bus, self.clock)
        self.inventory.declare(graph(self.site), 1, T0)
        self.ledger, self.sink, self.actions = FakeLedger(), FakeSink(), Actions()
        self.asked: list[Request] = []
        self.remedies = dict(remedies or {})
        for action in self.remedies:
            self.actions.register(action, self._act, "A fake remedy.")
        self.facts = Facts(agents=dict.fromkeys(self.site.hosts, "beating"))
        for service in self.site.services.values():
            for replica in service.replicas:
                self.facts.replicas[replica.name] = "running"
        for spec in probe_specs(self.site):
            self.facts.probes[spec["entity"]] = "ok"
        for volume in self.site.volumes.values():
            if volume.size:
                self.facts.volumes[volume.name] = 0.2
        self._script: list[tuple[float, Mapping[str, Any]]] = []
        self._seq = 0
        self._told: dict[str, Any] = {}
        self._last_beat: dict[str, float] = {}
        self._asked_at: dict[tuple[str, str], float] = {}
        self._coming: list[tuple[float, ProbeResult]] = []
        self._waiting: dict[str, list[ProbeResult]] = {name: [] for name in self.site.hosts}
        self.pids = dict.fromkeys(self.facts.replicas, 100)
        self.health = self.make()

    def make(self) -> Health:
        return Health(
            inventory=self.inventory, site=lambda: self.site, actions=self.actions, ledger=self.ledger,
            clock=self.clock, metrics=self.sink, error_counts=lambda *_: self.facts.errors,
        )  # fmt: skip

    @property
    def now(self) -> float:
        return (self.clock.now_ns() - T0) / SECOND_NS

    def later(self, after_s: float, told: Mapping[str, Any]) -> None:
        self._script.append((self.clock.monotonic() + after_s, told))

    def _act(self, request: Request) -> Outcome:
        self.asked.append(request)
        does = self.remedies[request.action]
        if does.get("refuses"):
            return Outcome(False, reason=does["refuses"])
        for one in does.get("then", ()):
            self.later(one["after"], {key: value for key, value in one.items() if key != "after"})
        return Outcome(True, reference="run-1")

    def run(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end - 1e-9:
            self.clock.advance(STEP_S)
            self._facts()
            self._probe()
            self._beat()
            if round(self.clock.monotonic() / STEP_S) % 2 == 0:
                self.health.tick(self.clock.now_ns())

    def _facts(self) -> None:
        now = self.clock.monotonic()
        for at, told in sorted(self._script, key=lambda one: one[0]):
            if at <= now + 1e-9:
                for name, state in told.get("replicas", {}).items():
                    if state in ("running", "starting"):
                        self.pids[name] += 1
                self.facts.update(told)
        self._script = [one for one in self._script if one[0] > now + 1e-9]

    def _probe(self) -> None:
        now, now_ns = self.clock.monotonic(), self.clock.now_ns()
        unwell = any(
            one.state in (State.SICK, State.DYING, State.DEAD) for one in self.inventory.states().values()
        )
        unwell = unwell or any(answer != "ok" for answer in self.facts.probes.values())
        for spec in probe_specs(self.site):
            vantages = [f"host/{spec['host']}", *(["server"] if spec["server"] else [])]
            for number, vantage in enumerate(vantages):
                key = (spec["entity"], vantage)
                if now - self._asked_at.get(key, number * 0.5 - 5) < (1 if unwell else 5):
                    continue
                if self.facts.vantages.get(vantage) == "gone":
                    continue
                self._asked_at[key] = now
                answer = self.facts.probes[spec["entity"]]
                if isinstance(answer, dict):
                    answer = answer.get(vantage.partition("/")[0], "ok")
                if self.facts.vantages.get(vantage) == "fails":
                    answer = "no route to host"
                ok = answer == "ok" or isinstance(answer, float)
                seconds = answer if isinstance(answer, float) else 3.0 if "timed out" in str(answer) else 0.02
                result = ProbeResult(spec["entity"], vantage, now_ns, ok, seconds, "" if ok else str(answer))
                self._coming.append((now + seconds, result))
        due = [one for at, one in self._coming if at <= now + 1e-9]
        self._coming = [(at, one) for at, one in self._coming if at > now + 1e-9]
        self.health.probed([one for one in due if one.vantage == "server"])
        for one in due:
            if one.vantage != "server":
                self._waiting[one.vantage.partition("/")[2]].append(one)

    def _beat(self) -> None:
        now, now_ns = self.clock.monotonic(), self.clock.now_ns()
        for host in self.site.hosts:
            if self.facts.agents[host] != "beating":
                continue
            mine = {name: state for name, state in self.facts.replicas.items() if name.endswith(f"@{host}")}
            probes = self._waiting[host]
            urgent = mine != self._told.get(host, mine) or any(not one.ok for one in probes)
            if now - self._last_beat.get(host, -9) < 2 and not urgent:
                continue
            self._last_beat[host], self._told[host], self._waiting[host] = now, dict(mine), []
            self._seq += 1
            self.health.heartbeat(
                Heartbeat(host, "boot", self._seq, now_ns, 2.0, tuple(map(self._replica, mine)),
                          tuple(self._volumes(host)), tuple(probes)),
                now_ns,
            )  # fmt: skip

    def _replica(self, name: str) -> ReplicaSeen:
        word, _, code = str(self.facts.replicas[name]).partition(":")
        state = Running(word)
        pid = self.pids[name] if state in (Running.RUNNING, Running.STOPPED, Running.STARTING) else 0
        return ReplicaSeen(
            name, state, pid, exit_code=int(code) if code else None, psi_share=self.facts.psi.get(name, 0.0)
        )

    def _volumes(self, host: str) -> list[VolumeSeen]:
        found = []
        for name, used in self.facts.volumes.items():
            read_only, share = used == "read-only", 0.3 if used == "read-only" else float(used)
            found.append(VolumeSeen(name, 1 << 30, int((1 - share) * (1 << 30)), read_only))
        return found

    def state(self, entity: str) -> str:
        return self.inventory.state(entity).state.value

    def incidents(self) -> list[Incident]:
        return self.inventory.incidents()[::-1]

    def close(self) -> None:
        self.health.stop()
        self.tables.close()


def entity(name: str) -> EntityId:
    return EntityId(name)


def load(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(path.read_text())
    return told
