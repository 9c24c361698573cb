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
from weatherglass.kernels import windows as kernel
from weatherglass.metrics.promql.windows import Windows
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

Result = tuple[FloatArray, BoolArray]
ZERO_FIRST = False
"""Whether a counter's zero is looked for before the half interval at a gap, as Prometheus 2 did."""


def _extrapolated(w: Windows, *, counter: bool, per_second: bool) -> Result:
    flat, ends, width = w.flat, w.ends_ms, w.range_ms

    def work(out: FloatArray, first: int, last: int) -> None:
        kernel.extrapolated(
            flat.times, flat.values, flat.starts, w.clock_of, w.clock_lo, w.clock_hi, ends, width,
            counter, per_second, ZERO_FIRST, out, first, last,
        )  # fmt: skip

    return w.run(work), w.at_least(2)


def rate(w: Windows) -> Result:
    return _extrapolated(w, counter=True, per_second=True)


def increase(w: Windows) -> Result:
    return _extrapolated(w, counter=True, per_second=False)


def delta(w: Windows) -> Result:
    return _extrapolated(w, counter=False, per_second=False)


def _last_two(w: Windows, *, rate: bool) -> Result:
    flat = w.flat

    def work(out: FloatArray, first: int, last: int) -> None:
        kernel.last_two(
            flat.times, flat.values, flat.starts, w.clock_of, w.clock_lo, w.clock_hi, rate, out, first, last
        )

    return w.run(work), w.at_least(2)


def irate(w: Windows) -> Result:
    return _last_two(w, rate=True)


def idelta(w: Windows) -> Result:
    return _last_two(w, rate=False)


def sum_over_time(w: Windows) -> Result:
    return w.sum(), w.some


def avg_over_time(w: Windows) -> Result:
    return w.mean(), w.some


def count_over_time(w: Windows) -> Result:
    return w.count.astype(np.float64), w.some


def _extreme(w: Windows, *, largest: bool) -> Result:
    flat = w.flat

    def work(out: FloatArray, first: int, last: int) -> None:
        kernel.extremes(
            flat.values, flat.starts, w.clock_of, w.clock_lo, w.clock_hi, largest, out, first, last
        )

    return w.run(work), w.some


def min_over_time(w: Windows) -> Result:
    return _extreme(w, largest=False)


def max_over_time(w: Windows) -> Result:
    return _extreme(w, largest=True)


def last_over_time(w: Windows) -> Result:
    return w.values[w.last], w.some


def first_over_time(w: Windows) -> Result:
    return w.values[w.first], w.some


def present_over_time(w: Windows) -> Result:
    return np.ones(w.shape), w.some


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


def stdvar_over_time(w: Windows) -> Result:
    flat = w.flat

    def work(out: FloatArray, first: int, last: int) -> None:
        kernel.variances(flat.values, flat.starts, w.clock_of, w.clock_lo, w.clock_hi, out, first, last)

    return w.run(work), w.some


def stddev_over_time(w: Windows) -> Result:
    return np.sqrt(stdvar_over_time(w)[0]), w.some


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
    flat, within = w.flat, np.clip(np.where(np.isnan(q), 0.0, q), 0.0, 1.0)

    def work(out: FloatArray, first: int, last: int) -> None:
        kernel.quantiles(
            flat.values, flat.starts, w.clock_of, w.clock_lo, w.clock_hi, within, out, first, last
        )

    found = w.run(work)
    outside = np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.inf))
    return np.where((q >= 0) & (q <= 1), found, outside), w.some


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
    slope, at_origin = np.zeros(w.shape), np.zeros(w.shape)
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
    return slope, at_origin, w.at_least(2)


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
    out = np.zeros(w.shape)
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
    return out, w.at_least(2)
