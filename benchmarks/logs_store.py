"""Log events parsed and stored per CPU-second, beside SQLite's FTS5 and plain Parquet with zstd.

    python benchmarks/logs_store.py [--events 60000] [--rounds 3]

Real OpenStack text: oslo.log itself writes it where the system's Python has it (Debian: python3-oslo.log), else the
lines of Loghub's OpenStack sample are repeated with ids and times of their own. All three are given the same framed
events in the same batches, by turns, and each ends with everything on disk, synced. CPU is the process's own
(user and system), and contains the same parsing for all three; framing, the agent's work, is told apart. Ours has
every event in a synced log before it is acknowledged, then in a block; plain Parquet keeps nothing before it is
written.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Framer, Logs
from weatherglass.logs.catalogue import ROOM
from weatherglass.logs.parse import parse_event
from weatherglass.logs.reading import FIELDS

ROOT = Path(__file__).resolve().parent.parent
EMITTER = ROOT / "tests" / "logs" / "emit_oslo.py"
SAMPLE = ROOT.parent / "shared" / "data" / "loghub" / "OpenStack" / "OpenStack_2k.log"
LABELS = (("host", "ctl-1"), ("service", "nova"), ("site", "bench"), ("source", "/var/log/nova/nova.log"))
BATCH = 500
ALL = {"start_ns": 0, "end_ns": 1 << 62}


def loghub_text(events: int) -> tuple[str, str]:
    """Loghub's real lines, each repetition with request ids, instances and times of its own."""
    lines = [line.partition(" ")[2] for line in SAMPLE.read_text().splitlines(keepends=True)]
    identifier = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
    out: list[str] = []
    fresh: dict[str, str] = {}
    while len(out) < events:
        fresh.clear()
        day = f"2026-{1 + len(out) // 2000 % 12:02}-{1 + len(out) // 24000 % 28:02}"
        for line in lines:
            changed = identifier.sub(lambda found: fresh.setdefault(found[0], str(uuid.uuid4())), line)
            out.append(changed.replace("2017-05-16", day, 1))
    return "".join(out[:events]), "Loghub's OpenStack lines, ids and days made anew"


def oslo_text(folder: Path, events: int) -> tuple[str, str]:
    command = ["/usr/bin/python3", str(EMITTER), str(folder), str(events), "1"]
    subprocess.run(command, check=True, timeout=600, capture_output=True)
    return (folder / "text.log").read_text(), "oslo.log's own, one in eight with a traceback"


def batches(texts: Sequence[str]) -> list[list[RawEvent]]:
    now = time.time_ns()
    raws = [RawEvent(now + number, LABELS, text) for number, text in enumerate(texts)]
    return [raws[at : at + BATCH] for at in range(0, len(raws), BATCH)]


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def ours(folder: Path, raws: list[list[RawEvent]]) -> tuple[int, Callable[[str], int]]:
    """The store: acknowledged batch by batch, sealed as it goes and at the end."""
    tables = Tables(folder / "tables.db")
    tables.migrate(ROOM)
    logs = Logs(folder / "logs", tables=tables)
    for batch in raws:
        logs.write_raw("site", batch)
        logs.tick()
    logs.seal("site")
    logs.compact("site")

    def count(words: str) -> int:
        return sum(
            sum(levels.values()) for _, levels in logs.histogram("site", **ALL, words=words, buckets=1)
        )

    return folder_bytes(folder / "logs" / "blocks"), count


def fts5(folder: Path, raws: list[list[RawEvent]]) -> tuple[int, Callable[[str], int]]:
    """A table with an FTS5 index over the text; a transaction a batch, WAL, synchronous."""
    database = sqlite3.connect(folder / "fts.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (time_ns, level, logger, request_id, fields)")
    database.execute("CREATE VIRTUAL TABLE texts USING fts5(raw)")
    for raw_batch in raws:
        batch = [parse_event(raw) for raw in raw_batch]
        with database:
            database.executemany(
                "INSERT INTO events VALUES (?,?,?,?,?)",
                [(e.time_ns, e.level, e.logger, e.fields.get("request_id"), repr(e.fields)) for e in batch],
            )
            database.executemany("INSERT INTO texts VALUES (?)", [(event.raw,) for event in batch])
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def count(words: str) -> int:
        asked = " ".join(f'"{word}"' for word in words.split())
        return database.execute("SELECT count(*) FROM texts WHERE texts MATCH ?", (asked,)).fetchone()[0]

    return folder_bytes(folder), count


