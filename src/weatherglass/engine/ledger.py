"""The ledger on a log of its own: every change that anyone made through the house, for ever. Nothing is trimmed.

The newest entries are held in memory with an index by entity, up to a bound; older ones are read from the log when
a question goes back that far.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.engine.files import Files
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Bus, Entry

_FIELDS = frozenset(Entry.__dataclass_fields__) - {"offset"}
_SEGMENT_BYTES = 16 << 20


def encode(entry: Entry) -> bytes:
    """One record. Raises Invalid where before or after is not JSON."""
    told: dict[str, Any] = {"version": 1, **asdict(entry)}
    del told["offset"]
    try:
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise Invalid(f"a ledger entry must be JSON: {error}", where=entry.entity) from error


def decode(record: bytes, offset: int) -> Entry:
    """The entry of a record; fields that a newer program wrote are passed over."""
    told = json.loads(record)
    return Entry(**{name: value for name, value in told.items() if name in _FIELDS}, offset=offset)


class FileLedger:
    """`protocols.Ledger`; tells the bus of every entry on topic `ledger`."""

    def __init__(
        self,
        folder: Path | str,
        *,
        files: Files | None = None,
        bus: Bus | None = None,
        held: int = 5_000,
        held_bytes: int = 8 << 20,
    ) -> None:
        """`held`, `held_bytes`: how many entries, and bytes of their records, memory keeps at most."""
        self._log = Log(folder, files=files, segment_bytes=_SEGMENT_BYTES, name="ledger")
        self._bus, self._held, self._held_bytes = bus, held, held_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._window: deque[tuple[Entry, int]] = deque()  # oldest first, offsets without a gap
        self._by_entity: dict[str, deque[Entry]] = {}
        self._waiting: dict[int, tuple[Entry, int]] = {}  # acknowledged before one with a lower offset was
        self._from = self._log.next  # everything from here on is in the window
        self._load()

    def _load(self) -> None:
        start = max(self._log.first, self._log.next - self._held)
        self._from = start
        for offset, record in self._log.replay(start):
            self._hold(decode(record, offset), len(record))

    def _hold(self, entry: Entry, size: int) -> None:
        self._window.append((entry, size))
        self._by_entity.setdefault(entry.entity, deque()).append(entry)
        self._bytes += size
        while len(self._window) > self._held or (self._bytes > self._held_bytes and len(self._window) > 1):
            oldest, gone = self._window.popleft()
            self._bytes -= gone
            self._from = oldest.offset + 1
            same = self._by_entity[oldest.entity]
            same.popleft()
            if not same:
                del self._by_entity[oldest.entity]

    def append(self, entry: Entry) -> int:
        """Its offset; durable on return. Raises Invalid, Unavailable."""
        record = encode(entry)
        offset = self._log.append([record])
        # As it will be read back, so that what memory holds shares nothing with the caller.
        kept = decode(record, offset)
        with self._lock:
            self._waiting[offset] = kept, len(record)
            while (following := self._waiting.pop(self._upto, None)) is not None:
                self._hold(*following)
        if self._bus:
            self._bus.publish(
                "ledger",
                {
                    "offset": offset,
                    "at_ns": kept.at_ns,
                    "who": kept.who,
                    "what": kept.what,
                    "entity": kept.entity,
                },
            )
        return offset

    @property
    def _upto(self) -> int:
        return self._window[-1][0].offset + 1 if self._window else self._from

    def read(
        self, *, entity: str = "", start_ns: int = 0, end_ns: int = 0, limit: int = 200
    ) -> Sequence[Entry]:
        """The newest `limit` entries with `start_ns <= at_ns < end_ns` (0: no bound), newest first."""

        def wanted(entry: Entry) -> bool:
            return (
                (not entity or entry.entity == entity)
                and entry.at_ns >= start_ns
                and (not end_ns or entry.at_ns < end_ns)
            )

        with self._lock:
            held = list(self._by_entity.get(entity, ())) if entity else [entry for entry, _ in self._window]
            older_end = self._from
        found = [entry for entry in reversed(held) if wanted(entry)][:limit]
        if len(found) < limit and self._log.first < older_end:
            older: deque[Entry] = deque(maxlen=limit - len(found))
            # The name as it stands in the record: most are passed over without being parsed.
            needle = json.dumps(entity, ensure_ascii=False).encode() if entity else b""
            for offset, record in self._log.replay():
                if offset >= older_end:
                    break
                if needle in record and wanted(entry := decode(record, offset)):
                    older.append(entry)
            found += reversed(older)
        return found

    def follow(self, start: int, timeout_s: float = 5.0) -> Iterator[Entry]:
        """Entries from offset `start` on as they come, oldest first; ends when none came for `timeout_s`."""
        while self._log.wait_past(start, timeout_s):
            for offset, record in self._log.replay(start):
                yield decode(record, offset)
                start = offset + 1

    def close(self) -> None:
        self._log.close()
