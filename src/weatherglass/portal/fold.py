"""What the map draws: the graph with replicas drawn into their edges, folded until a person can read it. Pure.

What is ill stays in sight; what is well folds into groups by kind and zone once there is too much of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from weatherglass.base.ids import kind_of, name_of
from weatherglass.portal.web import Web
from weatherglass.portal.words import GRAVITY, STATES, plural

LAYERS = ("zone", "device", "host", "volume", "service", "tenant")
"""The order of the columns, from what carries to what is carried."""

READABLE = 26
"""More of one kind than this are folded."""

ILL_AT_MOST = 40


@dataclass(frozen=True)
class Node:
    """A box of the map: an entity, or a group of `size` of them."""

    id: str
    label: str
    kind: str
    state: str
    size: int = 1


@dataclass(frozen=True)
class Folded:
    """Boxes, and flows of effect between them (from what is depended on to what depends)."""

    nodes: tuple[Node, ...]
    flows: tuple[tuple[str, str], ...]
    hidden: int = 0


def fold(web: Web, ids: Iterable[str], state: Callable[[str], str], *, whole: bool = False) -> Folded:
    """The map of `ids`. `whole` keeps replicas as boxes of their own (a focus on little)."""
    keep = set(ids)
    bridges = set() if whole else {id for id in keep if kind_of(id) in ("replica", "container")}
    shown = keep - bridges
    into: dict[str, str] = {}
    nodes: list[Node] = []
    by_kind: dict[str, list[str]] = defaultdict(list)
    for id in sorted(shown):
        by_kind[kind_of(id)].append(id)
    for kind, members in by_kind.items():
        if len(members) <= READABLE:
            alone, folded = members, []
        else:
            ill = sorted((m for m in members if state(m) != "healthy"), key=lambda m: (-GRAVITY[state(m)], m))
            alone = ill[:ILL_AT_MOST]
            apart = set(alone)
            folded = [m for m in members if m not in apart]
        for id in alone:
            into[id] = id
            nodes.append(Node(id, name_of(id), kind, state(id)))
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for id in folded:
            groups[(_zone(web, id), state(id))].append(id)
        for (zone, mood), group in sorted(groups.items()):
            name = f"group/{kind}/{zone}/{mood}"
            label = plural(len(group), kind) + (f", {zone}" if zone else "")
            nodes.append(Node(name, label, kind, mood, len(group)))
            into.update(dict.fromkeys(group, name))
    return Folded(tuple(nodes), tuple(sorted(_flows(web, keep, bridges, into))), len(bridges))


def _zone(web: Web, id: str) -> str:
    if kind_of(id) != "host":
        return ""
    return next((name_of(near) for _, near in web.depends_on(id) if kind_of(near) == "zone"), "")


def _flows(web: Web, keep: set[str], bridges: set[str], into: Mapping[str, str]) -> set[tuple[str, str]]:
    """Flows between boxes; one that led through a replica leads through it still (host → service)."""
    found: set[tuple[str, str]] = set()

    def join(below: str, above: str) -> None:
        a, b = into.get(below), into.get(above)
        if a and b and a != b:
            found.add((a, b))

    for source, _, target in web.edges:
        if source not in keep or target not in keep or target in bridges:
            continue
        if source in bridges:
            for _, owner in web.dependants(source):
                join(target, owner)
        else:
            join(target, source)
    return found


def tally(ids: Iterable[str], state: Callable[[str], str]) -> dict[str, int]:
    """How many of each state, none left out."""
    return {**dict.fromkeys(STATES, 0), **Counter(state(id) for id in ids)}
