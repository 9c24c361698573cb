"""From blocks and heads to flat columns of the series asked for. Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from weatherglass.engine.protocols import Labels
from weatherglass.kernels import stitch
from weatherglass.kernels.head import Head
from weatherglass.metrics.blocks import Block, Columns, Plan
from weatherglass.metrics.deletion import Deletion, covered, touched
from weatherglass.metrics.histogram import Histogram, unpack
from weatherglass.metrics.index import Index
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.types import FloatArray, Int64Array, Matcher, Selection

Read = TypeVar("Read")

_SLICE = 256  # series that are read from the heads, or told by name, under one hold of the lock

FIRST_MS, LAST_MS = -(1 << 53), 1 << 53
"""The span of all times that are accepted."""

GONE_MS = 1 << 62
"""The time of a sample that a deletion took; no span reaches so far."""


def settle(times: Int64Array, values: FloatArray) -> tuple[Int64Array, FloatArray]:
    """One series' samples in order of time; of several at one time the last one written wins."""
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True)
    return times[last], values[last]


def select(partition: Partition, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
    """What the matchers ask for (see `Selection`). Raises Invalid for a bad regex, Corrupt."""
    with partition.lock:
        index = partition.index  # it may be made anew meanwhile; numbers mean the same in both
        numbers = index.select(matchers)
    flat = lasting(partition, lambda: _gather(partition, numbers, start_ms, end_ms))
    places, times, values = _cut(flat, start_ms, end_ms)
    if holds_histograms(partition):
        return with_histograms(partition, index, numbers, places, times, values, start_ms, end_ms)
    labels: list[Labels] = []
    for first in range(0, len(places), _SLICE):
        with partition.lock:
            labels += [index.labels(number) for number in numbers[places[first : first + _SLICE]].tolist()]
    return Selection(labels, times, values)


def holds_histograms(partition: Partition) -> bool:
    return bool(partition.kept.histograms or any(head.samples for head in partition.histogram_heads()))


def with_histograms(
    partition: Partition,
    index: Index,
    numbers: Int64Array,
    places: Int64Array,
    times: list[Int64Array],
    values: list[FloatArray],
    start_ms: int,
    end_ms: int,
) -> Selection:
    """A selection of float samples, of series at `places` in `numbers`, with the histograms of `numbers` beside."""
    native = lasting(partition, lambda: histograms(partition, numbers, start_ms, end_ms))
    floats = {int(place): k for k, place in enumerate(places)}
    every = sorted(floats.keys() | {int(np.searchsorted(numbers, number)) for number in native})
    with partition.lock:
        labels = [index.labels(int(numbers[place])) for place in every]
    none: tuple[Int64Array, list[Histogram]] = (np.empty(0, np.int64), [])
    return Selection(
        labels,
        [times[floats[place]] if place in floats else np.empty(0, np.int64) for place in every],
        [values[floats[place]] if place in floats else np.empty(0) for place in every],
        [native.get(int(numbers[place]), none) for place in every],
    )


def histograms(
    partition: Partition, numbers: Int64Array, start_ms: int, end_ms: int
) -> dict[int, tuple[Int64Array, list[Histogram]]]:
    """Series number → (times, histograms) in the span, of those of `numbers` (ascending) that have any."""
    with partition.lock:
        blocks, deletions = partition.kept.histograms, partition.kept.deletions
        fresh = [
            (number, one)
            for head in partition.histogram_heads()
            for number in np.intersect1d(head.numbers(), numbers).tolist()
            for one in head.read(number, start_ms, end_ms)
        ]
    found: dict[int, dict[int, bytes]] = {}
    for block in blocks:
        if block.summary.first_ms > end_ms or block.summary.last_ms < start_ms:
            continue
        many = block.read(numbers, start_ms, end_ms)
        if deletions and many:
            at = np.array([time for _, time, _ in many])
            of = np.array([number for number, _, _ in many])
            lost = touched(deletions, block.meta.position, of, at, at).tolist()
            many = [one for one, gone in zip(many, lost, strict=True) if not gone]
        for number, time, packed in many:
            found.setdefault(number, {})[time] = packed
    for number, (time, packed) in fresh:
        found.setdefault(number, {})[time] = packed
    return {
        number: (np.array(sorted(held), np.int64), [unpack(held[time]) for time in sorted(held)])
        for number, held in found.items()
    }


def lasting(partition: Partition, read: Callable[[], Read]) -> Read:
    """`read`, once more where retention took a block between its look at the list and its reading."""
    while True:
        blocks, kept = partition.blocks, partition.kept
        try:
            return read()
        except FileNotFoundError:
            if blocks is partition.blocks and kept is partition.kept:
                raise


def _gather(
    partition: Partition, numbers: Int64Array, start_ms: int, end_ms: int, *, open_heads: bool = True
) -> Columns:
    with partition.lock:
        blocks, heads = partition.blocks, partition.heads() if open_heads else []
        deletions = partition.kept.deletions
    overlapping, plans, sizes = _planned(blocks, numbers, start_ms, end_ms)
    newest = [
        _of_heads(partition, heads, numbers[first : first + _SLICE], start_ms, end_ms)
        for first in range(0, len(numbers) if heads else 0, _SLICE)
    ]
    counts = np.concatenate([one.sizes for one in newest]) if newest else np.zeros(len(numbers), np.int64)
    bounds = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(sizes + counts, out=bounds[1:])
    times, values = np.empty(int(bounds[-1]), np.int64), np.empty(int(bounds[-1]), np.float64)
    at = bounds[:-1] + sizes
    for first, one in zip(range(0, len(numbers), _SLICE), newest, strict=False):
        starts = np.cumsum(one.sizes) - one.sizes
        to = at[first : first + _SLICE]
        stitch.spread(one.times, starts, one.sizes, to, times)
        stitch.spread(one.values.view(np.int64), starts, one.sizes, to, values.view(np.int64))
    flat = Columns(numbers, bounds, times, values)
    _fill(overlapping, plans, flat, deletions)
    return flat


class _Newest(NamedTuple):
    sizes: Int64Array
    times: Int64Array
    values: FloatArray


def _of_heads(
    partition: Partition, heads: Sequence[Head], numbers: Int64Array, start_ms: int, end_ms: int
) -> _Newest:
    """What heads hold of some series. Few at a time, so that a writer never waits long for the lock."""
    with partition.lock:  # the open head must not grow between being measured and being read
        each = [head.sizes(numbers, start_ms, end_ms) for head in heads]
        sizes = np.sum(each, axis=0)
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        times, values = np.empty(total, np.int64), np.empty(total, np.float64)
        at = ends - sizes
        for head, size in zip(heads, each, strict=True):
            head.read(numbers, start_ms, end_ms, at, times, values)
            at = at + size
    return _Newest(sizes, times, values)


def _planned(
    blocks: Sequence[Block], numbers: Int64Array, start_ms: int, end_ms: int
) -> tuple[list[Block], list[Plan], Int64Array]:
    """(blocks that overlap the span, what each gives, how many samples of each series)."""
    overlapping = [
        block for block in blocks if block.summary.first_ms <= end_ms and block.summary.last_ms >= start_ms
    ]
    plans = [block.plan(numbers, start_ms, end_ms) for block in overlapping]
    sizes = np.zeros(len(numbers), np.int64)
    for plan in plans:
        sizes += np.bincount(plan.series, plan.counts, len(numbers)).astype(np.int64)
    return overlapping, plans, sizes


def _fill(
    blocks: Sequence[Block], plans: Sequence[Plan], flat: Columns, deletions: Sequence[Deletion]
) -> None:
    """Block after block from where each series begins."""
    at = flat.bounds[:-1].copy()
    for block, plan in zip(blocks, plans, strict=True):
        if not len(plan.chunks):
            continue
        ends = np.cumsum(plan.counts)
        firsts = np.searchsorted(plan.series, plan.series, "left")
        within = (ends - plan.counts) - (ends - plan.counts)[firsts]
        offsets = at[plan.series] + within
        block.fill(plan, offsets, flat.times, flat.values)
        if deletions:
            _strike(deletions, block, flat.numbers, plan, offsets, flat.times)
        at += np.bincount(plan.series, plan.counts, len(flat.numbers)).astype(np.int64)


def of_blocks(
    blocks: Sequence[Block],
    numbers: Int64Array,
    deletions: Sequence[Deletion],
    start_ms: int = FIRST_MS,
    end_ms: int = LAST_MS,
    *,
    exact: bool = True,
) -> Columns:
    """What blocks hold of `numbers` (ascending; of roll-ups those of columns), settled; empty series stay.
    Where it need not be `exact`, more of what lies about the span may come, which is cheaper."""
    overlapping, plans, sizes = _planned(blocks, numbers, start_ms, end_ms)
    bounds = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    flat = Columns(numbers, bounds, np.empty(int(bounds[-1]), np.int64), np.empty(int(bounds[-1])))
    _fill(overlapping, plans, flat, deletions)
    if not exact and not deletions and not len(stitch.unsettled(flat.times, flat.bounds)):
        return flat
    return _between(flat, start_ms, end_ms)


def _strike(
    deletions: Sequence[Deletion],
    block: Block,
    numbers: Int64Array,
    plan: Plan,
    offsets: Int64Array,
    times: Int64Array,
) -> None:
    """Puts deleted samples behind the end of time, where every span ends before. A group of a roll-up is taken as a
    whole where a sample of it may be."""
    length = max(block.meta.granularity_ms - 1, 0)
    of = block.series(numbers[plan.series])
    first, last = block.spans(plan)
    some = np.flatnonzero(touched(deletions, block.meta.position, of, first, last + length))
    if not len(some):
        return
    counts = plan.counts[some]
    places = np.repeat(offsets[some] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    begun = times[places]
    lost = touched(deletions, block.meta.position, np.repeat(of[some], counts), begun, begun + length)
    times[places[lost]] = GONE_MS


def columns(
    partition: Partition, numbers: Int64Array, start_ms: int, end_ms: int, *, open_heads: bool = True
) -> Columns:
    """Samples of `numbers` (ascending) in the span, both ends included, settled; series without any stay, empty."""
    flat = lasting(partition, lambda: _gather(partition, numbers, start_ms, end_ms, open_heads=open_heads))
    return _between(flat, start_ms, end_ms)


def _between(flat: Columns, start_ms: int, end_ms: int) -> Columns:
    """Settled, and of the span alone."""
    ends = _settled(flat)
    low, high = stitch.trim(flat.times, flat.bounds[:-1], ends, start_ms, end_ms)
    if (low == flat.bounds[:-1]).all() and (high == flat.bounds[1:]).all():
        return flat
    owners = flat.owners
    places = np.arange(len(flat.times))
    return flat.only((places >= low[owners]) & (places < high[owners]), owners)


def _settled(flat: Columns) -> Int64Array:
    """Settles in place; where each series ends now."""
    ends = flat.bounds[1:].copy()
    for k in stitch.unsettled(flat.times, flat.bounds).tolist():
        start, end = flat.bounds[k], flat.bounds[k + 1]
        times, values = settle(flat.times[start:end], flat.values[start:end])
        ends[k] = start + len(times)
        flat.times[start : ends[k]], flat.values[start : ends[k]] = times, values
    return ends


def _cut(flat: Columns, start_ms: int, end_ms: int) -> tuple[Int64Array, list[Int64Array], list[FloatArray]]:
    """(places of the series that have samples in the span, their times, their values), settled."""
    ends = _settled(flat)
    low, high = stitch.trim(flat.times, flat.bounds[:-1], ends, start_ms, end_ms)
    flat.times.flags.writeable = flat.values.flags.writeable = False
    places = np.flatnonzero(high > low)
    spans = list(zip(low[places].tolist(), high[places].tolist(), strict=True))
    return places, [flat.times[a:b] for a, b in spans], [flat.values[a:b] for a, b in spans]


def present(partition: Partition, numbers: Int64Array, start_ms: int, end_ms: int) -> Int64Array:
    """Those of `numbers` that have chunks overlapping the span (their samples may lie on either side of it)."""

    def read() -> Int64Array:
        seen = np.zeros(len(numbers), bool)
        with partition.lock:
            blocks, kept = partition.blocks, partition.kept
            for head in partition.heads():
                seen |= head.sizes(numbers, start_ms, end_ms) > 0
            for many in partition.histogram_heads():
                seen |= np.isin(numbers, many.numbers())
        for block in blocks:
            if block.summary.first_ms <= end_ms and block.summary.last_ms >= start_ms:
                plan = block.plan(numbers, start_ms, end_ms)
                if kept.deletions:
                    of = numbers[plan.series]
                    lost = covered(kept.deletions, block.meta.position, of, *block.spans(plan))
                    seen[plan.series[~lost]] = True
                else:
                    seen[plan.series] = True
        for one in kept.every:
            if one.summary.first_ms <= end_ms and one.summary.last_ms >= start_ms:
                seen |= np.isin(numbers, one.numbers())
        return numbers[seen]

    return lasting(partition, read)


def drained(head: Head, numbers: Int64Array) -> Columns:
    """All that a head at rest holds of `numbers`, settled."""
    sizes = head.sizes(numbers, FIRST_MS, LAST_MS)
    bounds = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    times, values = np.empty(int(bounds[-1]), np.int64), np.empty(int(bounds[-1]), np.float64)
    head.read(numbers, FIRST_MS, LAST_MS, bounds, times, values)
    wrong = set(stitch.unsettled(times, bounds).tolist())
    if not wrong:
        return Columns(numbers, bounds, times, values)
    pieces = []
    for k in range(len(numbers)):
        piece = times[bounds[k] : bounds[k + 1]], values[bounds[k] : bounds[k + 1]]
        pieces.append(settle(*piece) if k in wrong else piece)
    bounds[1:] = np.cumsum([len(piece[0]) for piece in pieces])
    return Columns(
        numbers,
        bounds,
        np.concatenate([piece[0] for piece in pieces]),
        np.concatenate([piece[1] for piece in pieces]),
    )
