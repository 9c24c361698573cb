"""Samples laid against steps: the last sample at each step (instant), or the run of samples in each window (range).

Everything is flat arrays. A window is a half-open index range [lo, hi) into the concatenated samples of all
series, so that a statistic over every window of every series is one `reduceat`, and nothing loops over points.
Ranges are left-open, (t - range, t], and so is the look-back, as in Prometheus 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from weatherglass.base.errors import LimitExceeded
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.promql.options import MAX_LOOKED_AT
from weatherglass.metrics.promql.vector import ObjectArray, sums
from weatherglass.metrics.types import STALE_BITS, BoolArray, FloatArray, Int64Array, Selection

Kernel = Callable[[Int64Array, FloatArray, BoolArray], FloatArray]
"""(times (w, k), values (w, k), mask (w, k)) → (w,): one number a window."""

_CELLS = (
    1 << 17
)  # windows are spread out into (windows, samples) blocks of so many cells, that stay in the cache


_PART = 32  # series of a part: about 0.4 MB an array at a day of minutes


def is_stale(values: FloatArray) -> BoolArray:
    """Which values are the stale marker: by bits, for it is a NaN among NaNs."""
    return np.asarray(np.ascontiguousarray(values).view(np.int64) == STALE_BITS)


def instant(
    selection: Selection, at_ms: Int64Array, lookback_ms: int
) -> tuple[FloatArray, Int64Array, BoolArray, ObjectArray | None]:
    """Values (n, steps), their own times, which are present, histograms: the last sample in (t - look-back, t], not stale."""
    n, steps = len(selection.labels), len(at_ms)
    values, times = np.zeros((n, steps)), np.zeros((n, steps), np.int64)
    present = np.zeros((n, steps), np.bool_)
    clock = last = own = np.zeros(0, np.int64)
    fresh = np.zeros(0, np.bool_)
    for i, (t, v) in enumerate(zip(selection.times, selection.values, strict=True)):
        if not len(t):
            continue
        if not (t is clock or np.array_equal(t, clock)):
            clock = t
            last = np.maximum(np.searchsorted(t, at_ms, side="right") - 1, 0)
            own = t[last]
            fresh = (own <= at_ms) & (own > at_ms - lookback_ms)
        times[i], present[i] = own, fresh
        np.take(v, last, out=values[i])
    if selection.histograms is None:
        return values, times, present & ~is_stale(values), None
    natives: ObjectArray = np.full((n, steps), None, object)
    gone = is_stale(values)
    for i, (t, found) in enumerate(selection.histograms):
        if not len(t):
            continue
        last = np.maximum(np.searchsorted(t, at_ms, side="right") - 1, 0)
        own = t[last]
        mine = (own <= at_ms) & (own > at_ms - lookback_ms) & ~(present[i] & (times[i] > own))
        held = np.fromiter(found, object, len(found))
        natives[i, mine] = held[last[mine]]
        times[i, mine], values[i, mine], present[i, mine] = own[mine], 0.0, True
        ended = np.fromiter((_ended(one) for one in found), np.bool_, len(found))
        gone[i, mine] = ended[last[mine]]
    return values, times, present & ~gone, natives


def _ended(histogram: Histogram) -> bool:
    """Whether it is a stale marker: by the bits of its sum."""
    return bool(is_stale(np.array([histogram.sum]))[0])


@dataclass(frozen=True, slots=True)
class Natives:
    """The native histograms of every series, and each window's among them: [lo, hi) into its own series' lists."""

    times: list[Int64Array]
    histograms: list[list[Histogram]]
    lo: Int64Array
    hi: Int64Array

    @classmethod
    def cut(cls, selection: Selection, ends_ms: Int64Array, range_ms: int) -> Natives | None:
        if selection.histograms is None:
            return None
        shape = len(selection.labels), len(ends_ms)
        lo, hi = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        times: list[Int64Array] = []
        histograms: list[list[Histogram]] = []
        for i, (t, found) in enumerate(selection.histograms):
            kept = [k for k, one in enumerate(found) if not _ended(one)]
            times.append(t[kept])
            histograms.append([found[k] for k in kept])
            lo[i] = np.searchsorted(times[i], ends_ms - range_ms, side="right")
            hi[i] = np.searchsorted(times[i], ends_ms, side="right")
        return cls(times, histograms, lo, hi) if (hi > lo).any() else None


@dataclass(frozen=True)
class Windows:
    """The windows of every series at every step.

    `times` int64 ms and `values` float64 are the samples of all series one after the other; `lo` and `hi`
    (n_series, n_steps) index them. `ends_ms` (n_steps) are the windows' right ends, `range_ms` their width;
    `at_ms` are the steps that ask, later than the ends by an offset. `starts` is each series' first sample.
    """

    labels: list[Labels]
    times: Int64Array
    values: FloatArray
    lo: Int64Array
    hi: Int64Array
    ends_ms: Int64Array
    range_ms: int
    at_ms: Int64Array
    starts: Int64Array
    natives: Natives | None = None
    nameless: BoolArray | None = None

    @classmethod
    def cut(
        cls,
        selection: Selection,
        ends_ms: Int64Array,
        range_ms: int,
        at_ms: Int64Array,
        most: int = MAX_LOOKED_AT,
    ) -> Windows:
        """Windows over a selection; stale markers are left out, as no function over a range sees them."""
        n, steps = len(selection.labels), len(ends_ms)
        lo, hi, starts = np.zeros((n, steps), np.int64), np.zeros((n, steps), np.int64), np.zeros(n, np.int64)
        kept_t: list[Int64Array] = []
        kept_v: list[FloatArray] = []
        base = 0
        clock = np.zeros(0, np.int64)
        low = high = np.searchsorted(clock, ends_ms)
        for i, (t, v) in enumerate(zip(selection.times, selection.values, strict=True)):
            stale = is_stale(v)
            if stale.any():
                t, v = t[~stale], v[~stale]
            # Series of one scrape share their instants: to compare is ten times cheaper than to search.
            if not (t is clock or np.array_equal(t, clock)):
                clock = t
                low = np.searchsorted(t, ends_ms - range_ms, side="right")
                high = np.searchsorted(t, ends_ms, side="right")
            starts[i] = base
            np.add(low, base, out=lo[i])
            np.add(high, base, out=hi[i])
            kept_t.append(t)
            kept_v.append(v)
            base += len(t)
        looked_at = int((hi - lo).sum())
        if looked_at > most:
            raise LimitExceeded(
                "query processing would load too many samples into memory in query execution: "
                f"{looked_at:,} of at most {most:,}",
                mend="widen the step, or shorten the range in […]",
            )
        # One sample more than there is, so that `hi` may be an index for reduceat.
        times = np.concatenate([*kept_t, np.zeros(1, np.int64)])
        values = np.concatenate([*kept_v, np.zeros(1)])
        natives = Natives.cut(selection, ends_ms, range_ms)
        return cls(list(selection.labels), times, values, lo, hi, ends_ms, range_ms, at_ms, starts, natives)

    def parts(self) -> Iterator[tuple[slice, Windows]]:
        """A few series at a time, so that what is computed in many steps stays in the processor's cache."""
        for at in range(0, len(self.labels), _PART):
            rows = slice(at, at + _PART)
            yield (
                rows,
                replace(
                    self,
                    labels=self.labels[rows],
                    lo=self.lo[rows],
                    hi=self.hi[rows],
                    starts=self.starts[rows],
                ),
            )

    @cached_property
    def count(self) -> Int64Array:
        return self.hi - self.lo

    @cached_property
    def some(self) -> BoolArray:
        """Which windows hold a float."""
        return self.count > 0

    @property
    def any(self) -> BoolArray:
        """Which windows hold a sample of either kind."""
        return self.some if self.natives is None else self.some | (self.natives.hi > self.natives.lo)

    @cached_property
    def first(self) -> Int64Array:
        """Index of each window's first sample; any index where the window is empty."""
        return np.where(self.some, self.lo, len(self.values) - 1)

    @cached_property
    def last(self) -> Int64Array:
        return np.where(self.some, self.hi - 1, len(self.values) - 1)

    def reduce(self, ufunc: np.ufunc, values: FloatArray | None = None, *, skip: int = 0) -> FloatArray:
        """`ufunc` over each window but its first `skip` samples, (n_series, n_steps); 0 where nothing is left."""
        data = self.values if values is None else values
        out = np.zeros(self.lo.shape)
        some = self.count > skip
        if some.any():
            pairs = np.empty(2 * int(some.sum()), np.int64)
            pairs[0::2], pairs[1::2] = self.lo[some] + skip, self.hi[some]
            out[some] = ufunc.reduceat(data, pairs)[0::2]
        return out

    def sum(self, values: FloatArray | None = None) -> FloatArray:
        """Sum over each window, of its values or of others laid out as they are; 0 where it is empty."""
        out = np.zeros(self.lo.shape)
        data = self.values if values is None else values
        out[self.some] = sums(data, self.lo[self.some], self.hi[self.some])
        return out

    def mean(self) -> FloatArray:
        out = self.sum() / self.count
        # A sum that overflows though the mean does not: scale first.
        if np.isinf(out[self.some]).any():
            most = float(self.count.max())
            out = np.where(np.isinf(out), self.sum(self.values / most) * (most / self.count), out)
        return out

    def inside(self, before: Int64Array) -> FloatArray:
        """How much a running total `before` (one per sample) grows from a window's first sample to its last."""
        return (before[self.last] - before[self.first]).astype(np.float64)

    def blocks(self) -> Iterator[tuple[tuple[Int64Array, ...], Int64Array, FloatArray, BoolArray]]:
        """Non-empty windows spread out: (where, times (w, k), values (w, k), mask (w, k)), a bounded block at a time."""
        where = np.nonzero(self.some)
        if not len(where[0]):
            return
        counts = self.count[where]
        order = np.argsort(counts, kind="stable")  # windows of like length share a block
        at = 0
        while at < len(order):
            width = int(counts[order[at]])
            take = max(1, _CELLS // max(1, width))
            rows = order[at : at + take]
            width = int(counts[rows[-1]])
            if width * len(rows) > 2 * _CELLS and len(rows) > 1:
                rows = rows[: max(1, _CELLS // width)]
                width = int(counts[rows[-1]])
            cell = tuple(axis[rows] for axis in where)
            index = self.lo[cell][:, None] + np.arange(width)
            mask = np.arange(width) < counts[rows][:, None]
            index = np.where(mask, index, len(self.values) - 1)
            yield cell, self.times[index], self.values[index], mask
            at += len(rows)

    def each(self, kernel: Kernel) -> FloatArray:
        """`kernel(times, values, mask) → (w,)` over spread-out windows, put back in place."""
        out = np.zeros(self.lo.shape)
        for cell, times, values, mask in self.blocks():
            out[cell] = kernel(times, values, mask)
        return out
