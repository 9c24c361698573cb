"""Samples → aggregates of a granularity, as whole-array algebra: group edges once, then one pass a method.

Pure numpy; the unit of times is the caller's (ms in the store). The methods are Gnocchi's (mean, sum, last, max, min,
std, median, first, count, 1pct … 99pct, and each of them as `rate:…` over the differences of neighbouring samples);
roll-ups and down-sampling use the same. Not here: what is stored, for how long, calendars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

RATE = "rate:"
_WHOLE = slice(None)
_SIZES = 64


@dataclass(frozen=True, slots=True)
class Groups:
    """Samples in groups that follow each other: what a method needs, worked out once for all methods."""

    values: FloatArray  # (n_samples,)
    edges: Int64Array  # (n_groups,) place of each group's first sample
    counts: Int64Array  # (n_groups,) how many samples a group has, at least one

    @property
    def owners(self) -> Int64Array:
        """(n_samples,) the group of each sample."""
        return np.repeat(np.arange(len(self.edges), dtype=np.int64), self.counts)


Method = Callable[[Groups], FloatArray]


def _sum(groups: Groups) -> FloatArray:
    # bincount adds in order of time, so that a sum is the same however the samples came in
    return np.asarray(
        np.bincount(groups.owners, weights=groups.values, minlength=len(groups.edges)), np.float64
    )


def _mean(groups: Groups) -> FloatArray:
    return _sum(groups) / groups.counts


def _std(groups: Groups) -> FloatArray:
    apart = groups.values - np.repeat(_mean(groups), groups.counts)
    squares = np.bincount(groups.owners, weights=apart * apart, minlength=len(groups.edges))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(squares / (groups.counts - 1))


def _ordered(groups: Groups) -> FloatArray:
    """The values, ascending within each group."""
    values, edges, counts = groups.values, groups.edges, groups.counts
    sizes = np.unique(counts)
    if len(sizes) > _SIZES:
        return values[np.lexsort((values, groups.owners))]
    # Groups of one size are rows of a matrix: five times faster than sorting by two keys, and sizes are few.
    ordered = np.empty_like(values)
    for size in sizes.tolist():
        places = edges[counts == size][:, None] + np.arange(size)
        ordered[places] = np.sort(values[places], axis=1)
    return ordered


def _at(groups: Groups, q: float) -> FloatArray:
    """The quantile `q` of each group, linear between its two neighbours."""
    ordered = _ordered(groups)
    # the place within the group, so that it does not hang on where the group lies
    place = (groups.counts - 1) * q
    low, high = np.floor(place), np.ceil(place)
    below = ordered[groups.edges + low.astype(np.int64)]
    above = ordered[groups.edges + high.astype(np.int64)]
    return np.asarray(np.where(low == high, below, below * (high - place) + above * (place - low)))


def _percentile(q: float) -> Method:
    return lambda groups: _at(groups, q)


def _median(groups: Groups) -> FloatArray:
    ordered = _ordered(groups)
    low, high = groups.edges + (groups.counts - 1) // 2, groups.edges + groups.counts // 2
    return np.asarray((ordered[low] + ordered[high]) / 2.0)


METHODS: dict[str, Method] = {
    "mean": _mean,
    "sum": _sum,
    "last": lambda groups: groups.values[groups.edges + groups.counts - 1],
    "max": lambda groups: np.maximum.reduceat(groups.values, groups.edges),
    "min": lambda groups: np.minimum.reduceat(groups.values, groups.edges),
    "std": _std,
    "median": _median,
    "first": lambda groups: groups.values[groups.edges],
    "count": lambda groups: groups.counts.astype(np.float64),
    **{f"{n}pct": _percentile(n / 100) for n in range(1, 100)},
}
"""Every method by its name, without those of rates. `std` is of the sample (n − 1): NaN where a group has one."""


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Aggregates of one granularity, of one series or of many after each other.

    `starts[i]` is the first instant of the i-th group, `counts[i]` its samples; `columns[method][i]` its aggregate,
    NaN where it has none (`std` of one sample, a rate without a neighbour). Series k has the groups
    `bounds[k]:bounds[k + 1]`.
    """

    starts: Int64Array
    counts: Int64Array
    columns: Mapping[str, FloatArray]
    lacking: Mapping[str, BoolArray]  # where a group has no aggregate, for the methods that may lack one
    bounds: Int64Array

    def of(self, method: str, part: slice = _WHOLE) -> tuple[Int64Array, FloatArray]:
        """(starts, values) of the groups (of one part of them) that have an aggregate by `method`."""
        starts, values = self.starts[part], self.columns[method][part]
        if method not in self.lacking:
            return starts, values
        there = ~self.lacking[method][part]
        return starts[there], values[there]


