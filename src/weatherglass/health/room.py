"""Health: takes in what agents say, judges at every tick, keeps incidents, asks for remedies, tells how it is.

The thin edge of the room. Judging is `judge.py`, states `states.py`, causes `causes.py`, stories `incidents.py`,
remedies `remedies.py`, all pure; here they meet the clock, the inventory, the ledger and the actions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from weatherglass.base.errors import Conflict, NotFound, WeatherglassError
from weatherglass.base.ids import SITE_TENANT, EntityId, kind_of
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.base.units import duration
from weatherglass.engine.protocols import (
    ActionRegistry,
    Entry,
    Heartbeat,
    Ledger,
    Outcome,
    ProbeResult,
    Request,
    Samples,
    SampleSink,
)
from weatherglass.health import causes, export, incidents, remedies
from weatherglass.health.judge import (
    SERVER,
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
from weatherglass.health.sentence import overview_parts
from weatherglass.health.signals import percentile
from weatherglass.health.states import turn
from weatherglass.health.vantage import Prober, Vantage
from weatherglass.health.words import called
from weatherglass.health.world import WINDOW_S, WINDOWS, World, window_of
from weatherglass.inventory import Incident, Inventory, Moment, Part, State, StateRecord
from weatherglass.site import Graph, Site, probe_specs

ErrorCounts = Callable[[str, int, int, str], Mapping[str, int]]
"""`logs.error_counts(tenant, start_ns, end_ns, by)`."""

STATES_EVERY_S: Final = 15.0
SILENT_S: Final = 15.0
THREAT_S: Final = 6 * 3600.0
MATTERS: Final = frozenset({"host", "volume", "replica", "service", "tenant"})
FIRST_START_S: Final = 120.0


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
        self._actions, self._ledger, self._metrics = actions, ledger, metrics
        self._error_counts, self._changing = error_counts, changing
        self._vantage = Vantage(prober) if prober else None
        self._world = World()
        self._ingest = threading.Lock()  # guards the world; held for microseconds
        self._ticking = threading.RLock()  # one tick or approval at a time
        self._graph = Graph({}, ())
        self._declared: Site | None = None
        self._subjects: dict[EntityId, Subject] = {}
        self._specs: list[dict[str, Any]] = []
        self._findings: dict[EntityId, Finding] = {}
        held = {one.entity: one for one in inventory.states().values() if one.state is not State.UNKNOWN}
        self._records: dict[EntityId, StateRecord] = dict(held)
        self._states: dict[EntityId, State] = {name: one.state for name, one in held.items()}
        self._ever: set[EntityId] = set(held)
        self._outages = {name for name, one in held.items() if one.state in incidents.WRONG}
        self._open: dict[int, Incident] = {one.id: one for one in inventory.incidents(open_only=True)}
        self._asked: deque[int] = deque(
            sorted(
                int(done["asked_ns"])
                for one in inventory.incidents(limit=50)
                for done in one.remedies
                if done["state"] == "asked"
            ),
            maxlen=10_000,
        )
        self._unwritten: deque[ProbeResult] = deque(maxlen=20_000)
        self._latest: dict[tuple[str, str], ProbeResult] = {}
        self._rescue: dict[EntityId, float] = {}
        self._blind: tuple[str, ...] = ()
        self._cannot: dict[str, str] = {}
        self._window = -1
        self._states_written = float("-inf")
        self._started = clock.monotonic()

    def stop(self) -> None:
        """No more probes from here."""
        if self._vantage:
            self._vantage.stop()

    # --- what comes in -----------------------------------------------------------------------------------

    def heartbeat(self, heartbeat: Heartbeat, received_ns: int) -> None:
        """Take in what an agent says; what it means is judged at the next tick."""
        with self._ingest:
            if self._world.heartbeat(heartbeat, self._clock.monotonic(), received_ns):
                self._keep(heartbeat.probes)

    def probed(self, results: Sequence[ProbeResult]) -> None:
        """Take in probes made by someone else than an agent's heartbeat tells."""
        with self._ingest:
            self._world.probed(results, self._clock.monotonic())
            self._keep(results)

    def _keep(self, results: Sequence[ProbeResult]) -> None:
        self._unwritten.extend(results)
        self._latest.update(((one.entity, one.vantage), one) for one in results)

    # --- what is asked -----------------------------------------------------------------------------------

    def sentence(self) -> tuple[Part, ...]:
        """How the cloud is, as parts whose nouns are links: words, or (entity, words)."""
        records = {name: one for name, one in self._records.items() if name in self._graph.entities}
        return overview_parts(list(self._open.values()), records, self.threats(), self._blind)

    def blind(self) -> tuple[str, ...]:
        """What the house cannot see or write just now; empty when it sees."""
        return self._blind

    def threats(self) -> list[Part]:
        """What is still well and will not stay so: a volume that fills within hours, the worst first."""
        found = []
        for name, reading in list(self._world.volumes.items()):
            left = full_in(reading)
            if left < THREAT_S and not reading.full:
                found.append((left, (name, f"{called(name)} will be full in {duration(left)}.")))
        return [part for _, part in sorted(found, key=lambda one: one[0])]

    def probes(self) -> list[ProbeResult]:
        """The latest of every probe from every vantage point."""
        with self._ingest:
            return [self._latest[key] for key in sorted(self._latest)]

    def approve(self, incident: int, action: str, who: str) -> Outcome:
        """A person's yes to a proposed remedy (`deploy.rollback` or `rollback`). Raises NotFound, Conflict."""
        with self._ticking:
            found = self._open.get(incident)
            if found is None:
                raise NotFound(f"incident {incident} is not open")
            wanted = action.removeprefix("deploy.")
            place = [
                number
                for number, done in enumerate(found.remedies)
                if done["remedy"] == wanted and done["state"] == "proposed"
            ]
            if not place:
                raise Conflict(f"{wanted} is not proposed for incident {incident}", mend="look at it again")
            done = dict(found.remedies[place[-1]])
            why = f"incident {incident}: {found.sentence}"
            outcome = self._ask(Request(str(done["action"]), str(done["entity"]), who, why))
            now_ns = self._clock.now_ns()
            done |= {
                "state": "approved" if outcome.accepted else "refused", "asked_ns": now_ns, "who": who,
                "reason": outcome.reason, "reference": outcome.reference,
            }  # fmt: skip
            told = f"Approved by {who}: {wanted} of {called(str(done['entity']))}."
            kept = (*found.remedies[: place[-1]], done, *found.remedies[place[-1] + 1 :])
            moment = Moment(now_ns, "Remedy", told, (EntityId(str(done["entity"])),))
            self._write("remedy.approved", str(done["entity"]), who, why, done)
            self._publish(replace(found, remedies=kept, moments=(*found.moments, moment)), now_ns)
            return outcome

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
            self._incidents(now_ns)
            if self._vantage:
                self._vantage.due(self._specs, self._hurried(), now)
            self._export(turned, now, now_ns)
            self._blind = tuple(self._blindness(now))

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
        for table in (self._findings, self._records, self._states):
            for gone in [name for name in table if name not in graph.entities]:
                del table[gone]

    def _errors(self, now: float, now_ns: int) -> None:
        """Once a window: error lines of every replica in the window that ended."""
        if self._error_counts is None or window_of(now) == self._window:
            return
        try:
            counts = self._error_counts(SITE_TENANT, now_ns - int(WINDOW_S * SECOND_NS), now_ns, "replica")
        except WeatherglassError as error:
            self._cannot["logs"] = f"error lines cannot be counted ({error.message})"
            return
        self._cannot.pop("logs", None)
        for name, subject in self._subjects.items():
            if subject.kind == "replica":
                kept = self._world.errors.setdefault(name, deque(maxlen=180))
                kept.append(counts.get(name.partition("/")[2], 0))

    def _judge(self, now: float, now_ns: int) -> list[StateRecord]:
        hosts = [one.host for one in self._subjects.values() if one.kind == "host"]
        culprits = {EntityId(one.cause) for one in self._open.values() if one.cause}
        excused = {
            name.partition("/")[2]
            for culprit in culprits
            for name in self._graph.downstream(culprit)
            if kind_of(name) == "host"
        }
        scene = Scene(
            self._world, self._graph, self._subjects, self._states, frozenset(self._ever), now, now_ns,
            self._rescue, blind_hosts(self._world, hosts, frozenset(excused), now),
            server_is_blind(self._world, now), frozenset(self._outages),
        )  # fmt: skip
        self._turn_window(scene, now)
        found: dict[EntityId, Finding] = {}
        turned = []
        for name, subject in self._subjects.items():
            self._mark(scene, subject, now)
            finding = found[name] = judge(scene, subject, found)
            before = self._records.get(name)
            state = turn(self._states.get(name, State.UNKNOWN), finding.verdict)
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

    def _turn_window(self, scene: Scene, now: float) -> None:
        """At a window's end the p95 of whoever is healthy becomes part of what is usual."""
        if window_of(now) == self._window:
            return
        self._window = window_of(now)
        for name, probes in self._world.probes.items():
            if self._states.get(name) is State.HEALTHY:
                seconds = [one.seconds for one in probes.since(now - WINDOW_S) if one.ok]
                if seconds:
                    probes.baseline.append(percentile(seconds, 0.95))

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
        causes_of = {name: one.cause for one in self._open.values() if one.cause for name in one.affected}
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

    # --- incidents and remedies --------------------------------------------------------------------------

    def _incidents(self, now_ns: int) -> None:
        site = self._declared
        if site is None:
            return
        view = incidents.View(site, self._graph, self._world, self._findings, self._states, now_ns)
        changing = self._changing()
        wrong = [
            name
            for name, state in self._states.items()
            if state in incidents.WRONG and self._matters(name, now_ns)
        ]
        for group in causes.groups(self._graph, wrong):
            incident = self._belongs(group)
            if incident is not None:
                self._open[incident.id] = incidents.spread(incident, group, view)
            elif not all(name in changing for name in group):
                self._begin(group, view)
        for incident in list(self._open.values()):
            self._step(incident, view)
            if incident.opened_ns == now_ns:
                told = self._open.get(incident.id, incident)
                self._write("incident.open", told.affected[0], "health", told.sentence, {"incident": told.id})

    def _matters(self, name: EntityId, now_ns: int) -> bool:
        """Latent trouble and first starts are not incidents; what was well once, and is not, is."""
        if kind_of(name) not in MATTERS:
            return False
        if name in self._ever or kind_of(name) in ("host", "volume"):
            return True
        return now_ns - self._records[name].since_ns > FIRST_START_S * SECOND_NS

    def _belongs(self, group: Sequence[EntityId]) -> Incident | None:
        for incident in self._open.values():
            near = {*incident.affected, incident.cause}
            if incident.cause:
                near.update(self._graph.downstream(EntityId(incident.cause)))
            if near & set(group):
                return incident
        return None

    def _begin(self, group: Sequence[EntityId], view: incidents.View) -> None:
        number = max([self._inventory.next_incident(), *(one + 1 for one in self._open)])
        self._open[number] = incidents.opened(number, group, view)

    def _step(self, incident: Incident, view: incidents.View) -> None:
        before = self._open[incident.id]
        if not incident.cause:
            start = incident.onset_ns - int(incidents.CHANGES_S * SECOND_NS)
            entries = self._ledger.read(start_ns=start, end_ns=view.now_ns, limit=200)
            changes = incidents.relevant(entries, incident, self._graph)
        else:
            changes = []
        incident = incidents.named(incident, view, changes)
        incident = incidents.watched(incident, view)
        if incident.state != "closed":
            incident = self._remedy(incident, view)
        if incident.remedies and incident.remedies[-1]["took_s"]:
            last = incident.remedies[-1]
            self._rescue[EntityId(str(last["entity"]))] = max(10.0, 2 * float(last["took_s"]))
        self._publish(incident, view.now_ns, before)

    def _remedy(self, incident: Incident, view: incidents.View) -> Incident:
        if EntityId(incident.cause or "") in self._changing():
            return incident
        used = remedies.used(self._asked, view.site.remedies.window_s, view.now_ns)
        step = remedies.next_step(view.site, self._graph, incident, self._findings, used, view.now_ns)
        if step is None:
            return incident
        why = f"incident {incident.id}: {incidents.phrased(incident, view.site, view.now_ns).sentence}"
        whom = called(step.entity)
        if step.waits:
            done = remedies.record(step, view.now_ns, "proposed", step.waits)
            self._write("remedy.proposed", step.entity, "health", why, done)
            return incidents.remedied(
                incident, done, f"Proposed: {step.remedy} of {whom}; {step.waits}.", view.now_ns
            )
        try:
            outcome = self._ask(Request(step.action, step.entity, "health", why))
        except NotFound as error:
            done = remedies.record(step, view.now_ns, "missing", error.message)
            return incidents.remedied(
                incident, done, f"{step.remedy} of {whom} is not on offer here.", view.now_ns
            )
        state = "asked" if outcome.accepted else "refused"
        done = remedies.record(step, view.now_ns, state, outcome.reason, outcome.reference)
        self._write(f"remedy.{step.remedy}", step.entity, "health", why, done)
        if not outcome.accepted:
            text = f"{step.remedy} of {whom} was refused: {outcome.reason}."
            return incidents.remedied(incident, done, text, view.now_ns)
        self._asked.append(view.now_ns)
        guard = view.site.remedies
        text = (
            f"Asked for {step.remedy} of {whom} ({used + 1} of {guard.budget} in {duration(guard.window_s)})."
        )
        return incidents.remedied(incident, done, text, view.now_ns)

    def _ask(self, request: Request) -> Outcome:
        try:
            return self._actions.ask(request)
        except NotFound:
            raise
        except WeatherglassError as error:
            return Outcome(False, reason=error.message)

    def _publish(self, incident: Incident, now_ns: int, before: Incident | None = None) -> None:
        if self._declared is not None:
            incident = incidents.phrased(incident, self._declared, now_ns)
        stored = incident != before
        if incident.closed_ns:
            self._open.pop(incident.id, None)
            self._write(
                "incident.close", incident.cause or incident.affected[0], "health", incident.sentence, None
            )
        else:
            self._open[incident.id] = incident
        if stored or incident.opened_ns == now_ns:
            self._guarded("inventory", lambda: self._inventory.publish_incident(incident))

    def _write(self, what: str, entity: str, who: str, why: str, after: Any) -> None:
        entry = Entry(self._clock.now_ns(), who, what, entity, why, None, after)
        self._guarded("ledger", lambda: self._ledger.append(entry))

    # --- what goes out -----------------------------------------------------------------------------------

    def _hurried(self) -> frozenset[EntityId] | None:
        """Who is asked every second: all, while anything is not healthy or a first sign is seen."""
        if self._open:
            return frozenset(self._subjects)
        for name, state in self._states.items():
            if state in incidents.WRONG or self._findings[name].how:
                return frozenset(self._subjects)
        return None

    def _export(self, turned: Sequence[StateRecord], now: float, now_ns: int) -> None:
        if self._metrics is None:
            return
        with self._ingest:
            results, self._unwritten = list(self._unwritten), deque(maxlen=20_000)
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
            self._cannot[room] = f"{room} cannot be written ({error.message})"
        else:
            self._cannot.pop(room, None)

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
