"""What the evidence says of each entity now: one function a kind, from observations to a `Finding`. Pure.

Entities are judged in the order of dependence, so that whoever is judged can look at what it hangs on. The
definitions are HEALTH.md's; what a finding makes of the state is in `states.py`, what caused it in `causes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Final

from weatherglass.base.ids import EntityId
from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import Running
from weatherglass.health import signals, words
from weatherglass.health.states import Verdict
from weatherglass.health.world import (
    FULL,
    WINDOW_S,
    Measured,
    Probed,
    Probes,
    Witnessed,
    World,
    bad_windows,
)
from weatherglass.inventory import Evidence, State
from weatherglass.site import Graph, Objective, Site

PHI_DOUBT: Final = 3.0
PHI_DEAD: Final = 8.0
FRESH_S: Final = 20.0
"""A probe older than this says nothing: four calm periods."""
HEALED: Final = 3
"""Good probes in a row after which an entity is well again."""
RESCUE_S: Final = 60.0
"""How long a rescue takes where none was measured yet."""
FIRST_START_S: Final = 120.0
"""How long what was never good may take to become so before it is sick."""
SERVER: Final = "server"
PROMISED: Final = Objective()

BAD_VERDICTS: Final = (Verdict.BAD, Verdict.FAILING, Verdict.GONE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the evidence says of one entity at one moment.

    `onset_ns` is when it was first seen wrong, `before_ns` when it was last seen right: the truth lies between.
    `own` (0…1) is how much of the evidence is its own, not borrowed from what it hangs on.
    """

    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    how: str = ""  # dead | hung | full | slow | failing | unreachable | filling
    onset_ns: int = 0
    before_ns: int = 0
    own: float = 0.0
    outage: bool = False  # nothing of it works; else it is worse than promised

    @property
    def bad(self) -> bool:
        return self.verdict in BAD_VERDICTS


