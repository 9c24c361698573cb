"""Functions over classic histograms: cumulative counts by `le`, observations spread evenly inside a bucket.

Kernels of kind `labels` in `functions.py`, and the arithmetic of one histogram at one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from weatherglass.engine.protocols import Labels
from weatherglass.metrics.promql.ast import Call
from weatherglass.metrics.promql.vector import Vector, drop, quoted, unite
from weatherglass.metrics.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from weatherglass.metrics.promql.evaluate import Evaluation

Statistic = Callable[[int, FloatArray, FloatArray], float]
"""(step, distinct bounds ascending, cumulative counts that never fall) → a number."""


def histogram_quantile(ev: Evaluation, call: Call) -> Vector:
    q, inner = ev.scalar(call.args[0]), ev.vector(call.args[1])
    ev.warn_quantile(call, call.args[0], q)
    return _each(
        ev, call, inner, lambda step, bounds, counts: bucket_quantile(float(q[step]), bounds, counts)
    )


def histogram_fraction(ev: Evaluation, call: Call) -> Vector:
    low, high, inner = ev.scalar(call.args[0]), ev.scalar(call.args[1]), ev.vector(call.args[2])

    def share(step: int, bounds: FloatArray, counts: FloatArray) -> float:
        return bucket_fraction(float(low[step]), float(high[step]), bounds, counts)

    return _each(ev, call, inner, share)


def _each(ev: Evaluation, call: Call, inner: Vector, statistic: Statistic) -> Vector:
    """A statistic of every histogram at every step; the histogram is the call's last argument."""
    labels: list[Labels] = []
    values: list[FloatArray] = []
    present: list[BoolArray] = []
    for name, buckets in _histograms(ev, call, inner).items():
        bounds = np.array([bound for bound, _ in buckets])
        rows = [row for _, row in buckets]
        there = inner.present[rows]
        out = np.zeros(ev.steps)
        forced = False
        for step in np.flatnonzero(there.any(axis=0)):
            kept = there[:, step]
            counts, fell = _monotonic(_distinct(bounds[kept], inner.values[rows, step][kept]))
            forced |= fell
            out[step] = statistic(int(step), np.unique(bounds[kept]), counts)
        if forced:
            text = f"input to {call.function} needed to be fixed for monotonicity{_of(inner.labels[rows[0]])}"
            ev.inform(call, call.args[-1], text)
        labels.append(name)
        values.append(out)
        present.append(np.asarray(there.any(axis=0)))
    if not labels:
        return Vector.empty(ev.steps)
    return unite(labels, np.stack(values), np.stack(present))


def _histograms(ev: Evaluation, call: Call, inner: Vector) -> dict[Labels, list[tuple[float, int]]]:
    """Label set without `le` → (bound, row), ascending. Warns of series whose `le` cannot be read."""
    out: dict[Labels, list[tuple[float, int]]] = {}
    for row in np.flatnonzero(inner.present.any(axis=1)).tolist():
        one = inner.labels[row]
        le = dict(one).get("le", "")
        bound = _bound(le)
        if math.isnan(bound):
            text = f'bucket label "le" is missing or has a malformed value of {quoted(le)}{_of(one)}'
            ev.warn(call, call.args[-1], text)
            continue
        out.setdefault(drop(one, ("le", "__name__")), []).append((bound, row))
    for buckets in out.values():
        buckets.sort()
    return out


def _of(labels: Labels) -> str:
    name = dict(labels).get("__name__", "")
    return f" for metric name {quoted(name)}" if name else ""


def _bound(le: str) -> float:
    """The number that `le` is; NaN where it is none (Python would also read ` 1` and `1_0`)."""
    try:
        return float(le) if le == le.strip() and "_" not in le else math.nan
    except ValueError:
        return math.nan


def _distinct(bounds: FloatArray, counts: FloatArray) -> FloatArray:
    """Counts of ascending bounds, those of one bound (written `1` and `1.0`) added."""
    return np.add.reduceat(counts, np.flatnonzero(np.append(True, bounds[1:] != bounds[:-1])))


def _monotonic(counts: FloatArray) -> tuple[FloatArray, bool]:
    """Counts that never fall, and whether one fell by more than rounding: scrapes of buckets are not atomic."""
    out, fell = counts.copy(), False
    for k in range(1, len(out)):
        # Sums of rates differ in their last digits; that is no observation (Prometheus: 1e-12, relative).
        if math.isclose(out[k], out[k - 1], rel_tol=1e-12):
            out[k] = out[k - 1]
        elif out[k] < out[k - 1]:
            out[k], fell = out[k - 1], True
    return out, fell


def bucket_quantile(q: float, bounds: FloatArray, counts: FloatArray) -> float:
    """The q-quantile of one histogram; NaN without a +Inf bucket, a second one, or observations."""
    if math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return -math.inf if q < 0 else math.inf
    if len(bounds) < 2 or not np.isposinf(bounds[-1]):
        return math.nan
    total = counts[-1]
    if total == 0 or np.isnan(total):
        return math.nan
    rank = q * total
    b = int(np.searchsorted(counts[:-1], rank, side="left"))
    if b == len(bounds) - 1:
        return float(bounds[-2])
    if b == 0 and bounds[0] <= 0:
        return float(bounds[0])
    low = float(bounds[b - 1]) if b else 0.0
    below = float(counts[b - 1]) if b else 0.0
    inside = float(counts[b]) - below
    share: float = (rank - below) / inside
    return low + (float(bounds[b]) - low) * share


def bucket_fraction(low: float, high: float, bounds: FloatArray, counts: FloatArray) -> float:
    """The share of one histogram's observations in (low, high]; NaN where there is none to tell it of."""
    total = float(counts[-1])
    if math.isnan(low) or math.isnan(high) or not np.isposinf(bounds[-1]) or not total > 0:
        return math.nan
    if low >= high:
        return 0.0
    # Observations below a first bound that is not positive are taken to lie at it, as the quantile does.
    first = 0.0 if len(bounds) > 1 and bounds[0] > 0 else float(bounds[0])
    edges, ranks = np.append(first, bounds[:-1]), np.append(0.0, counts[:-1])

    def rank(value: float) -> float:
        if math.isinf(value):
            return total if value > 0 else 0.0
        return float(np.interp(value, edges, ranks, left=0.0))

    return (rank(high) - rank(low)) / total
