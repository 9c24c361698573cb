"""`groupby`: resources in groups of equal attributes, and with `use_history` as they were at each time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from weatherglass.metrics.gnocchi.crossing import Measure
from weatherglass.metrics.gnocchi.model import Resource
from weatherglass.metrics.gnocchi.times import isos

Group = tuple[tuple[str, Any], ...]


def grouped(
    resources: Iterable[Resource], by: Sequence[str]
) -> Iterator[tuple[dict[str, Any], list[Resource]]]:
    """Neighbours of equal attributes; the resources come sorted by them."""

    def key(resource: Resource) -> Group:
        shown = resource.shown()
        return tuple((name, shown[name]) for name in by)

    for group, members in groupby(resources, key):
        yield dict(group), list(members)


@dataclass(slots=True)
class Window:
    """A revision of a resource and the span (ns) in which it counts within the question's."""

    resource: Resource
    start_ns: int | None
    stop_ns: int | None


def windows(revisions: Iterable[Resource], start_ns: int | None, stop_ns: int | None) -> list[Window]:
    """Each revision from its beginning to its end; the first one of a resource from the question's beginning."""
    ordered = sorted(revisions, key=lambda one: (one.original_resource_id, one.revision_start))
    found: list[Window] = []
    last = None
    for one in ordered:
        start: int | None = one.revision_start * 1000
        stop = None if one.revision_end is None else one.revision_end * 1000
        if one.original_resource_id != last:
            start = start_ns
        elif start_ns is not None:
            start = max(start or 0, start_ns)
        if stop_ns is not None:
            stop = stop_ns if stop is None else min(stop, stop_ns)
        found.append(Window(one, start, stop))
        last = one.original_resource_id
    return found


def in_groups(found: Iterable[Window], by: Sequence[str]) -> list[tuple[dict[str, Any], list[Window]]]:
    """Windows by equal attributes of their revisions; those of one beginning are one."""
    groups: dict[Group, list[Window]] = defaultdict(list)
    for one in found:
        shown = one.resource.shown()
        groups[tuple((name, shown[name]) for name in by)].append(one)
    ordered = sorted(groups.items(), key=lambda item: [str(value or "") for _, value in item[0]])
    return [(dict(group), _joined(members)) for group, members in ordered]


def _joined(members: list[Window]) -> list[Window]:
    kept: list[Window] = []
    for one in sorted(members, key=lambda window: window.start_ns or 0):
        if kept and kept[-1].start_ns == one.start_ns and kept[-1].resource.id == one.resource.id:
            kept[-1].stop_ns = one.stop_ns
        else:
            kept.append(one)
    return kept


def weighed(measures: Iterable[Measure], start_ns: int | None, stop_ns: int | None) -> list[Measure]:
    """Measures by the share of their granularity that lies within a window (a resource that changed amid a point
    counts in part on either side)."""
    found = []
    listed = list(measures)
    for (moment, step, value), at in zip(listed, isos([one[0][:-6] for one in listed]).tolist(), strict=True):
        width = round(step * 1e9)
        begins = at if start_ns is None else max(start_ns, at)
        ends = at + width if stop_ns is None else min(stop_ns, at + width)
        found.append((moment, step, value * ((ends - begins) / width)))
    return found


def summed(measures: Iterable[Measure]) -> list[Measure]:
    """Neighbours of one instant and granularity added up: two revisions within one point, or two resources."""
    found: list[Measure] = []
    for moment, step, value in measures:
        if found and found[-1][0] == moment:
            value += found.pop()[2]
        found.append((moment, step, value))
    return found


def answered(group: Mapping[str, Any], measures: Any, references: Any = None) -> dict[str, Any]:
    """One group as it is answered."""
    inner: dict[str, Any] = {"measures": measures}
    if references is not None:
        inner["references"] = references
    return {"group": dict(group), "measures": inner}
