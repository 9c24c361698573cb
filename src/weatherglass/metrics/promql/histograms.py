"""Functions over histograms, native ones and classic: cumulative counts by `le`, observations spread evenly in a bucket.

Kernels of kind `labels` in `functions.py`, and the arithmetic of classic buckets over all steps at once. That of
native ones is in `native.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.promql import native
from weatherglass.metrics.promql.ast import Call, Node, StringLiteral
from weatherglass.metrics.promql.native import Say
from weatherglass.metrics.promql.vector import Vector, drop, quoted, stacked, united, with_label
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

if TYPE_CHECKING:
    from weatherglass.metrics.promql.evaluation import Evaluation

Classic = Callable[[Int64Array, FloatArray, FloatArray], FloatArray]
"""(steps (k,), distinct bounds (b,) ascending, cumulative counts (b, k) that never fall) → (k,)."""
Native = Callable[[int, Histogram, Say], float]
"""(step, histogram, how to annotate) → a number."""
_CLOSE = 1e-12  # sums of rates differ in their last digits; that is no observation
_MIN_NORMAL = float(np.finfo(np.float64).tiny)


def _of_natives(statistic: Callable[[Histogram], float]) -> Callable[[Evaluation, Call], Vector]:
    def kernel(ev: Evaluation, call: Call) -> Vector:
        return ev.unnamed(_natives(ev, call, ev.vector(call.args[0]), lambda _, h, say: statistic(h), None))

    return kernel


histogram_count = _of_natives(lambda h: h.count)
histogram_sum = _of_natives(lambda h: h.sum)
histogram_avg = _of_natives(native.mean_of)
histogram_stdvar = _of_natives(native.variance_of)
histogram_stddev = _of_natives(
    lambda h: math.sqrt(found) if (found := native.variance_of(h)) >= 0 else math.nan
)


def histogram_quantile(ev: Evaluation, call: Call) -> Vector:
    return _quantile(ev, call, call.args[0], ev.vector(call.args[1]), call.args[1])


def histogram_quantiles(ev: Evaluation, call: Call) -> Vector:
    inner, label = ev.vector(call.args[0]), call.args[1]
    assert isinstance(label, StringLiteral)
    if not label.value:
        raise Invalid('invalid label name ""', mend="name the label that takes the quantile")
    parts = []
    for arg in call.args[2:]:
        found = _quantile(ev, call, arg, inner, call.args[0])
        q = ev.scalar(arg)
        if not (q == q[0]).all():
            raise Invalid("the quantiles of histogram_quantiles must be constant")
        text = native_number(float(q[0]))
        parts.append(
            Vector(
                [with_label(one, label.value, text) for one in found.labels],
                found.values,
                found.present,
                None,
                found.nameless,
            )
        )
    return united(stacked(parts)) if parts else Vector.empty(ev.steps)


def native_number(value: float) -> str:
    from weatherglass.metrics.promql.aggregate import number

    return number(value)


def _quantile(ev: Evaluation, call: Call, arg: Node, inner: Vector, histogram: Node) -> Vector:
    q = ev.scalar(arg)
    ev.warn_quantile(arg, q)
    return _either(
        ev, call, inner, histogram,
        lambda steps, bounds, counts: bucket_quantile(q[steps], bounds, counts),
        lambda step, h, say: native.quantile_of(float(q[step]), h, say),
    )  # fmt: skip


def histogram_fraction(ev: Evaluation, call: Call) -> Vector:
    low, high, inner = ev.scalar(call.args[0]), ev.scalar(call.args[1]), ev.vector(call.args[2])
    return _either(
        ev, call, inner, call.args[2],
        lambda steps, bounds, counts: bucket_fraction(low[steps], high[steps], bounds, counts),
        lambda step, h, say: native.fraction_of(float(low[step]), float(high[step]), h, say),
    )  # fmt: skip


def _either(
    ev: Evaluation, call: Call, inner: Vector, histogram: Node, classic: Classic, of_native: Native
) -> Vector:
    found = [_classics(ev, call, inner, histogram, classic)]
    if inner.histograms is not None:
        natives = _natives(ev, call, inner, of_native, histogram)
        places = {one: i for i, one in enumerate(natives.labels)}
        there = natives.present.copy()
        for i, one in enumerate(found[0].labels):
            row = places.get(one)
            both = None if row is None else found[0].present[i] & natives.present[row]
            if row is not None and both is not None and both.any():
                ev.notes.warn(histogram.start, "mixed classic", name=_name(one))
                found[0].present[i] &= ~both
                there[row] &= ~both
        found.append(natives.where(there))
    whole = stacked(found)
    # one label set may have had either kind, at different times
    return ev.unnamed(united(whole))


def _natives(ev: Evaluation, call: Call, inner: Vector, statistic: Native, histogram: Node | None) -> Vector:
    """A number of every native histogram, under its series' labels."""
    there, cells = inner.native, inner.histograms
    values = np.zeros(inner.values.shape)
    for row, step in zip(*(axis.tolist() for axis in np.nonzero(there)), strict=True):
        assert cells is not None and isinstance(cells[row, step], Histogram)

        def say(kind: str, word: str, row: int = row) -> None:
            ev.notes.inform((histogram or call).start, kind, name=_name(inner.labels[row]))

        values[row, step] = statistic(step, cells[row, step], say)
    out = inner.plain(values, there)
    return out.rows(np.flatnonzero(there.any(axis=1)))


