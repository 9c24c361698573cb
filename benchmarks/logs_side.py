"""One stand-in of `benchmarks.logs_peers`, in the peers' own Python: stores the events of a Parquet file, asks, tells JSON.

    .peers/logs/bin/python benchmarks/logs_side.py NAME EVENTS FOLDER RARE

Imports nothing of Weatherglass. Each keeps the line as it came beside the columns that were parsed for it, ends with
everything on disk, and is asked on one thread: at first after it was opened anew, then five times over.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TEXTS = ("level", "logger", "request_id", "instance", "host", "service", "message", "raw")
PHRASE = "Creating image"
Ask = dict[str, Callable[[], int]]


def rows(events: Path) -> Iterator[tuple[Any, ...]]:
    for batch in pq.ParquetFile(events).iter_batches(65_536, columns=["time", *TEXTS]):
        yield from zip(*(batch.column(name).to_pylist() for name in ("time", *TEXTS)), strict=True)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def parquet(events: Path, folder: Path) -> Callable[[str], Ask]:
    with pq.ParquetWriter(
        folder / "x.parquet", pq.read_schema(events), compression="zstd", compression_level=6
    ) as writer:
        for batch in pq.ParquetFile(events).iter_batches(65_536):
            writer.write_batch(batch)

    def ask(rare: str) -> Ask:
        def column(*names: str) -> pa.Table:
            return pq.read_table(folder / "x.parquet", columns=list(names), use_threads=False)

        def histogram() -> int:
            table = column("time", "level")
            bucket = pc.divide(table.column("time"), 3_600_000)
            return len(
                pa.table({"b": bucket, "l": table.column("level")})
                .group_by(["b", "l"], use_threads=False)
                .aggregate([([], "count_all")])
            )

        return {
            "phrase": lambda: pc.sum(pc.match_substring(column("raw").column("raw"), PHRASE)).as_py() or 0,
            "rare word": lambda: pc.sum(pc.match_substring(column("raw").column("raw"), rare)).as_py() or 0,
            "field": lambda: pc.sum(pc.equal(column("level").column("level"), "WARNING")).as_py() or 0,
            "histogram": histogram,
        }

    return ask


def duckdb(events: Path, folder: Path) -> Callable[[str], Ask]:
    import duckdb as engine

    with engine.connect(str(folder / "x.db")) as database:
        database.execute("SET threads = 1")
        database.execute(f"CREATE TABLE events AS SELECT * FROM read_parquet('{events}')")
        database.execute("CHECKPOINT")
    return lambda rare: sql(
        _duck(engine.connect(str(folder / "x.db"))), rare, "contains(raw, '{}')", "time // 3600000"
    )


def _duck(database: Any) -> Callable[[str], int]:
    database.execute("SET threads = 1")
    return lambda query: int(database.execute(query).fetchone()[0])


def sql(run: Callable[[str], int], rare: str, has: str, hour: str) -> Ask:
    count = "SELECT count(*) FROM events WHERE "
    return {
        "phrase": lambda: run(count + has.format(PHRASE)),
        "rare word": lambda: run(count + has.format(rare)),
        "field": lambda: run(count + "level = 'WARNING'"),
        "histogram": lambda: run(
            f"SELECT count(*) FROM (SELECT {hour} AS b, level, count(*) FROM events GROUP BY b, level)"
        ),
    }


def chdb(events: Path, folder: Path) -> Callable[[str], Ask]:
    from chdb import session

    def opened() -> Any:
        one = session.Session(str(folder / "x"))
        one.query("SET max_threads = 1")
        return one

    one = opened()
    one.query("CREATE DATABASE IF NOT EXISTS b ENGINE = Atomic")
    columns = ", ".join(
        [
            "time Int64",
            *(
                f"{name} {'LowCardinality(String)' if name in ('level', 'logger', 'host', 'service') else 'String'}"
                for name in TEXTS
            ),
        ]
    )
    one.query(
        f"CREATE TABLE b.events ({columns}, INDEX words raw TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 4) ENGINE = MergeTree ORDER BY time"
    )
    names = ", ".join(("time", *TEXTS))
    one.query(f"INSERT INTO b.events SELECT {names} FROM file('{events}', Parquet)")
    one.query("OPTIMIZE TABLE b.events FINAL")
    one.close()

    def ask(rare: str) -> Ask:
        one = opened()

        def run(query: str) -> int:
            return int(
                str(one.query(query.replace("FROM events", "FROM b.events"), "CSV")).strip().splitlines()[-1]
            )

        asked = sql(run, rare, "position(raw, '{}') > 0", "intDiv(time, 3600000)")
        asked["rare word"] = lambda: run(f"SELECT count(*) FROM events WHERE hasToken(raw, '{rare}')")
        return asked

    return ask


def fts5(events: Path, folder: Path) -> Callable[[str], Ask]:
    import sqlite3

    database = sqlite3.connect(folder / "x.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"CREATE TABLE events (time, {', '.join(TEXTS[:-2])})")
    database.execute("CREATE VIRTUAL TABLE texts USING fts5(raw)")
    batch: list[tuple[Any, ...]] = []

    def put() -> None:
        with database:
            database.executemany(
                f"INSERT INTO events VALUES ({', '.join('?' * (len(TEXTS) - 1))})",
                [one[:-2] for one in batch],
            )
            database.executemany("INSERT INTO texts VALUES (?)", [one[-1:] for one in batch])
        batch.clear()

    for one in rows(events):
        batch.append(one)
        if len(batch) == 20_000:
            put()
    put()
    database.execute("CREATE INDEX levels ON events (level)")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()

    def ask(rare: str) -> Ask:
        opened = sqlite3.connect(folder / "x.db")

        def run(query: str) -> int:
            return int(opened.execute(query).fetchone()[0])

        asked = sql(run, rare, "", "time / 3600000")
        for name, words in (("phrase", PHRASE), ("rare word", rare)):
            asked[name] = lambda words=words: run(
                f"SELECT count(*) FROM texts WHERE texts MATCH '\"{words}\"'"
            )  # type: ignore[misc]
        return asked

    return ask


def tantivy(events: Path, folder: Path) -> Callable[[str], Ask]:
    import tantivy as engine

    builder = engine.SchemaBuilder()
    builder.add_integer_field("time", stored=True, indexed=True, fast=True)
    for name in ("level", "logger", "request_id", "instance", "host", "service"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", fast=name == "level")
    builder.add_text_field("raw", stored=True)
    index = engine.Index(builder.build(), path=str(folder))
    writer = index.writer(128 << 20, 1)
    for time_ms, level, logger, request, instance, host, service, _, raw in rows(events):
        writer.add_document(
            engine.Document(
                time=time_ms,
                level=level or "",
                logger=logger or "",
                request_id=request or "",
                instance=instance or "",
                host=host,
                service=service,
                raw=raw,
            )
        )
    writer.commit()
    writer.wait_merging_threads()

    def ask(rare: str) -> Ask:
        opened = engine.Index.open(str(folder))
        opened.reload()
        searcher = opened.searcher()
        bars = {
            "b": {
                "histogram": {"field": "time", "interval": 3_600_000},
                "aggs": {"l": {"terms": {"field": "level"}}},
            }
        }

        def count(query: str, field: str) -> int:
            return int(searcher.search(opened.parse_query(query, [field]), 1, count=True).count)

        def histogram() -> int:
            told = searcher.aggregate(engine.Query.all_query(), bars)
            told = json.loads(told) if isinstance(told, str) else told
            return sum(len(one["l"]["buckets"]) for one in told["b"]["buckets"])

        return {
            "phrase": lambda: count(f'"{PHRASE}"', "raw"),
            "rare word": lambda: count(rare, "raw"),
            "field": lambda: count('"WARNING"', "level"),
            "histogram": histogram,
        }

    return ask


def clp(events: Path, folder: Path) -> Callable[[str], Ask]:
    binary, lines, archive = Path(sys.executable).with_name("clp-s"), folder / "x.jsonl", folder / "x"
    with lines.open("w") as file:
        for one in rows(events):
            told = dict(zip(("time", *TEXTS), one, strict=True))
            del told["message"]
            file.write(json.dumps({name: value for name, value in told.items() if value is not None}) + "\n")
    began = time.perf_counter()
    subprocess.run([binary, "c", "--timestamp-key", "time", archive, lines], check=True, capture_output=True)
    clp.took = time.perf_counter() - began  # type: ignore[attr-defined]
    lines.unlink()

    def run(query: str) -> int:
        out = subprocess.run([binary, "s", archive, query], check=True, capture_output=True).stdout
        return out.count(b"\n")

    return lambda rare: {
        "phrase": lambda: run(f'raw: "*{PHRASE}*"'),
        "rare word": lambda: run(f'raw: "*{rare}*"'),
        "field": lambda: run("level: WARNING"),
    }


CONTENDERS = {
    "parquet": parquet,
    "duckdb": duckdb,
    "chdb": chdb,
    "fts5": fts5,
    "tantivy": tantivy,
    "clp": clp,
}


def spent() -> float:
    return sum(
        one.ru_utime + one.ru_stime
        for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    name, events, folder, rare = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    folder.mkdir()
    before = spent()
    ask = CONTENDERS[name](events, folder)
    # What CLP takes is a program's of its own: the JSON that it is given is not counted.
    cpu = getattr(clp, "took", 0) or spent() - before
    out: dict[str, Any] = {"cpu": cpu, "bytes": size(folder), "asked": {}}
    for what, run in ask(rare).items():
        took = []
        for _ in range(6):
            began = time.perf_counter()
            found = run()
            took.append((time.perf_counter() - began) * 1000)
        out["asked"][what] = [found, took[0], min(took[1:])]
    # Not `getrusage`'s, which begins with that of the program that started this one.
    out["rss"] = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    print(json.dumps(out), flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