def check(methods: Sequence[str]) -> None:
    """Raises Invalid for a method that there is not."""
    for method in methods:
        if method.removeprefix(RATE) not in METHODS:
            raise Invalid(f"{method!r} is not an aggregation method", mend="mean, max, 95pct, rate:mean …")


def floor(times: Int64Array, granularity: int) -> Int64Array:
    """The start of the group that each instant is in; groups begin at the epoch's multiples, before it too."""
    return np.asarray(times - times % granularity)


def aggregate(
    times: Int64Array,
    values: FloatArray,
    granularity: int,
    methods: Sequence[str],
    bounds: Int64Array | None = None,
) -> Aggregates:
    """The aggregates of samples by `methods`. Raises Invalid.

    `times` (n,) int64 ascend strictly within a series, `values` (n,) float64; with `bounds` (n_series + 1,) the k-th
    series has the samples `bounds[k]:bounds[k + 1]`, and no group reaches over two series.
    """
    check(methods)
    if granularity <= 0:
        raise Invalid("a granularity is a positive span")
    bounds = np.array([0, len(times)], np.int64) if bounds is None else bounds
    buckets = floor(times, granularity)
    groups, group_bounds = _grouped(buckets, values, bounds)
    columns: dict[str, FloatArray] = {}
    lacking: dict[str, BoolArray] = {}
    for method in methods:
        if not method.startswith(RATE):
            columns[method] = METHODS[method](groups) if len(groups.edges) else np.empty(0)
    if "std" in columns:
        lacking["std"] = groups.counts < 2
    rates = [method for method in methods if method.startswith(RATE)]
    if rates:
        _rates(rates, buckets, values, bounds, groups, columns, lacking)
    return Aggregates(buckets[groups.edges], groups.counts, columns, lacking, group_bounds)


def _grouped(buckets: Int64Array, values: FloatArray, bounds: Int64Array) -> tuple[Groups, Int64Array]:
    """(groups, their bounds by series)."""
    first = np.zeros(len(buckets), bool)
    if len(first):
        first[0] = True
        first[1:] = buckets[1:] != buckets[:-1]
        first[bounds[:-1][bounds[:-1] < bounds[1:]]] = True
    edges = np.flatnonzero(first)
    counts = np.diff(np.append(edges, len(buckets)))
    return Groups(values, edges, counts), np.searchsorted(edges, bounds).astype(np.int64)


def _rates(
    methods: Sequence[str],
    buckets: Int64Array,
    values: FloatArray,
    bounds: Int64Array,
    groups: Groups,
    columns: dict[str, FloatArray],
    lacking: dict[str, BoolArray],
) -> None:
    """Fills in the methods over differences; a difference belongs to the group of its later sample."""
    later = np.ones(len(values), bool)
    later[bounds[:-1][bounds[:-1] < bounds[1:]]] = False
    places = np.flatnonzero(later)
    owners = groups.owners[places]
    found, counts = np.unique(owners, return_counts=True)
    edges = np.cumsum(counts) - counts
    steps = Groups(values[places] - values[places - 1], edges, counts)
    for method in methods:
        plain = method.removeprefix(RATE)
        column = np.full(len(groups.edges), np.nan)
        without = np.ones(len(groups.edges), bool)
        if len(found):
            column[found] = METHODS[plain](steps)
            without[found] = (counts < 2) if plain == "std" else False
        columns[method], lacking[method] = column, without