def _classics(ev: Evaluation, call: Call, inner: Vector, histogram: Node, statistic: Classic) -> Vector:
    """A number of every histogram of classic buckets at every step."""
    labels: list[Labels] = []
    values: list[FloatArray] = []
    present: list[BoolArray] = []
    nameless: list[bool] = []
    floats = inner.floats
    for name, buckets in _buckets(ev, inner, floats, histogram).items():
        bounds = np.array([bound for bound, _ in buckets])
        rows = [row for _, row in buckets]
        there = floats[rows]
        out = np.zeros(ev.steps)
        # Steps that have the same buckets, nearly always all of them, are one computation.
        patterns, which = np.unique(there, axis=1, return_inverse=True)
        for k in range(patterns.shape[1]):
            kept, steps = patterns[:, k], np.flatnonzero(np.ravel(which) == k)
            if not kept.any():
                continue
            counts = _distinct(bounds[kept], inner.values[np.ix_(np.array(rows)[kept], steps)])
            counts, fell = _monotonic(counts)
            if fell:
                ev.notes.inform(
                    histogram.start, "monotonicity", call.function, name=_name(inner.labels[rows[0]])
                )
            out[steps] = statistic(steps, np.unique(bounds[kept]), counts)
        labels.append(name)
        values.append(out)
        present.append(np.asarray(there.any(axis=0)))
        nameless.append(inner.nameless is not None and bool(inner.nameless[rows[0]]))
    if not labels:
        return Vector.empty(ev.steps)
    marks = None if inner.nameless is None else np.array(nameless)
    return Vector(labels, np.stack(values), np.stack(present), None, marks)


def _buckets(
    ev: Evaluation, inner: Vector, there: BoolArray, histogram: Node
) -> dict[Labels, list[tuple[float, int]]]:
    """Label set without `le` → (bound, row), ascending. Warns of series whose `le` cannot be read."""
    out: dict[Labels, list[tuple[float, int]]] = {}
    for row in np.flatnonzero(there.any(axis=1)).tolist():
        one = inner.labels[row]
        le = dict(one).get("le", "")
        bound = _bound(le)
        if math.isnan(bound):
            ev.notes.warn(histogram.start, "bucket label", quoted(le), name=_name(one))
            continue
        out.setdefault(drop(one, ("le",)), []).append((bound, row))
    for buckets in out.values():
        buckets.sort()
    return out


