"""One tenant's partition: its index, its heads, its blocks, and who may touch them when.

`lock` guards everything here and is never held over an fsync. From the look-up of its series to the appearance of
its samples in the head a writer is *under way*; `cut` waits for those, so that a head holds exactly the records
below its cut. Not here: the log, files, decoding.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from weatherglass.base.errors import LimitExceeded
from weatherglass.kernels.head import Head
from weatherglass.kernels.labels import read_labels
from weatherglass.metrics.births import Births, worst
from weatherglass.metrics.blocks import Block
from weatherglass.metrics.exemplars import Exemplars
from weatherglass.metrics.histogram_blocks import HistogramHead, Packed
from weatherglass.metrics.index import Index, canonical_key
from weatherglass.metrics.kept import Kept
from weatherglass.metrics.matching import canonical
from weatherglass.metrics.segments import PIECE
from weatherglass.metrics.types import Int64Array, SeriesLimits


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a seal that are synced, and wait for their rows."""

    made: tuple[Any, ...]  # of `shelf.Made`
    segment: int  # sequence number
    labels: int  # how many label sets the segment holds; without any there is no segment
    segment_bytes: int
    next_number: int


@dataclass(slots=True)
class Sealing:
    """A head that takes no more samples: all of the tenant's records below `cut` that no block has."""

    head: Head
    histograms: HistogramHead
    cut: int
    files: Files | None = None


