"""Which remedy comes next for an incident, within the site's guard rails. Pure; asking is the room's.

Each remedy is asked once per cause, in the order of the service's `remedies`; the next one when the last has not
helped in time. What the site wants approved, and what is over its budget, is proposed and waits for a yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from weatherglass.base.ids import EntityId, kind_of, name_of, split_replica
from weatherglass.base.time import SECOND_NS
from weatherglass.health.judge import Finding
from weatherglass.inventory import Incident
from weatherglass.site import Graph, Site

ESCALATE_S: Final = 30.0
"""How long a remedy has to show that it helps."""
GROW_SHOWS_S: Final = 8.0
"""A larger volume helps at once or not before a restart: databases wait a minute before they look again."""
HEALABLE: Final = ("dead", "hung", "full", "filling", "failing")
"""What restarting or growing can mend; what is slow or out of reach is not made better by a restart."""
TRIED: Final = ("asked", "refused", "proposed", "approved", "missing")


@dataclass(frozen=True, slots=True)
class Step:
    """A remedy to ask for, or to propose (`waits` says why it needs a yes)."""

    remedy: str
    entity: EntityId
    waits: str = ""

    @property
    def action(self) -> str:
        return f"deploy.{self.remedy}"


def ladder(
    site: Site, graph: Graph, incident: Incident, findings: Mapping[EntityId, Finding]
) -> list[tuple[str, EntityId]]:
    """All that may help against the cause, in order."""
    if incident.kind not in HEALABLE or not incident.cause:
        return []
    cause = EntityId(incident.cause)
    if kind_of(cause) == "replica":
        service = site.services.get(split_replica(name_of(cause))[0])
        # A service's `grow` is its volume's, and is offered where that is the cause.
        return [(remedy, cause) for remedy in service.remedies if remedy != "grow"] if service else []
    if kind_of(cause) != "volume":
        return []
    volume = site.volumes.get(name_of(cause))
    steps = [("grow", cause)] if volume and volume.max > volume.size else []
    for replica in graph.children(cause):
        finding = findings.get(replica)
        if kind_of(replica) == "replica" and finding is not None and finding.bad:
            steps.append(("restart", replica))
    return steps


def next_step(
    site: Site,
    graph: Graph,
    incident: Incident,
    findings: Mapping[EntityId, Finding],
    used: int,
    now_ns: int,
) -> Step | None:
    """What to ask for or propose now; None while one is given its time, or nothing is left.

    `used` is how many remedies were asked for without a person's yes in the budget's span.
    """
    cause = findings.get(EntityId(incident.cause)) if incident.cause else None
    last = incident.remedies[-1] if incident.remedies else None
    if last is not None and last["state"] == "proposed":
        return None
    mended = cause is None or not cause.bad
    grown = last is not None and last["remedy"] == "grow"
    if mended and not grown:
        return None
    if last is not None and last["state"] in ("asked", "approved"):
        patience = GROW_SHOWS_S if grown else ESCALATE_S
        if now_ns - int(last["asked_ns"]) < patience * SECOND_NS:
            return None
    tried = {(str(one["remedy"]), str(one["entity"])) for one in incident.remedies}
    for remedy, entity in ladder(site, graph, incident, findings):
        if (remedy, entity) in tried:
            continue
        return Step(remedy, entity, _waits(site, remedy, used, findings.get(entity)))
    return None


def _waits(site: Site, remedy: str, used: int, finding: Finding | None) -> str:
    guard = site.remedies
    if remedy in guard.approve:
        return f"the site wants a yes before {remedy}"
    if used >= guard.budget:
        return f"the budget of {guard.budget} in {_span(guard.window_s)} is spent"
    if finding is not None and any("left alone until asked" in one.text for one in finding.evidence):
        return "it failed to start too often"
    return ""


def _span(seconds: float) -> str:
    return {60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}.get(seconds, f"{seconds:.0f} s")


def used(asked_ns: Sequence[int], window_s: float, now_ns: int) -> int:
    """How many of these instants lie in the budget's span."""
    return sum(now_ns - at_ns < window_s * SECOND_NS for at_ns in asked_ns)


def record(step: Step, now_ns: int, state: str, reason: str = "", reference: str = "") -> dict[str, Any]:
    """A remedy as an incident keeps it."""
    return {
        "remedy": step.remedy, "action": step.action, "entity": step.entity, "asked_ns": now_ns,
        "state": state, "reason": reason, "reference": reference, "took_s": 0.0, "who": "health",
    }  # fmt: skip
