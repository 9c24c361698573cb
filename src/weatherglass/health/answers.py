"""Replicas and whatever else answers: judged by what its host sees of it and by what its probes get. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from weatherglass.base.ids import EntityId, entity, kind_of, name_of, split_replica
from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import Running
from weatherglass.health import signals, words
from weatherglass.health.states import Verdict
from weatherglass.health.subjects import (
    FIRST_START_S,
    FRESH_S,
    HEALED,
    PHI_DEAD,
    SERVER,
    STRAINED,
    Finding,
    Scene,
    Subject,
)
from weatherglass.health.world import FULL, WINDOW_S, WINDOWS, Probed, Probes, Witnessed, bad_windows
from weatherglass.inventory import Evidence

FAILED_ENOUGH: Final = 3
"""Failed probes in five windows from which it fails; fewer are lost now and then on a machine under load."""


def fresh_probes(scene: Scene, probes: Probes) -> list[Probed]:
    return [
        one
        for one in probes.latest.values()
        if scene.now - one.at <= FRESH_S and not (scene.blind_server and one.vantage == SERVER)
    ]


def replica(scene: Scene, subject: Subject, found: Mapping[EntityId, Finding]) -> Finding:
    witness = scene.world.replicas.get(subject.id)
    probes = scene.world.probes.get(subject.id) or Probes()
    agent = scene.world.agents.get(subject.host)
    heard = witness is not None and agent is not None and agent.rhythm.phi(scene.now) < PHI_DEAD
    fresh = fresh_probes(scene, probes)
    if witness is None or not heard:
        if fresh and any(not one.ok for one in fresh) and subject.host in scene.blind_hosts:
            return Finding(Verdict.UNSEEN, (words.silent(subject.host, scene.now_ns),))
        return answers(scene, subject, probes, fresh, found, None)
    if witness.seen.state in _WITNESSES:
        return _WITNESSES[witness.seen.state](subject, witness, probes, fresh)
    return answers(scene, subject, probes, fresh, found, witness)


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


def answers(
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
    hanging = _hanging(scene, subject, found, onset) if failed else {}
    # A good answer from before that broke on which it hangs says nothing of what is now.
    since = min(hanging.values(), default=0)
    if failed and all(not one.ok or one.at_ns < since for one in fresh):
        sure = len(failed) >= 2 and all(probes.bad_in_a_row.get(one.vantage, 0) >= 2 for one in failed)
        how, own = _how(failed, witness, bool(hanging))
        if sure or hanging:
            because = tuple(
                words.hangs_on(subject.id, parent, scene.now_ns, _alone(scene, parent)) for parent in hanging
            )
            return Finding(Verdict.BAD, (*evidence, *because), how, onset, before, own, True)
    if bad_windows(marks, scene.now) >= 3:
        how = _worse_than_promised(scene, subject, probes)
        own = 0.5 if any(one.signal in ("saturation", "anomaly") for one in told) else 0.4
        return Finding(
            Verdict.BAD, (*evidence, words.windows(bad_windows(marks, scene.now), scene.now_ns)),
            how, onset or scene.now_ns, before, own,
        )  # fmt: skip
    # Pressure alone does not keep from being well again what answers well again.
    if failed or (told and subject.id not in scene.outages):
        how = "failing" if failed else "slow" if _is_slow(subject, told) else STRAINED
        return Finding(Verdict.DOUBT, evidence, how, onset, before)
    if not subject.probed:
        looks = witness.looks if witness else 0
        good = words.runs(subject.id, witness) if witness else words.nothing_fresh(subject.id, scene.now_ns)
        return Finding(Verdict.WELL if looks >= HEALED and not starting else Verdict.FAIR, (good,))
    if not fresh:
        return Finding(Verdict.DOUBT, (words.nothing_fresh(subject.id, scene.now_ns),))
    well = probes.good_in_a_row >= HEALED
    return Finding(Verdict.WELL if well else Verdict.FAIR, (words.probes_good(subject.label, probes, fresh),))


def _alone(scene: Scene, name: EntityId) -> bool:
    """Whether it is the only replica of its service."""
    if kind_of(name) != "replica":
        return False
    whole = scene.subjects.get(entity("service", split_replica(name_of(name))[0]))
    return whole is not None and len(whole.members) == 1


def _hanging(
    scene: Scene, subject: Subject, found: Mapping[EntityId, Finding], onset_ns: int
) -> dict[EntityId, int]:
    """What it hangs on that went wrong no later than it, and when; the nearest alone where those are known yet.

    What answers again and is not yet well counts: who asked it a moment before has still to say so.
    """

    def began(name: EntityId) -> int:
        finding, probes = found.get(name), scene.world.probes.get(name)
        if finding is not None and finding.bad:
            return finding.onset_ns if finding.before_ns <= (onset_ns or scene.now_ns) else 0
        if name in scene.outages and probes is not None and probes.before_bad_ns <= onset_ns:
            return probes.first_bad_ns
        return 0

    near = {name: at_ns for name in scene.graph.parents(subject.id) if (at_ns := began(name))}
    far = {name: at_ns for name in scene.graph.upstream(subject.id) if (at_ns := began(name))}
    return near or dict(list(far.items())[:1])


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


def _worse_than_promised(scene: Scene, subject: Subject, probes: Probes) -> str:
    """What bad windows come to: answers that fail, answers that are late, or pressure that no answer shows yet."""
    counted = _counted(scene, probes, scene.now - WINDOWS * WINDOW_S)
    if sum(not one.ok for one in counted) >= FAILED_ENOUGH:
        return "failing"
    seconds, limit = [one.seconds for one in counted if one.ok], subject.objective.p95_s
    if len(seconds) >= 2 and limit is not None and signals.percentile(seconds, 0.95) > limit:
        return "slow"
    return STRAINED


def _is_slow(subject: Subject, told: Sequence[Evidence]) -> bool:
    return any(one.signal == "latency" and one.threshold == subject.objective.p95_s for one in told)


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
