"""Small blocks of one stretch of time become one: fewer files, longer chunks, nothing else changes.

Last write wins among blocks by their position, so a merge takes neighbours: no block in between, in the order of
writes, that overlaps it in time may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from weatherglass.metrics import reading
from weatherglass.metrics.blocks import PAGE_SERIES, Block, Columns, Writer
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.shelf import BLOCK_SUFFIX, DAY_MS, RAW, ROLLUP, Made, Shelf, file_name
from weatherglass.metrics.types import Int64Array

MANY = 8
"""So many small blocks of a stretch are merged while it is still written to."""
FEWEST = 2
"""And so many once it is over."""
SMALL = 32 << 20
"""Bytes; what is larger is left alone."""
GROUPS = 1024


def window_ms(granularity_ms: int) -> int:
    """The stretch of time that blocks of a granularity (0: raw samples) are kept apart by."""
    return max(DAY_MS, GROUPS * granularity_ms // DAY_MS * DAY_MS)


def chosen(blocks: Sequence[Block], now_ms: int) -> list[list[Block]]:
    """Which of a tenant's blocks, in the order of their positions, are worth merging. Raises Corrupt."""
    sets: dict[tuple[str, int, tuple[str, ...], int], list[Block]] = {}
    for block in blocks:
        meta, summary = block.meta, block.summary
        stretch = window_ms(meta.granularity_ms)
        window = summary.first_ms // stretch
        if window != summary.last_ms // stretch or summary.bytes > SMALL:
            continue
        sets.setdefault((meta.policy, meta.granularity_ms, meta.methods, window), []).append(block)
    found = []
    for (_, granularity, _, window), some in sets.items():
        over = (window + 1) * window_ms(granularity) + DAY_MS // 12 <= now_ms
        if len(some) < (FEWEST if over else MANY):
            continue
        for run in _runs(some, blocks):
            if len(run) >= (FEWEST if over else MANY):
                found.append(run)
    return found


def _runs(some: list[Block], every: Sequence[Block]) -> Iterator[list[Block]]:
    """`some` cut where another block, which overlaps in time, of series in common, lies between two of them."""
    first = min(block.summary.first_ms for block in some)
    last = max(block.summary.last_ms for block in some)
    mine = {block.sequence for block in some}
    numbers = np.unique(np.concatenate([block.numbers() for block in some]))
    run: list[Block] = []
    for block in every:
        if block.sequence in mine:
            run.append(block)
        elif (
            block.meta.granularity_ms == some[0].meta.granularity_ms
            and block.summary.first_ms <= last
            and block.summary.last_ms >= first
            and np.isin(block.numbers(), numbers).any()
        ):
            if run:
                yield run
            run = []
    if run:
        yield run


def compact(shelf: Shelf, partition: Partition, now_ms: int) -> int:
    """Merges what is worth it; how many blocks there are less. Raises OSError, Unavailable, Corrupt."""
    fewer = 0
    for kind, blocks in ((RAW, partition.blocks), (ROLLUP, partition.kept.rollups)):
        for run in chosen(blocks, now_ms):
            made = merged(shelf, partition, kind, run)
            shelf.change(partition, add=made, drop=run)
            fewer += len(run) - len(made)
    return fewer


def merged(shelf: Shelf, partition: Partition, kind: str, run: Sequence[Block]) -> list[Made]:
    """One file of what blocks hold and no deletion took; none where nothing is left. Synced, name too."""
    meta = replace(run[-1].meta, position=max(block.meta.position for block in run))
    meta = replace(meta, rolled=all(block.meta.rolled for block in run))
    sequence = shelf.next_sequence()
    file = shelf.create(sequence, BLOCK_SUFFIX)
    made: list[Made] = []
    try:
        try:
            writer = Writer(file)
            for group in _groups(partition, run):
                writer.add(group)
            if writer.samples:
                made.append(Made(kind, sequence, writer.finish(), meta))
        finally:
            file.close()
        if not made:
            shelf.discard([file_name(sequence, BLOCK_SUFFIX)])
        shelf.sync()
    except BaseException:
        with suppress(OSError):
            shelf.discard([file_name(sequence, BLOCK_SUFFIX)])
        raise
    return made


def _groups(partition: Partition, run: Sequence[Block]) -> Iterator[Columns]:
    order = in_order(run)
    for first in range(0, len(order), PAGE_SERIES):
        group = order[first : first + PAGE_SERIES]
        back = np.argsort(group)
        found = reading.of_blocks(run, group[back], partition.kept.deletions)
        yield rearranged(found, np.argsort(back)).without_empty()


def in_order(run: Sequence[Block]) -> Int64Array:
    """The numbers in blocks, each once, neighbours as the blocks have them, the newest block first."""
    if not run:
        return np.empty(0, np.int64)
    numbers = np.concatenate([block.neighbours() for block in reversed(run)])
    _, first = np.unique(numbers, return_index=True)
    return numbers[np.sort(first)]


def rearranged(flat: Columns, places: Int64Array) -> Columns:
    """The series at `places`, in that order."""
    counts = np.diff(flat.bounds)[places]
    bounds = np.zeros(len(places) + 1, np.int64)
    np.cumsum(counts, out=bounds[1:])
    take = np.repeat(flat.bounds[:-1][places] - bounds[:-1], counts) + np.arange(bounds[-1])
    return Columns(flat.numbers[places], bounds, flat.times[take], flat.values[take])
