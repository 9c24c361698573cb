"""Two lenses on one truth: who may see the site sees all, a tenant's people see what they use and nothing else. Pure.

A tenant sees itself and the services (shares, networks, volumes …) one step from it, not what these rest on; of
an incident that touched it, what happened to these. The sentence is put together anew, for the house's own may
name other tenants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from weatherglass.base.ids import SITE_TENANT, EntityId, entity, name_of
from weatherglass.engine.protocols import Principal
from weatherglass.inventory import Evidence, Incident, StateRecord
from weatherglass.site import Graph


@dataclass(frozen=True, slots=True)
class Lens:
    """What one principal sees. `seen` None is everything."""

    seen: frozenset[str] | None

    def sees(self, entity_id: str) -> bool:
        return self.seen is None or entity_id in self.seen

    def entities(self, ids: Iterable[EntityId]) -> tuple[EntityId, ...]:
        return tuple(one for one in ids if self.sees(one))

    def graph(self, graph: Graph) -> Graph:
        if self.seen is None:
            return graph
        return Graph(
            {id: one for id, one in graph.entities.items() if self.sees(id)},
            tuple(edge for edge in graph.edges if self.sees(edge.source) and self.sees(edge.target)),
        )

    def state(self, record: StateRecord) -> StateRecord:
        """Evidence of what it rests on is the operator's; that it is sick is the tenant's too."""
        if self.seen is None:
            return record
        because = record.because if self.sees(record.because) else ""
        return replace(record, because=because, evidence=_plain(record.evidence))

    def incident(self, incident: Incident) -> Incident | None:
        """The incident as it is seen, or None when it touched nothing of this lens."""
        if self.seen is None:
            return incident
        affected, tenants = self.entities(incident.affected), self.entities(incident.tenants)
        if not affected and not tenants:
            return None
        touched = affected or tenants
        names = ", ".join(name_of(one) for one in touched)
        verb = "was" if incident.closed_ns else "is"
        sentence = f"{names} {verb} not well."
        parts: list[Any] = [(str(one), name_of(one)) for one in touched]
        return replace(
            incident,
            cause=incident.cause if self.sees(incident.cause) else "",
            affected=affected,
            tenants=tenants,
            moments=tuple(
                replace(moment, text="")
                for moment in incident.moments
                if moment.entities and all(map(self.sees, moment.entities))
            ),
            evidence={id: _plain(of) for id, of in incident.evidence.items() if self.sees(id)},
            remedies=(),
            sentence=sentence,
            parts=(*[piece for part in parts for piece in (part, ", ")][:-1], f" {verb} not well."),
        )

    def message(self, body: Any) -> bool:
        """Whether a message of the bus concerns something that is seen."""
        if self.seen is None:
            return True
        named = [body.get("entity", ""), *body.get("entities", ()), *body.get("tenants", ())]
        return any(one and self.sees(str(one)) for one in named)


def _plain(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """The evidence that names nothing beneath: what was asked from outside."""
    return tuple(one for one in evidence if one.signal == "probe")


def lens(principal: Principal, graph: Graph) -> Lens:
    """What `principal` sees of `graph`."""
    if principal.may_see(SITE_TENANT):
        return Lens(None)
    own = [entity("tenant", tenant) for tenant in principal.tenants]
    used = (target for one in own for target in graph.parents(one))
    return Lens(frozenset(map(str, (*own, *used))))