def parquet(folder: Path, raws: list[list[RawEvent]]) -> tuple[int, Callable[[str], int]]:
    """The same columns as plain Parquet with zstd, in files as large as our blocks; nothing is kept before."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    events = [parse_event(raw) for batch in raws for raw in batch]
    for begin in range(0, len(events), 20_000):
        part = events[begin : begin + 20_000]
        table = {
            "time_ns": [event.time_ns for event in part],
            "seen_ns": [event.seen_ns for event in part],
            **{name: [dict(event.labels).get(name) for event in part] for name, _ in LABELS},
            "level": [event.level for event in part],
            "logger": [event.logger for event in part],
            "message": [event.message for event in part],
            "raw": [event.raw for event in part],
            **{name: pa.array([event.fields.get(name) for event in part], pa.string()) for name in FIELDS},
        }
        with (folder / f"{begin}.parquet").open("wb") as file:
            pq.write_table(pa.table(table), file, compression="zstd", compression_level=6)

    def count(words: str) -> int:
        total = 0
        for path in folder.glob("*.parquet"):
            column = pq.read_table(path, columns=["raw"]).column("raw")
            for word in words.split():
                column = column.filter(pc.match_substring(column, word, ignore_case=True))
            total += len(column)
        return total

    return folder_bytes(folder), count


CONTENDERS = {"Weatherglass": ours, "SQLite FTS5": fts5, "plain Parquet+zstd": parquet}


def best_ms(count: Callable[[str], int], words: str) -> tuple[int, float]:
    spans = []
    for _ in range(3):
        began = time.perf_counter()
        found = count(words)
        spans.append(time.perf_counter() - began)
    return found, min(spans) * 1000


def measure(name: str, text: str, rounds: int, scratch: Path) -> None:
    framer, began = Framer(), time.process_time()
    texts = [event.text for event in framer.feed(text, 1) + framer.flush(2, 0)]
    framing = time.process_time() - began
    raws = batches(texts)
    began = time.process_time()
    parsed = [[parse_event(raw) for raw in batch] for batch in raws]
    parsing = time.process_time() - began
    size = len(text.encode())
    requests = Counter(event.fields.get("request_id", "") for batch in parsed for event in batch)
    rare = min(requests, key=lambda request: (requests[request], request))
    cpu: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    wall: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    stored: dict[str, int] = {}
    asked: dict[str, list[str]] = {contender: [] for contender in CONTENDERS}
    for round_ in range(rounds):
        for contender, store in CONTENDERS.items():
            folder = scratch / "store"
            folder.mkdir()
            began, clock = time.process_time(), time.perf_counter()
            stored[contender], count = store(folder, raws)
            cpu[contender].append(time.process_time() - began)
            wall[contender].append(time.perf_counter() - clock)
            if round_ == rounds - 1:
                for words in (rare, "status 404"):
                    found, took = best_ms(count, words)
                    asked[contender].append(f"{took:8.1f} ms ({found})")
            shutil.rmtree(folder)
    print(
        f"\n{name}: {len(texts)} events, {size / 1e6:.1f} MB; batches of {BATCH}; median of {rounds} rounds"
    )
    print(f"framing {len(texts) / framing:,.0f} events a CPU-second; parsing {len(texts) / parsing:,.0f}")
    print(
        f"{'':20}{'events/CPU-s':>13}{'ratio':>7}{'wall s':>8}{'stored MB':>11}{'smaller':>9}   rare id; two common words"
    )
    mine = len(texts) / statistics.median(cpu["Weatherglass"])
    for contender in CONTENDERS:
        rate = len(texts) / statistics.median(cpu[contender])
        print(
            f"{contender:20}{rate:13,.0f}{mine / rate:6.2f}x{statistics.median(wall[contender]):8.2f}"
            f"{stored[contender] / 1e6:11.2f}{size / stored[contender]:8.1f}x   {'; '.join(asked[contender])}"
        )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--events", type=int, default=60_000)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, sources = Path(name), []
        if subprocess.run(["/usr/bin/python3", "-c", "import oslo_log"], capture_output=True).returncode == 0:
            text, what = oslo_text(folder, given.events)
            sources.append((what, text))
        if SAMPLE.exists():
            text, what = loghub_text(given.events)
            sources.append((what, text))
        if not sources:
            print("neither oslo.log nor Loghub's sample is here: nothing to measure with")
            return 1
        for what, text in sources:
            measure(what, text, given.rounds, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