@dataclass(frozen=True, slots=True)
class Subject:
    """What one is judged by."""

    id: EntityId
    kind: str
    label: str  # PromQL matchers of its samples
    objective: Objective = PROMISED
    probed: bool = False
    host: str = ""
    members: tuple[
        EntityId, ...
    ] = ()  # replicas of a service, hosts of a zone, what a tenant uses, what a host runs


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a judgement may look at."""

    world: World
    graph: Graph
    subjects: Mapping[EntityId, Subject]
    states: Mapping[EntityId, State]
    ever: frozenset[EntityId]  # those that were healthy once
    now: float
    now_ns: int
    rescue_s: Mapping[EntityId, float]
    blind_hosts: frozenset[str] = frozenset()  # silent together: their observer is sick, not they
    blind_server: bool = False
    outages: frozenset[EntityId] = frozenset()  # those of which nothing worked, and that are not healthy yet


def subjects(site: Site, graph: Graph) -> dict[EntityId, Subject]:
    """Who is judged by what, in the order in which they are judged: what is hung on comes first."""
    found: dict[EntityId, Subject] = {}
    for one in graph.entities.values():
        label = f'entity="{one.id}"'
        if one.kind == "replica":
            service = site.services.get(one.labels.get("service", ""))
            found[one.id] = Subject(
                one.id, "replica", label, service.objective if service else PROMISED,
                bool(service and service.probe), one.labels.get("host", ""),
            )  # fmt: skip
        elif one.kind == "service":
            members = tuple(name for name in graph.parents(one.id) if name.startswith("replica/"))
            found[one.id] = Subject(one.id, "service", label, members=members)
        elif one.kind == "tenant":
            tenant = site.tenants.get(one.name)
            uses = tuple(name for name in graph.parents(one.id) if name.startswith("service/"))
            found[one.id] = Subject(
                one.id, "tenant", label, tenant.objective if tenant else PROMISED,
                bool(tenant and tenant.probe), members=uses,
            )  # fmt: skip
        elif one.kind == "host":
            runs = tuple(name for name in graph.children(one.id) if name.startswith("replica/"))
            found[one.id] = Subject(one.id, "host", label, host=one.name, members=runs)
        elif one.kind == "volume":
            found[one.id] = Subject(one.id, "volume", label, host=one.labels.get("host", ""))
        elif one.kind == "zone":
            hosts = tuple(name for name in graph.children(one.id) if name.startswith("host/"))
            found[one.id] = Subject(one.id, "zone", label, members=hosts)
    return {name: found[name] for name in _order(graph) if name in found}


def _order(graph: Graph) -> Sequence[EntityId]:
    # A zone is judged by its hosts, so it comes after them although they hang on it.
    before = {
        name: tuple(parent for parent in graph.parents(name) if not parent.startswith("zone/"))
        for name in graph.entities
    }
    for name in graph.entities:
        if name.startswith("zone/"):
            before[name] = tuple(child for child in graph.children(name))
    try:
        return tuple(TopologicalSorter(before).static_order())
    except CycleError:  # what was seen may hold one; then the order of kinds serves
        rank = {"host": 0, "volume": 1, "replica": 2, "service": 3, "tenant": 4, "zone": 5}
        return sorted(graph.entities, key=lambda name: rank.get(graph.entities[name].kind, 6))


def judge(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    """The finding on one entity; `found` has those of all it hangs on."""
    return KINDS[subject.kind](scene, subject, found)


# --- replicas and tenants: what answers ------------------------------------------------------------------


def _fresh(scene: Scene, probes: Probes) -> list[Probed]:
    return [
        one
        for one in probes.latest.values()
        if scene.now - one.at <= FRESH_S and not (scene.blind_server and one.vantage == SERVER)
    ]


def _replica(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    witness = scene.world.replicas.get(subject.id)
    probes = scene.world.probes.get(subject.id) or Probes()
    agent = scene.world.agents.get(subject.host)
    heard = witness is not None and agent is not None and agent.rhythm.phi(scene.now) < PHI_DEAD
    fresh = _fresh(scene, probes)
    if witness is None or not heard:
        if fresh and any(not one.ok for one in fresh) and subject.host in scene.blind_hosts:
            return Finding(Verdict.UNSEEN, (words.silent(subject.host, scene.now_ns),))
        return _answers(scene, subject, probes, fresh, found, None)
    if witness.seen.state in _WITNESSES:
        return _WITNESSES[witness.seen.state](subject, witness, probes, fresh)
    return _answers(scene, subject, probes, fresh, found, witness)


def _gone(subject: Subject, witness: Witnessed, probes: Probes, fresh: list[Probed]) -> Finding:
    told = words.gone(subject.id, witness)
    if witness.seen.state is Running.ABSENT and not witness.ever_ran:
        return Finding(Verdict.DOUBT, (told,))
    failed = [one for one in fresh if not one.ok and one.at_ns >= witness.before_ns]
    # Where nothing can be asked, the second witness is the next look of the host.
    second = bool(failed) or (not subject.probed and witness.looks >= 2)
    evidence = (told, *(words.probe_failed(subject.label, one) for one in failed))
    onset = min([witness.since_ns, *(one.at_ns for one in failed)])
    return Finding(
        Verdict.GONE if second else Verdict.DOUBT,
        evidence, "dead", onset, min(witness.before_ns, onset), 1.0, True,
    )  # fmt: skip


def _stopped(subject: Subject, witness: Witnessed, probes: Probes, fresh: list[Probed]) -> Finding:
    failed = [one for one in fresh if not one.ok and one.at_ns >= witness.before_ns]
    sure = bool(failed) or witness.looks >= 3
    evidence = (
        words.stopped(subject.id, witness),
        *(words.probe_failed(subject.label, one) for one in failed),
    )
    onset = min([witness.since_ns, *(one.at_ns for one in failed)])
    return Finding(
        Verdict.BAD if sure else Verdict.DOUBT,
        evidence, "hung", onset, min(witness.before_ns, onset), 1.0, True,
    )  # fmt: skip


def _quarantined(subject: Subject, witness: Witnessed, probes: Probes, fresh: list[Probed]) -> Finding:
    return Finding(
        Verdict.GONE, (words.quarantined(subject.id, witness),), "dead",
        witness.since_ns, witness.before_ns, 1.0, True,
    )  # fmt: skip


_WITNESSES: dict[Running, Callable[[Subject, Witnessed, Probes, list[Probed]], Finding]] = {
    Running.EXITED: _gone,
    Running.ABSENT: _gone,
    Running.STOPPED: _stopped,
    Running.QUARANTINED: _quarantined,
}


def _answers(
    scene: Scene,
    subject: Subject,
    probes: Probes,
    fresh: list[Probed],
    found: Mapping[EntityId, Finding],
    witness: Witnessed | None,
) -> Finding:
    """What is judged by whether and how it answers, with a witness that sees it run, or none."""
    failed = [one for one in fresh if not one.ok]
    told = _symptoms(scene, subject, probes, witness, scene.now - WINDOW_S)
    # After an outage its windows tell of the past: 3 good probes in a row are enough.
    marks = () if subject.id in scene.outages and not failed else scene.world.windows.get(subject.id, ())
    evidence = (*(words.probe_failed(subject.label, one) for one in failed), *told)
    onset, before = probes.first_bad_ns, probes.before_bad_ns
    if not fresh and witness is None:
        return Finding(Verdict.UNSEEN, (words.nothing_fresh(subject.id, scene.now_ns),))
    starting = witness is not None and witness.seen.state is Running.STARTING
    if failed and is_starting(scene, subject):
        return Finding(Verdict.DOUBT, evidence, "failing", onset, before)
    outage = bool(failed) and len(failed) == len(fresh)
    if outage:
        sure = len(failed) >= 2 and all(probes.bad_in_a_row.get(one.vantage, 0) >= 2 for one in failed)
        hanging = [
            parent
            for parent in scene.graph.parents(subject.id)
            if parent in found and found[parent].bad and found[parent].before_ns <= (onset or scene.now_ns)
        ]
        how, own = _how(failed, witness, bool(hanging))
        if sure or hanging:
            because = tuple(words.hangs_on(subject.id, parent, scene.now_ns) for parent in hanging)
            return Finding(Verdict.BAD, (*evidence, *because), how, onset, before, own, True)
    if bad_windows(marks, scene.now) >= 3:
        how = "slow" if not failed and any(one.signal == "latency" for one in told) else "failing"
        own = 0.5 if any(one.signal in ("saturation", "anomaly") for one in told) else 0.4
        return Finding(
            Verdict.BAD, (*evidence, words.windows(bad_windows(marks, scene.now), scene.now_ns)),
            how, onset or scene.now_ns, before, own,
        )  # fmt: skip
    if failed or told:
        return Finding(Verdict.DOUBT, evidence, "failing" if failed else "slow", onset, before)
    if not subject.probed:
        looks = witness.looks if witness else 0
        good = words.runs(subject.id, witness) if witness else words.nothing_fresh(subject.id, scene.now_ns)
        return Finding(Verdict.WELL if looks >= HEALED and not starting else Verdict.FAIR, (good,))
    if not fresh:
        return Finding(Verdict.DOUBT, (words.nothing_fresh(subject.id, scene.now_ns),))
    well = probes.good_in_a_row >= HEALED
    return Finding(Verdict.WELL if well else Verdict.FAIR, (words.probes_good(subject.label, probes, fresh),))


def is_starting(scene: Scene, subject: Subject) -> bool:
    """Whether it was never good yet and still has its time to become so."""
    probes, witness = scene.world.probes.get(subject.id), scene.world.replicas.get(subject.id)
    if subject.id in scene.ever or (probes is not None and probes.ever_good):
        return False
    since = (witness.running_ns or witness.since_ns) if witness else 0
    return not since or scene.now_ns - since <= FIRST_START_S * SECOND_NS


def _how(failed: Sequence[Probed], witness: Witnessed | None, hanging: bool) -> tuple[str, float]:
    """Its process is seen but does not answer: hung, and that is evidence of its own. An error it tells is less."""
    if witness is None:
        return "unreachable", 0.3
    if all("timed out" in one.detail for one in failed):
        return "hung", 0.2 if hanging else 0.6
    return "failing", 0.1 if hanging else 0.4


def _symptoms(
    scene: Scene, subject: Subject, probes: Probes, witness: Witnessed | None, since: float
) -> tuple[Evidence, ...]:
    """What is off since an instant: latency, saturation, a joint anomaly, a burst of errors."""
    told: list[Evidence] = []
    lately = [one.seconds for one in _counted(scene, probes, since) if one.ok]
    tails = 0
    if len(lately) >= 2:
        p95 = signals.percentile(lately, 0.95)
        limit = subject.objective.p95_s
        usual = signals.percentile(tuple(probes.baseline), 0.5) if len(probes.baseline) >= 5 else None
        if limit is not None and p95 > limit:
            told.append(words.slow(subject.label, p95, limit, "the objective", scene.now_ns))
        elif usual is not None and p95 > 2 * usual and p95 > usual + 0.1:
            told.append(words.slow(subject.label, p95, 2 * usual, "twice the usual", scene.now_ns))
        tails += signals.robust_z(p95, tuple(probes.baseline), 0.02) > 3.9
    if witness is not None:
        psi, before = witness.seen.psi_share, list(witness.psi)[:-6]
        usual_psi = signals.percentile(before, 0.5) if len(before) >= 5 else 0.0
        if psi > max(0.1, 3 * usual_psi):
            told.append(words.pressure(subject.id, psi, max(0.1, 3 * usual_psi), scene.now_ns))
        tails += signals.robust_z(psi, before, 0.02) > 3.9
        told += [
            words.at_limit(subject.id, resource, share, scene.now_ns)
            for resource, share in sorted(witness.seen.limits.items())
            if share >= FULL
        ]
    errors = scene.world.errors.get(subject.id)
    if errors and len(errors) >= 6:
        usual_errors = sum(list(errors)[:-1]) / (len(errors) - 1)
        if signals.burst_log10(errors[-1], usual_errors) > 4:
            told.append(words.error_burst(subject.id, errors[-1], usual_errors, scene.now_ns))
            tails += 1
    if tails >= 2:
        told.append(words.joint(subject.id, tails, scene.now_ns))
    return tuple(told)


def window_is_bad(scene: Scene, subject: Subject) -> bool:
    """Whether the window that runs counts as bad: P below its objective, or any symptom.

    P is below it when the share of good probes of this window is, and Wilson's interval over 5 min agrees: one
    lost probe out of many is not yet a sick service.
    """
    if is_starting(scene, subject):
        return False
    probes = scene.world.probes.get(subject.id) or Probes()
    witness = scene.world.replicas.get(subject.id)
    start = max(scene.now - scene.now % WINDOW_S, probes.counted_from)
    lately, longer = _counted(scene, probes, start), _counted(scene, probes, scene.now - 300)
    good = sum(one.ok for one in longer)
    promised = subject.objective.availability
    if lately and sum(one.ok for one in lately) / len(lately) < promised:
        upper = signals.wilson(good, len(longer))[1]
        if upper < promised or good == 0:
            return True
    return bool(_symptoms(scene, subject, probes, witness, start))


def _counted(scene: Scene, probes: Probes, since: float) -> list[Probed]:
    found = probes.since(max(since, probes.counted_from))
    return [one for one in found if one.vantage != SERVER] if scene.blind_server else found


def _tenant(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    probes = scene.world.probes.get(subject.id)
    if subject.probed:
        probes = probes or Probes()
        return _answers(scene, subject, probes, _fresh(scene, probes), found, None)
    if not subject.members:
        return Finding(Verdict.WELL, (words.uses_nothing(subject.id, scene.now_ns),))
    return _from_members(scene, subject, found, all_gone=Verdict.BAD)


# --- services and zones: by their members ----------------------------------------------------------------


def _service(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    return _from_members(scene, subject, found, all_gone=Verdict.GONE)


def _from_members(
    scene: Scene, subject: Subject, found: Mapping[EntityId, Finding], all_gone: Verdict
) -> Finding:
    members = [name for name in subject.members if name in found]
    states = [scene.states.get(name, State.UNKNOWN) for name in members]
    if not members or all(state is State.UNKNOWN for state in states):
        return Finding(Verdict.UNSEEN, (words.nothing_fresh(subject.id, scene.now_ns),))
    wrong = [
        name
        for name, state in zip(members, states, strict=True)
        if state in (State.SICK, State.DYING, State.DEAD)
    ]
    if not wrong:
        return Finding(Verdict.WELL, (words.members_well(subject.id, members, scene.now_ns),))
    evidence = tuple(words.hangs_on(subject.id, name, scene.now_ns) for name in wrong)
    verdict = Verdict.BAD
    if all(state is State.DEAD for state in states):
        verdict = all_gone
    elif all(state in (State.DYING, State.DEAD) for state in states):
        verdict = Verdict.FAILING
    onsets = [found[name].onset_ns for name in wrong if found[name].onset_ns]
    befores = [found[name].before_ns for name in wrong if found[name].onset_ns]
    first = found[wrong[0]]
    return Finding(
        verdict, evidence, first.how, min(onsets, default=scene.now_ns), min(befores, default=scene.now_ns),
        0.0, len(wrong) == len(members),
    )  # fmt: skip


def _zone(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    told = _from_members(scene, subject, found, all_gone=Verdict.GONE)
    bad = sum(scene.states.get(name) in (State.SICK, State.DYING, State.DEAD) for name in subject.members)
    if told.bad and 2 * bad < len(subject.members):
        return Finding(Verdict.WELL, told.evidence)
    # Hosts of one zone that went together point at what they share.
    return replace(told, own=0.7 if bad >= 2 and bad == len(subject.members) else 0.0)


# --- hosts and volumes -----------------------------------------------------------------------------------


def _host(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    agent = scene.world.agents.get(subject.host)
    if agent is None or agent.rhythm.count < signals.MIN_HEARTBEATS:
        return Finding(
            Verdict.UNSEEN,
            (words.few_heartbeats(subject.id, agent.rhythm.count if agent else 0, scene.now_ns),),
        )
    phi = agent.rhythm.phi(scene.now)
    told = words.phi(subject.id, phi, agent.rhythm.silent_s(scene.now), scene.now_ns)
    if phi < PHI_DOUBT:
        return Finding(Verdict.WELL, (told,))
    if subject.host in scene.blind_hosts:
        return Finding(Verdict.UNSEEN, (told, words.silent(subject.host, scene.now_ns)))
    if phi < PHI_DEAD:
        return Finding(Verdict.DOUBT, (told,), "unreachable", agent.at_ns, agent.at_ns)
    asked = [
        one
        for name in subject.members
        for one in _fresh(scene, scene.world.probes.get(name) or Probes())
        if one.at_ns > agent.at_ns
    ]
    if not asked or any(one.ok for one in asked):
        return Finding(Verdict.UNSEEN, (told, words.agent_silent(subject.id, bool(asked), scene.now_ns)))
    witnesses = {one.vantage for one in asked}
    verdict = Verdict.GONE if len(witnesses) >= 2 else Verdict.BAD
    evidence = (told, *(words.probe_failed(subject.label, one) for one in asked[:4]))
    how = "dead" if verdict is Verdict.GONE else "unreachable"
    return Finding(verdict, evidence, how, agent.at_ns, agent.at_ns, 1.0, True)


def _volume(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    reading = scene.world.volumes.get(subject.id)
    if reading is None or scene.now - reading.at > FRESH_S:
        return Finding(Verdict.UNSEEN, (words.nothing_fresh(subject.id, scene.now_ns),))
    told = words.used(subject.id, reading)
    if reading.full:
        return Finding(Verdict.BAD, (told,), "full", reading.since_ns, reading.before_ns, 1.0, True)
    left = full_in(reading)
    if left < scene.rescue_s.get(subject.id, RESCUE_S) and reading.share >= 0.7:
        return Finding(
            Verdict.FAILING, (told, words.fills(subject.id, left, scene.now_ns)), "filling",
            reading.at_ns, reading.at_ns, 0.8,
        )  # fmt: skip
    # Out again below what let it in, so that a volume at the brink does not flap.
    return Finding(Verdict.WELL if reading.share < FULL - 0.02 else Verdict.FAIR, (told,))


def full_in(reading: Measured) -> float:
    """Seconds until a volume is full at its pace of the last minutes (Theil–Sen); inf where it does not fill."""
    points = list(reading.used)
    if len(points) < 5 or points[-1][0] - points[0][0] < 20:
        return float("inf")
    return signals.time_to(points, FULL)


def blind_hosts(world: World, hosts: Sequence[str], excused: frozenset[str], now: float) -> frozenset[str]:
    """Hosts that fell silent together: half or more of at least four behind this server. Then it is the observer.

    `excused` are those whose silence a known culprit explains.
    """
    counted = [
        host
        for host in hosts
        if host not in excused
        and host in world.agents
        and world.agents[host].rhythm.count >= signals.MIN_HEARTBEATS
    ]
    silent = [host for host in counted if world.agents[host].rhythm.phi(now) >= PHI_DOUBT]
    return frozenset(silent) if len(counted) >= 4 and 2 * len(silent) >= len(counted) else frozenset()


def server_is_blind(world: World, now: float) -> bool:
    """Whether the server's own vantage point fails where agents' do not, for half of at least four entities."""
    both = differ = 0
    for probes in world.probes.values():
        fresh = [one for one in probes.latest.values() if now - one.at <= FRESH_S]
        own = [one for one in fresh if one.vantage == SERVER]
        theirs = [one for one in fresh if one.vantage != SERVER]
        if own and theirs:
            both += 1
            differ += not own[0].ok and all(one.ok for one in theirs)
    return both >= 4 and 2 * differ >= both


KINDS: dict[str, Callable[[Scene, Subject, Mapping[EntityId, Finding]], Finding]] = {
    "host": _host,
    "volume": _volume,
    "replica": _replica,
    "service": _service,
    "tenant": _tenant,
    "zone": _zone,
}
