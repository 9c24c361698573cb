"""The graph as pages walk it: who depends on whom, in both directions. Pure; built once a graph.

An edge's source depends on its target; `part_of` alone is turned round, because a whole depends on its parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.base.ids import kind_of
from weatherglass.site.graph import DEPENDS, Graph

Edge = tuple[str, str, str]
"""(what depends, relation, on what)."""


@dataclass(frozen=True)
class Web:
    """Adjacency of one graph. `below[x]`: what x depends on; `above[x]`: what depends on x."""

    entities: Mapping[str, Any]
    edges: tuple[Edge, ...]
    below: Mapping[str, tuple[tuple[str, str], ...]]
    above: Mapping[str, tuple[tuple[str, str], ...]]
    of_kind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def depends_on(self, entity: str) -> tuple[tuple[str, str], ...]:
        """(relation, entity) of what `entity` needs directly."""
        return self.below.get(entity, ())

    def dependants(self, entity: str) -> tuple[tuple[str, str], ...]:
        """(relation, entity) of what needs `entity` directly."""
        return self.above.get(entity, ())

    def reach(self, start: str, *, up: bool) -> set[str]:
        """All that depends on `start` (`up`), or all it depends on; without `start`."""
        table, found, todo = (self.above if up else self.below), {start}, [start]
        while todo:
            for _, near in table.get(todo.pop(), ()):
                if near not in found:
                    found.add(near)
                    todo.append(near)
        return found - {start}

    def blast(self, entity: str) -> dict[str, int]:
        """How many of each kind would feel `entity` go."""
        counts: dict[str, int] = defaultdict(int)
        for other in self.reach(entity, up=True):
            counts[kind_of(other)] += 1
        return counts


def weave(graph: Graph) -> Web:
    """The Web of a graph."""
    below: dict[str, list[tuple[str, str]]] = defaultdict(list)
    above: dict[str, list[tuple[str, str]]] = defaultdict(list)
    kinds: dict[str, list[str]] = defaultdict(list)
    edges: list[Edge] = []
    for edge in graph.edges:
        source, relation, target = edge.source, edge.relation, edge.target
        if DEPENDS.get(relation, "source") == "target":
            source, target = target, source
        edges.append((source, relation, target))
        below[source].append((relation, target))
        above[target].append((relation, source))
    for id in graph.entities:
        kinds[kind_of(id)].append(id)
    return Web(
        entities={str(id): entity for id, entity in graph.entities.items()},
        edges=tuple(edges),
        below={id: tuple(near) for id, near in below.items()},
        above={id: tuple(near) for id, near in above.items()},
        of_kind={kind: tuple(sorted(ids)) for kind, ids in kinds.items()},
    )


def visible(web: Web, tenant: str) -> frozenset[str]:
    """What one tenant may see: itself, what it holds, and the services it uses; nothing below, nobody beside."""
    own = f"tenant/{tenant}"
    uses = {target for _, target in web.depends_on(own) if kind_of(target) in ("service", "network", "share")}
    return frozenset({own} | uses)


def restrict(web: Web, ids: Iterable[str]) -> Web:
    """The part of the web between `ids`."""
    keep = set(ids)

    def inside(table: Mapping[str, tuple[tuple[str, str], ...]]) -> dict[str, tuple[tuple[str, str], ...]]:
        return {id: tuple(pair for pair in table.get(id, ()) if pair[1] in keep) for id in keep}

    kinds: dict[str, list[str]] = defaultdict(list)
    for id in sorted(keep & set(web.entities)):
        kinds[kind_of(id)].append(id)
    return Web(
        entities={id: web.entities[id] for id in keep if id in web.entities},
        edges=tuple(edge for edge in web.edges if edge[0] in keep and edge[2] in keep),
        below=inside(web.below),
        above=inside(web.above),
        of_kind={kind: tuple(ids) for kind, ids in kinds.items()},
    )
