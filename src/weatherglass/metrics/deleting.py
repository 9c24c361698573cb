"""Deleting series and spans, and giving their space back. See `deletion` for what a deletion is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weatherglass.metrics import compaction, rolling
from weatherglass.metrics.blocks import Block
from weatherglass.metrics.deletion import Deletion, touched
from weatherglass.metrics.histogram_blocks import grouped, write_histograms
from weatherglass.metrics.matching import check
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.retention import Policy
from weatherglass.metrics.shelf import HISTOGRAM_SUFFIX, HISTOGRAMS, RAW, ROLLUP, Made, Shelf
from weatherglass.metrics.types import Int64Array, Matcher


def delete(
    shelf: Shelf,
    partition: Partition,
    matchers_list: Sequence[Sequence[Matcher]],
    start_ms: int,
    end_ms: int,
) -> int:
    """Deletes what blocks hold; of how many series. Heads are sealed before. Durable, and seen by every read, on
    return. Raises Invalid, OSError, Unavailable."""
    for matchers in matchers_list:
        check(matchers)
    with partition.lock:
        found = [partition.index.select(matchers) for matchers in matchers_list]
    numbers: Int64Array = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    if not len(numbers) or start_ms > end_ms:
        return 0
    deletion = Deletion(shelf.next_sequence(), start_ms, end_ms, numbers)
    shelf.write_deletion(deletion)
    shelf.change(partition, new_deletion=deletion)
    return len(numbers)


def clean(shelf: Shelf, partition: Partition, policies: Sequence[Policy], now_ms: int) -> int:
    """Writes anew what holds deleted samples; how many files. Whatever it is stopped in between, reads are right.

    Raises OSError, Unavailable, Corrupt.
    """
    deletions = partition.kept.deletions
    if not deletions:
        return 0
    written = 0
    for block in partition.blocks:
        if _holds(block, deletions):
            shelf.change(partition, add=compaction.merged(shelf, partition, RAW, [block]), drop=[block])
            written += 1
    # What roll-ups lose is worked out again from what is left, at a position that the deletions do not reach.
    rolling.redo_deleted(shelf, partition, policies, deletions)
    for block in partition.kept.rollups:
        if _holds(block, deletions):
            shelf.change(partition, add=compaction.merged(shelf, partition, ROLLUP, [block]), drop=[block])
            written += 1
    for many in partition.kept.histograms:
        if any(one.sequence > many.meta.position for one in deletions):
            left = [
                one for one in many.read(many.numbers(), -(1 << 62), 1 << 62)
                if not lost(deletions, many.meta.position, one[0], one[1])
            ]  # fmt: skip
            if len(left) < many.summary.samples:
                made = []
                if left:
                    sequence = shelf.next_sequence()
                    file = shelf.create(sequence, HISTOGRAM_SUFFIX)
                    try:
                        made.append(
                            Made(HISTOGRAMS, sequence, write_histograms(file, grouped(left)), many.meta)
                        )
                    finally:
                        file.close()
                    shelf.sync()
                shelf.change(partition, add=made, drop=[many])
                written += 1
    shelf.change(partition, past_deletions=deletions)
    return written


def _holds(block: Block, deletions: Sequence[Deletion]) -> bool:
    numbers = block.neighbours()
    numbers.sort()
    plan = block.plan(numbers, -(1 << 62), 1 << 62)
    first, last = block.spans(plan)
    of = block.series(numbers[plan.series])
    length = max(block.meta.granularity_ms - 1, 0)
    return bool(touched(deletions, block.meta.position, of, first, last + length).any())


def lost(deletions: Sequence[Deletion], position: int, number: int, time_ms: int) -> bool:
    """Whether a deletion takes this one sample of a file at this position."""
    at = np.array([time_ms])
    return bool(touched(deletions, position, np.array([number]), at, at)[0])
