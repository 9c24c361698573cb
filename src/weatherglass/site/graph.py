"""The graph of entities: what hangs on what, as declared (the inventory joins what was seen).

An edge reads as docs/site.md has it (`replica part_of service`, `service needs service`). For causes each edge has a
direction, `DEPENDS`: its source depends on its target, but for `part_of`, where the whole depends on its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.base.ids import KINDS, EntityId, entity
from weatherglass.site.model import Site
from weatherglass.site.section import all_sections

DEPENDS: dict[str, str] = {
    "runs_on": "source",
    "needs": "source",
    "member_of": "source",
    "attached_to": "source",
    "served_by": "source",
    "part_of": "target",
}
"""Which end of a relation depends on the other."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing of the cloud. `labels` are those its samples and events carry."""

    id: EntityId
    kind: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """`source relation target`, and where it is known from (`declared` or `seen`)."""

    source: EntityId
    relation: str
    target: EntityId
    known_from: str = "declared"


@dataclass(frozen=True)
class Graph:
    """Entities and edges; never changed, so that what is derived is kept."""

    entities: Mapping[EntityId, Entity]
    edges: tuple[Edge, ...]

    @cached_property
    def _parents(self) -> dict[EntityId, tuple[EntityId, ...]]:
        found: dict[EntityId, dict[EntityId, None]] = {name: {} for name in self.entities}
        whole: dict[EntityId, list[EntityId]] = {}
        needs: dict[EntityId, list[EntityId]] = {}
        for edge in self.edges:
            if edge.source not in found or edge.target not in found:
                continue
            if DEPENDS.get(edge.relation, "source") == "source":
                found[edge.source][edge.target] = None
            else:
                found[edge.target][edge.source] = None
                whole.setdefault(edge.source, []).append(edge.target)
            if edge.relation == "needs":
                needs.setdefault(edge.source, []).append(edge.target)
        # What a whole needs, each of its parts needs: keystone.1 cannot do without mariadb either.
        for part, wholes in whole.items():
            for one in wholes:
                found[part].update(dict.fromkeys(needs.get(one, ())))
        return {name: tuple(parents) for name, parents in found.items()}

    @cached_property
    def _children(self) -> dict[EntityId, tuple[EntityId, ...]]:
        found: dict[EntityId, list[EntityId]] = {name: [] for name in self.entities}
        for child, parents in self._parents.items():
            for parent in parents:
                found[parent].append(child)
        return {name: tuple(children) for name, children in found.items()}

    def parents(self, entity_id: EntityId) -> tuple[EntityId, ...]:
        """What it depends on, one step away; for a replica also what its service needs."""
        return self._parents.get(entity_id, ())

    def children(self, entity_id: EntityId) -> tuple[EntityId, ...]:
        """What depends on it, one step away."""
        return self._children.get(entity_id, ())

    def upstream(self, entity_id: EntityId) -> tuple[EntityId, ...]:
        """All it depends on, nearest first, without itself."""
        return _reach(entity_id, self._parents)

    def downstream(self, entity_id: EntityId) -> tuple[EntityId, ...]:
        """All that depends on it, nearest first, without itself."""
        return _reach(entity_id, self._children)

    def cycles(self) -> list[tuple[EntityId, ...]]:
        """Cycles of dependence, each once, from its least member; none in a declared graph."""
        import networkx as nx  # here alone: what only reads a graph should not wait for it

        whole = nx.DiGraph((child, parent) for child, parents in self._parents.items() for parent in parents)
        found = []
        for group in nx.strongly_connected_components(whole):
            if len(group) > 1 or any(whole.has_edge(one, one) for one in group):
                cycle = nx.find_cycle(whole.subgraph(group), min(group))
                found.append(tuple(source for source, _ in cycle))
        return sorted(found)


def _reach(start: EntityId, steps: Mapping[EntityId, tuple[EntityId, ...]]) -> tuple[EntityId, ...]:
    found: dict[EntityId, None] = {start: None}
    front: Iterable[EntityId] = (start,)
    while front:
        following = []
        for one in front:
            for other in steps.get(one, ()):
                if other not in found:
                    found[other] = None
                    following.append(other)
        front = following
    return tuple(found)[1:]


def graph(site: Site) -> Graph:
    """The declared graph of a site."""
    entities: dict[EntityId, Entity] = {}
    edges: dict[Edge, None] = {}
    for section in all_sections().values():
        if section.entities:
            found, joined = section.entities(site)
            entities.update((one.id, one) for one in found)
            edges.update(dict.fromkeys(joined))
    return Graph(entities, tuple(edges))


_FINDS = ("entity", "volume", "replica", "service", "host", "zone")
"""Labels by which an entity is found, the most particular first. `tenant` is a partition, not a label."""


def entity_of(labels: Mapping[str, str]) -> EntityId | None:
    """The entity that a sample, event or span with these labels belongs to; None where they name none."""
    for label in _FINDS:
        value = labels.get(label, "")
        if not value:
            continue
        kind, name = value.partition("/")[::2] if label == "entity" else (label, value)
        if kind in KINDS and name:
            try:
                return entity(kind, name)
            except Invalid:
                continue
    return None
