"""Which entity explains the others: candidates with evidence of their own, walked on the graph. Pure.

The cause is the deepest entity, along what the affected depend on, whose own evidence explains its dependants:
its onset is no later than theirs, and nothing it hangs on itself explains it. Learned graphs do no better than
chance (docs/health.md); the declared one is what we have and peers have not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from weatherglass.base.ids import EntityId, kind_of
from weatherglass.health.judge import Finding
from weatherglass.site import Graph

EXPLAINED_AWAY = 0.3
"""What is left of a candidate's score when something it hangs on explains it."""
OWN_ENOUGH = 0.6
"""Own evidence from which a cause is named at once; below, evidence is gathered first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible cause, what of the affected it explains, and how well (0…1)."""

    entity: EntityId
    score: float
    explains: tuple[EntityId, ...]
    own: float


def rank(
    graph: Graph, findings: Mapping[EntityId, Finding], affected: Collection[EntityId]
) -> list[Candidate]:
    """Candidates for what the affected have in common, the best first; empty when nothing is affected.

    A candidate is anything wrong among the affected and what they hang on. Scores are own evidence × the share of
    the affected that it explains, and less where a parent of it explains it in turn.
    """
    pool: dict[EntityId, Finding] = {}
    for one in affected:
        for name in (one, *graph.upstream(one)):
            if name in findings and _suspect(findings[name]):
                pool[name] = findings[name]
    reach = {name: {name, *graph.downstream(name)} for name in pool}
    found = []
    for name, finding in pool.items():
        explains = [
            other
            for other in affected
            if other in reach[name] and (other not in findings or _no_later(finding, findings[other]))
        ]
        if not explains:
            continue
        own = finding.own or 0.05
        deeper = [
            other
            for other in pool
            if other != name
            and name in reach[other]
            and pool[other].own >= 0.5
            and _no_later(pool[other], finding)
        ]
        score = own * len(explains) / len(affected) * (EXPLAINED_AWAY if deeper else 1.0)
        found.append(Candidate(name, round(score, 3), tuple(explains), finding.own))
    depth = {one.entity: len(graph.upstream(one.entity)) for one in found}
    return sorted(
        found,
        key=lambda one: (
            -one.score,
            findings[one.entity].onset_ns,
            depth[one.entity],
            _breadth(one.entity),
            one.entity,
        ),
    )


def _suspect(finding: Finding) -> bool:
    """Wrong for sure, or in doubt by strong evidence of its own (a process that is gone, not yet probed)."""
    return finding.bad or finding.own >= 0.8


def _no_later(cause: Finding, effect: Finding) -> bool:
    """Whether one can have begun before the other: it was last seen right before the other was seen wrong."""
    return not effect.onset_ns or cause.before_ns <= effect.onset_ns


def _breadth(entity: EntityId) -> int:
    """A replica is nearer to the truth than the service that is made of it."""
    return {"device": 0, "volume": 0, "host": 1, "replica": 2, "zone": 3, "service": 4, "tenant": 5}.get(
        kind_of(entity), 6
    )


def groups(graph: Graph, wrong: Sequence[EntityId]) -> list[list[EntityId]]:
    """The wrong ones, put together where one hangs on another, directly or through what is not wrong."""
    left, found = dict.fromkeys(wrong), []
    reach = {name: {name, *graph.upstream(name)} for name in wrong}
    while left:
        start = next(iter(left))
        group, front = {start: None}, [start]
        del left[start]
        while front:
            one = front.pop()
            near = [other for other in left if other in reach[one] or one in reach[other]]
            for other in near:
                del left[other]
                group[other] = None
            front += near
        found.append([name for name in wrong if name in group])
    return found