class Partition:
    """Owned by `Metrics`; read by `reading`, drained by `sealing`."""

    def __init__(self, tenant: str, sealed: int = 0) -> None:
        self.tenant = tenant
        self.lock = threading.RLock()
        self.index = Index()
        self.head = Head()
        self.histograms = HistogramHead()
        self.sealing: Sealing | None = None
        self.blocks: tuple[Block, ...] = ()  # of raw samples, in the order of their writes
        self.kept = Kept()
        self.barren: frozenset[str] = frozenset()  # what roll-ups are declared of that no series has
        self.sealed = sealed  # records below are in blocks
        self.head_since = 0.0  # monotonic seconds of the open head's first sample
        self.unkept = array("I")  # published series that no index segment has
        self.metadata: dict[str, tuple[str, str, str]] = {}
        self.exemplars = Exemplars()
        self.births = Births()
        self.budget = 0.0  # samples that may come at once, for samples_per_s
        self.budget_at = -1.0
        self._undurable: dict[int, bytes] = {}  # known, but not yet in the log
        self._free = threading.Condition(self.lock)
        self._under_way = 0
        self._cutting = False

    # --- numbers -----------------------------------------------------------------------------------------

    def number(self, batch: Any, limits: SeriesLimits) -> tuple[Int64Array, dict[int, bytes]]:
        """(series numbers of a `wire.Batch`, -1 for new ones without samples; label sets that the log needs).

        Raises Invalid, LimitExceeded, and then nothing has changed.
        """
        with self.lock:
            numbers, misses = self.index.table.lookup(batch)
            if misses:
                self._resolve(batch, numbers, limits)
            if not self._undurable:
                return numbers, {}
            # Others' new series too: their record may be behind ours in the log, or never come.
            wanted = set(numbers.tolist()) & self._undurable.keys()
            return numbers, {number: self._undurable[number] for number in sorted(wanted)}

    def _resolve(self, batch: Any, numbers: Int64Array, limits: SeriesLimits) -> None:
        fresh: dict[bytes, list[int]] = {}
        spellings: list[tuple[bytes, bytes]] = []
        for place in np.flatnonzero(numbers < 0).tolist():
            if not batch.counts[place]:
                continue
            start = int(batch.starts[place])
            spelling = bytes(batch.raw[start : start + int(batch.sizes[place])])
            pairs, pure = read_labels(spelling)
            key = canonical_key(canonical(pairs, limits))
            number = self.index.table.get(key)
            if number >= 0:
                numbers[place] = number
            else:
                fresh.setdefault(key, []).append(place)
            if pure and spelling != key:
                spellings.append((spelling, key))
        if limits.series and self.index.series + len(fresh) > limits.series:
            told = worst([tuple(read_labels(key)[0]) for key in fresh])
            raise LimitExceeded(
                f"{self.index.series} series, and {len(fresh)} new ones; tenant {self.tenant} may have {limits.series}"
                + (f": {told}" if told else ""),
                where=f"tenant/{self.tenant}",
                mend="raise limits.series in the site, or send fewer label values",
            )
        for key, places in fresh.items():
            number = self.index.know(key)
            self._undurable[number] = key
            numbers[places] = number
        for spelling, key in spellings:
            if self.index.table.get(spelling) < 0:
                self.index.alias(spelling, self.index.table.get(key))

    def published(self, labels: dict[int, bytes], monotonic: float) -> None:
        """These label sets are durable now: they may be found."""
        new = [number for number in labels if self._undurable.pop(number, None) is not None]
        self.index.publish(new)
        self.unkept.extend(new)
        self.births.note(new, monotonic)

    def replay_labels(self, body: bytes, *, kept: bool) -> None:
        """Label sets as the log or (`kept`) a segment has them; those already known are passed over."""
        new = self.index.load(body)
        if not kept:
            self.unkept.extend(new.tolist())

    def bodies(self, numbers: Int64Array) -> Iterator[bytes]:
        """The label sets of these series as bodies of records, a piece after the other."""
        index = self.index
        for first in range(0, len(numbers), PIECE):
            with self.lock:
                body = index.packed(numbers[first : first + PIECE])
            yield body

    def replace_index(self, index: Index) -> None:
        """Another index, all of its series in segments now. To be called when `quiet`."""
        index.next = self.index.next
        self.index, self.unkept, self._undurable = index, array("I"), {}

    # --- who is under way --------------------------------------------------------------------------------

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Held by a writer from before it asks for numbers until its samples are in the head."""
        with self._free:
            while self._cutting:
                self._free.wait()
            self._under_way += 1
        try:
            yield
        finally:
            with self._free:
                self._under_way -= 1
                self._free.notify_all()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """No writer is under way within the block, and the lock is held: what the log has, the head has."""
        with self._free:
            while self._cutting:
                self._free.wait()
            self._cutting = True
            try:
                while self._under_way:
                    self._free.wait()
                yield
            finally:
                self._cutting = False
                self._free.notify_all()

    # --- heads and blocks --------------------------------------------------------------------------------

    def heads(self) -> list[Head]:
        """Oldest first; to be asked for under the lock, together with `blocks`."""
        return [self.sealing.head, self.head] if self.sealing else [self.head]

    def histogram_heads(self) -> list[HistogramHead]:
        """As `heads`, of native histograms."""
        return [self.sealing.histograms, self.histograms] if self.sealing else [self.histograms]

    @property
    def pending(self) -> bool:
        """Whether the open head holds anything."""
        return bool(self.head.samples or self.histograms.samples)

    @property
    def memory(self) -> int:
        """Bytes of the open head."""
        return self.head.memory + self.histograms.bytes

    def cut(self, offset: int) -> None:
        """The head takes no more, a new one does; `offset` is the log's end. To be called when `quiet`."""
        self.sealing = Sealing(self.head, self.histograms, offset)
        self.head, self.histograms = Head(self.head), HistogramHead(self.histograms)

    def active(self) -> list[Int64Array]:
        """The series of every head; to be called under the lock."""
        numbers = [head.active() for head in self.heads()]
        return numbers + [head.numbers() for head in self.histogram_heads()]

    def append_histograms(self, many: Sequence[Packed], monotonic: float) -> tuple[int, int, int]:
        """Into the open head: (stored, duplicates, out of order)."""
        with self.lock:
            if not self.pending:
                self.head_since = monotonic
            return self.histograms.append(many)

    def append(
        self, numbers: Int64Array, counts: Any, times: Any, values: Any, monotonic: float
    ) -> tuple[int, int, int]:
        """Into the open head: (stored, duplicates, out of order)."""
        with self.lock:
            if not self.pending:
                self.head_since = monotonic
            self.head.reserve(self.index.next)
            return self.head.append(numbers, counts, times, values)

    def stats(self) -> dict[str, int]:
        """Counts of what is here; to be called under the lock."""
        heads = self.heads()
        return {
            "series": self.index.series,
            "head_series": self.head.series,
            "head_samples": sum(head.samples for head in heads),
            "head_bytes": sum(head.memory for head in heads),
            "index_bytes": self.index.memory,
            "head_histograms": sum(head.samples for head in self.histogram_heads()),
            "blocks": len(self.blocks),
            "block_samples": sum(block.summary.samples for block in self.blocks),
            "block_bytes": sum(block.summary.bytes for block in self.blocks),
            "histograms": sum(block.summary.samples for block in self.kept.histograms),
            "histogram_bytes": sum(block.summary.bytes for block in self.kept.histograms),
            "rollup_blocks": len(self.kept.rollups),
            "rollup_samples": sum(block.summary.samples for block in self.kept.rollups),
            "rollup_bytes": sum(block.summary.bytes for block in self.kept.rollups),
            "deletions": len(self.kept.deletions),
        }
