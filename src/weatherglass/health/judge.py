"""What the evidence says of each entity now: one function a kind, from observations to a `Finding`. Pure.

Replicas are in `answers.py`; here are those judged by their members, and hosts and volumes. What a finding makes of
the state is in `states.py`, what caused it in `causes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from weatherglass.base.ids import EntityId
from weatherglass.health import signals, words
from weatherglass.health.answers import answers, fresh_probes, replica, window_is_bad
from weatherglass.health.states import Verdict
from weatherglass.health.subjects import (
    BAD_VERDICTS,
    FRESH_S,
    PHI_DEAD,
    PHI_DOUBT,
    RESCUE_S,
    SERVER,
    STRAINED,
    Finding,
    Scene,
    Subject,
    subjects,
)
from weatherglass.health.world import FULL, Measured, Probes, World
from weatherglass.inventory import State


def judge(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    """The finding on one entity; `found` has those of all it hangs on."""
    return KINDS[subject.kind](scene, subject, found)


# --- tenants, services and zones: by their members -------------------------------------------------------


def _tenant(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    probes = scene.world.probes.get(subject.id)
    if subject.probed:
        probes = probes or Probes()
        return answers(scene, subject, probes, fresh_probes(scene, probes), found, None)
    if not subject.members:
        return Finding(Verdict.WELL, (words.uses_nothing(subject.id, scene.now_ns),))
    return _from_members(scene, subject, found, all_gone=Verdict.BAD)


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
    alone = len(members) == 1
    evidence = tuple(words.hangs_on(subject.id, name, scene.now_ns, alone) for name in wrong)
    verdict = Verdict.BAD
    if all(state is State.DEAD for state in states):
        verdict = all_gone
    elif all(state in (State.DYING, State.DEAD) for state in states):
        verdict = Verdict.FAILING
    onsets = [found[name].onset_ns for name in wrong if found[name].onset_ns]
    befores = [found[name].before_ns for name in wrong if found[name].onset_ns]
    first = next((found[name] for name in wrong if found[name].patent), found[wrong[0]])
    return Finding(
        verdict, evidence, first.how, min(onsets, default=scene.now_ns), min(befores, default=scene.now_ns),
        0.0, len(wrong) == len(members) and first.how != STRAINED,
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
        for one in fresh_probes(scene, scene.world.probes.get(name) or Probes())
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


PACE_S: Final = 300.0
BELIEVED: Final = 10.0


def full_in(reading: Measured) -> float:
    """Seconds until a volume is full at its pace of the last minutes (Theil–Sen); inf where it does not fill.

    A pace seen for less than PACE_S is believed for BELIEVED times as long as it was seen: a service that has just
    begun writes its first files, which says nothing of the next hours.
    """
    points = list(reading.used)
    seen_s = points[-1][0] - points[0][0] if points else 0.0
    if len(points) < 5 or seen_s < 20:
        return float("inf")
    left = signals.time_to(points, FULL)
    return left if seen_s >= PACE_S or left <= BELIEVED * seen_s else float("inf")


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
    "replica": replica,
    "service": _service,
    "tenant": _tenant,
    "zone": _zone,
}

__all__ = [
    "BAD_VERDICTS", "Finding", "Scene", "Subject", "blind_hosts", "full_in", "judge", "server_is_blind", "subjects",
    "window_is_bad",
]  # fmt: skip
