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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weatherglass.base.errors import Invalid, LimitExceeded, TooLarge, Unavailable, WeatherglassError
from weatherglass.base.time import SECOND_NS, Clock, SystemClock
from weatherglass.engine.files import Files, RealFiles
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Bus, Labels, RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import search
from weatherglass.logs.catalogue import EVERYONE, Catalogue
from weatherglass.logs.head import Head, part_of
from weatherglass.logs.parse import parse_event
from weatherglass.logs.query import LABELS, Query, Row, make_query, parse_cursor
from weatherglass.logs.records import Record, name_of, pack, unpack
from weatherglass.logs.search import Page, View
from weatherglass.logs.shelf import DAY_NS, Shelf

MAX_TEXT = 4 << 20  # characters of one event
MAX_EVENTS = 1 << 16  # of one record: the low bits of a sequence number
MAX_LABELS = 32
MAX_PAGE = 10_000
_DROP_EVERY_S = 60
_REMEMBERED = 4096  # writes that a repetition is told by
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is held before it is sealed, and how long and how much is kept; 0 keeps without bound."""

    retention_s: float = 15 * 86_400
    retention_bytes: int = 0
    seal_events: int = 20_000
    seal_bytes: int = 8 << 20
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


class Logs:
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
    ) -> None:
        self._files, self._clock, self._bus = files or RealFiles(), clock or SystemClock(), bus
        self._limits, self._settings = limits, settings or Settings()
        self._folder = Path(folder) / "blocks"
        self._catalogue = Catalogue(tables)
        self._lock = threading.Lock()  # heads, blocks, counts; never held over a sync
        self._sealing = threading.Lock()  # one seal or drop at a time
        self._heads: dict[str, Head] = {}
        self._writing: dict[tuple[str, str], int] = {}  # a write under way → `next` of the log before it
        self._recent: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._counts = _Counts()
        self._dropped_at = 0.0
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        with _plainly("logs cannot be opened", str(folder)):
            rows, sealed, self._days = self._catalogue.load()
            self._shelf = Shelf(self._folder, self._files, rows, self._settings.cache_bytes)
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
        self._tell()
        now = self._clock.now_ns()
        with self._lock:
            due = [tenant for tenant, head in self._heads.items() if self._is_due(head, now)]
        for tenant in due:
            self.seal(tenant)
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
        sound = _sound(events)
        return sum(
            self._write(tenant, sound[begin : begin + MAX_EVENTS])
            for begin in range(0, len(sound), MAX_EVENTS)
        )

    def _write(self, tenant: str, events: Sequence[RawEvent]) -> int:
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
        rows: list[Row] = []
        plain = 0
        for index, raw in enumerate(record.events):
            event = parse_event(raw)
            plain += event.fields["format"] == "plain"
            rows.append((event.time_ns, offset << 16 | index, event))
        part = part_of(offset, record.at_ns, record.size, rows)
        with self._lock:
            head = self._heads.setdefault(record.tenant, Head())
            head.add(part)
            day = record.tenant, record.at_ns // DAY_NS
            self._days[day] = self._days.get(day, 0) + record.size
            self._counts.plain += plain
            if fresh:
                self._remember(record.tenant, record.digest, len(record.events))
                self._counts.bytes_in += record.size
                self._counts.told[record.tenant] += len(rows)
                self._counts.told_errors[record.tenant] += len(part.errors)
            if self._is_due(head, record.at_ns):
                self._wake.set()

    def _remember(self, tenant: str, digest: str, count: int) -> None:
        self._recent[tenant, digest] = count
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _tell(self) -> None:
        with self._lock:
            told, errors = self._counts.told, self._counts.told_errors
            self._counts.told, self._counts.told_errors = Counter(), Counter()
        if self._bus:
            for tenant, events in told.items():
                self._bus.publish("log", {"tenant": tenant, "events": events, "errors": errors[tenant]})

    # --- sealing and dropping ----------------------------------------------------------------------------

    def seal(self, tenant: str) -> int:
        """Put what the tenant's head holds into a block; how many events. Raises Unavailable, and nothing changes."""
        with self._sealing:
            with self._lock:
                barrier = min(self._writing.values(), default=self._journal.next)
                head = self._heads.get(tenant)
                parts = head.before(barrier) if head else []
                others = [
                    one.first for of, one in self._heads.items() if of != tenant and one.first is not None
                ]
            if not parts:
                return 0
            keep = min([barrier, *others])
            rows = sorted((row for part in parts for row in part.rows), key=lambda row: row[:2])
            with _plainly("a block of logs cannot be written", str(self._folder)):
                block = self._shelf.write(tenant, rows, sum(part.size for part in parts))
            days: Counter[int] = Counter()
            for part in parts:
                days[part.at_ns // DAY_NS] += part.size
            self._catalogue.sealed(block, barrier, keep, days)
            with self._lock:
                self._shelf.add(block)
                self._heads[tenant].drop(barrier)
                self._counts.failure = ""
            self._journal.trim(self._behind(keep))
            return len(rows)

    def _behind(self, keep: int) -> int:
        """Where the log may begin when blocks hold all below `keep`: a segment earlier, so that a server that was
        killed knows again what it had sealed and not answered yet."""
        bases = [base for base, _ in self._journal.segments if base <= keep]
        return bases[-2] if len(bases) > 1 else keep

    def drop_old(self) -> int:
        """Drop what retention no longer keeps, whole blocks, the longest seen first; how many."""
        with self._sealing:
            with self._lock:
                blocks = sorted(self._shelf.all(), key=lambda row: row.seen_ns)
            now = self._clock.now_ns()
            stored, old = sum(row.bytes_stored for row in blocks), []
            for row in blocks:
                age = (
                    self._settings.retention_s and now - row.seen_ns > self._settings.retention_s * SECOND_NS
                )
                if not (age or 0 < self._settings.retention_bytes < stored):
                    break
                old.append(row)
                stored -= row.bytes_stored
            if not old:
                return 0
            self._catalogue.dropped(old, now // DAY_NS - 1)
            with self._lock:
                self._shelf.forget(old)
            with _plainly("old logs cannot be removed", str(self._folder)):
                self._shelf.remove(old)
            return len(old)

    # --- reading -----------------------------------------------------------------------------------------

    def search(
        self,
        tenant: str,
        *,
        start_ns: int,
        end_ns: int,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] | None = None,
        limit: int = 100,
        before: str = "",
    ) -> Page:
        """The newest events of start_ns ≤ time < end_ns that have all `words`; `before` goes on from a page's `next`.

        `level` is `ERROR`, `ERROR,CRITICAL` or `WARNING+`; `fields` may have labels, `logger` and the parsers'
        fields, values ending in `*` for a beginning. Raises Invalid, Corrupt.
        """
        query = make_query(
            start_ns=start_ns,
            end_ns=end_ns,
            words=words,
            entity=entity,
            level=level,
            fields=fields,
            before=before,
        )
        return search.page(self._view(tenant), query, max(1, min(limit, MAX_PAGE)))

    def surrounding(self, tenant: str, cursor: str, n: int = 20) -> Page:
        """The event at a cursor with `n` before and after it from the same source, newest first. Raises NotFound."""
        return search.around(self._view(tenant), parse_cursor(cursor), max(0, min(n, MAX_PAGE)))

    def histogram(
        self,
        tenant: str,
        *,
        start_ns: int,
        end_ns: int,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] | None = None,
        buckets: int = 60,
    ) -> list[tuple[int, dict[str, int]]]:
        """(start_ns, events by level) in even buckets, empty ones too; filters as in `search`."""
        query = make_query(
            start_ns=start_ns, end_ns=end_ns, words=words, entity=entity, level=level, fields=fields
        )
        return search.histogram(self._view(tenant), query, buckets)

    def error_counts(
        self,
        tenant: str,
        start_ns: int,
        end_ns: int,
        by: str = "service",
        *,
        labels: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """Label value → events of level ERROR or CRITICAL, of those with `labels`. `by` is a label of the house."""
        if by not in LABELS:
            raise Invalid(
                f"events cannot be counted by {by!r}", where="by", mend=f"one of {', '.join(LABELS)}"
            )
        query = Query(start_ns, end_ns, levels=search.ERRORS, labels=tuple((labels or {}).items()))
        return search.error_counts(self._view(tenant, errors=True), query, by)

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

    def _view(self, tenant: str, *, errors: bool = False) -> View:
        with self._lock:
            head = self._heads.get(tenant, Head())
            return View(head.errors() if errors else head.rows(), self._shelf.of(tenant), self._shelf.opened)


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


def _sound(events: Sequence[RawEvent]) -> Sequence[RawEvent]:
    """The events with their labels in order. Raises Invalid, TooLarge."""
    known: dict[Labels, Labels] = {}
    sound = []
    for event in events:
        if not 0 < event.seen_ns < 1 << 62:
            raise Invalid(f"{event.seen_ns} is no time in nanoseconds since the epoch", where="seen_ns")
        if len(event.text) > MAX_TEXT:
            raise TooLarge(f"an event of {len(event.text)} characters; at most {MAX_TEXT}", where="text")
        labels = known.get(event.labels)
        if labels is None:
            labels = known[event.labels] = _sound_labels(event.labels)
        sound.append(event if labels == event.labels else RawEvent(event.seen_ns, labels, event.text))
    return sound


def _sound_labels(given: Labels) -> Labels:
    labels = tuple(sorted((name, value) for name, value in given if value))
    if len(labels) > MAX_LABELS or sum(len(name) + len(value) for name, value in labels) > 4096:
        raise Invalid(
            "too many or too long labels", where="labels", mend=f"at most {MAX_LABELS}, 4096 characters"
        )
    return labels
