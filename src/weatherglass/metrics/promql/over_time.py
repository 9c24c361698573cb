"""What is computed over a window of samples: counters' rates, and the `*_over_time` family.

Every kernel has one shape: Windows → (values, present), both (n_series, n_steps).
Rates follow Prometheus' extrapolation (promql/functions.go, extrapolatedRate): the increase between the first and
the last sample is stretched to the window's edges, by at most half an average interval where the series begins
or ends inside, and never below zero for a counter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.metrics.promql.windows import Windows
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

Result = tuple[FloatArray, BoolArray]
_RESETS_A_SERIES = 8  # up to here each reset is taken by itself, beyond all windows are summed


def _fallen(w: Windows) -> FloatArray:
    """What a counter had reached before each reset inside a window, summed.

    Summed window by window: a running total over all series would lose small counters beside large ones.
    """
    out = np.zeros(w.lo.shape)
    if not len(w.starts):
        return out
    first = int(w.starts[0])
    v = w.values[first : max(int(w.hi.max(initial=0)), first)]
    fell = np.flatnonzero(v[1:] < v[:-1]) + first + 1
    fell = fell[~np.isin(fell, w.starts)]  # a series' first sample falls from nothing
    if len(fell) > _RESETS_A_SERIES * len(w.starts):  # no counters, it seems
        before = np.zeros(len(w.values))
        before[fell] = w.values[fell - 1]
        return w.reduce(np.add, before, skip=1)
    for row in np.unique(np.searchsorted(w.starts, fell, side="right") - 1):
        lo, hi = w.lo[row], w.hi[row]
        mine = fell[(fell > lo.min()) & (fell < hi.max())]
        for reset in mine:
            inside = (lo < reset) & (reset < hi)
            out[row, inside] += w.values[reset - 1]
    return out


def reach_back(to_start: FloatArray, to_zero: FloatArray | float, interval: FloatArray) -> FloatArray:
    """How far before its first sample a window's increase is stretched, s: Prometheus 3's order of the two rules."""
    return np.fmin(np.where(to_start >= interval * 1.1, interval / 2, to_start), to_zero)


def _extrapolated(windows: Windows, *, counter: bool, per_second: bool) -> Result:
    out = np.zeros(windows.lo.shape)
    for rows, part in windows.parts():
        out[rows] = _stretched(part, counter=counter, per_second=per_second)
    return out, windows.count >= 2


def _stretched(w: Windows, *, counter: bool, per_second: bool) -> FloatArray:
    present = w.count >= 2
    first, last = w.first, w.last
    rise = w.values[last] - w.values[first]
    if counter:
        rise = rise + _fallen(w)
    sampled = (w.times[last] - w.times[first]) / 1000.0
    interval = sampled / (w.count - 1)
    to_start = (w.times[first] - (w.ends_ms - w.range_ms)) / 1000.0
    to_end = (w.ends_ms - w.times[last]) / 1000.0
    to_zero: FloatArray | float = np.inf
    if counter:
        # A counter is never below zero: do not reach back past where it would have been.
        rising = (rise > 0) & (w.values[first] >= 0)
        to_zero = np.where(rising, sampled * (w.values[first] / rise), np.inf)
    to_start = reach_back(to_start, to_zero, interval)
    to_end = np.where(to_end >= interval * 1.1, interval / 2, to_end)
    out = rise * ((sampled + to_start + to_end) / sampled)
    if per_second:
        out = out / (w.range_ms / 1000.0)
    return np.where(present, out, 0.0)


def rate(w: Windows) -> Result:
    return _extrapolated(w, counter=True, per_second=True)


def increase(w: Windows) -> Result:
    return _extrapolated(w, counter=True, per_second=False)


def delta(w: Windows) -> Result:
    return _extrapolated(w, counter=False, per_second=False)


def _last_two(w: Windows, *, counter: bool, per_second: bool) -> Result:
    present = w.count >= 2
    last = w.last
    previous = np.maximum(last - 1, 0)
    out = w.values[last] - w.values[previous]
    if counter:
        out = np.where(w.values[last] < w.values[previous], w.values[last], out)
    if per_second:
        out = out / ((w.times[last] - w.times[previous]) / 1000.0)
    return np.where(present, out, 0.0), present


def irate(w: Windows) -> Result:
    return _last_two(w, counter=True, per_second=True)


def idelta(w: Windows) -> Result:
    return _last_two(w, counter=False, per_second=False)


def sum_over_time(w: Windows) -> Result:
    return w.sum(), w.some


def avg_over_time(w: Windows) -> Result:
    return w.mean(), w.some


def count_over_time(w: Windows) -> Result:
    return w.count.astype(np.float64), w.some


def min_over_time(w: Windows) -> Result:
    return w.reduce(np.fmin), w.some  # fmin passes over NaN unless there is nothing else


def max_over_time(w: Windows) -> Result:
    return w.reduce(np.fmax), w.some


def last_over_time(w: Windows) -> Result:
    return w.values[w.last], w.some


def first_over_time(w: Windows) -> Result:
    return w.values[w.first], w.some


def present_over_time(w: Windows) -> Result:
    return np.ones(w.lo.shape), w.some


def _when(extreme: np.ufunc) -> Callable[[Windows], Result]:
    """When the last sample that has the window's extreme was taken, s."""

    def kernel(times: Int64Array, values: FloatArray, mask: BoolArray) -> FloatArray:
        numbers = np.where(mask, values, np.nan)
        found = extreme.reduce(numbers, axis=1, keepdims=True)
        same = mask & ((numbers == found) | np.isnan(found))
        return np.asarray(np.where(same, times, np.iinfo(np.int64).min).max(axis=1) / 1000.0)

    return lambda w: (w.each(kernel), w.some)


