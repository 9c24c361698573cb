"""`Metrics`: samples in, log first, then the head; selections, series and queries out; a sealer behind it.

The facade of the room. Decoding is in `intake`, one tenant's state in `partition`, files in `shelf`, what happens
to them with time in `keeper`, reads in `reading` and `rollups`, the language in `promql`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import LimitExceeded, Unavailable
from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.files import Files
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Samples, Written
from weatherglass.engine.tables import Tables
from weatherglass.kernels import columns
from weatherglass.metrics import cores, intake, reading, records, remote2, retention, rollups, snapshot
from weatherglass.metrics.cache import Cache
from weatherglass.metrics.cardinality import Counting
from weatherglass.metrics.keeper import Keeper, Sealer
from weatherglass.metrics.listing import Listing
from weatherglass.metrics.native import Native, NativeSamples, from_native, from_request
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.retention import Policy
from weatherglass.metrics.shelf import Shelf
from weatherglass.metrics.told import Told
from weatherglass.metrics.types import Matcher, QueryResult, Selection, SeriesLimits

if TYPE_CHECKING:
    from weatherglass.metrics.promql import Query

_SEALER = Sealer()
_SEGMENT_BYTES = 16 << 20  # the log gives space back by the segment

_COUNTED = (
    "series", "head_series", "head_samples", "head_histograms", "head_bytes", "index_bytes", "blocks",
    "block_samples", "block_bytes", "histograms", "histogram_bytes", "rollup_blocks", "rollup_samples",
    "rollup_bytes", "deletions",
)  # fmt: skip


class Metrics(Listing, Told, Counting):
    """A `SampleSink`. Any thread may call any method; nothing works before `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        files: Files,
        tables: Tables,
        clock: Clock,
        limits: Callable[[str], SeriesLimits] = lambda tenant: SeriesLimits(),
        policies: Callable[[str], Sequence[Policy]] = lambda tenant: (),
        retention_s: float | None = 15 * 86400,
        sealer: Sealer = _SEALER,
    ) -> None:
        """`policies` of a tenant say what is kept of which series; `retention_s` (None: without end) is for the raw
        samples of the others."""
        self._folder, self._files, self._tables, self._clock = Path(folder), files, tables, clock
        self._limits, self._declared, self._sealer = limits, policies, sealer
        self._retention_ms = None if retention_s is None else int(retention_s * 1000)
        self._cache = Cache()
        self._partitions: dict[str, Partition] = {}
        self._lock = threading.Lock()
        self._log: Log | None = None
        self._keeper: Keeper | None = None
        self._newest_ms = reading.FIRST_MS
        self._counters = {"stored": 0, "duplicates": 0, "out_of_order": 0, "too_old": 0, "writes": 0}
        self._replayed = 0

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Opens the folder, replays the log, starts the keeper. Raises Corrupt, Unavailable."""
        self._log = Log(self._folder / "log", files=self._files, segment_bytes=_SEGMENT_BYTES, name="metrics")
        shelf = Shelf(self._folder / "blocks", self._files, self._tables, self._log, self._cache)
        self._partitions = shelf.open()
        for offset, record in self._log.replay(self._log.first):
            self._replay(offset, record)
        for partition in self._partitions.values():
            ends = [block.summary.last_ms for block in partition.blocks]
            ends += [one.summary.last_ms for one in partition.kept.histograms]
            self._newest_ms = max(
                [self._newest_ms, partition.head.last_ms, partition.histograms.last_ms, *ends]
            )
        self._keeper = Keeper(
            shelf, lambda: self._partitions, self.policies, self._now_ms, self._clock, self._sealer
        )
        self._keeper.start()

    def stop(self) -> None:
        """Ends the keeper and closes the log; heads stay in the log for the next start."""
        if self._keeper:
            self._keeper.stop()
        if self._log:
            self._log.close()
        self._keeper = self._log = None

    def policies(self, tenant: str) -> tuple[Policy, ...]:
        """What is kept of a tenant's series, and for how long; the last one is for those that no other takes."""
        return retention.with_default(tuple(self._declared(tenant)), self._retention_ms)

    def _replay(self, offset: int, record: bytes) -> None:
        kind, tenant, body = records.unwrap(record)
        partition = self._partition(tenant)
        if offset < partition.sealed:
            return
        if kind == records.LABELS:
            partition.replay_labels(body, kept=False)
            return
        if kind == records.HISTOGRAMS:
            many = list(records.unpack_histograms(body))
            partition.append_histograms(many, self._clock.monotonic())
            self._replayed += len(many)
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
        native = from_request(raw, batch) if batch.histograms else None
        written = self.take(tenant, batch, native)
        self.heard(tenant, families)
        return written

    def write2(self, tenant: str, body: bytes, encoding: str = "snappy") -> Written:
        """As `write`, of a remote write 2.0 body. What cannot be taken of it is `left_out` and told in the note."""
        asked = remote2.request(intake.inflate(body, encoding))
        written = self.take(tenant, asked.batch, asked.native)
        exemplars = self.heard(tenant, asked.families, asked.exemplars)
        return replace(written, exemplars=exemplars, left_out=asked.left_out, note="; ".join(asked.wrong))

    def append(self, tenant: str, batch: Samples) -> Written:
        """Stores a batch from inside the house; durable on return. Raises as `write`."""
        return self.take(tenant, intake.from_samples(batch))

    def append_batch(self, tenant: str, batch: Any) -> Written:
        """Stores a `wire.Batch` made inside the house, of canonical keys; durable on return. Raises as `write`."""
        return self.take(tenant, batch)

    def append_histograms(self, tenant: str, batch: NativeSamples) -> Written:
        """Stores native histograms from inside the house; durable on return. Raises as `write`."""
        return self.take(tenant, intake.from_samples(Samples([], [], [])), from_native(batch))

    def take(self, tenant: str, batch: Any, native: Native | None = None) -> Written:
        """Stores columns that were decoded elsewhere, with native histograms beside them (`native.of_batch`); durable
        on return. Raises as `write`."""
        log = self._log
        if log is None:
            raise Unavailable("the metrics store is not running", mend="try again when the server is ready")
        policies = self.policies(tenant)
        newest, too_old = self._newest_ms, 0
        parts = [batch] if native is None else [batch, native.batch]
        for one in parts:
            if len(one.times):
                newest = max(newest, int(one.times.max()))
        now_ms = self._now_ms(newest)
        for one in parts:
            if len(one.times) and one.times.min() < (horizon := retention.longest(policies, now_ms)):
                keep = one.times >= horizon
                if one is not batch and native is not None:
                    native = native.only(keep)
                too_old += intake.only(one, keep)
        wrapped = records.wrap(
            records.SAMPLES, tenant, b""
        )  # refuses a bad name before anything is made of it
        if not any(len(one.times) for one in parts):
            self._count(Written(0, too_old=too_old))
            return Written(0, too_old=too_old)
        partition, limits = self._partition(tenant), self._limits(tenant)
        self._allow(partition, limits, sum(len(one.times) for one in parts))
        with partition.under_way():
            entries, known = [], []
            labels: dict[int, bytes] = {}
            for one in parts:
                numbers, new = partition.number(one, limits)
                labels |= new
                if len(one.times) and one.times.min() < retention.shortest(policies, now_ms):
                    keep = retention.young(partition, policies, numbers, one.counts, one.times, now_ms)
                    if one is not batch and native is not None:
                        native = native.only(keep)
                    too_old += intake.only(one, keep)
                known.append((numbers, one))
            (numbers, _), counts = known[0], batch.counts
            if len(numbers) and numbers.min() < 0:  # series without samples have no number
                counts, numbers = counts[numbers >= 0], numbers[numbers >= 0]
            if labels:
                entries.append(records.wrap(records.LABELS, tenant, records.pack_labels(labels.items())))
            if len(batch.times):
                entries.append(wrapped + columns.pack(numbers, counts, batch.times, batch.values))
            many = native.numbered(known[1][0]) if native is not None else []
            if many:
                body = records.pack_histograms(many)
                entries.append(records.wrap(records.HISTOGRAMS, tenant, body))
            log.append(entries)
            with partition.lock:
                now = self._clock.monotonic()
                if labels:
                    partition.published(labels, now)
                told = partition.append(numbers, counts, batch.times, batch.values, now)
                also = partition.append_histograms(many, now)
        self._newest_ms = max(self._newest_ms, newest)
        written = Written(
            told[0] + also[0], told[1] + also[1], told[2] + also[2], too_old, histograms=also[0]
        )
        self._count(written)
        return written

    def _count(self, written: Written) -> None:
        with self._lock:
            counters = self._counters
            for name in ("stored", "duplicates", "out_of_order", "too_old"):
                counters[name] += getattr(written, name)
            counters["writes"] += 1
        cores.written()

    def _now_ms(self, newest_ms: int = reading.FIRST_MS) -> int:
        # Age counts from the newest sample where the clock is ahead of it: a clock that jumps forward must not
        # make everything too old, nor drop a block.
        return min(self._clock.now_ns() // MS_NS, max(self._newest_ms, newest_ms))

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
        """Samples and histograms, `start_ms <= t <= end_ms`: raw ones, and where raw retention has taken them those
        of the finest roll-up (`rollups.coarse`). Raises Invalid for a bad regex, Corrupt."""
        partition = self._partitions.get(tenant)
        if partition is None:
            return Selection([], [], [])
        start_ms, end_ms = max(start_ms, reading.FIRST_MS), min(end_ms, reading.LAST_MS)
        if partition.kept.floors:
            return rollups.select(partition, self.policies(tenant), matchers, start_ms, end_ms)
        return reading.select(partition, matchers, start_ms, end_ms)

    def rollup(
        self,
        tenant: str,
        matchers: Sequence[Matcher],
        granularity_s: float,
        method: str,
        start_ms: int,
        end_ms: int,
    ) -> Selection:
        """Aggregates of whole groups of `granularity_s` that overlap the span: `times` are where groups begin.

        `method` is one of `granularity.METHODS` or a `rate:…` of them. From stored roll-ups where there are any
        and they are right, from raw samples else. Raises Invalid, Corrupt.
        """
        partition = self._partitions.get(tenant)
        if partition is None:
            return Selection([], [], [])
        length = round(granularity_s * 1000)
        policies = self.policies(tenant)
        return rollups.rollup(partition, policies, matchers, length, method, start_ms, end_ms)

    def query(self, tenant: str, expr: str, at_ms: int, query: Query | None = None) -> QueryResult:
        """An instant query. `query` holds its options, and takes what was seen of it.

        Raises Invalid (with the position), LimitExceeded, TimedOut.
        """
        from weatherglass.metrics import promql

        query = query or promql.Query(at_ms, at_ms, 1)
        tree = promql.parse(expr, query.options)
        return promql.evaluate(tree, self._selector(tenant), at_ms, at_ms, 1, query.options, query)

    def query_range(
        self, tenant: str, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Query | None = None
    ) -> QueryResult:
        """A range query, both ends included; else as `query`."""
        from weatherglass.metrics import promql

        query = query or promql.Query(start_ms, end_ms, step_ms)
        tree = promql.parse(expr, query.options)
        select = self._selector(tenant)
        found = promql.evaluate(tree, select, start_ms, end_ms, step_ms, query.options, query)
        return replace(found, type="matrix") if found.type == "vector" else found

    def _selector(self, tenant: str) -> Callable[[Sequence[Matcher], int, int], Selection]:
        return lambda matchers, start_ms, end_ms: self.select(tenant, matchers, start_ms, end_ms)

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
            **(self._keeper.counts if self._keeper else {}),
            "samples": totals["head_samples"] + totals["block_samples"],
            "log_bytes": self._log.size_bytes if self._log else 0,
            "bytes": totals["block_bytes"]
            + totals["rollup_bytes"]
            + totals["histogram_bytes"]
            + (self._log.size_bytes if self._log else 0),
            "lag_s": lag,
            "replayed": self._replayed,
            "last_failure": self._keeper.last_failure if self._keeper else "",
            "tenants": tenants,
        }

    # --- what time does to it ----------------------------------------------------------------------------

    def seal(self, tenants: Iterable[str] | None = None) -> int:
        """Seals heads now (for a backup, a test), and rolls up; how many became blocks. Raises OSError, Unavailable."""
        names = sorted(self._partitions) if tenants is None else tenants
        return self._kept.seal([self._partitions[name] for name in names if name in self._partitions])

    def retire(self) -> int:
        """Drops what is past retention; how many blocks. The keeper does it by itself."""
        return self._kept.retire()

    def compact(self) -> int:
        """Merges small blocks; how many there are less. The keeper does it by itself."""
        return sum(self._kept.compact(partition) for partition in self._partitions.values())

    def delete(
        self,
        tenant: str,
        matchers_list: Sequence[Sequence[Matcher]],
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> int:
        """Deletes the samples in the span of the series that any list of matchers finds; of how many series.

        Durable, and seen by every read, on return. What is written afterwards stands. The space comes back with
        `clean`. Raises Invalid, OSError, Unavailable.
        """
        partition = self._partitions.get(tenant)
        return 0 if partition is None else self._kept.delete(partition, matchers_list, start_ms, end_ms)

    def clean(self, tenant: str | None = None) -> int:
        """Writes anew what holds deleted samples, of one tenant or all; how many files. Raises OSError, Unavailable."""
        names = [tenant] if tenant is not None else sorted(self._partitions)
        return sum(self._kept.clean(self._partitions[name]) for name in names if name in self._partitions)

    def snapshot(self, folder: Path) -> Mapping[str, Any]:
        """A copy that a store opens on, as of now, in a new folder; what it holds. Writes go on meanwhile.

        Raises Conflict where the folder is there, OSError, Unavailable.
        """
        with self._kept.hold():
            self.seal()
            return snapshot.take(self._folder, self._tables, Path(folder), self._files)

    @property
    def _kept(self) -> Keeper:
        if self._keeper is None:
            raise Unavailable("the metrics store is not running", mend="try again when the server is ready")
        return self._keeper
