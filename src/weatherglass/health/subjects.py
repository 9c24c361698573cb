"""Who is judged, by what, in which order; and what a judgement is made of and results in. Values alone.

The definitions are those of docs/health.md. Entities are judged in the order of dependence, so that whoever is judged can look
at what it hangs on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from weatherglass.base.ids import EntityId
from weatherglass.health.states import Verdict
from weatherglass.health.world import World
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
STRAINED: Final = "strained"
"""Under pressure (PSI, errors, slower than usual) and still answering as promised: latent, not patent."""
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
    how: str = ""  # dead | hung | full | slow | failing | unreachable | filling | strained
    onset_ns: int = 0
    before_ns: int = 0
    own: float = 0.0
    outage: bool = False  # nothing of it works; else it is worse than promised

    @property
    def patent(self) -> bool:
        """Trouble that somebody has, not pressure alone: it opens incidents and is worth asking every second."""
        return bool(self.how) and self.how != STRAINED

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
        if "cloud" in one.labels and "site" not in one.labels:
            continue  # of a cloud that is only watched: how it is, its own services say
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
