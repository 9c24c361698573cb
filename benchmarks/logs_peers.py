"""Logs beside their peers: the same events stored by each, their bytes on disk, and four questions, cold and warm.

    python -m benchmarks.logs_peers [--events 1000000] [--peers clp,tantivy,…] [--text FOLDER]

CLP, tantivy, DuckDB, SQLite's FTS5, chDB and plain Parquet with zstd, in the peers' own Python (`.peers/logs`,
`logs_side`). They are given the parsed columns, so that only our figure contains the parsing, the templates and a synced
log. Events: Loghub's OpenStack lines with ids and times made anew; with `--text`, the logs in a folder (such as
`tests/openstack/test_logs.py` leaves in pytest's cache: a real OpenStack at DEBUG, driven through failures).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.logs_store import LABELS, ROOT, SAMPLE, folder_bytes
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Framer, Logs, Settings
from weatherglass.logs.catalogue import ROOM
from weatherglass.logs.lucene import parse
from weatherglass.logs.parse import Parser

PEERS = ROOT / ".peers" / "logs" / "bin" / "python"
RECORDED = ROOT / ".pytest_cache" / "d" / "openstack-logs"
NAMES = {
    "clp": "CLP", "tantivy": "tantivy", "duckdb": "DuckDB", "fts5": "SQLite FTS5", "chdb": "chDB",
    "parquet": "plain Parquet+zstd",
}  # fmt: skip
QUESTIONS = ("phrase", "rare word", "field", "histogram")
BATCH = 500
_IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def loghub(events: int) -> Iterator[list[str]]:
    """Loghub's lines again and again, a quarter of an hour later each time, with ids of their own; 2,000 at a time."""
    drawn = random.Random(1)
    lines = [line.partition(" ")[2] for line in SAMPLE.read_text().splitlines(keepends=True)]
    times = [datetime.fromisoformat(line[:23]) for line in lines]
    for repetition in range(-(-events // len(lines))):
        fresh: dict[str, str] = {}

        def anew(found: re.Match[str], fresh: dict[str, str] = fresh) -> str:
            if found[0] not in fresh:
                digits = f"{drawn.getrandbits(128):032x}"
                fresh[found[0]] = "-".join(
                    (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
                )
            return fresh[found[0]]

        later = datetime(2026, 1, 1) - datetime(2017, 5, 16) + timedelta(minutes=15 * repetition)
        yield [
            (at + later).isoformat(" ", timespec="milliseconds") + _IDENTIFIER.sub(anew, line[23:])
            for at, line in zip(times, lines, strict=True)
        ][: events - repetition * len(lines)]


def recorded(folder: Path) -> Iterator[list[str]]:
    for path in sorted(folder.rglob("*.log")):
        framer, now = Framer(), time.time_ns()
        yield [one.text for one in framer.feed(path.read_text(errors="replace"), now) + framer.flush(now, 0)]


class Ours:
    """The store, fed batch by batch as an agent would."""

    def __init__(self, folder: Path, *, large: bool) -> None:
        self.folder = folder
        folder.mkdir()
        self.tables = Tables(folder / "tables.db")
        self.tables.migrate(ROOM)
        self.settings = Settings(retention_s=0, cache_bytes=4 << 30)
        if large:
            self.settings = Settings(
                retention_s=0, cache_bytes=4 << 30, seal_events=500_000, seal_bytes=1 << 30
            )
        self.logs = Logs(folder / "logs", tables=self.tables, settings=self.settings)
        self.cpu, self.events, self.text = 0.0, 0, 0

    def take(self, texts: list[str]) -> None:
        now = time.time_ns()
        raws = [RawEvent(now + number, LABELS, text) for number, text in enumerate(texts)]
        began = time.process_time()
        for at in range(0, len(raws), BATCH):
            self.logs.write_raw("site", raws[at : at + BATCH])
        self.logs.tick()
        self.cpu += time.process_time() - began
        self.events += len(raws)
        self.text += sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    def end(self) -> int:
        """Seals; bytes on disk."""
        began = time.process_time()
        self.logs.seal("site")
        self.logs.compact("site")
        self.cpu += time.process_time() - began
        self.logs.stop()
        return folder_bytes(self.folder / "logs" / "blocks")

    def ask(self, rare: str) -> dict[str, tuple[int, float, float]]:
        began = time.perf_counter()
        logs = Logs(self.folder / "logs", tables=self.tables, settings=self.settings)
        print(f"opened again in {time.perf_counter() - began:.2f} s")
        spans = [(row.first_ns, row.last_ns) for row in logs._shelf.of("site")]
        span = {"start_ns": min(first for first, _ in spans), "end_ns": max(last for _, last in spans) + 1}
        hours = max(1, min(2000, (span["end_ns"] - span["start_ns"]) // (3600 * 10**9)))
        questions = {
            "phrase": lambda: logs.count("site", parse('message:"Creating image"')),
            "rare word": lambda: logs.count("site", parse(f'"{rare}"')),
            "field": lambda: logs.count("site", parse("level:WARNING")),
            "histogram": lambda: sum(
                len(levels) for _, levels in logs.histogram("site", **span, buckets=hours)
            ),
        }
        out = {}
        for name, run in questions.items():
            took = []
            for _ in range(6):
                began = time.perf_counter()
                found = run()
                took.append((time.perf_counter() - began) * 1000)
            out[name] = (found, took[0], min(took[1:]))
        logs.stop()
        return out


def row(name: str, events: int, text: int, told: dict[str, object]) -> str:
    cells = [f"{name:20}{events / told['cpu']:12,.0f}{told['bytes'] / 1e6:10.1f}{text / told['bytes']:8.1f}x"]  # type: ignore[operator]
    for question in QUESTIONS:
        one = told["asked"].get(question)  # type: ignore[attr-defined]
        cells.append(f"{one[1]:9.0f}/{one[2]:7.1f} ({one[0]})" if one else f"{'—':>22}")
    return "".join(cells) + f"{told['rss'] / 1e6:9.0f}"  # type: ignore[operator]


def measure(what: str, source: Iterator[list[str]], peers: list[str], scratch: Path, *, large: bool) -> None:
    ours, parser, events, rare = Ours(scratch / "ours", large=large), Parser(), scratch / "events.parquet", ""
    names = ("level", "logger", "request_id", "instance", "host", "service", "message", "raw")
    schema = pa.schema([("time", pa.int64()), *((name, pa.string()) for name in names)])
    with pq.ParquetWriter(events, schema, compression="lz4") as writer:
        for texts in source:
            ours.take(texts)
            if not peers:
                continue
            parsed = parser.parse([RawEvent(1, (), text) for text in texts])
            own = [one or {} for one in parsed.fields]
            columns = [
                [at // 10**6 for at in parsed.time_ns],
                parsed.level,
                parsed.logger,
                *([one.get(name) for one in own] for name in ("request_id", "instance")),
                ["ctl-1"] * len(texts),
                ["nova"] * len(texts),
                *(
                    [one.encode("utf-8", "replace").decode() for one in column]
                    for column in (parsed.message, parsed.raw)
                ),
            ]
            writer.write_table(
                pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
            )
            rare = rare or next((str(one["request_id"])[4:12] for one in own if one.get("request_id")), "")
    stored = ours.end()
    if not rare:
        first = ours.logs.search("site", start_ns=0, end_ns=1 << 62, query="_exists_:request_id", limit=1)
        rare = first.events[0].fields["request_id"][4:12]
    told = {"cpu": ours.cpu, "bytes": stored, "asked": ours.ask(rare), "rss": 0}
    told["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\n{what}: {ours.events} events, {ours.text / 1e6:.1f} MB; questions: ms cold/warm (found)")
    print(
        f"{'':20}{'events/CPU-s':>12}{'MB':>10}{'smaller':>9}"
        + "".join(f"{one:>22}" for one in QUESTIONS)
        + f"{'MB RSS':>9}"
    )
    print(row("Weatherglass", ours.events, ours.text, told), flush=True)
    for name in peers:
        command = [
            str(PEERS),
            str(ROOT / "benchmarks" / "logs_side.py"),
            name,
            str(events),
            str(scratch / name),
            rare,
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"{NAMES[name]:20}did not: {run.stderr.strip().splitlines()[-1:]}")
            continue
        print(row(NAMES[name], ours.events, ours.text, json.loads(run.stdout.splitlines()[-1])), flush=True)
    ours.tables.close()
    for path in scratch.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--peers", default=",".join(NAMES))
    arguments.add_argument("--text", type=Path, default=RECORDED, help="a folder of logs to measure as well")
    given = arguments.parse_args()
    peers = [one for one in given.peers.split(",") if one] if PEERS.exists() else []
    if not PEERS.exists():
        print("no peers: .peers/logs is not there")
    with tempfile.TemporaryDirectory() as name:
        # What is imported when it is first needed is no part of the first figure.
        warm = Ours(Path(name) / "warm", large=False)
        warm.take(["2026-01-01 00:00:00.123 7 INFO nova.x [-] once\n"] * 3 + ["twice\n"])
        warm.end()
        warm.tables.close()
        shutil.rmtree(warm.folder)
        if SAMPLE.exists():
            source = loghub(given.events)
            measure("Loghub's OpenStack", source, peers, Path(name), large=given.events > 2_000_000)
        if given.text.exists():
            measure("OpenStack at DEBUG", recorded(given.text), peers, Path(name), large=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