ts_of_min_over_time = _when(np.fmin)
ts_of_max_over_time = _when(np.fmax)


def ts_of_first_over_time(w: Windows) -> Result:
    return w.times[w.first] / 1000.0, w.some


def ts_of_last_over_time(w: Windows) -> Result:
    return w.times[w.last] / 1000.0, w.some


def _variance(times: Int64Array, values: FloatArray, mask: BoolArray) -> FloatArray:
    n = mask.sum(axis=1)
    mean = np.where(mask, values, 0.0).sum(axis=1) / n
    return np.asarray(np.where(mask, (values - mean[:, None]) ** 2, 0.0).sum(axis=1) / n)


def stdvar_over_time(w: Windows) -> Result:
    return w.each(_variance), w.some


def stddev_over_time(w: Windows) -> Result:
    return np.sqrt(w.each(_variance)), w.some


def quantile(q: float, values: FloatArray, mask: BoolArray) -> FloatArray:
    """Quantile over the masked cells of each row, linear between ranks; ±inf outside [0, 1], NaN of a NaN q."""
    n = mask.sum(axis=1)
    if np.isnan(q):
        return np.full(len(n), np.nan)
    if q < 0 or q > 1:
        return np.full(len(n), -np.inf if q < 0 else np.inf)
    # Prometheus sorts NaN first; numpy last. Rows with a NaN are rare, so they alone are turned round.
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    nans = (mask & np.isnan(values)).sum(axis=1)
    for row in np.flatnonzero(nans):
        kept = values[row][mask[row]]
        ordered[row, : len(kept)] = np.concatenate([kept[np.isnan(kept)], np.sort(kept[~np.isnan(kept)])])
    rank = q * (n - 1)
    low = np.clip(np.floor(rank).astype(np.int64), 0, None)
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    weight = rank - np.floor(rank)
    rows = np.arange(len(n))
    # A weight of nought must not meet an infinity: 0 · inf is NaN in Prometheus too, so keep its form.
    return np.asarray(ordered[rows, low] * (1 - weight) + ordered[rows, high] * weight)


