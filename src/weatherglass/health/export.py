"""Health's own samples: states, probes, threats as series of tenant `site`. Pure; appending is the room's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from weatherglass.base.ids import EntityId
from weatherglass.base.time import MS_NS
from weatherglass.engine.protocols import Labels, ProbeResult, Samples, VolumeSeen
from weatherglass.inventory import State
from weatherglass.site import Graph


def _labels(graph: Graph, entity: EntityId, name: str, **more: str) -> Labels:
    known = graph.entities.get(entity)
    pairs = {**(known.labels if known else {}), "__name__": name, "entity": entity, **more}
    return tuple(sorted((key, value) for key, value in pairs.items() if value))


def states(graph: Graph, held: Mapping[EntityId, State], now_ns: int) -> Samples:
    """`weatherglass_state{entity,state}`: 1 for the state that holds, 0 for the other four."""
    series, values = [], []
    for entity, state in held.items():
        for one in State:
            series.append(_labels(graph, entity, "weatherglass_state", state=one.value))
            values.append((1.0 if one is state else 0.0,))
    return Samples(series, [(now_ns // MS_NS,)] * len(series), values)


def probes(graph: Graph, results: Iterable[ProbeResult]) -> Samples:
    """`weatherglass_probe_seconds` and `weatherglass_probe_success`, by entity and vantage point."""
    points: dict[Labels, dict[int, float]] = {}
    for one in results:
        entity, at_ms = EntityId(one.entity), one.at_ns // MS_NS
        for name, value in (
            ("weatherglass_probe_seconds", one.seconds),
            ("weatherglass_probe_success", float(one.ok)),
        ):
            points.setdefault(_labels(graph, entity, name, vantage=one.vantage), {})[at_ms] = value
    return _samples(points)


def volumes(graph: Graph, seen: Sequence[tuple[EntityId, VolumeSeen]], now_ns: int) -> Samples:
    """`weatherglass_volume_size_bytes`, `…_free_bytes` and `…_used_share`, by volume."""
    points: dict[Labels, dict[int, float]] = {}
    for entity, one in seen:
        share = 1 - one.free_bytes / one.size_bytes if one.size_bytes else 0.0
        for name, value in (
            ("weatherglass_volume_size_bytes", float(one.size_bytes)),
            ("weatherglass_volume_free_bytes", float(one.free_bytes)),
            ("weatherglass_volume_used_share", share),
        ):
            points[_labels(graph, entity, name)] = {now_ns // MS_NS: value}
    return _samples(points)


def _samples(points: Mapping[Labels, Mapping[int, float]]) -> Samples:
    times = [tuple(sorted(found)) for found in points.values()]
    values = [tuple(found[at] for at in sorted(found)) for found in points.values()]
    return Samples(tuple(points), times, values)
