"""The store of events: write → parse → log → head → blocks, and the way back out.

What is acknowledged is in the log, synced. A part reaches the head after its append has returned; a seal takes
what the head holds below a barrier, writes one block, records it in one transaction with the tenant's mark, and
only then lets the log go, but for one segment more: what it names is known again when it is repeated. At start
the catalogue says what is sealed, the log says the rest.

The barrier: appends run side by side, and one may have its offset while it is not in the head yet. So each
notes the log's `next` before it appends; nothing at or above the lowest note is sealed or trimmed.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from weatherglass.base.errors import Invalid, LimitExceeded, TooLarge, Unavailable, WeatherglassError
from weatherglass.base.time import SECOND_NS, Clock, SystemClock
from weatherglass.engine.files import Files, RealFiles
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Bus, Labels, RawEvent, SampleSink
from weatherglass.engine.tables import Tables
from weatherglass.logs.answers import ERRORS, View
from weatherglass.logs.blocks import levels_of
from weatherglass.logs.catalogue import EVERYONE, Catalogue
from weatherglass.logs.counts import EventCounts
from weatherglass.logs.documents import Document, check_document
from weatherglass.logs.filter import Filter
from weatherglass.logs.frame import one_array
from weatherglass.logs.head import SEQUENCE_BITS, SETTLE_EVENTS, Head, Part, frame_of
from weatherglass.logs.reader import Reader
from weatherglass.logs.records import Given, Record, name_of, pack, unpack
from weatherglass.logs.retention import Retention
from weatherglass.logs.shelf import DAY_NS, Shelf
from weatherglass.logs.tail import Tail
from weatherglass.logs.taking import Taker, Write, joined
from weatherglass.logs.templates import Miner
from weatherglass.logs.upkeep import Upkeep

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TEXT = 4 << 20  # characters of one event
MAX_EVENTS = 1 << SEQUENCE_BITS  # of one record: the low bits of a sequence number
MAX_LABELS = 32
_DROP_EVERY_S = 60
_TELL_EVERY_S = 0.5
_COUNT_EVERY_S = 15
_MINER_EVERY_S = 300
_REMEMBERED = 4096  # writes that a repetition is told by
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is held before it is sealed, and how long and how much is kept; 0 keeps without bound."""

    retention_s: float = 15 * 86_400
    retention_bytes: int = 0
    seal_events: int = 65_536
    seal_bytes: int = 24 << 20
    seal_age_s: float = 1800
    cache_bytes: int = 64 << 20
    segment_bytes: int = 2 << 20  # read whole at a start


@dataclass(slots=True)
class _Counts:
    bytes_in: int = 0
    repeated: int = 0
    plain: int = 0
    limited: int = 0
    seal_failures: int = 0
    failure: str = ""
    told: Counter[str] = field(default_factory=Counter)  # tenant → events since the bus was told
    told_errors: Counter[str] = field(default_factory=Counter)