def quantile_over_time(w: Windows, q: FloatArray) -> Result:
    if len(q) and (q == q[0]).all():
        return w.each(lambda _, v, m: quantile(float(q[0]), v, m)), w.some
    out = np.zeros(w.lo.shape)
    for cell, _, values, mask in w.blocks():
        for row, step in enumerate(cell[1]):
            out[cell[0][row], step] = quantile(float(q[step]), values[row : row + 1], mask[row : row + 1])[0]
    return out, w.some


def mad_over_time(w: Windows) -> Result:
    def kernel(_: Int64Array, values: FloatArray, mask: BoolArray) -> FloatArray:
        middle = quantile(0.5, values, mask)
        return quantile(0.5, np.abs(values - middle[:, None]), mask)

    return w.each(kernel), w.some


def changes(w: Windows) -> Result:
    v = w.values
    moved = np.zeros(len(v), np.int64)
    moved[1:] = (v[1:] != v[:-1]) & ~(np.isnan(v[1:]) & np.isnan(v[:-1]))
    return w.inside(np.cumsum(moved)), w.some


def resets(w: Windows) -> Result:
    fell = np.zeros(len(w.values), np.int64)
    fell[1:] = w.values[1:] < w.values[:-1]
    return w.inside(np.cumsum(fell)), w.some


def _regression(w: Windows, origin_ms: Int64Array) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Slope (per s) and value at `origin_ms` (n_steps) of the least-squares line through each window."""
    slope, at_origin = np.zeros(w.lo.shape), np.zeros(w.lo.shape)
    for cell, times, values, mask in w.blocks():
        n = mask.sum(axis=1)
        x = np.where(mask, (times - origin_ms[cell[1]][:, None]) / 1000.0, 0.0)
        y = np.where(mask, values, 0.0)
        mean_x, mean_y = x.sum(axis=1) / n, y.sum(axis=1) / n
        dx = np.where(mask, x - mean_x[:, None], 0.0)
        dy = np.where(mask, values - mean_y[:, None], 0.0)
        steep = (dx * dy).sum(axis=1) / (dx * dx).sum(axis=1)
        flat = (values == values[:, :1]) | ~mask
        steep = np.where(flat.all(axis=1) & np.isfinite(values[:, 0]), 0.0, steep)
        slope[cell], at_origin[cell] = steep, mean_y - steep * mean_x
    return slope, at_origin, w.count >= 2


def deriv(w: Windows) -> Result:
    slope, _, present = _regression(w, w.ends_ms)
    return slope, present


def predict_linear(w: Windows, ahead_s: FloatArray) -> Result:
    # From the step that asks, even where `offset` or `@` has the samples come from elsewhere.
    slope, at_step, present = _regression(w, w.at_ms)
    return at_step + slope * ahead_s, present


def double_exponential_smoothing(w: Windows, smoothing: FloatArray, trend: FloatArray) -> Result:
    """Holt's linear smoothing, the last smoothed value of each window (functions.go, funcDoubleExponentialSmoothing)."""
    for name, factor in (("smoothing", smoothing), ("trend", trend)):
        bad = factor[w.some.any(axis=0) & ~((factor > 0) & (factor < 1))]
        if len(bad):
            raise Invalid(
                f"invalid {name} factor. Expected: 0 < {name[0]}f < 1, got: {bad[0]:f}",
                mend="for example 0.5",
            )
    out = np.zeros(w.lo.shape)
    for cell, _, values, mask in w.blocks():
        n = mask.sum(axis=1)
        sf, tf = smoothing[cell[1]], trend[cell[1]]
        level = values[:, 0].copy()
        slope = values[:, 1] - values[:, 0] if values.shape[1] > 1 else np.zeros(len(level))
        previous = np.zeros(len(level))
        for k in range(1, values.shape[1]):
            if k > 1:
                slope = np.where(k < n, tf * (level - previous) + (1 - tf) * slope, slope)
            following = sf * values[:, k] + (1 - sf) * (level + slope)
            previous = np.where(k < n, level, previous)
            level = np.where(k < n, following, level)
        out[cell] = level
    return out, w.count >= 2
