"""A small layered drawing of a graph, made on the server: columns by depth, order by neighbours. Pure.

For a handful of nodes (an incident's spread, an entity's surroundings). The map's thousands go to elkjs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A node with its place."""

    id: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Boxes, and edges as paths from box to box (flow goes left to right)."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    paths: tuple[tuple[str, str, str], ...]


def depths(nodes: Sequence[str], flows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The longest way to each node along the flows; a cycle is cut where it would close."""
    inward: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in flows:
        if source in inward and target in inward and source != target:
            inward[target].append(source)
    found: dict[str, int] = {}

    def depth(node: str, path: frozenset[str]) -> int:
        if node in found:
            return found[node]
        before = [depth(near, path | {node}) for near in inward[node] if near not in path]
        found[node] = 1 + max(before, default=-1)
        return found[node]

    for node in nodes:
        depth(node, frozenset({node}))
    return found


def arrange(
    nodes: Sequence[str],
    flows: Sequence[tuple[str, str]],
    labels: Mapping[str, str],
    *,
    height: float = 36,
    gap_x: float = 34,
    gap_y: float = 16,
    most: float = 190,
) -> Layout:
    """Places nodes in columns by depth, each column ordered by the mean place of what flows into it."""
    depth = depths(nodes, flows)
    columns: dict[int, list[str]] = {}
    for node in nodes:
        columns.setdefault(depth[node], []).append(node)
    place: dict[str, float] = {}
    for level in sorted(columns):
        column = columns[level]
        weight = {
            node: _mean([place[s] for s, t in flows if t == node and s in place], column.index(node))
            for node in column
        }
        column.sort(key=lambda node: (weight[node], node))
        for row, node in enumerate(column):
            place[node] = row - (len(column) - 1) / 2
    tallest = max((len(column) for column in columns.values()), default=1)
    total_height = tallest * (height + gap_y) + gap_y
    boxes: dict[str, Box] = {}
    x = 2.0
    for level in sorted(columns):
        width = max(min(most, 26 + 7.0 * len(labels.get(node, node))) for node in columns[level])
        for node in columns[level]:
            y = total_height / 2 + place[node] * (height + gap_y) - height / 2
            boxes[node] = Box(node, round(x, 1), round(y, 1), round(width, 1), height)
        x += width + gap_x
    paths = tuple(
        (source, target, _curve(boxes[source], boxes[target]))
        for source, target in flows
        if source in boxes and target in boxes and source != target
    )
    return Layout(round(max(x - gap_x + 2, 60), 1), round(total_height, 1), tuple(boxes.values()), paths)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _curve(a: Box, b: Box) -> str:
    x1, y1, x2, y2 = a.x + a.width, a.y + a.height / 2, b.x - 3, b.y + b.height / 2
    bend = max(18.0, (x2 - x1) / 2)
    return f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
