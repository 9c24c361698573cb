"""Roll-ups are read: from roll-up blocks as far as these know, from raw samples else; whole and right either way.

The rule of `select` for spans past raw retention is here too (`coarse`). Making roll-ups is in `rolling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.metrics import granularity, reading
from weatherglass.metrics.blocks import Block, Columns
from weatherglass.metrics.kept import Kept
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.reading import FIRST_MS, LAST_MS
from weatherglass.metrics.retention import Policy, Rollup, classes, parts, spec
from weatherglass.metrics.types import BoolArray, Int64Array, Matcher, Selection

COMPOSED = {"sum": "sum", "count": "sum", "min": "min", "max": "max", "first": "first", "last": "last"}
"""How a column of a finer granularity makes that of a coarser one; a mean is made of its sum and count."""

SHOWN = ("last", "mean", "max", "min", "median", "first", "sum", "count")
"""Which method stands for the samples where these are past retention: the first of these that is kept."""


def select(
    partition: Partition,
    policies: Sequence[Policy],
    matchers: Sequence[Matcher],
    start_ms: int,
    end_ms: int,
) -> Selection:
    """As `reading.select`, with the finest roll-ups in place of raw samples that are gone (see `coarse`)."""
    with partition.lock:
        index = partition.index
        numbers = index.select(matchers)

    def read() -> Columns:
        raw = reading.columns(partition, numbers, start_ms, end_ms)
        return coarse(partition, policies, numbers, raw, start_ms, end_ms)

    flat = reading.lasting(partition, read)
    places = np.flatnonzero(np.diff(flat.bounds))
    flat.times.flags.writeable = flat.values.flags.writeable = False
    spans = [(int(flat.bounds[place]), int(flat.bounds[place + 1])) for place in places]
    times, values = [flat.times[a:b] for a, b in spans], [flat.values[a:b] for a, b in spans]
    if reading.holds_histograms(partition):
        return reading.with_histograms(partition, index, numbers, places, times, values, start_ms, end_ms)
    with partition.lock:
        return Selection([index.labels(number) for number in numbers[places].tolist()], times, values)


def rollup(
    partition: Partition,
    policies: Sequence[Policy],
    matchers: Sequence[Matcher],
    length: int,
    method: str,
    start_ms: int,
    end_ms: int,
) -> Selection:
    """Groups of `length` ms that overlap the span, of the series that match: `times` are their beginnings, `values`
    the aggregate by `method`, each whole. Raises Invalid, Corrupt."""
    granularity.check([method])
    if length <= 0:
        raise Invalid("a granularity is a positive span", mend="give it in seconds")
    with partition.lock:
        index = partition.index
        numbers = index.select(matchers)
    first, last = _floor(max(start_ms, FIRST_MS), length), _floor(min(end_ms, LAST_MS), length)
    labels, times, values = [], [], []
    for policy, mine in classes(partition, numbers, policies):
        read = partial(_of_policy, partition, policies, policy, mine, length, method, first, last)
        flat = reading.lasting(partition, read)
        there = np.flatnonzero(np.diff(flat.bounds))
        with partition.lock:
            labels += [index.labels(number) for number in flat.numbers[there].tolist()]
        for k in there.tolist():
            low, high = flat.bounds[k], flat.bounds[k + 1]
            times.append(flat.times[low:high])
            values.append(flat.values[low:high])
    return Selection(labels, times, values)


def _of_policy(
    partition: Partition,
    policies: Sequence[Policy],
    policy: Policy,
    numbers: Int64Array,
    length: int,
    method: str,
    first: int,
    last: int,
) -> Columns:
    with partition.lock:
        kept = partition.kept
    source = _source(kept, policies, policy, length, method)
    if source is None:
        return _derived(partition, numbers, length, method, first, last)
    known = _floor(kept.states[policy.name, source.granularity_ms].until_ms, length)
    unsure = late(partition, numbers, known)
    floor_ms = kept.floors.get((policy.name, 0), FIRST_MS)
    sure = _two(partition, policy, source, numbers[~unsure], length, method, first, last, known)
    if not unsure.any():
        return sure
    # These got samples, or lost some, that roll-ups do not know of: from raw samples, as far as there are any.
    edge = min(_ceil(floor_ms, length), known)
    again = _two(partition, policy, source, numbers[unsure], length, method, first, last, edge)
    if partition.kept.floors != kept.floors:  # raw samples were dropped meanwhile: from roll-ups then
        return _of_policy(partition, policies, policy, numbers, length, method, first, last)
    return _side_by_side(numbers, unsure, sure, again)


def _two(
    partition: Partition,
    policy: Policy,
    source: Rollup,
    numbers: Int64Array,
    length: int,
    method: str,
    first: int,
    last: int,
    edge: int,
) -> Columns:
    """Stored groups that begin before `edge`, and the others from raw samples."""
    pieces = []
    if first < edge:
        stored = stored_rollup(
            partition, policy, source, numbers, method, first, min(edge, last + length) - 1, length
        )
        pieces.append(stored)
    if last >= edge:
        pieces.append(_derived(partition, numbers, length, method, max(first, edge), last))
    return joined(numbers, pieces)


def _source(
    kept: Kept, policies: Sequence[Policy], policy: Policy, length: int, method: str
) -> Rollup | None:
    """The coarsest stored granularity that gives the groups asked for."""
    found = None
    for one in sorted(policy.rollups, key=lambda one: one.granularity_ms):
        state = kept.states.get((policy.name, one.granularity_ms))
        if state is None or not state.stored or state.spec != spec(policies, policy, one):
            continue
        exact = one.granularity_ms == length
        composed = length % one.granularity_ms == 0 and all(part in COMPOSED for part in parts(method))
        if set(parts(method)) <= set(one.columns) and (exact or composed):
            found = one
    return found


def _derived(
    partition: Partition, numbers: Int64Array, length: int, method: str, first: int, last: int
) -> Columns:
    """From raw samples, the groups that begin in first…last."""
    if first > last or not len(numbers):
        return joined(numbers, [])
    flat = reading.columns(partition, numbers, first, last + length - 1)
    nothing = np.isnan(flat.values)
    if nothing.any():
        flat = flat.only(~nothing)
    found = granularity.aggregate(flat.times, flat.values, length, [method], flat.bounds)
    made = Columns(numbers, found.bounds, found.starts, found.columns[method])
    return made.only(~found.lacking[method]) if method in found.lacking else made


def stored_rollup(
    partition: Partition,
    policy: Policy,
    source: Rollup,
    numbers: Int64Array,
    method: str,
    start_ms: int,
    end_ms: int,
    length: int,
) -> Columns:
    """From roll-up blocks: the groups of `length` that begin in the span, made of those of `source`."""
    with partition.lock:
        kept = partition.kept
    wanted = parts(method)
    by_columns: dict[tuple[str, ...], list[Block]] = {}
    for block in kept.rollups:
        meta = block.meta
        mine = meta.policy == policy.name and meta.granularity_ms == source.granularity_ms
        if mine and set(wanted) <= set(meta.methods):
            # What was written last stands last, so that it wins.
            by_columns[meta.methods] = [*by_columns.pop(meta.methods, []), block]
    pieces: list[list[Columns]] = [[] for _ in wanted]
    for methods, blocks in by_columns.items():
        for place, part in enumerate(wanted):
            asked = numbers * len(methods) + methods.index(part)
            flat = reading.of_blocks(blocks, asked, kept.deletions, start_ms, end_ms)
            pieces[place].append(replace(flat, numbers=numbers))
    found = [joined(numbers, some) for some in pieces]
    if source.granularity_ms != length:
        found = [_composed(flat, COMPOSED[part], length) for flat, part in zip(found, wanted, strict=True)]
    if len(found) == 1:
        return found[0]
    return replace(found[0], values=found[0].values / found[1].values)  # a mean


def _composed(flat: Columns, method: str, length: int) -> Columns:
    made = granularity.aggregate(flat.times, flat.values, length, [method], flat.bounds)
    return Columns(flat.numbers, made.bounds, made.starts, made.columns[method])


def late(partition: Partition, numbers: Int64Array, before_ms: int) -> BoolArray:
    """(n,) which series got samples before `before_ms`, or lost some, since roll-ups were made."""
    found = np.zeros(len(numbers), bool)
    with partition.lock:
        blocks, deletions = partition.blocks, partition.kept.deletions
        for head in partition.heads():
            found |= head.sizes(numbers, FIRST_MS, before_ms - 1) > 0
    for block in blocks:
        if not block.meta.rolled and block.summary.first_ms < before_ms:
            found[block.plan(numbers, FIRST_MS, before_ms - 1).series] = True
    for one in deletions:
        found |= np.isin(numbers, one.numbers)
    return found


def joined(numbers: Int64Array, pieces: Sequence[Columns]) -> Columns:
    """One after another, series by series; of two samples of one instant the later piece's counts."""
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return Columns(numbers, np.zeros(len(numbers) + 1, np.int64), np.empty(0, np.int64), np.empty(0))
    owners = np.concatenate([piece.owners for piece in pieces])
    times = np.concatenate([piece.times for piece in pieces])
    values = np.concatenate([piece.values for piece in pieces])
    order = np.lexsort((np.arange(len(times)), times, owners))
    owners, times, values = owners[order], times[order], values[order]
    last = np.ones(len(times), bool)
    last[:-1] = (times[1:] != times[:-1]) | (owners[1:] != owners[:-1])
    bounds = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(np.bincount(owners[last], minlength=len(numbers)), out=bounds[1:])
    return Columns(numbers, bounds, times[last], values[last])


