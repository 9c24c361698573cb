"""Samples laid against steps: the last sample at each step (instant), or the run of samples in each window (range).

Everything is flat arrays. A window is a half-open index range [lo, hi) into the concatenated samples of all
series, so that a statistic over every window of every series is one `reduceat`, and nothing loops over points.
Ranges are left-open, (t - range, t], and so is the look-back, as in Prometheus 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from weatherglass.base.errors import LimitExceeded
from weatherglass.engine.protocols import Labels
from weatherglass.kernels import windows as kernel
from weatherglass.metrics.cores import shared_out
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.promql.options import MAX_LOOKED_AT
from weatherglass.metrics.promql.vector import ObjectArray
from weatherglass.metrics.types import STALE_BITS, BoolArray, FloatArray, Int64Array, Selection

Kernel = Callable[[Int64Array, FloatArray, BoolArray], FloatArray]
"""(times (w, k), values (w, k), mask (w, k)) → (w,): one number a window."""

_CELLS = (
    1 << 17
)  # windows are spread out into (windows, samples) blocks of so many cells, that stay in the cache


def is_stale(values: FloatArray) -> BoolArray:
    """Which values are the stale marker: by bits, for it is a NaN among NaNs."""
    return np.asarray(np.ascontiguousarray(values).view(np.int64) == STALE_BITS)


class Flat(NamedTuple):
    """The floats of a selection, series after series: where each begins, how many it has."""

    times: Int64Array
    values: FloatArray
    starts: Int64Array
    lengths: Int64Array

    @classmethod
    def of(cls, selection: Selection) -> Flat:
        """Without a copy where the series are pieces of one column, as the store gives them."""
        lengths = np.array([len(t) for t in selection.times], np.int64)
        found = _columns(selection, lengths)
        if found is not None:
            return found
        starts = np.cumsum(lengths) - lengths
        times = np.concatenate([*selection.times, np.zeros(1, np.int64)])
        return cls(times, np.concatenate([*selection.values, np.zeros(1)]), starts, lengths)

    def without_stale(self) -> Flat:
        """No function over a range sees a stale marker."""
        if not kernel.ended(self.values):
            return self
        pieces = []
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            run = slice(start, start + length)
            kept = ~is_stale(self.values[run])
            pieces.append((self.times[run][kept], self.values[run][kept]))
        return Flat.of(Selection([], [t for t, _ in pieces], [v for _, v in pieces]))


def _columns(selection: Selection, lengths: Int64Array) -> Flat | None:
    """The two columns that all series are pieces of; None where they are not."""
    if not len(lengths):
        return None
    times, values = selection.times[0].base, selection.values[0].base
    columns = (times, values)
    if not all(isinstance(one, np.ndarray) and one.ndim == 1 and one.flags.c_contiguous for one in columns):
        return None
    assert isinstance(times, np.ndarray) and isinstance(values, np.ndarray)
    if times.dtype != np.int64 or values.dtype != np.float64 or len(times) != len(values):
        return None
    if any(t.base is not times for t in selection.times) or any(
        v.base is not values for v in selection.values
    ):
        return None
    starts = kernel.places(selection.times, selection.values, times, values)
    return None if starts is None else Flat(times, values, starts, lengths)


def instant(
    selection: Selection, at_ms: Int64Array, lookback_ms: int
) -> tuple[FloatArray, Callable[[], Int64Array], BoolArray, ObjectArray | None]:
    """Values (n, steps), a function to their own times, which are present, histograms.

    Of each series the last sample in (t - look-back, t], unless it is a stale marker.
    """
    n, steps = len(selection.labels), len(at_ms)
    flat = Flat.of(selection)
    clock_of, lo, hi = kernel.edges(flat.times, flat.starts, flat.lengths, at_ms, lookback_ms)
    values, present = np.empty((n, steps)), np.empty((n, steps), np.bool_)

    def work(first: int, last: int) -> None:
        kernel.instants(
            flat.values, flat.starts, clock_of, lo, hi, values, present.view(np.uint8), first, last
        )

    shared_out(work, n, values.size)

    def own_times() -> Int64Array:
        last = flat.starts[:, None] + np.maximum(hi[clock_of] - 1, 0)
        return flat.times[np.minimum(last, len(flat.times) - 1)]

    if selection.histograms is None:
        return values, own_times, present, None
    times = np.where(hi[clock_of] > lo[clock_of], own_times(), np.iinfo(np.int64).min)
    natives: ObjectArray = np.full((n, steps), None, object)
    for i, (t, found) in enumerate(selection.histograms):
        if not len(t):
            continue
        last = np.maximum(np.searchsorted(t, at_ms, side="right") - 1, 0)
        own = t[last]
        mine = (own <= at_ms) & (own > at_ms - lookback_ms) & (times[i] < own)
        here = np.fromiter(found, object, len(found))
        natives[i, mine] = here[last[mine]]
        ended = np.fromiter((_ended(one) for one in found), np.bool_, len(found))
        times[i, mine], values[i, mine], present[i, mine] = own[mine], 0.0, ~ended[last[mine]]
    return values, lambda: times, present, natives


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

    `flat` holds the samples of all series; `clock_lo` and `clock_hi` (clocks, n_steps) are the windows from a series'
    start, `clock_of` (n_series) says which row is whose: series of one scrape share it. `ends_ms` (n_steps) are the
    windows' right ends, `range_ms` their width; `at_ms` are the steps that ask, later than the ends by an offset.
    """

    labels: list[Labels]
    flat: Flat
    clock_of: Int64Array
    clock_lo: Int64Array
    clock_hi: Int64Array
    ends_ms: Int64Array
    range_ms: int
    at_ms: Int64Array
    looked_at: int
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
        flat = Flat.of(selection).without_stale()
        clock_of, lo, hi = kernel.edges(flat.times, flat.starts, flat.lengths, ends_ms, range_ms)
        looked_at = int((hi - lo).sum(axis=1)[clock_of].sum())
        if looked_at > most:
            raise LimitExceeded(
                "query processing would load too many samples into memory in query execution: "
                f"{looked_at:,} of at most {most:,}",
                mend="widen the step, or shorten the range in […]",
            )
        natives = Natives.cut(selection, ends_ms, range_ms)
        labels = list(selection.labels)
        return cls(labels, flat, clock_of, lo, hi, ends_ms, range_ms, at_ms, looked_at, natives)

    @property
    def times(self) -> Int64Array:
        return self.flat.times

    @property
    def values(self) -> FloatArray:
        return self.flat.values

    @cached_property
    def lo(self) -> Int64Array:
        """Where each window begins in `times` and `values`."""
        return self.clock_lo[self.clock_of] + self.flat.starts[:, None]

    @cached_property
    def hi(self) -> Int64Array:
        return self.clock_hi[self.clock_of] + self.flat.starts[:, None]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.labels), len(self.ends_ms)

    def run(self, work: Callable[[FloatArray, int, int], None]) -> FloatArray:
        """(n_series, n_steps) that a kernel fills: `work(out, first row, last row)`."""
        out = np.empty(self.shape)
        shared_out(partial(work, out), len(self.labels), self.looked_at + out.size)
        return out

    @cached_property
    def count(self) -> Int64Array:
        return (self.clock_hi - self.clock_lo)[self.clock_of]

    @cached_property
    def some(self) -> BoolArray:
        """Which windows hold a float."""
        return self.at_least(1)

    def at_least(self, samples: int) -> BoolArray:
        """Which windows hold so many floats."""
        return (self.clock_hi - self.clock_lo >= samples)[self.clock_of]

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

    def sum(self, values: FloatArray | None = None) -> FloatArray:
        """Sum over each window, of its values or of others laid out as they are; 0 where it is empty."""
        data = self.values if values is None else values
        flat, clocks = self.flat, (self.clock_of, self.clock_lo, self.clock_hi)
        return self.run(lambda out, a, b: kernel.sums(data, flat.starts, *clocks, out, a, b))

    def mean(self) -> FloatArray:
        out = self.sum() / self.count
        # A sum that overflows though the mean does not: scale first.
        if np.isinf(out).any():
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
