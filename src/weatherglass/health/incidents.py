"""The life of an incident: it opens, spreads, has its cause named, recovers, closes. Pure: value to value.

Each function takes an `Incident` and what is known now, and gives the next one. Moments are written here, in plain
sentences with measured times; asking for remedies and keeping the result is the room's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from weatherglass.base import units
from weatherglass.base.ids import EntityId, kind_of, name_of, split_replica
from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import Entry
from weatherglass.health.causes import OWN_ENOUGH, Candidate, rank
from weatherglass.health.judge import Finding
from weatherglass.health.sentence import incident_parts, listed, own_service, spoken
from weatherglass.health.words import called, exit_text
from weatherglass.health.world import World
from weatherglass.inventory import Evidence, Incident, Moment, State
from weatherglass.site import Graph, Site

TOGETHER_S: Final = 0.1
"""Onsets closer than this cannot be told apart."""
ASKED_EVERY_S: Final = 5
"""While all is well a probe comes this often: what broke may be seen that much later than who hangs on it."""
QUIET_S: Final = 12.0
"""By then every vantage point has asked again: two calm periods and a time-out."""
GATHER_S: Final = 10.0
"""How long evidence is gathered before a cause without strong evidence of its own is named."""
CHANGES_S: Final = 600.0
"""How long before the first sign a change may lie to be named beside the cause."""
WRONG: Final = (State.SICK, State.DYING, State.DEAD)


@dataclass(frozen=True, slots=True)
class View:
    """What an incident is told from: the graph, the findings, the states after this look."""

    site: Site
    graph: Graph
    world: World
    findings: Mapping[EntityId, Finding]
    states: Mapping[EntityId, State]
    now_ns: int


def opened(number: int, group: Sequence[EntityId], view: View) -> Incident:
    """A new incident on what is wrong."""
    incident = Incident(id=number, opened_ns=view.now_ns, detected_ns=view.now_ns, onset_ns=view.now_ns)
    return spread(incident, group, view)


def spread(incident: Incident, group: Sequence[EntityId], view: View) -> Incident:
    """The incident with all of `group` in it, in order of onset; what joined is told."""
    spans = {**incident.spans}
    for name in group:
        if name not in spans:
            spans[name] = (_onset(view, name), 0)
        elif spans[name][1]:
            spans[name] = (spans[name][0], 0)  # wrong again before it was over
    starts = {EntityId(name): start for name, (start, _) in spans.items()}
    order = {name: (_since(view, name, starts), _rank(view, name)) for name in starts}
    joined = sorted((name for name in group if name not in incident.spans), key=lambda name: order[name])
    if spans == incident.spans:
        return incident
    # A probe that was under way when the fault came is dated by its start; nobody feels a fault before it is there.
    spans |= {name: (order[name][0], 0) for name in joined}
    onsets = {name: order[name][0] for name in joined}
    affected = sorted(starts, key=lambda name: order[name])
    following = replace(
        incident,
        affected=tuple(affected),
        tenants=tuple(name for name in affected if kind_of(name) == "tenant"),
        spans=spans,
        onset_ns=min(start for start, _ in order.values()),
        evidence={
            **incident.evidence,
            **{name: view.findings[name].evidence for name in joined if name in view.findings},
        },
    )
    if not incident.moments:
        return _first_sign(following, joined, onsets, view)
    if joined:
        following = _told(
            following,
            Moment(
                max(following.onset_ns, min(onsets.values())),
                "Spread",
                _followed(following, joined, onsets),
                tuple(joined),
            ),
        )
    return following


def _first_sign(
    incident: Incident, joined: Sequence[EntityId], onsets: Mapping[EntityId, int], view: View
) -> Incident:
    first = joined[0]
    evidence = view.findings[first].evidence if first in view.findings else ()
    text = evidence[0].text if evidence else f"{called(first)} is not well."
    same = [name for name in joined if _rank(view, name) == _rank(view, first) or own_service(first) == name]
    incident = _told(incident, Moment(incident.onset_ns, "First sign", text, (first,)))
    rest = [name for name in joined if name != first and name not in same]
    if not rest:
        return incident
    return _told(
        incident,
        Moment(min(onsets[name] for name in rest), "Spread", _followed(incident, rest, onsets), tuple(rest)),
    )


def _followed(incident: Incident, joined: Sequence[EntityId], onsets: Mapping[EntityId, int]) -> str:
    # A service speaks for its replicas.
    plain = [
        name
        for name in joined
        if kind_of(name) != "tenant" and (own_service(name) == name or own_service(name) not in joined)
    ]
    tenants = [name for name in joined if kind_of(name) == "tenant"]
    later = max(0, min(onsets[name] for name in joined) - incident.onset_ns) / SECOND_NS
    when = f"{units.duration(later)} after the first sign" if later >= TOGETHER_S else "at once"
    told = []
    if plain:
        told.append(f"{spoken(listed([called(name) for name in plain]))} followed {when}")
    if tenants:
        feel = "feels" if len(tenants) == 1 else "feel"
        told.append(f"{spoken(listed([called(name) for name in tenants]))} {feel} it")
    return f"{'; '.join(told)}."


def named(incident: Incident, view: View, changes: Sequence[Entry]) -> Incident:
    """The incident with its cause, once the evidence is enough; a deeper one replaces it while it lasts."""
    if incident.state != "open":
        return incident
    ranked = rank(
        view.graph, view.findings, [name for name in incident.affected if name in view.graph.entities]
    )
    if not ranked:
        return incident
    best = ranked[0]
    waited = view.now_ns - incident.opened_ns >= GATHER_S * SECOND_NS
    if not incident.cause:
        if best.own < OWN_ENOUGH and not waited:
            return incident
    elif (
        best.entity == incident.cause
        or best.own < OWN_ENOUGH
        or best.score <= incident.cause_score
        or best.entity not in view.graph.upstream(EntityId(incident.cause))
    ):
        return _sharper(incident, view)
    return _with_cause(incident, best, ranked, view, changes)


def _sharper(incident: Incident, view: View) -> Incident:
    """The same cause, seen better: what was hung has died, what had no exit code has one."""
    cause = EntityId(incident.cause)
    finding = view.findings.get(cause)
    if finding is None or not finding.bad:
        return incident
    graver = finding.how in ("dead", "full") and finding.how != incident.kind
    detail = _detail(view, cause, finding) if graver or finding.how == incident.kind else ""
    if graver or (detail and not incident.detail):
        return replace(incident, kind=finding.how, detail=detail)
    return incident


def _with_cause(
    incident: Incident, best: Candidate, ranked: Sequence[Candidate], view: View, changes: Sequence[Entry]
) -> Incident:
    finding = view.findings[best.entity]
    if best.entity not in incident.affected:
        incident = spread(incident, [best.entity], view)
    incident = replace(
        incident,
        cause=best.entity,
        cause_score=best.score,
        kind=finding.how,
        detail=_detail(view, best.entity, finding),
        evidence={**incident.evidence, best.entity: (*finding.evidence, *_changed(changes, incident))},
    )
    others = [one for one in ranked[1:3] if one.entity != own_service(best.entity)]
    text = [f"{called(best.entity)} ({best.score:.2f})"]
    text += [f"then {called(one.entity)} ({one.score:.2f})" for one in others]
    explained = len(best.explains) - 1
    why = f"{finding.evidence[0].text} " if finding.evidence else ""
    explains = (
        f"It explains {explained} other{'s' if explained > 1 else ''}, and none of what it hangs on began earlier. "
        if explained
        else ""
    )
    change = "".join(f"{one.text} " for one in _changed(changes, incident))
    took = units.duration((view.now_ns - incident.onset_ns) / SECOND_NS)
    told = f"{', '.join(text)}. {why}{explains}{change}Named {took} after the first sign."
    return _told(incident, Moment(view.now_ns, "Cause named", told, (best.entity,)))


_DID = {
    "apply": "applied",
    "rollback": "rolled back",
    "grow": "grew",
    "restart": "restarted",
    "migrate": "migrated",
    "deploy": "deployed",
    "fault": "made a fault on",
}
"""Changes that may be named beside a cause, as they are told."""


def _changed(changes: Sequence[Entry], incident: Incident) -> list[Evidence]:
    told: dict[tuple[str, str], Evidence] = {}
    for entry in changes:
        did = next(spoken for word, spoken in _DID.items() if word in entry.what)
        what = called(entry.entity) if "/" in entry.entity else "the site"
        before = units.duration(max(0, incident.onset_ns - entry.at_ns) / SECOND_NS)
        text = f"{entry.who} {did} {what} {before} before the first sign."
        told.setdefault((did, what), Evidence("change", text, None, None, "", entry.at_ns))
    return list(told.values())[:3]


def relevant(entries: Sequence[Entry], incident: Incident, graph: Graph) -> list[Entry]:
    """Changes made shortly before the first sign, on what is affected or what it hangs on."""
    near = {name for one in incident.affected for name in (one, *graph.upstream(one))}
    return [
        entry
        for entry in entries
        if entry.at_ns <= incident.onset_ns
        and incident.onset_ns - entry.at_ns <= CHANGES_S * SECOND_NS
        and entry.who != "health"
        and any(word in entry.what for word in _DID)
        and (entry.entity in near or "/" not in entry.entity or kind_of(entry.entity) == "site")
    ]


def _detail(view: View, cause: EntityId, finding: Finding) -> str:
    """The cause in brackets."""
    witness = view.world.replicas.get(cause)
    reading = view.world.volumes.get(cause)
    match finding.how:
        case "dead" if witness is not None:
            return exit_text(witness.seen.exit_code)
        case "hung":
            seen = any(one.signal == "witness" for one in finding.evidence)
            return "its process is stopped" if seen else "its process runs but does not answer"
        case "full" | "filling" if reading is not None:
            return "read-only" if reading.seen.read_only else f"{reading.share:.0%} in use"
        case "slow":
            slow = [one for one in finding.evidence if one.signal == "latency" and one.value is not None]
            return f"p95 {units.duration(slow[0].value or 0)}" if slow else ""
        case "failing":
            failed = [
                one.text for one in finding.evidence if one.signal == "probe" and "failed: " in one.text
            ]
            return failed[0].partition("failed: ")[2].rstrip(".") if failed else ""
    return ""


def watched(incident: Incident, view: View) -> Incident:
    """How far it has recovered: each affected by itself, then the whole; closed when all are healthy."""
    spans = dict(incident.spans)
    for name, (start, end) in incident.spans.items():
        state = view.states.get(EntityId(name))
        if state is State.HEALTHY and not end:
            spans[name] = (start, max(start, _healed(view, EntityId(name))))
        elif state in WRONG and end and _patent(view, EntityId(name)):
            spans[name] = (start, 0)
    if spans != incident.spans:
        incident = replace(incident, spans=spans)
    incident = _acted(incident, view)
    left = [name for name, (_, end) in spans.items() if not end and name in view.graph.entities]
    if left:
        mended = incident.cause and spans.get(incident.cause, (0, 1))[1]
        return replace(incident, state="recovering" if mended else "open", healed_ns=0)
    incident = replace(incident, state="recovering", healed_ns=incident.healed_ns or view.now_ns)
    if not _quiet(incident, view):
        return incident
    span = units.duration((incident.healed_ns - incident.onset_ns) / SECOND_NS)
    count = len(spans)
    text = f"3 good probes in a row on {'all ' if count > 1 else ''}{count} affected; {span} after the first sign."
    remedies = incident.remedies
    if remedies and remedies[-1]["state"] in ("asked", "approved"):
        remedies = (*remedies[:-1], {**remedies[-1], "helped": True})
    return _told(
        replace(incident, state="closed", closed_ns=view.now_ns, remedies=remedies),
        Moment(incident.healed_ns, "Recovered", text, tuple(map(EntityId, spans))),
    )


def _quiet(incident: Incident, view: View) -> bool:
    """Whether nothing that hangs on the cause is in doubt, and all of it that is asked was asked since.

    A remedy may be quicker than a probe that times out: whoever is still waiting for its answer may yet be ill.
    """
    near = [*incident.affected, *(view.graph.downstream(EntityId(incident.cause)) if incident.cause else ())]
    for name in near:
        finding, probes = view.findings.get(name), view.world.probes.get(name)
        if finding is not None and finding.patent:
            return False
        if probes is not None and view.now_ns - incident.healed_ns < QUIET_S * SECOND_NS:
            since = view.now_ns - int(QUIET_S * SECOND_NS)
            asked = [one.at_ns for one in probes.latest.values() if one.at_ns > since]
            if any(at_ns < incident.healed_ns for at_ns in asked):
                return False
    return True


def _acted(incident: Incident, view: View) -> Incident:
    """How long the last remedy took to show: a new process, a volume with room."""
    last = incident.remedies[-1] if incident.remedies else None
    if last is None or last["state"] not in ("asked", "approved") or last["took_s"]:
        return incident
    entity, asked_ns = EntityId(str(last["entity"])), int(last["asked_ns"])
    witness, reading = view.world.replicas.get(entity), view.world.volumes.get(entity)
    done_ns, text = 0, ""
    if witness is not None and witness.running_ns > asked_ns and witness.seen.state.value == "running":
        done_ns, text = witness.running_ns, f"{called(entity)} runs again"
    elif reading is not None and not reading.full and reading.eased_ns > asked_ns:
        done_ns, text = reading.eased_ns, f"{called(entity)} has room again ({reading.share:.0%} in use)"
    if not done_ns:
        return incident
    took = max(0.001, (done_ns - asked_ns) / SECOND_NS)
    incident = replace(incident, remedies=(*incident.remedies[:-1], {**last, "took_s": took}))
    return _told(
        incident,
        Moment(done_ns, "Remedy", f"{text} after {units.duration(took)}.", (entity,)),
    )


def remedied(incident: Incident, done: Mapping[str, Any], text: str, now_ns: int) -> Incident:
    """The incident with a remedy that was asked for or proposed."""
    incident = replace(incident, remedies=(*incident.remedies, dict(done)))
    return _told(incident, Moment(now_ns, "Remedy", text, (EntityId(str(done["entity"])),)))


def phrased(incident: Incident, site: Site, now_ns: int) -> Incident:
    """The incident with its sentence as it is to be said now."""
    service = (
        site.services.get(split_replica(name_of(incident.cause))[0])
        if kind_of(incident.cause) == "replica"
        else None
    )
    parts = incident_parts(incident, incident.detail, len(service.replicas) if service else 1, now_ns)
    return replace(incident, parts=parts, sentence=spoken(parts))


def _told(incident: Incident, moment: Moment) -> Incident:
    return replace(incident, moments=tuple(sorted((*incident.moments, moment), key=lambda one: one.at_ns)))


def _onset(view: View, name: EntityId) -> int:
    finding = view.findings.get(name)
    return (finding.onset_ns if finding else 0) or view.now_ns


def _since(view: View, name: EntityId, starts: Mapping[EntityId, int]) -> int:
    """An onset to put in order: not before that of what it hangs on and may have gone wrong by.

    Whoever is asked more often is seen wrong sooner. A database's end is told by its host, a moment after its
    client's probe has failed for it.
    """
    latest = starts[name]
    for deeper in view.graph.upstream(name):
        if deeper in starts and latest < starts[deeper]:
            finding = view.findings.get(deeper)
            before = finding.before_ns if finding and finding.before_ns else starts[deeper]
            if min(before, starts[deeper] - ASKED_EVERY_S * SECOND_NS) <= starts[name]:
                latest = starts[deeper]
    return latest


def _patent(view: View, name: EntityId) -> bool:
    finding = view.findings.get(name)
    return finding is not None and finding.patent


def _healed(view: View, name: EntityId) -> int:
    """When the good probes that last began; of what has none, when its parts' did."""
    probes = view.world.probes.get(name)
    if probes is None and kind_of(name) == "service":
        parts = [part for part in view.graph.parents(name) if kind_of(part) == "replica"]
        return max((_healed(view, part) for part in parts), default=view.now_ns)
    return probes.first_good_ns if probes and probes.good_in_a_row else view.now_ns


def _rank(view: View, name: EntityId) -> int:
    """How deep: what hangs on less comes first."""
    return len(view.graph.upstream(name))
