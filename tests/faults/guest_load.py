"""What runs in the guest over dm-log-writes, and what must be found at every flush of its log. No test here.

Each scenario uses one store of ours for real, in a thread of its own on one file system. Before a change that lets
something go, and after each acknowledgement, it puts a mark into the log of writes: `name:event:number…`. `check`
is given the marks that stand before a flush, and the folder as a power cut right then leaves it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Entry, RawEvent, Samples
from weatherglass.engine.spool import Spool

Mark = Callable[..., None]
Marks = Sequence[tuple[str, ...]]

# linux/dm-ioctl.h: struct dm_ioctl is 312 bytes; DM_TARGET_MSG is command 14 of type 0xfd.
_TARGET_MSG = 3 << 30 | 312 << 16 | 0xFD << 8 | 14
_DM_BYTES = 312


class Marker:
    """Puts marks into the log of writes of one mapped device."""

    def __init__(self, name: str) -> None:
        self._name, self._control = name.encode(), os.open("/dev/mapper/control", os.O_RDWR)

    def __call__(self, *words: object) -> None:
        text = ":".join(str(word) for word in words)
        message = struct.pack("<Q", 0) + f"mark {text}".encode() + b"\0"
        size = _DM_BYTES + len(message)
        # version, data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name, uuid, data
        head = struct.pack("<3I3Ii3IQ", 4, 0, 0, size, _DM_BYTES, 0, 0, 0, 0, 0, 0)
        head += struct.pack("128s129s7s", self._name, b"", b"")
        assert len(head) == _DM_BYTES
        fcntl.ioctl(self._control, _TARGET_MSG, bytearray(head + message))


def payload(thread: str, number: int) -> bytes:
    return f"{thread}.{number}.".encode() * (1 + number * 7 % 40)


def _last(marks: Marks, *beginning: str) -> int:
    """The last number of the marks that begin so, or -1."""
    found = [int(mark[len(beginning)]) for mark in marks if mark[: len(beginning)] == beginning]
    return max(found, default=-1)


# --- engine.log: two threads in one log, trimmed behind -----------------------------------------------------


def run_log(folder: Path, mark: Mark, count: int) -> None:
    log = Log(folder / "log", segment_bytes=16 << 10)

    def append(thread: str) -> None:
        for number in range(count):
            batch = [payload(thread, number), b"second"] if number % 3 else [payload(thread, number)]
            last = log.append(batch)
            mark("log", "ack", last - len(batch) + 1, thread, number)
            if thread == "a" and number % 40 == 39:
                mark("log", "trim", last - 60)
                log.trim(last - 60)

    _together([threading.Thread(target=append, args=(thread,)) for thread in ("a", "b")])
    log.close()


def check_log(folder: Path, marks: Marks) -> int:
    log = Log(folder / "log", segment_bytes=16 << 10)
    there = dict(log.replay())
    log.close()
    trimmed = _last(marks, "log", "trim")
    assert not there or min(there) <= max(0, trimmed), "more is gone than was let go"
    assert sorted(there) == list(range(min(there, default=0), max(there, default=-1) + 1))
    for mark in marks:
        if mark[:2] == ("log", "ack") and int(mark[2]) >= trimmed:
            assert there.get(int(mark[2])) == payload(mark[3], int(mark[4])), mark
    for thread in ("a", "b"):
        mine = [int(one.split(b".")[1]) for one in there.values() if one.startswith(thread.encode() + b".")]
        assert mine == list(range(mine[0], mine[0] + len(mine))) if mine else True
    return len(there)


# --- the ledger, the spool, the tables ------------------------------------------------------------------------


def run_ledger(folder: Path, mark: Mark, count: int) -> None:
    ledger = FileLedger(folder / "ledger")
    for number in range(count):
        ledger.append(Entry(number, "who", "what", f"service/s{number % 3}", "why", after={"n": number}))
        mark("ledger", "ack", number)
    ledger.close()


def check_ledger(folder: Path, marks: Marks) -> int:
    ledger = FileLedger(folder / "ledger")
    there = [one.after["n"] for one in reversed(ledger.read(limit=1 << 20)) if one.after]
    ledger.close()
    assert there == list(range(len(there)))
    assert len(there) > _last(marks, "ledger", "ack")
    return len(there)


def run_spool(folder: Path, mark: Mark, count: int) -> None:
    spool = Spool(folder / "spool", limit_bytes=1 << 20)
    for number in range(count):
        offset = spool.put("samples", payload("s", number))
        mark("spool", "ack", offset)
        if number % 5 == 4:
            taken = spool.take(64)[-1][0]
            mark("spool", "doing", taken)
            spool.done(taken)
            mark("spool", "done", taken)
    spool.close()


def check_spool(folder: Path, marks: Marks) -> int:
    spool = Spool(folder / "spool", limit_bytes=1 << 20)
    waiting = spool.take(1 << 30)
    spool.close()
    acked, doing, done = (_last(marks, "spool", what) for what in ("ack", "doing", "done"))
    offsets = [offset for offset, _, _ in waiting]
    first = offsets[0] if offsets else acked + 1
    assert offsets == list(range(first, first + len(offsets)))
    assert first + len(offsets) > acked, "what was put is gone"
    assert done < first <= doing + 1, "handed over again, or never"
    assert all(body == payload("s", offset) for offset, _, body in waiting)
    return len(waiting)


def run_tables(folder: Path, mark: Mark, count: int) -> None:
    import sqlalchemy as sa

    from weatherglass.engine.tables import Tables

    tables = Tables(folder / "numbers.db")
    with tables.write() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    # The name of the file is SQLite's own to make durable; it does so with the first commit.
    for number in range(count // 2):
        with tables.write() as connection:
            connection.execute(sa.text("INSERT INTO numbers VALUES (:n)"), {"n": number})
        mark("tables", "ack", number)
    tables.close()


def check_tables(folder: Path, marks: Marks) -> int:
    import sqlite3

    acked = _last(marks, "tables", "ack")
    if acked < 0:
        return 0
    with contextlib.closing(sqlite3.connect(folder / "numbers.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        there = [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY n")]
    assert there == list(range(len(there)))
    assert len(there) > acked
    return len(there)


# --- the stores, sealing as they go -----------------------------------------------------------------------------

NOW_MS = 1_800_000_000_000
_MIGRATING = threading.Lock()  # Alembic's context is one a process


@contextlib.contextmanager
def _metrics(folder: Path) -> Iterator[object]:
    from weatherglass.base.time import ManualClock
    from weatherglass.engine.files import RealFiles
    from weatherglass.engine.tables import Tables
    from weatherglass.metrics import TABLES, Metrics

    folder.mkdir(exist_ok=True)
    tables = Tables(folder / "tables.db")
    with _MIGRATING:
        tables.migrate({"metrics": TABLES})
    store = Metrics(
        folder / "metrics", files=RealFiles(), tables=tables, clock=ManualClock(NOW_MS * 1_000_000)
    )
    store.start()
    try:
        yield store
    finally:
        store.stop()
        tables.close()


def run_metrics(folder: Path, mark: Mark, count: int) -> None:
    with _metrics(folder / "m") as store:
        for number in range(count // 2):
            labels = [(("__name__", "m"), ("n", str(number // 20)))]
            store.append("t", Samples(labels, [[NOW_MS + number]], [[float(number)]]))
            mark("metrics", "ack", number)
            if number % 30 == 29:
                store.seal()


def check_metrics(folder: Path, marks: Marks) -> int:
    from weatherglass.metrics import Matcher

    acked = _last(marks, "metrics", "ack")
    if acked < 0:
        return 0
    with _metrics(folder / "m") as store:
        found = store.select("t", [Matcher("__name__", "=", "m")], 0, 1 << 60)
    pairs = sorted(
        (int(t), float(v))
        for ts, vs in zip(found.times, found.values, strict=True)
        for t, v in zip(ts, vs, strict=True)
    )
    assert pairs == [(NOW_MS + number, float(number)) for number in range(len(pairs))]
    assert len(pairs) > acked
    return len(pairs)


@contextlib.contextmanager
def _logs(folder: Path) -> Iterator[object]:
    from weatherglass.base.time import ManualClock
    from weatherglass.engine.tables import Tables
    from weatherglass.logs import Logs
    from weatherglass.logs.catalogue import ROOM

    folder.mkdir(exist_ok=True)
    tables = Tables(folder / "tables.db")
    with _MIGRATING:
        tables.migrate(ROOM)
    store = Logs(folder / "logs", tables=tables, clock=ManualClock(NOW_MS * 1_000_000))
    try:
        yield store
    finally:
        store.stop()
        tables.close()


def run_logs(folder: Path, mark: Mark, count: int) -> None:
    with _logs(folder / "l") as store:
        for number in range(count // 2):
            store.write_raw(
                "t", [RawEvent(NOW_MS * 1_000_000 + number, (("host", "h"),), f"number {number}")]
            )
            mark("logs", "ack", number)
            if number % 30 == 29:
                store.seal("t")


def check_logs(folder: Path, marks: Marks) -> int:
    acked = _last(marks, "logs", "ack")
    if acked < 0:
        return 0
    with _logs(folder / "l") as store:
        found = store.search("t", start_ns=0, end_ns=1 << 62, limit=10_000)
    there = [int(one.message.rpartition(" ")[2]) for one in reversed(found.events)]
    assert there == list(range(len(there)))
    assert len(there) > acked
    return len(there)


SCENARIOS = {
    "log": (run_log, check_log),
    "ledger": (run_ledger, check_ledger),
    "spool": (run_spool, check_spool),
    "tables": (run_tables, check_tables),
    "metrics": (run_metrics, check_metrics),
    "logs": (run_logs, check_logs),
}
"""Name → (what runs in the guest, what must be found afterwards: how many it found)."""


def check(folder: Path, marks: Marks) -> dict[str, int]:
    """All scenarios at one power cut; how many records each had."""
    told = {}
    for name, (_, checked) in SCENARIOS.items():
        try:
            told[name] = checked(folder, marks)
        except Exception as error:
            error.add_note(f"in {name}, after the marks {[one for one in marks if one[0] == name][-3:]}")
            raise
    return told


def _together(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """`guest_load.py FOLDER DEVICE COUNT`: everything at once, in the guest."""
    folder, mark, count = Path(sys.argv[1]), Marker(sys.argv[2]), int(sys.argv[3])
    failures: list[BaseException] = []

    def run(scenario: Callable[[Path, Mark, int], None]) -> None:
        try:
            scenario(folder, mark, count)
        except BaseException as error:
            failures.append(error)
            raise

    _together([threading.Thread(target=run, args=(scenario,)) for scenario, _ in SCENARIOS.values()])
    mark("all", "done", count)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
