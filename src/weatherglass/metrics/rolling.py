"""Roll-ups are made: of what blocks hold and roll-ups do not know yet, in the background, whole over every edge.

A run looks at blocks that are not marked `rolled`. Groups from where the last run ended up to the newest sample that
are over are worked out for all series; groups before it, that late samples fell into, once more. What it made, how
far it is and the marks are one transaction: a crash leaves it to be done again. Of one group in two roll-up blocks
the later counts, so nothing is ever changed in place.

Fine granularities are not stored where that would weigh more than the raw samples: those stay as long instead.
Not here: reading roll-ups (`rollups`), which series and for how long (`retention`), when (`keeper`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from weatherglass.metrics import granularity, reading
from weatherglass.metrics.blocks import PAGE_SERIES, Block, Columns, Meta
from weatherglass.metrics.compaction import in_order, rearranged, window_ms
from weatherglass.metrics.deletion import Deletion
from weatherglass.metrics.kept import Rolled
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.reading import FIRST_MS
from weatherglass.metrics.retention import DEFAULT, Policy, Rollup, classes, spec
from weatherglass.metrics.shelf import ROLLUP, Made, Shelf, Windows
from weatherglass.metrics.types import BoolArray, Int64Array

AT_ONCE = 1 << 21
"""Samples that are worked on together."""
TOO_HEAVY = 0.6
"""So many values stored a raw sample weigh about what it weighs (sums are longer than samples, counts are not)."""

_ENOUGH = 8  # samples of a chunk, to tell its interval


@dataclass(slots=True)
class _Job:
    """One granularity of one policy in one run: groups from `since` until `until`, and those that are to be redone."""

    rollup: Rollup
    since: int
    until: int
    out: Windows
    redone: list[tuple[Int64Array, Int64Array]] = field(default_factory=list)  # (series, group's start)

    @property
    def length(self) -> int:
        return self.rollup.granularity_ms


def roll(
    shelf: Shelf,
    partition: Partition,
    policies: Sequence[Policy],
    now_ms: int,
    *,
    ahead: Mapping[str, int] | None = None,
) -> bool:
    """Brings every stored roll-up up to the blocks; whether there was anything to do. With `ahead` (policy → instant)
    also groups that are not over, if they begin before. Raises OSError, Unavailable, Corrupt."""
    blocks, kept = partition.blocks, partition.kept
    if not blocks:
        return False
    fresh = [block for block in blocks if not block.meta.rolled]
    new = {
        (policy.name, wanted)
        for policy in policies
        for rollup in policy.rollups
        if (wanted := spec(policies, policy, rollup)) not in partition.barren
        and ((state := kept.states.get((policy.name, rollup.granularity_ms))) is None or state.spec != wanted)
    }
    if not fresh and not new and not ahead:
        return False
    states: dict[tuple[str, int], Rolled] = {}
    runs: list[tuple[list[_Job], Int64Array]] = []
    # Which series there is work for: of blocks that are new, or reach to where a roll-up ended.
    ends = [state.until_ms for state in kept.states.values() if state.stored]
    lowest = FIRST_MS if new else min(ends, default=FIRST_MS)
    asked = [block for block in blocks if not block.meta.rolled or block.summary.last_ms >= lowest]
    for policy, numbers in classes(partition, in_order(asked), policies):
        if policy.rollups:
            ahead_ms = (ahead or {}).get(policy.name, FIRST_MS)
            jobs = _jobs(shelf, partition, policies, policy, numbers, now_ms, ahead_ms, states)
            runs.append((jobs, numbers))
            new = {one for one in new if one[0] != policy.name}
    # Of no series so far: that needs not be found out again each time, new blocks tell.
    partition.barren |= {wanted for _, wanted in new}
    every = [job for jobs, _ in runs for job in jobs]
    try:
        for jobs, numbers in runs:
            _find_late(partition, jobs, np.sort(numbers), fresh)
            _redo(partition, jobs, blocks)
            _go_on(partition, jobs, numbers, blocks)
        made = _finished(shelf, every)
    except BaseException:
        for job in every:
            job.out.abandon()
        raise
    shelf.change(partition, add=made, rolled=fresh, states=states)
    return True


def _jobs(
    shelf: Shelf,
    partition: Partition,
    policies: Sequence[Policy],
    policy: Policy,
    numbers: Int64Array,
    now_ms: int,
    ahead_ms: int,
    states: dict[tuple[str, int], Rolled],
) -> list[_Job]:
    blocks, kept = partition.blocks, partition.kept
    floor_ms = kept.floors.get((policy.name, 0), FIRST_MS)
    oldest = min(block.summary.first_ms for block in blocks)
    newest = max(block.summary.last_ms for block in blocks)
    jobs = []
    for rollup in policy.rollups:
        length, key = rollup.granularity_ms, (policy.name, rollup.granularity_ms)
        state, wanted = kept.states.get(key), spec(policies, policy, rollup)
        if state is None or state.spec != wanted:
            since = max(_floor(oldest, length), floor_ms)
            state = Rolled(wanted, _worth_it(rollup, blocks, numbers), since)
        until = max(state.until_ms, _floor(min(now_ms, newest), length))
        until = max(until, _floor(min(ahead_ms, newest + length), length))
        states[key] = Rolled(wanted, state.stored, until)
        if state.stored:
            meta = Meta(0, policy.name, length, rollup.columns, rolled=True)
            out = Windows(shelf, ROLLUP, meta, window_ms(length))
            jobs.append(_Job(rollup, max(state.until_ms, floor_ms), until, out))
    return jobs


def _worth_it(rollup: Rollup, blocks: Sequence[Block], numbers: Int64Array) -> bool:
    """Whether the stored roll-up weighs less than the raw samples that it is of."""
    some = np.sort(numbers[:1024])
    plan = blocks[-1].plan(some, -(1 << 62), 1 << 62)
    first, last = blocks[-1].spans(plan)
    enough = plan.counts >= _ENOUGH
    if not enough.any():
        return True
    interval = float(np.median((last - first)[enough] / (plan.counts[enough] - 1)))
    values = sum(column != "count" for column in rollup.columns)
    return values * interval <= TOO_HEAVY * rollup.granularity_ms


def _find_late(
    partition: Partition, jobs: Sequence[_Job], numbers: Int64Array, fresh: Sequence[Block]
) -> None:
    """Which groups that are rolled up already got samples since."""
    deletions = partition.kept.deletions
    for job in jobs:
        for block in fresh:
            if block.summary.first_ms >= job.since:
                continue
            mine = numbers[np.isin(numbers, block.numbers())]
            for first in range(0, len(mine), 16 * PAGE_SERIES):
                some = mine[first : first + 16 * PAGE_SERIES]
                flat = reading.of_blocks([block], some, deletions, FIRST_MS, job.since - 1)
                _again(job, flat.numbers[flat.owners], flat.times)


def _again(job: _Job, numbers: Int64Array, times: Int64Array) -> None:
    if len(times):
        pairs = np.stack((numbers, granularity.floor(times, job.length)))
        pairs = np.unique(pairs, axis=1)
        job.redone.append((pairs[0], pairs[1]))


def _redo(partition: Partition, jobs: Sequence[_Job], blocks: Sequence[Block]) -> None:
    for job in jobs:
        if not job.redone:
            continue
        series, starts = (np.concatenate(column) for column in zip(*job.redone, strict=True))
        length = job.length
        low, high = int(starts.min()), int(starts.max()) + length
        for numbers in _portions(blocks, np.unique(series), low, high - 1):
            order = np.sort(numbers)
            flat = _samples(partition, blocks, order, low, high - 1)
            found = granularity.aggregate(flat.times, flat.values, length, job.rollup.columns, flat.bounds)
            width = (high - low) // length
            here = np.isin(series, order)
            wanted = np.searchsorted(order, series[here]) * width + (starts[here] - low) // length
            owners = np.repeat(np.arange(len(order)), np.diff(found.bounds))
            keep = np.isin(owners * width + (found.starts - low) // length, wanted)
            _put(job, order, found, keep)


def _go_on(partition: Partition, jobs: Sequence[_Job], numbers: Int64Array, blocks: Sequence[Block]) -> None:
    """Groups that nothing was rolled up of, of all series."""
    jobs = [job for job in jobs if job.until > job.since]
    if not jobs:
        return
    low, high = min(job.since for job in jobs), max(job.until for job in jobs) - 1
    blocks = [one for one in blocks if one.summary.first_ms <= high and one.summary.last_ms >= low]
    for some in _portions(blocks, numbers, low, high):
        back = np.argsort(some)
        flat = rearranged(_samples(partition, blocks, some[back], low, high, exact=False), np.argsort(back))
        for job in jobs:
            found = granularity.aggregate(
                flat.times, flat.values, job.length, job.rollup.columns, flat.bounds
            )
            # Groups are fewer than samples: what is not of this run is left out here, not before.
            _put(job, some, found, (found.starts >= job.since) & (found.starts < job.until))


def _samples(
    partition: Partition,
    blocks: Sequence[Block],
    numbers: Int64Array,
    low: int,
    high: int,
    *,
    exact: bool = True,
) -> Columns:
    """Samples in blocks, without those that are not a number: staleness markers say that there is none."""
    flat = reading.of_blocks(blocks, numbers, partition.kept.deletions, low, high, exact=exact)
    nothing = np.isnan(flat.values)
    return flat.only(~nothing) if nothing.any() else flat


def _portions(blocks: Sequence[Block], numbers: Int64Array, low: int, high: int) -> Iterator[Int64Array]:
    """`numbers` in portions of bounded size."""
    samples = sum(
        one.summary.samples for one in blocks if one.summary.first_ms <= high and one.summary.last_ms >= low
    )
    series = max([1, *(block.summary.series for block in blocks)])
    size = max(AT_ONCE // max(samples // series, 1) // PAGE_SERIES, 1) * PAGE_SERIES
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]


def _put(job: _Job, numbers: Int64Array, found: granularity.Aggregates, keep: BoolArray) -> None:
    """Page by page: a column of 64 series after another, so that like lies by like."""
    columns = job.rollup.columns
    for first in range(0, len(numbers), PAGE_SERIES):
        bounds = found.bounds[first : first + PAGE_SERIES + 1]
        low, high = int(bounds[0]), int(bounds[-1])
        if low == high:
            continue
        own = numbers[first : first + PAGE_SERIES] * len(columns)
        for place, column in enumerate(columns):
            starts = np.ascontiguousarray(found.starts[low:high])
            values = np.ascontiguousarray(found.columns[column][low:high], np.float64)
            page = Columns(own + place, bounds - low, starts, values)
            there = keep[low:high]
            if column in found.lacking:
                there = there & ~found.lacking[column][low:high]
            job.out.add(page if there.all() else page.only(there))


def _finished(shelf: Shelf, jobs: Sequence[_Job]) -> list[Made]:
    made = [one for job in jobs for one in job.out.finish()]
    if made:
        shelf.sync()
    return made


def redo_deleted(
    shelf: Shelf, partition: Partition, policies: Sequence[Policy], deletions: Sequence[Deletion]
) -> None:
    """Works out again every stored group that deletions took samples of, from the raw samples that are left."""
    kept = partition.kept
    every: list[_Job] = []
    for policy in policies:
        floor_ms = kept.floors.get((policy.name, 0), FIRST_MS)
        for rollup in policy.rollups:
            state = kept.states.get((policy.name, rollup.granularity_ms))
            if state is None or not state.stored or state.spec != spec(policies, policy, rollup):
                continue
            meta = Meta(0, policy.name, rollup.granularity_ms, rollup.columns, rolled=True)
            job = _Job(rollup, 0, 0, Windows(shelf, ROLLUP, meta, window_ms(rollup.granularity_ms)))
            every.append(job)
            for block in kept.rollups:
                if block.meta.policy == policy.name and block.meta.granularity_ms == job.length:
                    _find_deleted(job, block, deletions, floor_ms)
    try:
        _redo(partition, every, partition.blocks)
        made = _finished(shelf, every)
    except BaseException:
        for job in every:
            job.out.abandon()
        raise
    if made:
        shelf.change(partition, add=made)


def _find_deleted(job: _Job, block: Block, deletions: Sequence[Deletion], floor_ms: int) -> None:
    every = np.sort(block.neighbours())
    for one in deletions:
        if one.sequence <= block.meta.position:
            continue
        mine = every[np.isin(block.series(every), one.numbers)]
        low, high = max(one.first_ms - job.length + 1, floor_ms), one.last_ms
        if len(mine) and low <= high:
            flat = reading.of_blocks([block], mine, (), low, high)
            _again(job, block.series(flat.numbers)[flat.owners], flat.times)


# --- how long --------------------------------------------------------------------------------------------


def raw_horizon(partition: Partition, policy: Policy, now_ms: int) -> int:
    """Raw samples of the policy before this may go: past their age, and past that of roll-ups derived from them."""
    keeps = [policy.keep_ms]
    for rollup in policy.rollups:
        state = partition.kept.states.get((policy.name, rollup.granularity_ms))
        if state is not None and not state.stored:
            keeps.append(rollup.keep_ms)
    longest = [keep for keep in keeps if keep is not None]
    if len(longest) < len(keeps):
        return FIRST_MS
    return _floor(now_ms - max(longest), policy.step_ms)


def expired(
    partition: Partition, policies: Sequence[Policy], now_ms: int
) -> tuple[list[Block], dict[tuple[str, int], int]]:
    """(roll-up blocks whose every group is past its age, from where on each granularity is whole). Those that no
    policy declares any more are kept as long as raw samples of no policy."""
    keeps = {
        (policy.name, rollup.granularity_ms): (rollup.keep_ms, policy.step_ms)
        for policy in policies
        for rollup in policy.rollups
    }
    default = next(policy for policy in policies if policy.name == DEFAULT)
    old: list[Block] = []
    floors = {}
    for block in partition.kept.rollups:
        key = block.meta.policy, block.meta.granularity_ms
        keep, step = keeps.get(key, (default.keep_ms, block.meta.granularity_ms))
        if keep is None:
            continue
        horizon = _floor(now_ms - keep, step)
        if block.summary.last_ms < horizon:
            old.append(block)
            floors[key] = horizon
    return old, floors


def _floor(time: int, length: int) -> int:
    return time - time % length
