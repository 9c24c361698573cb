"""Several metrics put together: their points on one grid, gaps filled, overlap asked for, operations applied. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.errors import Missing, cannot_aggregate
from weatherglass.metrics.gnocchi.evaluate import Grid, evaluate
from weatherglass.metrics.gnocchi.model import Metric, Resource
from weatherglass.metrics.gnocchi.operations import Node
from weatherglass.metrics.gnocchi.reading import Points
from weatherglass.metrics.types import FloatArray

Fill = float | str | None
FILLS = ("null", "dropna", "ffill", "bfill", "full_ffill", "full_bfill")
_DROPS = frozenset(FILLS) - {"null"}
Measure = tuple[str, float, float]
"""(instant as it is shown, granularity in seconds, value)."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One metric with one method in an operation; `key` is how the operation names it."""

    metric: Metric
    method: str
    key: tuple[str, str]
    resource: Resource | None = None

    @property
    def name(self) -> str:
        return self.metric.id if self.resource is None else str(self.metric.name)


def granularities(references: Sequence[Reference], asked: Sequence[int] | None) -> list[int]:
    """ns, coarse first: those asked for, or those that all references have. Raises Bad, Missing."""
    chosen = list(asked) if asked is not None else _common(references)
    lacking = []
    for one in references:
        policy = one.metric.policy
        assert policy is not None
        if one.method not in policy.methods:
            raise Missing(
                {"cause": "Metrics with unknown aggregation", "detail": [[one.metric.id, one.method]]}
            )
        for granularity in chosen:
            if policy.level(granularity) is None:
                lacking.append([one.name, one.method, granularity / 1e9])
                break
    if lacking:
        raise cannot_aggregate("Granularities are missing", lacking)
    return sorted(chosen, reverse=True)


def _common(references: Sequence[Reference]) -> list[int]:
    have = Counter(
        granularity
        for one in references
        if one.metric.policy
        for granularity in one.metric.policy.granularities
    )
    found = [granularity for granularity, count in have.items() if count == len(references)]
    if not found:
        raise cannot_aggregate("No granularity match", [[one.name, one.method] for one in references])
    return found


def crossed(
    references: Sequence[Reference],
    points: Mapping[tuple[str, str], Sequence[Points]],
    tree: Node,
    *,
    start_ns: int | None,
    stop_ns: int | None,
    needed_overlap: float,
    fill: Fill,
) -> dict[str, Any]:
    """What an operation comes to, a granularity after the other: `{"aggregated": […]}`, or by metric and method.

    `points[(metric id, method)]` are in step with each other over the granularities. Raises Bad.
    """
    aggregated: list[Measure] = []
    apart: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    bare: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    keys = [one.key for one in references]
    count = len(next(iter(points.values()))) if points else 0
    for level in range(count):
        series = [points[one.metric.id, one.method][level] for one in references]
        grid = _grid(series, fill)
        if fill is None:
            grid = _overlapping(grid, keys, start_ns, stop_ns, needed_overlap)
        result = evaluate(tree, grid, keys)
        if result.aggregated:
            aggregated += measures(result, 0, fill)
            continue
        for place, one in enumerate(references):
            if place >= result.values.shape[1]:
                break
            found = measures(result, place, fill)
            target = bare[one.name] if one.resource is None else apart[one.resource.id][str(one.metric.name)]
            target[one.method] += found
    if apart or bare:
        return dict(apart) or dict(bare)
    return {"aggregated": aggregated}


def _grid(series: Sequence[Points], fill: Fill) -> Grid:
    moments, places = np.unique(np.concatenate([one.starts for one in series]), return_inverse=True)
    filler = np.nan if fill is None or isinstance(fill, str) else fill
    rows = np.full((len(series), len(moments)), filler)
    at = 0
    for row, one in zip(rows, series, strict=True):
        row[places[at : at + len(one.starts)]] = one.values
        at += len(one.starts)
    if fill in ("ffill", "full_ffill"):
        rows = _forward(rows)
    if fill in ("bfill", "full_ffill", "full_bfill"):
        rows = _backward(rows)
    if fill == "full_bfill":
        rows = _forward(rows)
    return Grid(series[0].granularity_ns, moments, rows.T)


def _forward(rows: FloatArray) -> FloatArray:
    if not rows.shape[1]:
        return rows
    places = np.where(np.isnan(rows), 0, np.arange(rows.shape[1]))
    np.maximum.accumulate(places, axis=1, out=places)
    return np.take_along_axis(rows, places, axis=1)


def _backward(rows: FloatArray) -> FloatArray:
    return _forward(rows[:, ::-1])[:, ::-1]


def _overlapping(
    grid: Grid, keys: Sequence[tuple[str, str]], start_ns: int | None, stop_ns: int | None, needed: float
) -> Grid:
    """The grid from its first to its last point that all series have, where no bound was asked for. Raises Bad."""
    whole = np.flatnonzero(~np.isnan(grid.values).any(axis=1))
    told = [list(key) for key in keys]
    if not len(whole) and needed > 0:
        raise cannot_aggregate("No overlap", told)
    if not len(grid.times):
        return grid
    low = whole[0] if start_ns is None and len(whole) else 0
    high = whole[-1] + 1 if stop_ns is None and len(whole) else len(grid.times)
    moments, values = grid.times[low:high], grid.values[low:high]
    percent = len(whole) * 100.0 / len(moments)
    if percent < needed:
        raise cannot_aggregate(
            f"Less than {needed:f}% of datapoints overlap in this timespan ({percent:.2f}%)", told
        )
    return Grid(grid.granularity_ns, moments, values)


def measures(grid: Grid, place: int, fill: Fill) -> list[Measure]:
    """One column of a result as it is answered."""
    column, moments = np.asarray(grid.values[:, place], np.float64), grid.times
    if fill in _DROPS:
        there = np.isfinite(column)
        column, moments = column[there], moments[there]
    return shown(Points(grid.granularity_ns, moments, column))


def shown(points: Points, granularity: Any = None) -> list[Measure]:
    """Points as they are answered."""
    step = points.granularity_ns / times.SECOND_NS if granularity is None else granularity
    return [
        (moment, step, value)
        for moment, value in zip(times.shown(points.starts), points.values.tolist(), strict=True)
    ]
