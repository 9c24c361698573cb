"""Operations computed over a grid of points × series. Pure; the language is in `operations`, the grid in `crossing`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from weatherglass.metrics.gnocchi.errors import cannot_aggregate
from weatherglass.metrics.gnocchi.operations import (
    BINARY,
    CHANGES,
    STATISTICS,
    TERNARY,
    UNARY,
    Node,
    names_of,
)
from weatherglass.metrics.granularity import RATE, aggregate
from weatherglass.metrics.types import FloatArray, Int64Array

Keys = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Grid:
    """`values` (n_times, n_series) at `times` (n_times,) int64 ns, NaN where there is none; or a single number.

    `aggregated` says that the columns are no metrics any more.
    """

    granularity_ns: int
    times: Int64Array
    values: Any
    aggregated: bool = False


def evaluate(tree: Any, grid: Grid, keys: Keys) -> Grid:
    """What an operation comes to over the series of `grid`, whose names are `keys`. Raises Bad."""
    if isinstance(tree, int | float):
        return replace(grid, values=tree)
    op = tree[0]
    if op == "metric":
        wanted = set(names_of(tree))
        places = [place for place, key in enumerate(keys) if key in wanted]
        return replace(grid, values=grid.values[:, places])
    if op in ("aggregate", "rolling", "resample"):
        return _over(tree, evaluate(tree[-1], grid, keys), keys)
    parts = [evaluate(part, grid, keys) for part in tree[1:]]
    if op in UNARY:
        return replace(parts[0], values=UNARY[op](parts[0].values))
    if op in CHANGES:
        moments, values = CHANGES[op](parts[0].times, parts[0].values)
        return replace(parts[0], times=moments, values=values)
    return _together(tree, parts, keys)


def _together(tree: Node, parts: list[Grid], keys: Keys) -> Grid:
    """An operator over grids and numbers; grids must be of the same points."""
    grids = [part for part in parts if isinstance(part.values, np.ndarray)]
    first = grids[0] if grids else parts[0]
    for other in grids[1:]:
        if other.granularity_ns != first.granularity_ns or not np.array_equal(other.times, first.times):
            shown = " <> ".join(str(part) for part in tree[1:])
            raise cannot_aggregate(
                f"Can't compute timeseries with different granularity {shown}", [list(key) for key in keys]
            )
    values = [part.values for part in parts]
    with np.errstate(all="ignore"):
        if tree[0] in BINARY:
            found = BINARY[tree[0]](*values)
        else:
            found = TERNARY[tree[0]](*values, *([None] * (3 - len(values))))
    return replace(
        first,
        values=np.asarray(found, np.float64) if grids else float(found),
        aggregated=len(grids) > 1 or any(part.aggregated for part in parts),
    )


def _over(tree: Node, grid: Grid, keys: Keys) -> Grid:
    method = tree[1]
    if tree[0] == "resample":
        return _resampled(method, tree[2], grid)
    if tree[0] == "rolling":
        window = tree[2]
        if window > len(grid.values):
            raise cannot_aggregate(
                f"Rolling window '{window}' is greater than serie length '{len(grid.values)}'",
                [list(key) for key in keys],
            )
        windows = np.lib.stride_tricks.sliding_window_view(grid.values, window, axis=0)
        return _rated(method, replace(grid, times=grid.times[window - 1 :]), windows, -1)
    whole = _rated(method, grid, grid.values, 1)
    return replace(whole, values=whole.values[:, None], aggregated=True)


def _rated(method: str, grid: Grid, values: FloatArray, axis: int) -> Grid:
    with np.errstate(all="ignore"):
        found = np.asarray(_quietly(method.removeprefix(RATE), values, axis), np.float64)
    if method.startswith(RATE):
        return replace(grid, times=grid.times[1:], values=np.diff(found, axis=0))
    return replace(grid, values=found)


def _quietly(method: str, values: FloatArray, axis: int) -> Any:

    with warnings.catch_warnings():
        # a row in which nothing is known is NaN, and no reason to warn
        warnings.simplefilter("ignore", RuntimeWarning)
        return STATISTICS[method](values, axis=axis)


def _resampled(method: str, span_ns: int, grid: Grid) -> Grid:
    columns, moments = [], grid.times
    for column in grid.values.T:
        moments, values = aggregate(grid.times, np.ascontiguousarray(column), span_ns, [method]).of(method)
        columns.append(values)
    values = np.array(columns).T if columns else np.empty((0, 0))
    return replace(grid, granularity_ns=span_ns, times=moments, values=values)
