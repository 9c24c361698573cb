"""`anchored` and `smoothed`: ranges whose edges take the samples just outside them, and instants between samples.

Anchored, a window begins with the last sample at or before its start and ends with its last. Smoothed, its edges are
interpolated between the samples on either side. Nothing is extrapolated.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.metrics.promql.windows import is_stale
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array, Selection

Edges = Literal["", "anchored", "smoothed"]


def _between(
    t1: Int64Array,
    v1: FloatArray,
    t2: Int64Array,
    v2: FloatArray,
    at: Int64Array,
    *,
    counter: bool,
    left: bool,
) -> FloatArray:
    """The value at an instant between two samples; a counter that fell between them began at nought."""
    fell = (v2 < v1) & counter
    y1 = np.where(fell & left, 0.0, v1)
    y2 = np.where(fell & (not left), v2 + v1, v2)
    return np.asarray(y1 + (y2 - y1) * ((at - t1) / np.maximum(t2 - t1, 1)))


def over_range(
    function: str, found: Selection, ends_ms: Int64Array, range_ms: int, lookback_ms: int, edges: Edges
) -> tuple[FloatArray, BoolArray]:
    """(values, present) of `rate`, `increase`, `delta`, `changes` or `resets`; `found` reaches past the edges."""
    if found.histograms is not None and any(len(times) for times, _ in found.histograms):
        raise Invalid("smoothed and anchored modifiers do not work with native histograms")
    shape = len(found.labels), len(ends_ms)
    values, present = np.zeros(shape), np.zeros(shape, np.bool_)
    for row, (t, v) in enumerate(zip(found.times, found.values, strict=True)):
        stale = is_stale(v)
        if stale.any():
            t, v = t[~stale], v[~stale]
        if len(t):
            values[row], present[row] = _series(function, t, v, ends_ms, range_ms, lookback_ms, edges)
    return values, present


def _series(
    function: str,
    t: Int64Array,
    v: FloatArray,
    ends: Int64Array,
    range_ms: int,
    lookback_ms: int,
    edges: Edges,
) -> tuple[FloatArray, BoolArray]:
    smoothed, counter = edges == "smoothed", function in ("rate", "increase")
    starts = ends - range_ms
    lowest = np.searchsorted(t, starts - lookback_ms, side="right")
    first = np.maximum(np.searchsorted(t, starts, side="right") - 1, lowest)
    if smoothed:
        highest = np.searchsorted(t, ends + lookback_ms, side="right") - 1
        last = np.minimum(np.searchsorted(t, ends, side="left"), highest)
    else:
        last = np.searchsorted(t, ends, side="right") - 1
    present = (last >= lowest) & (first < len(t))
    last, first = np.clip(last, 0, len(t) - 1), np.clip(first, 0, len(t) - 1)
    present &= t[last] > starts
    if smoothed:
        present &= t[first] <= ends
    left, right = v[first], v[last]
    if smoothed:
        after, before = np.minimum(first + 1, len(t) - 1), np.maximum(last - 1, 0)
        inner = (t[first] < starts) & (after > first)
        left = np.where(
            inner,
            _between(t[first], v[first], t[after], v[after], starts, counter=counter, left=True),
            left,
        )
        outer = (t[last] > ends) & (last > 0) & (t[before] < ends)
        right = np.where(
            outer,
            _between(t[before], v[before], t[last], v[last], ends, counter=counter, left=False),
            right,
        )
    if function in ("changes", "resets"):
        moved = np.zeros(len(v), np.int64)
        if function == "changes":
            moved[1:] = (v[1:] != v[:-1]) & ~(np.isnan(v[1:]) & np.isnan(v[:-1]))
        else:
            moved[1:] = v[1:] < v[:-1]
        run = np.cumsum(moved)
        return (run[last] - run[first]).astype(np.float64), present
    out = right - left
    if counter:
        out = out + _mended(t, v, first, last, starts, ends, left, right)
    if function == "rate":
        out = out / (range_ms / 1000)
    return out, present


def _mended(
    t: Int64Array, v: FloatArray, first: Int64Array, last: Int64Array, starts: Int64Array, ends: Int64Array,
    left: FloatArray, right: FloatArray,
) -> FloatArray:  # fmt: skip
    """What resets inside the windows took away, the edges' own values at either end."""
    a = np.where(t[first] <= starts, first + 1, first)
    b = np.where(t[last] >= ends, last - 1, last)
    out = np.zeros(len(a))
    for k in range(len(a)):  # sums over each window by itself: a running total would lose small counters
        inside = np.concatenate([left[k : k + 1], v[a[k] : b[k] + 1], right[k : k + 1]])
        fell = inside[1:] < inside[:-1]
        out[k] = inside[:-1][fell].sum()
    return out


def at_instants(found: Selection, at_ms: Int64Array, lookback_ms: int) -> tuple[FloatArray, BoolArray]:
    """(values, present) of `x smoothed`: between the samples on either side, the one before where none comes after."""
    if found.histograms is not None and any(len(times) for times, _ in found.histograms):
        raise Invalid("smoothed and anchored modifiers do not work with native histograms")
    shape = len(found.labels), len(at_ms)
    values, present = np.zeros(shape), np.zeros(shape, np.bool_)
    for row, (t, v) in enumerate(zip(found.times, found.values, strict=True)):
        stale = is_stale(v)
        t, v = (t[~stale], v[~stale]) if stale.any() else (t, v)
        if not len(t):
            continue
        after = np.searchsorted(t, at_ms, side="left")
        before = np.searchsorted(t, at_ms, side="right") - 1
        has_after = (after < len(t)) & (t[np.minimum(after, len(t) - 1)] <= at_ms + lookback_ms)
        has_before = (before >= 0) & (t[np.maximum(before, 0)] > at_ms - lookback_ms)
        i, k = np.maximum(before, 0), np.minimum(after, len(t) - 1)
        middle = _between(t[i], v[i], t[k], v[k], at_ms, counter=False, left=True)
        values[row] = np.where(has_after & has_before & (k > i), middle, v[i])
        present[row] = has_before
    return values, present
