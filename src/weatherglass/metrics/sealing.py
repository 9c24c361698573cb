"""A head becomes files: blocks by policy and day, its histograms, an index segment; and the log is let go.

One thread, one transaction a seal (see `shelf`): files synced → their rows and the log's mark → the head let go →
the log trimmed. A crash in between leaves orphan files, or a head that replay builds again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from weatherglass.metrics.blocks import PAGE_SERIES, Meta
from weatherglass.metrics.histogram_blocks import grouped, write_histograms
from weatherglass.metrics.index import Index
from weatherglass.metrics.partition import Files, Partition, Sealing
from weatherglass.metrics.reading import FIRST_MS, LAST_MS, drained
from weatherglass.metrics.retention import Policy, classes
from weatherglass.metrics.shelf import (
    HISTOGRAM_SUFFIX,
    HISTOGRAMS,
    RAW,
    SEGMENT_SUFFIX,
    Made,
    Shelf,
    Windows,
    file_name,
)
from weatherglass.metrics.types import Int64Array

FEW = 1000
"""So many dead series are not worth an index made anew."""


def seal(shelf: Shelf, partition: Partition, policies: Sequence[Policy]) -> bool:
    """The partition's head becomes blocks; whether there was anything. Raises OSError, Unavailable, and then the head
    stays readable and the next call goes on with it."""
    with partition.quiet():
        if partition.sealing is None:
            if not partition.pending:
                return False
            partition.cut(shelf.log.next)
        sealing = partition.sealing
    assert sealing is not None
    if sealing.files is None:
        sealing.files = _write_files(shelf, partition, sealing, policies)
    files, tenant = sealing.files, partition.tenant

    def also(connection: sa.Connection) -> None:
        if files.labels:
            shelf.add_segment(connection, tenant, files.segment, files.labels, files.segment_bytes)
        shelf.mark(connection, tenant, sealing.cut, files.next_number)

    def publish() -> None:
        partition.sealing, partition.sealed = None, sealing.cut
        del partition.unkept[: files.labels]

    shelf.change(partition, add=files.made, also=also, publish=publish, again=True)
    return True


def _write_files(shelf: Shelf, partition: Partition, sealing: Sealing, policies: Sequence[Policy]) -> Files:
    with partition.lock:
        unkept = np.array(partition.unkept, np.int64)
        next_number = partition.index.next
    segment = shelf.next_sequence()
    windows: list[Windows] = []
    histograms = 0
    try:
        made: list[Made] = []
        numbers = sealing.head.active()
        for policy, mine in classes(partition, numbers, policies):
            with partition.lock:
                ordered = partition.index.arranged(mine)
            windows.append(Windows(shelf, RAW, Meta(0, policy.name)))
            for first in range(0, len(ordered), PAGE_SERIES):
                windows[-1].add(drained(sealing.head, ordered[first : first + PAGE_SERIES]))
            made += windows[-1].finish()
        if sealing.histograms.samples:
            histograms = shelf.next_sequence()
            made.append(_write_histograms(shelf, sealing, histograms))
        size = shelf.write_segment(segment, partition.bodies(unkept)) if len(unkept) else 0
        shelf.sync()
    except OSError:
        for one in windows:
            one.abandon()
        shelf.discard((file_name(segment, SEGMENT_SUFFIX), file_name(histograms, HISTOGRAM_SUFFIX)))
        raise
    return Files(tuple(made), segment, len(unkept), size, next_number)


def _write_histograms(shelf: Shelf, sealing: Sealing, sequence: int) -> Made:
    head = sealing.histograms
    many = [
        (number, time, packed)
        for number in head.numbers().tolist()
        for time, packed in head.read(number, FIRST_MS, LAST_MS)
    ]
    file = shelf.create(sequence, HISTOGRAM_SUFFIX)
    try:
        summary = write_histograms(file, grouped(many))
    finally:
        file.close()
    return Made(HISTOGRAMS, sequence, summary, Meta(sequence))


def trim_log(shelf: Shelf, partitions: list[Partition], reach: int) -> None:
    """Drops of the log what no partition needs; `reach` is `log.next` from before `partitions` were listed."""
    for partition in partitions:
        with partition.quiet():
            if partition.sealing or partition.pending:
                reach = min(reach, partition.sealed)
    shelf.log.trim(reach)


def forget(shelf: Shelf, partition: Partition) -> int:
    """Takes series out of the index that no block and no head has any more; how many. Their numbers are not used
    again. Few dead ones are left alone: the index is made anew. Writers wait only while those are added that came
    meanwhile."""
    with partition.lock:
        blocks, kept = partition.blocks, partition.kept
    alive = [block.numbers() for block in blocks] + [one.numbers() for one in kept.every]
    with partition.lock:
        alive += partition.active()
        numbers: Int64Array = np.unique(np.concatenate(alive))
        before = partition.index.series
        numbers = numbers[partition.index.known(numbers)]
    if before - len(numbers) <= max(FEW, len(numbers) // 4):
        return 0
    index, written = Index(), []

    def add(more: Int64Array) -> None:
        for body in partition.bodies(more):
            index.load(body)
        sequence = shelf.next_sequence()
        written.append((sequence, len(more), shelf.write_segment(sequence, partition.bodies(more))))

    try:
        if len(numbers):
            add(numbers)
        with partition.quiet():
            # What a head has now, and what is new: all else that is missing here is dead.
            came = np.concatenate([*partition.active(), partition.index.published_from(index.next)])
            more = np.setdiff1d(came, numbers)
            if len(more):
                add(more)
            shelf.sync()
            gone = partition.index.series - index.series
            shelf.replace_segments(partition, index, written)
    except OSError:
        shelf.discard(file_name(sequence, SEGMENT_SUFFIX) for sequence, _, _ in written)
        raise
    return gone