class Logs(Reader):
    """Events of every tenant. Any thread may write and search; one thread of its own seals and drops.

    The catalogue's tables are there already (`catalogue.ROOM`). `limits` gives a tenant's bytes a day (0: none).
    Raises Corrupt, Unavailable.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        files: Files | None = None,
        tables: Tables,
        clock: Clock | None = None,
        bus: Bus | None = None,
        limits: Callable[[str], int] = lambda tenant: 0,
        settings: Settings | None = None,
        retention: Callable[[str], Retention] = lambda tenant: Retention(),
        samples: SampleSink | None = None,
    ) -> None:
        self._files, self._clock, self._bus = files or RealFiles(), clock or SystemClock(), bus
        self._limits, self._settings = limits, settings or Settings()
        self._retention, self._samples, self._event_counts = retention, samples, EventCounts()
        self._folder = Path(folder) / "blocks"
        self._catalogue = Catalogue(tables)
        self._lock = threading.Lock()  # heads, blocks, counts; never held over a sync
        self._sealing = threading.Lock()  # one seal or drop at a time
        self._heads: dict[str, Head] = {}
        self._writing: dict[tuple[str, str], int] = {}  # a write under way → `next` of the log before it
        self._recent: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._counts = _Counts()
        self._dropped_at = 0.0
        self._told_at = self._counted_at = -1e9
        self._followers: tuple[Callable[[str, pa.Table], None], ...] = ()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        with _plainly("logs cannot be opened", str(folder)):
            rows, sealed, self._days = self._catalogue.load()
            self._miners = self._catalogue.miners()  # of tenants that have no head yet
            self._shelf = Shelf(self._folder, self._files, rows, self._settings.cache_bytes)
            self._upkeep = Upkeep(self._shelf, self._catalogue, self._lock)
        self._journal = Log(
            Path(folder) / "log", files=self._files, segment_bytes=self._settings.segment_bytes, name="logs"
        )
        for offset, data in self._journal.replay():
            if offset < sealed.get(EVERYONE, 0):
                # In blocks already; but its answer may have been lost, and it may come again.
                self._remember(*name_of(data))
                continue
            record = unpack(data)
            self._remember(record.tenant, record.digest, len(record.events))
            if offset >= sealed.get(record.tenant, 0):
                self._publish(offset, record)

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin sealing, dropping and telling the bus, once a second."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends at once: what is not sealed is in the log. Writes raise Unavailable from here on."""
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._journal.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.tick()
            except WeatherglassError as error:
                # The disk may be full now and have room later: what is in the log stays there meanwhile.
                with self._lock:
                    self._counts.seal_failures += 1
                    self._counts.failure = error.message
                _log.warning("logs: %s", error.message)
                self._stopping.wait(5)
            self._wake.wait(1)
            self._wake.clear()

    def tick(self) -> None:
        """One round of upkeep; `start` does this by itself. Raises Unavailable; a later round tries again."""
        if self._clock.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._told_at = self._clock.monotonic()
            self._tell()
        self._count()
        now = self._clock.now_ns()
        with self._lock:
            due = [tenant for tenant, head in self._heads.items() if self._is_due(head, now)]
        for tenant in due:
            self.seal(tenant)
            self.compact(tenant)
        with self._sealing, _plainly("a block of logs cannot be written", str(self._folder)):
            self._upkeep.renew()
        if due or self._clock.monotonic() - self._dropped_at >= _DROP_EVERY_S:
            self._dropped_at = self._clock.monotonic()
            self.drop_old()

    def _is_due(self, head: Head, now_ns: int) -> bool:
        settings = self._settings
        return (
            head.events >= settings.seal_events
            or head.size >= settings.seal_bytes
            or (head.events > 0 and now_ns - head.oldest_ns >= settings.seal_age_s * SECOND_NS)
        )

    # --- writing -----------------------------------------------------------------------------------------

    def write_raw(self, tenant: str, events: Sequence[RawEvent]) -> int:
        """How many events are stored, durable on return. A write repeated whole (a lost answer) is stored once.

        Raises LimitExceeded, Invalid, TooLarge (nothing is stored), Unavailable (try again; at worst a part of
        more than 65,536 events is stored already, and is told by the repetition).
        """
        return self._write_all(tenant, _sound(events))

    def write_documents(self, tenant: str, documents: Sequence[Document]) -> int:
        """The same for events with fields of their own. Raises as `write_raw`."""
        for document in documents:
            check_document(document)
        return self._write_all(tenant, _sound(documents))

    def _write_all(self, tenant: str, sound: Sequence[Given]) -> int:
        return sum(
            self._write(tenant, sound[begin : begin + MAX_EVENTS])
            for begin in range(0, len(sound), MAX_EVENTS)
        )

    def _write(self, tenant: str, events: Sequence[Given]) -> int:
        record, data = pack(tenant, self._clock.now_ns(), events)
        mine, day = (tenant, record.digest), (tenant, record.at_ns // DAY_NS)
        with self._lock:
            if mine in self._recent:
                self._counts.repeated += len(events)
                return self._recent[mine]
            if mine in self._writing:
                raise Unavailable("logs: the same events are being written just now", mend="try again")
            self._reserve(tenant, day, record.size)
            self._writing[mine] = self._journal.next
        try:
            offset = self._journal.append([data])
            self._publish(offset, record, fresh=True)
        finally:
            with self._lock:
                self._days[day] -= record.size  # the part in the head counts it from here on
                del self._writing[mine]
        return len(events)

    def _reserve(self, tenant: str, day: tuple[str, int], size: int) -> None:
        head = self._heads.get(tenant)
        if head and head.size + size > 4 * self._settings.seal_bytes + (16 << 20):
            raise Unavailable(
                f"logs: blocks cannot be written{': ' if self._counts.failure else ''}{self._counts.failure}",
                where=str(self._folder),
                mend="see that the disk has room; writing goes on by itself then",
            )
        limit, taken = self._limits(tenant), self._days.get(day, 0)
        if limit and taken + size > limit:
            self._counts.limited += 1
            raise LimitExceeded(
                f"{tenant} has written {taken} bytes of logs today; its limit is {limit} a day",
                where=f"tenant/{tenant}",
                mend="log less, wait for midnight UTC, or have limits.logs raised in the declaration",
            )
        self._days[day] = taken + size

    def _publish(self, offset: int, record: Record, *, fresh: bool = False) -> None:
        with self._lock:
            head = self._heads.get(record.tenant)
            if head is None:
                head = self._heads[record.tenant] = Head(Taker(self._miner(record.tenant)))
            head.add(
                Part(offset, record.at_ns, record.size, len(record.events)),
                Write(offset << SEQUENCE_BITS, record.events),
            )
            day = record.tenant, record.at_ns // DAY_NS
            self._days[day] = self._days.get(day, 0) + record.size
            if fresh:
                self._remember(record.tenant, record.digest, len(record.events))
                self._counts.bytes_in += record.size
            if self._is_due(head, record.at_ns) or self._followers:
                self._wake.set()
            enough = head.waiting_events >= SETTLE_EVENTS
        if enough and fresh:
            self._settle(record.tenant, head)

    def _miner(self, tenant: str) -> Miner | None:
        """What the tenant's miner knew before the restart. Ids are of content: without it only aliases are lost."""
        state = self._miners.pop(tenant, None)
        try:
            return Miner.load(state) if state else None
        except Invalid as error:
            _log.warning("logs: the template miner of %s begins anew: %s", tenant, error.message)
            return None

    def _settle(self, tenant: str, head: Head) -> None:
        """Parse what waits in a head, and tell of it."""

        def told(table: pa.Table) -> None:
            levels = levels_of(table)
            formats = (
                one_array(table.column("format")).value_counts().to_pylist()
                if "format" in table.column_names
                else []
            )
            with self._lock:
                self._counts.told[tenant] += len(table)
                self._counts.told_errors[tenant] += sum(levels.get(level, 0) for level in ERRORS)
                self._counts.plain += sum(one["counts"] for one in formats if one["values"] == "plain")
            if self._samples:
                self._event_counts.add(
                    tenant, frame_of(table), lambda: self._templates_kept(tenant), self._clock.now_ns()
                )
            for follower in self._followers:
                follower(tenant, table)

        head.settle(self._lock, told)

    def _templates_kept(self, tenant: str) -> Iterator[str]:
        """The templates of the tenant's blocks: their dictionaries alone are read."""
        with self._lock:
            rows = self._shelf.of(tenant)
        for row in rows:
            block = self._shelf.opened(row)
            for frame in block.frames if block else ():
                coded = frame.coded("template")
                yield from coded.values.to_pylist() if coded else ()

    def _remember(self, tenant: str, digest: str, count: int) -> None:
        self._recent[tenant, digest] = count
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _tell(self) -> None:
        with self._lock:
            waiting = [(tenant, head) for tenant, head in self._heads.items() if head.waiting]
        for tenant, head in waiting:
            self._settle(tenant, head)
        with self._lock:
            told, errors = self._counts.told, self._counts.told_errors
            self._counts.told, self._counts.told_errors = Counter(), Counter()
        if self._bus:
            for tenant, events in told.items():
                self._bus.publish("log", {"tenant": tenant, "events": events, "errors": errors[tenant]})

    def _count(self) -> None:
        """Hand the counters over. One that is refused is told again with the next events: counters only grow."""
        if self._samples is None or self._clock.monotonic() - self._counted_at < _COUNT_EVERY_S:
            return
        self._counted_at = self._clock.monotonic()
        for tenant, batch in self._event_counts.samples(self._clock.now_ns()).items():
            try:
                self._samples.append(tenant, batch)
            except WeatherglassError as error:
                _log.warning("logs: counts of events are not taken: %s", error.message)

    def tail(self, tenant: str, filter: Filter) -> Tail:
        """Follow what is new of a tenant; to be closed."""
        return Tail(tenant, filter, self.follow)

    def follow(self, follower: Callable[[str, pa.Table], None]) -> Callable[[], None]:
        """Have `follower(tenant, table)` called with what is new, in whatever thread found it; ended by what is given back."""
        self._followers = (*self._followers, follower)

        def end() -> None:
            self._followers = tuple(one for one in self._followers if one is not follower)

        return end

    # --- sealing and dropping ----------------------------------------------------------------------------

    def seal(self, tenant: str) -> int:
        """Put what the tenant's head holds into a block; how many events. Raises Unavailable, and nothing changes."""
        with self._sealing:
            with self._lock:
                barrier = min(self._writing.values(), default=self._journal.next)
                head = self._heads.get(tenant)
                parts = [part for part in head.parts if part.offset < barrier] if head else []
                others = [
                    one.first for of, one in self._heads.items() if of != tenant and one.first is not None
                ]
            if not parts or head is None:
                return 0
            keep = min([barrier, *others])
            self._settle(tenant, head)
            with self._lock:
                tables = head.tables_before(barrier)
            table = joined(tables)
            with _plainly("a block of logs cannot be written", str(self._folder)):
                block = self._shelf.write(tenant, table, sum(part.size for part in parts))
            days: Counter[int] = Counter()
            for part in parts:
                days[part.at_ns // DAY_NS] += part.size
            with head.taking:
                learnt = self._learnt(head.taker)
            self._catalogue.sealed(block, barrier, keep, days, learnt)
            if learnt is not None:
                head.taker.saved = head.taker.known, self._clock.monotonic()
            with self._lock:
                self._shelf.add(block)
                head.drop(barrier)
                self._counts.failure = ""
            self._journal.trim(self._behind(keep))
            return len(table)

    def _learnt(self, taker: Taker) -> bytes | None:
        """The miner's state, if it is worth its time: with many templates it takes as long as a thousand events."""
        known, at = taker.saved
        if taker.known == known or self._clock.monotonic() - at < _MINER_EVERY_S:
            return None
        return taker.miner.state()

    def _behind(self, keep: int) -> int:
        """Where the log may begin when blocks hold all below `keep`: a segment earlier, so that a server that was
        killed knows again what it had sealed and not answered yet."""
        bases = [base for base, _ in self._journal.segments if base <= keep]
        return bases[-2] if len(bases) > 1 else keep

    def drop_old(self) -> int:
        """Drop what retention no longer keeps, whole blocks, the longest seen first; how many. Raises Unavailable."""
        with self._sealing, _plainly("old logs cannot be removed", str(self._folder)):
            gone = self._upkeep.drop(self._retained, self._settings.retention_bytes, self._clock.now_ns())
            self._upkeep.thin(self._retained, self._clock.now_ns())
            return gone

    def compact(self, tenant: str) -> int:
        """Put small blocks of a tenant together; how many became one. Raises Unavailable, and nothing changes."""
        with self._sealing, _plainly("a block of logs cannot be written", str(self._folder)):
            return self._upkeep.merge(tenant, self._settings.seal_events)

    def _retained(self, tenant: str) -> Retention:
        """The tenant's own retention, within that of all."""
        own, most = self._retention(tenant), self._settings.retention_s
        age = min(own.age_s, most) if own.age_s and most else own.age_s or most
        return replace(own, age_s=age)

    # --- reading -----------------------------------------------------------------------------------------

    def view(self, tenant: str) -> View:
        head = self._heads.get(tenant)
        if head is not None:
            self._settle(tenant, head)
        with self._lock:
            frames = [frame for _, frame in head.frames] if head else []
            return View(frames, self._shelf.of(tenant), self._shelf.opened)

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def stats(self) -> dict[str, int | str]:
        """What the store holds and has done since it was opened, over all tenants."""
        with self._lock:
            rows = self._shelf.all()
            heads, counts = list(self._heads.values()), self._counts
            in_head = sum(head.events for head in heads)
            return {
                "events": sum(row.events for row in rows) + in_head,
                "bytes_in": sum(row.bytes_in for row in rows) + sum(head.size for head in heads),
                "bytes_stored": sum(row.bytes_stored for row in rows),
                "blocks": len(rows),
                "head_events": in_head,
                "head_bytes": sum(head.size for head in heads),
                "log_bytes": self._journal.size_bytes,
                "written_bytes": counts.bytes_in,
                "repeated_events": counts.repeated,
                "plain_events": counts.plain,
                "limited_writes": counts.limited,
                "seal_failures": counts.seal_failures,
                "failure": counts.failure,
            }


@contextlib.contextmanager
def _plainly(what: str, where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{what}: {error.strerror or error}",
            where=where,
            mend="see that the disk has room and is writable",
        ) from error


def _sound(events: Sequence[Given]) -> Sequence[Given]:
    """The events with their labels in order. Raises Invalid, TooLarge."""
    if not events:
        return events
    seen = [event.seen_ns for event in events]
    for one in (min(seen), max(seen)):
        if not 0 < one < 1 << 62:
            raise Invalid(f"{one} is no time in nanoseconds since the epoch", where="seen_ns")
    longest = max([len(event.text) for event in events])
    if longest > MAX_TEXT:
        raise TooLarge(f"an event of {longest} characters; at most {MAX_TEXT}", where="text")
    # By identity: who writes a thousand lines gives them the same labels, not equal ones.
    given = {id(event.labels): event.labels for event in events}
    known = {key: _sound_labels(labels) for key, labels in given.items()}
    if known == given:
        return events
    return [replace(event, labels=known[id(event.labels)]) for event in events]


def _sound_labels(given: Labels) -> Labels:
    labels = tuple(sorted((name, value) for name, value in given if value))
    if len(labels) > MAX_LABELS or sum(len(name) + len(value) for name, value in labels) > 4096:
        raise Invalid(
            "too many or too long labels", where="labels", mend=f"at most {MAX_LABELS}, 4096 characters"
        )
    return labels
