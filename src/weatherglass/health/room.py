"""Health: takes in what agents say, judges at every tick, keeps incidents, asks for remedies, tells how it is.

The thin edge of the room. Judging is `judge.py`, states `states.py`, causes `causes.py`, stories `incidents.py`, all
pure; incidents are kept by `keeper.py`; here they meet the clock, the agents and the inventory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import SITE_TENANT, EntityId, kind_of, name_of
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.base.units import duration
from weatherglass.engine.protocols import (
    ActionRegistry,
    Heartbeat,
    Ledger,
    Outcome,
    ProbeResult,
    Samples,
    SampleSink,
)
from weatherglass.health import export, incidents
from weatherglass.health.crew import Crew
from weatherglass.health.judge import (
    Finding,
    Scene,
    Subject,
    blind_hosts,
    full_in,
    judge,
    server_is_blind,
    subjects,
    window_is_bad,
)
from weatherglass.health.keeper import Keeper
from weatherglass.health.sentence import overview_parts
from weatherglass.health.signals import percentile
from weatherglass.health.states import Verdict, turn
from weatherglass.health.subjects import FIRST_START_S, SERVER
from weatherglass.health.vantage import Prober, Vantage
from weatherglass.health.words import called
from weatherglass.health.world import WINDOW_S, WINDOWS, World, window_of
from weatherglass.inventory import Inventory, Part, State, StateRecord
from weatherglass.site import Graph, Site, probe_specs

ErrorCounts = Callable[[str, int, int, str], Mapping[str, int]]
"""`logs.error_counts(tenant, start_ns, end_ns, by)`."""

STATES_EVERY_S: Final = 15.0
SILENT_S: Final = 15.0
UNJUDGED_S: Final = 2.0
QUIET: Final = frozenset({"replica", "service", "tenant"})
THREAT_S: Final = 6 * 3600.0
MATTERS: Final = frozenset({"host", "volume", "replica", "service", "tenant"})


class Health:
    """One a house. `heartbeat` may come from any thread; `tick` is called every 0.5 to 1 s by one."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        site: Callable[[], Site | None],
        actions: ActionRegistry,
        ledger: Ledger,
        clock: Clock,
        metrics: SampleSink | None = None,
        error_counts: ErrorCounts | None = None,
        prober: Prober | None = None,
        changing: Callable[[], frozenset[EntityId]] = frozenset,
    ) -> None:
        """`changing` names what a run of deploy is working on just now: its states are told, no incident opens.

        `prober` asks from the server's vantage point. Open incidents and states are taken up from the inventory.
        """
        self._inventory, self._site, self._clock = inventory, site, clock
        self._metrics = metrics
        self._error_counts, self._changing = error_counts, changing
        self._vantage = Vantage(prober) if prober else None
        self._cannot: dict[str, str] = {}
        self._world = World()
        self._ingest = threading.Lock()  # guards the world; held for microseconds
        self._ticking = threading.RLock()  # one tick or approval at a time
        self._graph = Graph({}, ())
        self._declared: Site | None = None
        self._subjects: dict[EntityId, Subject] = {}
        self._specs: list[dict[str, Any]] = []
        self._findings: dict[EntityId, Finding] = {}
        self._judged: dict[EntityId, float] = {}
        held = {one.entity: one for one in inventory.states().values() if one.state is not State.UNKNOWN}
        self._records: dict[EntityId, StateRecord] = dict(held)
        self._states: dict[EntityId, State] = {name: one.state for name, one in held.items()}
        self._ever: set[EntityId] = set(held)
        self._outages = {name for name, one in held.items() if one.state in incidents.WRONG}
        self._keeper = Keeper(inventory, ledger, actions, clock, self._guarded)
        self._unwritten: deque[ProbeResult] = deque(maxlen=20_000)
        self._latest: dict[tuple[str, str], ProbeResult] = {}
        self._blind: tuple[str, ...] = ()
        self._threats: tuple[Part, ...] = ()
        self._said: tuple[Part, ...] = ("Nothing was looked at yet.",)
        self._window = -1
        self._crew = Crew("error-counts", 1)
        self._counting = False
        self._counts: Mapping[str, int] | None = None
        self._states_written = float("-inf")
        self._started = clock.monotonic()
        self._refresh()

    def stop(self) -> None:
        """No more probes from here."""
        self._crew.stop()
        if self._vantage:
            self._vantage.stop()

    # --- what comes in -----------------------------------------------------------------------------------

    def heartbeat(self, heartbeat: Heartbeat, received_ns: int) -> None:
        """Take in what an agent says; what it means is judged at the next tick."""
        with self._ingest:
            self._keep(self._world.heartbeat(heartbeat, self._clock.monotonic(), received_ns))

    def probed(self, results: Sequence[ProbeResult]) -> None:
        """Take in probes made by someone else than an agent's heartbeat tells."""
        with self._ingest:
            self._keep(self._world.probed(results, self._clock.monotonic(), self._clock.now_ns()))

    def _keep(self, results: Sequence[ProbeResult]) -> None:
        self._unwritten.extend(results)
        self._latest.update(((one.entity, one.vantage), one) for one in results)

    # --- what is asked -----------------------------------------------------------------------------------

    def sentence(self) -> tuple[Part, ...]:
        """How the cloud is, as parts whose nouns are links: words, or (entity, words)."""
        return self._said

    def blind(self) -> tuple[str, ...]:
        """What the house cannot see or write just now; empty when it sees."""
        return self._blind

    def threats(self) -> tuple[Part, ...]:
        """What is still well and will not stay so: a volume that fills within hours, the worst first."""
        return self._threats

    def probes(self) -> list[ProbeResult]:
        """The latest of every probe from every vantage point."""
        with self._ingest:
            return [self._latest[key] for key in sorted(self._latest)]

    def approve(self, incident: int, action: str, who: str) -> Outcome:
        """A person's yes to a proposed remedy (`deploy.rollback` or `rollback`). Raises NotFound, Conflict."""
        with self._ticking:
            return self._keeper.approve(incident, action, who, self._declared)

    # --- the loop ----------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Judge everything once: states, incidents, remedies, samples."""
        with self._ticking:
            now = self._clock.monotonic()
            self._refresh()
            if self._vantage:
                self.probed(self._vantage.results())
            if self._declared is None:
                return
            with self._ingest:
                self._errors(now, now_ns)
                turned = self._judge(now, now_ns)
            self._tell(turned)
            self._incidents(self._declared, now_ns)
            if self._vantage:
                self._vantage.due(self._specs, self._hurried(), now)
            self._export(turned, now, now_ns)
            self._blind = tuple(self._blindness(now))
            self._threats = tuple(self._coming())
            self._said = overview_parts(
                list(self._keeper.open.values()), self._records, self._threats, self._blind
            )

    def _refresh(self) -> None:
        graph, site = self._inventory.graph(), self._site()
        if graph is self._graph and site is self._declared:
            return
        self._graph, self._declared = graph, site
        self._subjects = subjects(site, graph) if site else {}
        self._specs = probe_specs(site) if site else []
        with self._ingest:
            hosts = [one.host for one in self._subjects.values() if one.kind == "host"]
            self._world.forget(graph.entities, hosts)
            self._latest = {key: one for key, one in self._latest.items() if key[0] in graph.entities}
        for table in (self._findings, self._records, self._states, self._judged):
            for gone in [name for name in table if name not in graph.entities]:
                del table[gone]

    def _errors(self, now: float, now_ns: int) -> None:
        """Once a window: error lines of every replica in the window that ended, counted in a thread of their own."""
        if self._error_counts is None:
            return
        if self._counts is not None:
            counts, self._counts = self._counts, None
            self._counted(counts)
        if not self._counting and window_of(now) != self._window:
            self._counting = True
            self._crew.give(partial(self._count, now_ns - int(WINDOW_S * SECOND_NS), now_ns))

    def _count(self, start_ns: int, end_ns: int) -> None:
        def count() -> None:
            if self._error_counts is not None:
                self._counts = self._error_counts(SITE_TENANT, start_ns, end_ns, "replica")

        try:
            self._guarded("logs", count)
        finally:
            self._counting = False

    def _counted(self, counts: Mapping[str, int]) -> None:
        for name, subject in self._subjects.items():
            if subject.kind == "replica":
                kept = self._world.errors.setdefault(name, deque(maxlen=180))
                kept.append(counts.get(name_of(name), 0))

    def _judge(self, now: float, now_ns: int) -> list[StateRecord]:
        hosts = [one.host for one in self._subjects.values() if one.kind == "host"]
        culprits = {EntityId(one.cause) for one in self._keeper.open.values() if one.cause}
        excused = {
            name.partition("/")[2]
            for culprit in culprits
            for name in self._graph.downstream(culprit)
            if kind_of(name) == "host"
        }
        scene = Scene(
            self._world, self._graph, self._subjects, self._states, frozenset(self._ever), now, now_ns,
            self._keeper.rescue_s, blind_hosts(self._world, hosts, frozenset(excused), now),
            server_is_blind(self._world, now), frozenset(self._outages),
        )  # fmt: skip
        turning = self._turn_window(scene, now)
        # While all is well, whoever has no news is not judged again for a while: 10,000 entities stay quick.
        calm = not turning and not scene.blind_hosts and self._hurried() is None
        touched, self._world.touched = self._world.touched, set()
        found: dict[EntityId, Finding] = {}
        turned = []
        for name, subject in self._subjects.items():
            known = self._findings.get(name)
            if (
                calm
                and subject.kind in QUIET
                and known is not None
                and known.verdict is Verdict.WELL
                and name not in touched
                and now - self._judged.get(name, float("-inf")) < UNJUDGED_S
                and self._states[name] is State.HEALTHY
            ):
                found[name] = known
                continue
            self._judged[name] = now
            self._mark(scene, subject, now)
            finding = found[name] = judge(scene, subject, found)
            before = self._records.get(name)
            state = turn(self._states.get(name, State.UNKNOWN), finding.verdict)
            if finding.how or (before is not None and before.state is not state):
                calm = False  # whoever hangs on it comes later in this order, and must look
            if state is State.HEALTHY and name not in self._ever:
                self._ever.add(name)
            if state is State.HEALTHY and name in self._outages:
                self._outages.discard(name)
                self._world.windows.pop(name, None)
                if name in self._world.probes:
                    self._world.probes[name].counted_from = now
            elif finding.outage and state in incidents.WRONG:
                self._outages.add(name)
            self._states[name] = state
            since = now_ns if before is None or before.state is not state else before.since_ns
            if before is None or before.state is not state:
                turned.append(StateRecord(name, state, since, now_ns, finding.evidence))
                self._records[name] = turned[-1]
            else:
                self._records[name] = replace(before, at_ns=now_ns, evidence=finding.evidence)
        self._findings = found
        return turned

    def _turn_window(self, scene: Scene, now: float) -> bool:
        """At a window's end the p95 of whoever is healthy becomes part of what is usual; whether one ended."""
        if window_of(now) == self._window:
            return False
        self._window = window_of(now)
        for name, probes in self._world.probes.items():
            if self._states.get(name) is State.HEALTHY:
                seconds = [one.seconds for one in probes.since(now - WINDOW_S) if one.ok]
                if seconds:
                    probes.baseline.append(percentile(seconds, 0.95))
        return True

    def _mark(self, scene: Scene, subject: Subject, now: float) -> None:
        if subject.kind not in ("replica", "tenant"):
            return
        marks = self._world.windows.setdefault(subject.id, deque(maxlen=WINDOWS))
        window = window_of(now)
        if not marks or marks[-1][0] != window:
            marks.append((window, False))
        if not marks[-1][1] and window_is_bad(scene, subject):
            marks[-1] = (window, True)

    def _tell(self, turned: Sequence[StateRecord]) -> None:
        """Say whose fault it is, and publish what turned, or has new evidence while it is not healthy."""
        causes_of = {
            name: one.cause for one in self._keeper.open.values() if one.cause for name in one.affected
        }
        told = {one.entity for one in turned}
        publish = []
        for name, record in self._records.items():
            kind = because = ""
            if record.state in incidents.WRONG:
                finding, cause = self._findings[name], causes_of.get(name, "")
                if finding.how == "hung" and finding.own >= 0.5:
                    kind = "hung"
                elif cause and cause != name:
                    kind, because = "extrinsic", cause
                elif finding.own >= 0.5 or cause == name:
                    kind = "intrinsic"
            if (kind, because) != (record.kind, record.because):
                record = self._records[name] = replace(record, kind=kind, because=because)
                told.add(name)
            if name in told or record.state in incidents.WRONG:
                publish.append(record)
        self._guarded("inventory", lambda: self._inventory.publish_states(publish) if publish else None)

    # --- incidents ---------------------------------------------------------------------------------------

    def _incidents(self, site: Site, now_ns: int) -> None:
        view = incidents.View(site, self._graph, self._world, self._findings, self._states, now_ns)
        wrong = [
            name
            for name, state in self._states.items()
            if state in incidents.WRONG
            and (self._findings[name].patent or name in self._outages)
            and self._matters(name, now_ns)
        ]
        self._keeper.look(view, wrong, self._changing())

    def _matters(self, name: EntityId, now_ns: int) -> bool:
        """Latent trouble and first starts are not incidents; what was well once, and is not, is."""
        if kind_of(name) not in MATTERS:
            return False
        if name in self._ever or kind_of(name) in ("host", "volume"):
            return True
        return now_ns - self._records[name].since_ns > FIRST_START_S * SECOND_NS

    # --- what goes out -----------------------------------------------------------------------------------

    def _hurried(self) -> frozenset[EntityId] | None:
        """Who is asked every second: all, while anything is not healthy or a first sign is seen."""
        if self._keeper.open:
            return frozenset(self._subjects)
        for name, state in self._states.items():
            finding = self._findings[name]
            # Asking what is under pressure five times as often would add to it.
            if finding.patent or (state in incidents.WRONG and name in self._outages):
                return frozenset(self._subjects)
        return None

    def _export(self, turned: Sequence[StateRecord], now: float, now_ns: int) -> None:
        if self._metrics is None:
            return
        with self._ingest:
            # What was never well yet is being brought up: that it does not answer is no failure to count.
            results = [one for one in self._unwritten if one.ok or EntityId(one.entity) in self._ever]
            self._unwritten = deque(maxlen=20_000)
            volumes = [(name, one.seen) for name, one in self._world.volumes.items()]
        batches: list[Samples] = [export.probes(self._graph, results)] if results else []
        if now - self._states_written >= STATES_EVERY_S:
            self._states_written = now
            batches.append(export.states(self._graph, self._states, now_ns))
            batches.append(export.volumes(self._graph, volumes, now_ns))
        elif turned:
            held = {one.entity: one.state for one in turned}
            batches.append(export.states(self._graph, held, now_ns))
        sink = self._metrics
        for batch in batches:
            if batch.series:
                self._guarded("metrics", lambda batch=batch: sink.append(SITE_TENANT, batch))  # type: ignore[misc]

    def _guarded(self, room: str, call: Callable[[], Any]) -> None:
        """A room that cannot write now makes the house blind, and must not stop it from judging."""
        try:
            call()
        except WeatherglassError as error:
            verb = "read" if room == "logs" else "written"
            self._cannot[room] = f"{room} cannot be {verb} ({error.message})"
        else:
            self._cannot.pop(room, None)

    def _coming(self) -> list[Part]:
        found = []
        with self._ingest:
            for name, reading in self._world.volumes.items():
                left = full_in(reading)
                if left < THREAT_S and not reading.full:
                    found.append((left, (name, f"{called(name)} will be full in {duration(left)}.")))
        return [part for _, part in sorted(found, key=lambda one: one[0])]

    def _blindness(self, now: float) -> list[str]:
        told = list(self._cannot.values())
        with self._ingest:
            agents = {name: one.rhythm.silent_s(now) for name, one in self._world.agents.items()}
            server = server_is_blind(self._world, now)
        hosts = [one.host for one in self._subjects.values() if one.kind == "host"]
        silent = [host for host in hosts if agents.get(host, now - self._started) > SILENT_S]
        if hosts and 2 * len(silent) >= len(hosts):
            longest = max(agents.get(host, now - self._started) for host in silent)
            which = (
                f"the agent of host {silent[0]}" if len(silent) == 1 else f"the agents of {len(silent)} hosts"
            )
            told.append(f"{which} said nothing for {duration(longest)}")
        if server:
            told.append(f"probes from the {SERVER} fail where agents' do not")
        return told
