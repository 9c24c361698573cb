"""`Metrics`: samples in, log first, then the head; selections, series and queries out; a sealer behind it.

The facade of the room and the owner of its threads. Decoding is in `intake`, one tenant's state in `partition`,
files in `sealing`, reads in `reading`, the language in `promql`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from weatherglass.base.errors import LimitExceeded, Unavailable, WeatherglassError
from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.files import Files
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Labels, Samples, Written
from weatherglass.engine.tables import Tables
from weatherglass.kernels import columns
from weatherglass.metrics import intake, reading, records
from weatherglass.metrics.blocks import CHUNK, Cache
from weatherglass.metrics.index import Index
from weatherglass.metrics.matching import check
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.sealing import Shelf
from weatherglass.metrics.types import Matcher, QueryResult, Selection, SeriesLimits

logger = logging.getLogger(__name__)

_METADATA_KEPT = 20_000
_SEGMENT_BYTES = 16 << 20  # the log gives space back by the segment


_COUNTED = (
    "series",
    "head_series",
    "head_samples",
    "head_bytes",
    "index_bytes",
    "blocks",
    "block_samples",
    "block_bytes",
)


@dataclass(frozen=True, slots=True)
class Sealer:
    """When a head becomes a block: full chunks, or age, or the memory that all heads share."""

    samples_a_series: int = CHUNK
    age_s: float = 7200.0
    heads_bytes: int = 512 << 20
    every_s: float = 1.0
    retry_s: float = 10.0
    retire_every_s: float = 60.0


class Metrics:
    """A `SampleSink`. Any thread may call any method; nothing works before `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        files: Files,
        tables: Tables,
        clock: Clock,
        limits: Callable[[str], SeriesLimits] = lambda tenant: SeriesLimits(),
        retention_s: float = 15 * 86400,
        sealer: Sealer = Sealer(),
    ) -> None:
        self._folder, self._files, self._tables, self._clock = Path(folder), files, tables, clock
        self._limits, self._retention_ms, self._sealer = limits, int(retention_s * 1000), sealer
        self._cache = Cache()
        self._partitions: dict[str, Partition] = {}
        self._lock = threading.Lock()
        self._sealing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._log: Log | None = None
        self._newest_ms = reading.FIRST_MS
        self._counters = {"stored": 0, "duplicates": 0, "out_of_order": 0, "too_old": 0, "writes": 0}
        self._seals = self._seal_failures = self._replayed = self._forgotten = 0
        self._last_failure = ""

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Opens the folder, replays the log, starts the sealer. Raises Corrupt, Unavailable."""
        self._log = Log(self._folder / "log", files=self._files, segment_bytes=_SEGMENT_BYTES, name="metrics")
        self._shelf = Shelf(self._folder / "blocks", self._files, self._tables, self._log, self._cache)
        self._partitions = self._shelf.open()
        for offset, record in self._log.replay(self._log.first):
            self._replay(offset, record)
        for partition in self._partitions.values():
            ends = [block.summary.last_ms for block in partition.blocks]
            self._newest_ms = max([self._newest_ms, partition.head.last_ms, *ends])
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="metrics-sealer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the sealer and closes the log; heads stay in the log for the next start."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        if self._log:
            self._log.close()
        self._thread = self._log = None

    def _replay(self, offset: int, record: bytes) -> None:
        kind, tenant, body = records.unwrap(record)
        partition = self._partition(tenant)
        if offset < partition.sealed:
            return
        if kind == records.LABELS:
            partition.replay_labels(list(records.unpack_labels(body)), kept=False)
            return
        found = columns.unpack(body)
        partition.append(*found, self._clock.monotonic())
        self._replayed += len(found[2])

    def _partition(self, tenant: str) -> Partition:
        partition = self._partitions.get(tenant)
        if partition is None:
            with self._lock:
                # A new dict each time: readers go through it without a lock.
                partition = self._partitions.get(tenant) or Partition(tenant)
                self._partitions = {**self._partitions, tenant: partition}
        return partition

    # --- writing -----------------------------------------------------------------------------------------

    def write(self, tenant: str, body: bytes, encoding: str = "snappy") -> Written:
        """Stores a remote write 1.0 body as received; durable on return.

        Raises Invalid, TooLarge, LimitExceeded, Unavailable; then nothing of it is stored.
        """
        raw = intake.inflate(body, encoding)
        batch = intake.from_wire(raw)
        families = intake.metadata(raw) if batch.metadata else {}
        written = self._store(tenant, batch)
        if families:
            known = self._partition(tenant).metadata
            known.update(list(families.items())[: max(_METADATA_KEPT - len(known), 0)])
        if batch.histograms:
            return replace(written, note=f"{batch.histograms} native histograms were not stored")
        return written

    def append(self, tenant: str, batch: Samples) -> Written:
        """Stores a batch from inside the house; durable on return. Raises as `write`."""
        return self._store(tenant, intake.from_samples(batch))

    def _store(self, tenant: str, batch: Any) -> Written:
        log = self._log
        if log is None:
            raise Unavailable("the metrics store is not running", mend="try again when the server is ready")
        too_old = 0
        if len(batch.times):
            newest = int(batch.times.max())
            horizon = self._horizon_ms(newest)
            if batch.times.min() < horizon:
                too_old = intake.without_older(batch, horizon)
        if not len(batch.times):
            self._count(0, 0, 0, too_old)
            return Written(0, too_old=too_old)
        wrapped = records.wrap(
            records.SAMPLES, tenant, b""
        )  # refuses a bad name before anything is made of it
        partition, limits = self._partition(tenant), self._limits(tenant)
        self._allow(partition, limits, len(batch.times))
        with partition.under_way():
            numbers, labels = partition.number(batch, limits)
            counts = batch.counts
            if numbers.min() < 0:  # series without samples have no number
                counts, numbers = counts[numbers >= 0], numbers[numbers >= 0]
            entries = [wrapped + columns.pack(numbers, counts, batch.times, batch.values)]
            if labels:
                entries.insert(0, records.wrap(records.LABELS, tenant, records.pack_labels(labels.items())))
            log.append(entries)
            with partition.lock:
                if labels:
                    partition.published(labels)
                stored, duplicates, late = partition.append(
                    numbers, counts, batch.times, batch.values, self._clock.monotonic()
                )
        self._newest_ms = max(self._newest_ms, newest)
        self._count(stored, duplicates, late, too_old)
        return Written(stored, duplicates, late, too_old)

    def _count(self, stored: int, duplicates: int, late: int, too_old: int) -> None:
        with self._lock:
            counters = self._counters
            counters["stored"] += stored
            counters["duplicates"] += duplicates
            counters["out_of_order"] += late
            counters["too_old"] += too_old
            counters["writes"] += 1

    def _horizon_ms(self, newest_ms: int) -> int:
        # Age counts from the newest sample where the clock is ahead of it: a clock that jumps forward must not
        # make everything too old, nor drop a block.
        now_ms = self._clock.now_ns() // MS_NS
        return min(now_ms, max(self._newest_ms, newest_ms)) - self._retention_ms

    def _allow(self, partition: Partition, limits: SeriesLimits, samples: int) -> None:
        rate = limits.samples_per_s
        if not rate:
            return
        with partition.lock:
            now, burst = self._clock.monotonic(), 10.0 * rate
            gained = burst if partition.budget_at < 0 else (now - partition.budget_at) * rate
            partition.budget, partition.budget_at = min(partition.budget + gained, burst), now
            if samples > partition.budget:
                raise LimitExceeded(
                    f"tenant {partition.tenant} may send {rate} samples a second",
                    where=f"tenant/{partition.tenant}",
                    mend="send less often, or raise limits.samples_per_s in the site",
                )
            partition.budget -= samples

    # --- reading -----------------------------------------------------------------------------------------

    def select(self, tenant: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        """Raw samples, `start_ms <= t <= end_ms`. Raises Invalid for a bad regex, Corrupt."""
        partition = self._partitions.get(tenant)
        if partition is None:
            return Selection([], [], [])
        return reading.select(partition, matchers, start_ms, end_ms)

    def query(self, tenant: str, expr: str, at_ms: int) -> QueryResult:
        """An instant query. Raises Invalid (with the position), LimitExceeded."""
        from weatherglass.metrics import promql

        return promql.evaluate(promql.parse(expr), self._selector(tenant), at_ms, at_ms, 1)

    def query_range(self, tenant: str, expr: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        """A range query, both ends included. Raises Invalid (with the position), LimitExceeded."""
        from weatherglass.metrics import promql

        found = promql.evaluate(promql.parse(expr), self._selector(tenant), start_ms, end_ms, step_ms)
        return replace(found, type="matrix") if found.type == "vector" else found

    def _selector(self, tenant: str) -> Callable[[Sequence[Matcher], int, int], Selection]:
        return lambda matchers, start_ms, end_ms: self.select(tenant, matchers, start_ms, end_ms)

    def _labels(
        self, tenant: str, matchers_list: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[Labels]:
        """Label sets of what any of the lists finds (all series without one) with samples about the span."""
        partition = self._partitions.get(tenant)
        if partition is None:
            return []
        for matchers in matchers_list:
            check(matchers)
        with partition.lock:
            index = partition.index
            found = [index.select(matchers) for matchers in matchers_list]
            numbers = np.unique(np.concatenate(found)) if found else index.published()
        numbers = reading.present(partition, numbers, start_ms, end_ms)
        with partition.lock:
            return [index.labels(number) for number in numbers.tolist()]

    def series(
        self,
        tenant: str,
        matchers_list: Sequence[Sequence[Matcher]],
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> list[dict[str, str]]:
        """Label sets that any of the lists of matchers finds, with samples about the span. Raises Invalid."""
        return [dict(labels) for labels in self._labels(tenant, matchers_list, start_ms, end_ms)]

    def label_names(
        self,
        tenant: str,
        matchers_list: Sequence[Sequence[Matcher]] = (),
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> list[str]:
        """Sorted names of labels; of all series without matchers. Raises Invalid."""
        if not matchers_list and (start_ms, end_ms) == (reading.FIRST_MS, reading.LAST_MS):
            return self._of_index(tenant, Index.names)
        found = self._labels(tenant, matchers_list, start_ms, end_ms)
        return sorted({name for labels in found for name, _ in labels})

    def label_values(
        self,
        tenant: str,
        name: str,
        matchers_list: Sequence[Sequence[Matcher]] = (),
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> list[str]:
        """Sorted values of one label; of all series without matchers. Raises Invalid."""
        if not matchers_list and (start_ms, end_ms) == (reading.FIRST_MS, reading.LAST_MS):
            return self._of_index(tenant, lambda index: index.values(name))
        found = self._labels(tenant, matchers_list, start_ms, end_ms)
        return sorted({value for labels in found for key, value in labels if key == name})

    def _of_index(self, tenant: str, ask: Callable[[Index], list[str]]) -> list[str]:
        partition = self._partitions.get(tenant)
        if partition is None:
            return []
        with partition.lock:
            return ask(partition.index)

    def metadata(self, tenant: str) -> dict[str, dict[str, str]]:
        """Metric family → type, help, unit, as senders told; kept in memory, senders repeat it."""
        partition = self._partitions.get(tenant)
        known = dict(partition.metadata) if partition else {}
        return {
            name: {"type": kind, "help": text, "unit": unit} for name, (kind, text, unit) in known.items()
        }

    def tenants(self) -> list[str]:
        """Names of those who have written."""
        return sorted(self._partitions)

    def stats(self) -> dict[str, Any]:
        """Counts for `/-/metrics` and the settings page; `lag_s` is the age of the newest sample."""
        tenants = {}
        for partition in self._partitions.values():
            with partition.lock:
                tenants[partition.tenant] = partition.stats()
        with self._lock:
            counters = dict(self._counters)
        lag = (
            self._clock.now_ns() / 1e9 - self._newest_ms / 1e3 if self._newest_ms > reading.FIRST_MS else 0.0
        )
        totals = {key: sum(one[key] for one in tenants.values()) for key in _COUNTED}
        return {
            **totals,
            **counters,
            "samples": totals["head_samples"] + totals["block_samples"],
            "log_bytes": self._log.size_bytes if self._log else 0,
            "bytes": totals["block_bytes"] + (self._log.size_bytes if self._log else 0),
            "lag_s": lag,
            "replayed": self._replayed,
            "forgotten_series": self._forgotten,
            "seals": self._seals,
            "seal_failures": self._seal_failures,
            "last_failure": self._last_failure,
            "tenants": tenants,
        }

    # --- the sealer --------------------------------------------------------------------------------------

    def seal(self, tenants: Iterable[str] | None = None) -> int:
        """Seals heads now (for a backup, a test); how many became blocks. Raises OSError, Unavailable."""
        names = sorted(self._partitions) if tenants is None else tenants
        return self._seal([self._partitions[name] for name in names if name in self._partitions])

    def retire(self) -> int:
        """Drops what is past retention; how many blocks. The sealer does it by itself."""
        with self._sealing:
            horizon = self._horizon_ms(reading.FIRST_MS)
            dropped = 0
            for partition in self._partitions.values():
                if gone := self._shelf.retire(partition, horizon):
                    dropped += gone
                    self._forgotten += self._shelf.forget(partition)
            return dropped

    def _seal(self, partitions: list[Partition]) -> int:
        with self._sealing:
            assert self._log is not None
            reach = self._log.next
            sealed = sum([self._shelf.seal(partition) for partition in partitions])
            self._seals += sealed
            if sealed:
                self._shelf.trim_log(list(self._partitions.values()), reach)
        return sealed

    def _due(self) -> list[Partition]:
        now, policy = self._clock.monotonic(), self._sealer
        partitions = [one for one in self._partitions.values() if one.sealing or one.head.samples]
        crowded = sum(one.head.memory for one in partitions) > policy.heads_bytes
        biggest = max((one.head.memory for one in partitions), default=0)
        return [
            one
            for one in partitions
            if one.sealing
            or one.head.samples >= policy.samples_a_series * one.head.series
            or now - one.head_since >= policy.age_s
            or (crowded and one.head.memory == biggest)
        ]

    def _run(self) -> None:
        wait = self._sealer.every_s
        retired = self._clock.monotonic()
        while not self._stop.wait(wait):
            wait = self._sealer.every_s
            try:
                self._seal(self._due())
                if self._clock.monotonic() - retired >= self._sealer.retire_every_s:
                    retired = self._clock.monotonic()
                    self.retire()
            except (OSError, WeatherglassError) as error:
                # The heads stay readable and in the log: nothing is lost while this is tried again.
                self._seal_failures += 1
                self._last_failure = str(error)
                wait = self._sealer.retry_s
                logger.error("sealing failed, tried again in %s s: %s", wait, error)
