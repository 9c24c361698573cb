"""One tenant's partition: its index, its heads, its blocks, and who may touch them when.

`lock` guards everything here and is never held over an fsync. From the look-up of its series to the appearance of
its samples in the head a writer is *under way*; `cut` waits for those, so that a head holds exactly the records
below its cut. Not here: the log, files, decoding.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from weatherglass.base.errors import LimitExceeded
from weatherglass.kernels.head import Head
from weatherglass.kernels.labels import read_labels
from weatherglass.metrics.blocks import Block, Summary
from weatherglass.metrics.index import Index, canonical_key
from weatherglass.metrics.matching import canonical
from weatherglass.metrics.types import Int64Array, SeriesLimits


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a seal that are synced, and wait for their rows."""

    block: int  # sequence numbers
    segment: int
    summary: Summary
    labels: int  # how many label sets the segment holds; without any there is no segment
    segment_bytes: int
    next_number: int


@dataclass(slots=True)
class Sealing:
    """A head that takes no more samples: all of the tenant's records below `cut` that no block has."""

    head: Head
    cut: int
    files: Files | None = None


class Partition:
    """Owned by `Metrics`; read by `reading`, drained by `sealing`."""

    def __init__(self, tenant: str, sealed: int = 0) -> None:
        self.tenant = tenant
        self.lock = threading.RLock()
        self.index = Index()
        self.head = Head()
        self.sealing: Sealing | None = None
        self.blocks: tuple[Block, ...] = ()
        self.sealed = sealed  # records below are in blocks
        self.head_since = 0.0  # monotonic seconds of the open head's first sample
        self.unkept: list[int] = []  # published series that no index segment has
        self.metadata: dict[str, tuple[str, str, str]] = {}
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
            raise LimitExceeded(
                f"{self.index.series} series, and {len(fresh)} new ones; tenant {self.tenant} may have {limits.series}",
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

    def published(self, labels: dict[int, bytes]) -> None:
        """These label sets are durable now: they may be found."""
        new = [number for number in labels if self._undurable.pop(number, None) is not None]
        self.index.publish(new)
        self.unkept += new

    def replay_labels(self, series: Sequence[tuple[int, bytes]], *, kept: bool) -> None:
        """Label sets as the log or (`kept`) a segment has them; those already known are passed over."""
        new = [(number, key) for number, key in series if not self.index.knows(number)]
        for number, key in new:
            self.index.know(key, number)
        self.index.publish(number for number, _ in new)
        if not kept:
            self.unkept += [number for number, _ in new]

    def replace_index(self, series: Sequence[tuple[int, bytes]]) -> None:
        """An index of these alone, all of them in a segment now. To be called when `quiet`."""
        index = Index()
        for number, key in series:
            index.know(key, number)
        index.publish(number for number, _ in series)
        index.next = self.index.next
        self.index, self.unkept, self._undurable = index, [], {}

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

    def append(
        self, numbers: Int64Array, counts: Any, times: Any, values: Any, monotonic: float
    ) -> tuple[int, int, int]:
        """Into the open head: (stored, duplicates, out of order)."""
        with self.lock:
            if not self.head.samples:
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
            "index_bytes": self.index.table.memory,
            "blocks": len(self.blocks),
            "block_samples": sum(block.summary.samples for block in self.blocks),
            "block_bytes": sum(block.summary.bytes for block in self.blocks),
        }
