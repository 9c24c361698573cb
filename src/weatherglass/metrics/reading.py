"""From blocks and heads to flat columns of the series asked for. Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weatherglass.kernels import stitch
from weatherglass.kernels.head import Head
from weatherglass.metrics.blocks import Columns
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.types import FloatArray, Int64Array, Matcher, Selection

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
    while True:
        with partition.lock:
            numbers = partition.index.select(matchers)
            blocks = partition.blocks
        try:
            flat = _gather(partition, numbers, start_ms, end_ms)
            break
        except FileNotFoundError:
            # Retention took a block between our look at the list and the read; without it, again.
            if blocks == partition.blocks:
                raise
    return _selection(partition, flat, start_ms, end_ms)


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


def _selection(partition: Partition, flat: Columns, start_ms: int, end_ms: int) -> Selection:
    settled = {
        k: settle(
            flat.times[flat.bounds[k] : flat.bounds[k + 1]], flat.values[flat.bounds[k] : flat.bounds[k + 1]]
        )
        for k in stitch.unsettled(flat.times, flat.bounds).tolist()
    }
    for k, (times, values) in settled.items():
        start = flat.bounds[k]
        flat.times[start : start + len(times)] = times
        flat.values[start : start + len(times)] = values
    ends = flat.bounds[1:].copy()
    for k, (times, _) in settled.items():
        ends[k] = flat.bounds[k] + len(times)
    low, high = stitch.trim(flat.times, flat.bounds[:-1], ends, start_ms, end_ms)
    flat.times.flags.writeable = flat.values.flags.writeable = False
    found = Selection([], [], [])
    keep = np.flatnonzero(high > low)
    with partition.lock:
        found.labels.extend(partition.index.labels(number) for number in flat.numbers[keep].tolist())
    for a, b in zip(low[keep].tolist(), high[keep].tolist(), strict=True):
        found.times.append(flat.times[a:b])
        found.values.append(flat.values[a:b])
    return found


def present(partition: Partition, numbers: Int64Array, start_ms: int, end_ms: int) -> Int64Array:
    """Those of `numbers` that have chunks overlapping the span (their samples may lie on either side of it)."""
    with partition.lock:
        blocks, heads = partition.blocks, partition.heads()
        seen = np.zeros(len(numbers), bool)
        for head in heads:
            seen |= head.sizes(numbers, start_ms, end_ms) > 0
    for block in blocks:
        if block.summary.first_ms <= end_ms and block.summary.last_ms >= start_ms:
            seen[block.plan(numbers, start_ms, end_ms).series] = True
    return numbers[seen]


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