def _name(labels: Labels) -> str:
    """The metric's name, quoted; nothing where there is none."""
    name = dict(labels).get("__name__", "")
    return quoted(name) if name else ""


def _bound(le: str) -> float:
    """The number that `le` is; NaN where it is none (Python would also read ` 1` and `1_0`)."""
    try:
        return float(le) if le == le.strip() and "_" not in le else math.nan
    except ValueError:
        return math.nan


def _distinct(bounds: FloatArray, counts: FloatArray) -> FloatArray:
    """Counts (b, k) of ascending bounds, those of one bound (written `1` and `1.0`) added."""
    return np.add.reduceat(counts, np.flatnonzero(np.append(True, bounds[1:] != bounds[:-1])), axis=0)


def _monotonic(counts: FloatArray) -> tuple[FloatArray, bool]:
    """Counts (b, k) that never fall, and whether one fell by more than rounding: scrapes of buckets are not atomic."""
    out, fell = counts.copy(), False
    for k in range(1, len(out)):
        now, before = out[k], out[k - 1]
        apart, weight = np.abs(now - before), np.abs(now) + np.abs(before)
        tiny = (now == 0) | (before == 0) | (weight < _MIN_NORMAL)
        close = (now == before) | np.where(tiny, apart < _CLOSE * _MIN_NORMAL, apart / weight < _CLOSE)
        lower = ~close & (now < before)
        fell = fell or bool(lower.any())
        out[k] = np.where(close | lower, before, now)
    return out, fell


def bucket_quantile(q: FloatArray, bounds: FloatArray, counts: FloatArray) -> FloatArray:
    """The q-quantiles (k,) of histograms (b, k); NaN without a +Inf bucket, a second one, or observations."""
    steps = counts.shape[1]
    outside = np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.inf))
    if len(bounds) < 2 or not np.isposinf(bounds[-1]):
        return np.where((q >= 0) & (q <= 1), np.nan, outside)
    rank = q * counts[-1]
    # the first bucket that reaches the rank; the last where none does
    b = (counts[:-1] < rank).sum(axis=0)
    b = np.where(np.isnan(rank), len(bounds) - 1, b)
    column = np.arange(steps)
    low = np.where(b > 0, bounds[np.maximum(b - 1, 0)], 0.0)
    below = np.where(b > 0, counts[np.maximum(b - 1, 0), column], 0.0)
    share = (rank - below) / (counts[b, column] - below)
    out = low + (bounds[b] - low) * share
    out = np.where((b == 0) & (bounds[0] <= 0), bounds[0], out)
    out = np.where(b == len(bounds) - 1, bounds[-2], out)
    total = counts[-1]
    out = np.where((total == 0) | np.isnan(total), np.nan, out)
    return np.where((q >= 0) & (q <= 1), out, outside)


def bucket_fraction(low: FloatArray, high: FloatArray, bounds: FloatArray, counts: FloatArray) -> FloatArray:
    """The share of observations in (low, high] (k,) of histograms (b, k); NaN where there is none to tell it of."""
    total = counts[-1]
    # Observations below a first bound that is not positive are taken to lie at it, as the quantile does.
    first = 0.0 if len(bounds) > 1 and bounds[0] > 0 else float(bounds[0])
    edges = np.append(first, bounds[:-1])

    def rank(value: FloatArray) -> FloatArray:
        out = np.zeros(len(value))
        for k in range(len(value)):
            if math.isinf(value[k]):
                out[k] = total[k] if value[k] > 0 else 0.0
            else:
                out[k] = np.interp(value[k], edges, np.append(0.0, counts[:-1, k]), left=0.0)
        return out

    shares = np.where(low >= high, 0.0, (rank(high) - rank(low)) / total)
    told = ~np.isnan(low) & ~np.isnan(high) & np.isposinf(bounds[-1]) & (total > 0)
    return np.where(told, shares, np.nan)
