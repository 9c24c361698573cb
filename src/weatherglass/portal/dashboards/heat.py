"""A heat map: how many series had which value when, or a histogram's buckets over time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from weatherglass.portal.charts import Value

COLUMNS = 48
ROWS = 10
SHADES = 6


class Cell(NamedTuple):
    """`shade` from 1, the faintest, to SHADES; `amount` of series or events; `column` and `row` from the left and the bottom."""

    column: int
    row: int
    shade: int
    amount: float


class Heat(NamedTuple):
    """The cells that hold anything; `edges` are the rows' upper ends, in the panel's unit."""

    cells: tuple[Cell, ...]
    columns: int
    edges: tuple[float, ...]
    most: float


def heat(series: Sequence[tuple[Mapping[str, str], Sequence[Value]]]) -> Heat:
    """Series with a label `le` are cumulative buckets; others are counted by their values in ROWS equal steps."""
    buckets = [(_bound(labels["le"]), values) for labels, values in series if "le" in labels]
    if buckets:
        edges, grid = _of_buckets(buckets)
    else:
        edges, grid = _of_values([values for _, values in series])
    most = max((count for column in grid for count in column), default=0.0)
    cells = tuple(
        Cell(i, row, max(1, round(count / most * SHADES)), count)
        for i, column in enumerate(grid)
        for row, count in enumerate(column)
        if count > 0
    )
    return Heat(cells, len(grid), edges, most)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")


def _columns(length: int) -> list[range]:
    count = min(COLUMNS, length)
    return [range(length * i // count, length * (i + 1) // count) for i in range(count)]


def _of_buckets(
    buckets: Sequence[tuple[float, Sequence[Value]]],
) -> tuple[tuple[float, ...], list[list[float]]]:
    edges = tuple(sorted({bound for bound, _ in buckets}))
    grid = []
    for span in _columns(len(buckets[0][1])):
        column, below = [], 0.0
        for edge in edges:
            upto = sum(values[i] or 0.0 for bound, values in buckets if bound == edge for i in span) / len(
                span
            )
            column.append(max(0.0, upto - below))
            below = max(below, upto)
        grid.append(column)
    return edges, grid


def _of_values(series: Sequence[Sequence[Value]]) -> tuple[tuple[float, ...], list[list[float]]]:
    known = [value for values in series for value in values if value is not None]
    if not known:
        return (), []
    low, high = min(known), max(known)
    width = (high - low) / ROWS or 1.0
    grid = []
    for span in _columns(len(series[0])):
        column = [0.0] * ROWS
        for values in series:
            for i in span:
                value = values[i]
                if value is not None:
                    column[min(ROWS - 1, int((value - low) / width))] += 1
        grid.append(column)
    return tuple(low + width * (i + 1) for i in range(ROWS)), grid
