"""From blocks and heads to flat columns of the series asked for. Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from weatherglass.kernels import stitch
from weatherglass.kernels.head import Head
from weatherglass.metrics.blocks import Columns
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.types import FloatArray, Int64Array, Matcher, Selection

Read = TypeVar("Read")

FIRST_MS, LAST_MS = -(1 << 53), 1 << 53
"""The span of all times that are accepted."""


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
    flat = _lasting(partition, lambda: _gather(partition, numbers, start_ms, end_ms))
    places, times, values = _cut(flat, start_ms, end_ms)
    with partition.lock:
        labels = [index.labels(number) for number in numbers[places].tolist()]
    return Selection(labels, times, values)


def _lasting(partition: Partition, read: Callable[[], Read]) -> Read:
    """`read`, once more where retention took a block between its look at the list and its reading."""
    while True:
        blocks = partition.blocks
        try:
            return read()
        except FileNotFoundError:
            if blocks == partition.blocks:
                raise


def _gather(partition: Partition, numbers: Int64Array, start_ms: int, end_ms: int) -> Columns:
    with partition.lock:
        blocks, heads = partition.blocks, partition.heads()
    overlapping = [
        block for block in blocks if block.summary.first_ms <= end_ms and block.summary.last_ms >= start_ms
    ]
    plans = [block.plan(numbers, start_ms, end_ms) for block in overlapping]
    sizes = np.zeros(len(numbers), np.int64)
    for plan in plans:
        sizes += np.bincount(plan.series, plan.counts, len(numbers)).astype(np.int64)
    with partition.lock:  # the open head must not grow between being measured and being read
        head_sizes = [head.sizes(numbers, start_ms, end_ms) for head in heads]
        bounds = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(sum(head_sizes, sizes), out=bounds[1:])
        times, values = np.empty(int(bounds[-1]), np.int64), np.empty(int(bounds[-1]), np.float64)
        at = bounds[:-1] + sizes
        for head, size in zip(heads, head_sizes, strict=True):
            head.read(numbers, start_ms, end_ms, at, times, values)
            at = at + size
    at = bounds[:-1].copy()
    for block, plan in zip(overlapping, plans, strict=True):
        if not len(plan.chunks):
            continue
        ends = np.cumsum(plan.counts)
        firsts = np.searchsorted(plan.series, plan.series, "left")
        within = (ends - plan.counts) - (ends - plan.counts)[firsts]
        block.fill(plan, at[plan.series] + within, times, values)
        at += np.bincount(plan.series, plan.counts, len(numbers)).astype(np.int64)
    return Columns(numbers, bounds, times, values)


def _cut(flat: Columns, start_ms: int, end_ms: int) -> tuple[Int64Array, list[Int64Array], list[FloatArray]]:
    """(places of the series that have samples in the span, their times, their values), settled."""
    ends = flat.bounds[1:].copy()
    for k in stitch.unsettled(flat.times, flat.bounds).tolist():
        start, end = flat.bounds[k], flat.bounds[k + 1]
        times, values = settle(flat.times[start:end], flat.values[start:end])
        ends[k] = start + len(times)
        flat.times[start : ends[k]], flat.values[start : ends[k]] = times, values
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
            blocks = partition.blocks
            for head in partition.heads():
                seen |= head.sizes(numbers, start_ms, end_ms) > 0
        for block in blocks:
            if block.summary.first_ms <= end_ms and block.summary.last_ms >= start_ms:
                seen[block.plan(numbers, start_ms, end_ms).series] = True
        return numbers[seen]

    return _lasting(partition, read)


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