def _side_by_side(numbers: Int64Array, second: BoolArray, one: Columns, other: Columns) -> Columns:
    """The series of two, in the order of `numbers`; `second` says of which each is."""
    places = np.empty(len(numbers), np.int64)
    places[~second], places[second] = np.arange(len(one.numbers)), np.arange(len(other.numbers))
    owners = np.concatenate((np.flatnonzero(~second)[one.owners], np.flatnonzero(second)[other.owners]))
    order = np.argsort(owners, kind="stable")
    bounds = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=len(numbers)), out=bounds[1:])
    times = np.concatenate((one.times, other.times))[order]
    return Columns(numbers, bounds, times, np.concatenate((one.values, other.values))[order])


def coarse(
    partition: Partition,
    policies: Sequence[Policy],
    numbers: Int64Array,
    raw: Columns,
    start_ms: int,
    end_ms: int,
) -> Columns:
    """Raw samples, and before the floor of raw retention the finest roll-up there is, in their place.

    A group shows as one sample at its last millisecond, so that nothing is seen before it was known. Its value is
    by the first method of `SHOWN` that is kept.
    """
    floors = partition.kept.floors
    if not any(floor > start_ms for (_, length), floor in floors.items() if not length):
        return raw
    pieces = [raw]
    for policy, mine in classes(partition, numbers, policies):
        upper = floors.get((policy.name, 0), FIRST_MS)
        if upper <= start_ms or not policy.rollups:
            continue
        places = np.searchsorted(numbers, mine)
        own = np.zeros(len(numbers), bool)
        own[places] = True
        owners = pieces[0].owners
        pieces[0] = pieces[0].only(~own[owners] | (pieces[0].times >= upper), owners)
        for one in sorted(policy.rollups, key=lambda one: one.granularity_ms):
            method = next((name for name in SHOWN if set(parts(name)) <= set(one.columns)), one.columns[0])
            lower = max(floors.get((policy.name, one.granularity_ms), FIRST_MS), start_ms)
            last = min(upper, end_ms + 1) - one.granularity_ms
            state = partition.kept.states.get((policy.name, one.granularity_ms))
            if state is None or not state.stored:
                continue
            first = lower - one.granularity_ms + 1 if lower == start_ms else lower
            flat = stored_rollup(partition, policy, one, mine, method, first, last, one.granularity_ms)
            bounds = np.zeros(len(numbers) + 1, np.int64)
            counts = np.zeros(len(numbers), np.int64)
            counts[places] = np.diff(flat.bounds)
            np.cumsum(counts, out=bounds[1:])
            pieces.append(Columns(numbers, bounds, flat.times + (one.granularity_ms - 1), flat.values))
            upper = min(upper, lower)
            if upper <= start_ms:
                break
    return joined(numbers, pieces)


def _floor(time: int, length: int) -> int:
    return time - time % length


def _ceil(time: int, length: int) -> int:
    return -(-time // length) * length
