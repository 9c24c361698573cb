"""Whom a drill hits: the store, read off the site's graph. Pure.

The store is the service that most others need, directly or through others, and that itself needs none; or the
one that is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.base.ids import EntityId, entity, kind_of, name_of, split_replica


@dataclass(frozen=True, slots=True)
class Target:
    """One replica of the store, with what is beneath it and what hangs on it (nearest first)."""

    service: EntityId
    replica: EntityId
    host: str
    volumes: tuple[EntityId, ...]
    services: tuple[EntityId, ...]
    tenants: tuple[EntityId, ...]

    @property
    def volume(self) -> EntityId:
        """The sized volume that its data lies on. Raises Invalid where it has none."""
        if not self.volumes:
            raise Invalid(
                f"{name_of(self.service)} has no sized volume",
                where=self.service,
                mend="give it one in the site (volumes: {data: {size: 1GiB, max: 2GiB}}), or name another --service",
            )
        return self.volumes[0]


@dataclass(frozen=True, slots=True)
class Edges:
    """The graph's edges by relation: who depends on whom."""

    needs: Mapping[str, tuple[str, ...]]
    attached: Mapping[str, tuple[str, ...]]

    def dependants(self, of: str) -> tuple[EntityId, ...]:
        """All that need `of`, directly or through others; the nearest first."""
        found: dict[str, None] = {}
        front = [of]
        while front:
            front = [
                source
                for source, targets in sorted(self.needs.items())
                if source not in found and source != of and not set(targets).isdisjoint(front)
            ]
            found.update(dict.fromkeys(front))
        return tuple(map(EntityId, found))


def choose(graph: Mapping[str, Any], service: str = "") -> Target:
    """The target in a graph as `/api/v1/graph` tells it. Raises NotFound, Invalid."""
    entities = {str(one["id"]): one for one in graph["entities"]}
    edges = _edges(graph["edges"])
    services = [name for name in entities if kind_of(name) == "service"]
    store = _named(service, services) if service else _deepest(services, edges)
    replicas = sorted(
        name
        for name in entities
        if kind_of(name) == "replica" and split_replica(name_of(name))[0] == name_of(store)
    )
    if not replicas:
        raise Invalid(f"{name_of(store)} has no replica", where=store)
    replica = replicas[0]
    hanging = edges.dependants(store)
    return Target(
        service=EntityId(store),
        replica=EntityId(replica),
        host=str(entities[replica]["labels"].get("host") or split_replica(name_of(replica))[2]),
        volumes=tuple(
            EntityId(name)
            for name in edges.attached.get(replica, ())
            if entities.get(name, {}).get("attributes", {}).get("size")
        ),
        services=tuple(name for name in hanging if kind_of(name) == "service"),
        tenants=tuple(name for name in hanging if kind_of(name) == "tenant"),
    )


def _named(service: str, services: Iterable[str]) -> str:
    wanted = entity("service", service.removeprefix("service/"))
    if wanted not in services:
        names = ", ".join(sorted(map(name_of, services))) or "none"
        raise NotFound(
            f"there is no service {name_of(wanted)}", where="--service", mend=f"there are: {names}"
        )
    return wanted


def _deepest(services: Iterable[str], edges: Edges) -> str:
    found = [
        (len(edges.dependants(name)), name)
        for name in services
        if not any(kind_of(one) == "service" for one in edges.needs.get(name, ()))
    ]
    found = [one for one in found if one[0]]
    if not found:
        raise NotFound(
            "no service is needed by another: there is no store to break",
            mend="declare `needs:` in the site, or name one with --service",
        )
    return max(found, key=lambda one: (one[0], one[1]))[1]


def _edges(told: Iterable[Mapping[str, Any]]) -> Edges:
    tables: dict[str, dict[str, list[str]]] = {"needs": {}, "attached_to": {}}
    for edge in told:
        table = tables.get(str(edge["relation"]))
        if table is not None:
            table.setdefault(str(edge["source"]), []).append(str(edge["target"]))
    frozen = {
        relation: {source: tuple(sorted(targets)) for source, targets in table.items()}
        for relation, table in tables.items()
    }
    return Edges(frozen["needs"], frozen["attached_to"])
