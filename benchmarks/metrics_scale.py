"""What a series costs: 1 k, 10 k, 100 k and 1 M live series in one store, each in a process of its own.

Node-exporter-like series (97 a host, 8 labels) are written as remote write 1.0, points 15 s apart, each host's at
times of its own, until every series has `--points`; nothing is sealed before that, so that the head is as full as
it ever gets with the default policy. Then: resident bytes a series over those of the empty process, look-ups by
matchers, `kill -9`, a start on what is left, churn. CPU seconds are those of `Metrics.write` alone.

    python -m benchmarks.metrics_scale                               # about three minutes of CPU
    python -m benchmarks.metrics_scale --series 1000,100000 --points 480

At 1 M series `--points-million` bounds the run: resident memory is told there and, by what a point adds, at a full
chunk (480 points).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics_data import Site, field, varint
from weatherglass.base.time import ManualClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.tables import Tables
from weatherglass.metrics import TABLES, Matcher, Metrics, Sealer, SeriesLimits

FULL = 480
HOSTS = 50  # in a request
_FRAME = struct.Struct("<II")
MATCHERS = {
    "one series": [
        ("__name__", "=", "node_load1"),
        ("instance", "=", "compute-000003.research.example.org:9100"),
    ],
    "one host": [("instance", "=", "compute-000003.research.example.org:9100")],
    "one metric": [("__name__", "=", "node_load1")],
    "prefix regex": [("__name__", "=", "node_load1"), ("instance", "=~", "compute-00000.*")],
    "alternatives": [("__name__", "=", "node_load1"), ("rack", "=~", "r00|r01|r02|r03")],
    "true regex": [("__name__", "=", "node_load1"), ("instance", "=~", "compute-0+[0-9]*[37]\\.research.*")],
    "true regex on names": [("__name__", "=~", "node_(cpu|disk)_.*total"), ("region", "!=", "az1")],
    "all": [("job", "=~", ".+")],
}


class Fleet:
    """Hosts that repeat the values of a few real ones, with names and times of their own."""

    def __init__(self, hosts: int, points: int, models: int = 10) -> None:
        site = Site(models, max(points, 60))
        self.each = len(site.labels) // models
        self.hosts, self.models = hosts, models
        self.values = site.values[:, :points]
        self.end = int(time.time()) // 3600 * 3600_000
        self.points = points
        self.labels = [
            {k: v for k, v in one.items() if k not in ("instance", "rack", "region")} for one in site.labels
        ]
        self.templates: dict[tuple[int, int], tuple[Any, Any, Any]] = {}

    def _template(self, first: int, last: int, each: int, generation: int) -> tuple[Any, Any, Any]:
        template, places = bytearray(), []
        for host in range(first, last):
            base = {"instance": f"compute-{host:06d}.research.example.org:9100"}
            base |= {"rack": f"r{host // 4 % 400:02d}", "region": f"az{host % 2 + 1}"}
            if generation:
                base["instance"] = f"renewed-{generation}-{base['instance']}"
            model = host % self.models * self.each
            for labels in self.labels[model : model + self.each]:
                pairs = sorted((labels | base).items())
                packed = b"".join(field(1, field(1, k) + field(2, v)) for k, v in pairs)
                template += b"\x0a" + varint(len(packed) + 18 * each) + packed
                places.append(len(template))
                template += (b"\x12\x10\x09" + bytes(8) + b"\x10" + bytes(6)) * each
        at = np.array(places)[:, None] + 18 * np.arange(each)[None]
        body = np.frombuffer(bytes(template), np.uint8).copy()
        return body, (at + 3)[:, :, None] + np.arange(8), (at + 12)[:, :, None] + np.arange(6)

    def body(self, first: int, last: int, point: int, each: int, generation: int = 0) -> bytes:
        """The request of hosts first…last, `each` points of every series from `point` on."""
        body, value_at, time_at = self._template(first, last, each, generation)
        models = np.arange(first, last) % self.models
        rows = (models[:, None] * self.each + np.arange(self.each)).ravel()
        cut = np.ascontiguousarray(self.values[rows, point : point + each])
        body[value_at] = cut.view(np.uint8).reshape(len(rows), each, 8)
        start = self.end + np.arange(first, last) * 7919 % 15_000
        times = np.repeat(start[:, None] + (point + np.arange(each)) * 15_000, self.each, axis=0)
        varints = ((times[:, :, None] >> np.arange(0, 42, 7)) & 127).astype(np.uint8)
        varints[:, :, :5] |= 128
        body[time_at] = varints
        return body.tobytes()


def bodies(series: int, points: int, each: int) -> Iterator[tuple[int, bytes]]:
    """(point, body), made in a process of its own: what it costs and holds is not the store's."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.metrics_scale",
        "--bodies",
        str(series),
        str(points),
        str(each),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while head := process.stdout.read(_FRAME.size):
            point, size = _FRAME.unpack(head)
            yield point, process.stdout.read(size)


def make_bodies(series: int, points: int, each: int) -> None:
    fleet = Fleet(max(series // 97, 1), points)
    for point in range(0, points - each + 1, each):
        for first in range(0, fleet.hosts, HOSTS):
            body = fleet.body(first, min(first + HOSTS, fleet.hosts), point, each)
            sys.stdout.buffer.write(_FRAME.pack(point, len(body)) + body)


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def opened(folder: Path, sealer: Sealer) -> Metrics:
    tables = Tables(folder / "tables.db")
    tables.migrate({"metrics": TABLES})
    store = Metrics(
        folder / "metrics",
        files=RealFiles(),
        tables=tables,
        clock=ManualClock(),
        limits=lambda tenant: SeriesLimits(series=0),
        retention_s=10 * 365 * 86400,
        sealer=sealer,
    )
    store.start()
    return store


NEVER = Sealer(every_s=3600.0)
"""Seals are asked for here, so that what they cost is not taken for the cost of writing."""


def fill(folder: Path, series: int, points: int) -> dict[str, float]:
    """Writes, measures, and is killed by itself."""
    store = opened(folder, NEVER)
    hosts = max(series // 97, 1)
    series = hosts * 97
    found: dict[str, float] = {"series": series, "points": points}
    each = 20 if series > 200_000 else 10
    gc.collect()
    empty, cpu, first_cpu = rss(), 0.0, 0.0
    latest = {}
    for at, body in bodies(series, points, each):
        before = time.process_time()
        store.write("site", body, "")
        spent = time.process_time() - before
        cpu, first_cpu = (cpu + spent, first_cpu) if at else (cpu, first_cpu + spent)
        latest[at + each] = (rss() - empty) / series
    written = max(latest)
    found |= {"cpu_s_per_million": cpu / max(series * (written - each), 1) * 1e6}
    found |= {"first_seen_us": first_cpu / series * 1e6, "rss_a_series": latest[written]}
    half = max(at for at in latest if at <= written // 2) if len(latest) > 1 else written
    slope = (latest[written] - latest[half]) / max(written - half, 1)
    found["rss_at_full_chunk"] = latest[written] + slope * (FULL - written)
    stats = store.stats()
    found |= {
        "head_bytes": stats["head_bytes"] / series,
        "index_bytes": store._partitions["site"].index.memory / series,
    }
    found["log_bytes"] = stats["log_bytes"]
    index = store._partitions["site"].index
    for name, wanted in MATCHERS.items():
        matchers = [Matcher(*one) for one in wanted]  # type: ignore[arg-type]
        many = []
        for _ in range(5):
            start = time.perf_counter()
            hits = len(index.select(matchers))
            many.append((time.perf_counter() - start) * 1e3)
        found[f"ms: {name}"] = sorted(many)[2]
        found[f"hits: {name}"] = hits
    return found


def start_again(folder: Path, series: int, churn: float) -> dict[str, float]:
    before, begun = time.process_time(), time.perf_counter()
    store = opened(folder, NEVER)
    found = {"start_s": time.perf_counter() - begun, "start_cpu_s": time.process_time() - before}
    stats = store.stats()
    assert stats["series"] == series, (stats["series"], series)
    found["replayed_s_per_million"] = found["start_cpu_s"] / max(stats["replayed"], 1) * 1e6
    start = time.process_time()
    store.seal()
    found["seal_cpu_s_per_million"] = (time.process_time() - start) / max(stats["replayed"], 1) * 1e6
    gc.collect()
    found["rss_sealed"] = rss() / series
    store.stop()
    before, begun = time.process_time(), time.perf_counter()
    store = opened(folder, NEVER)
    found["start_sealed_s"] = time.perf_counter() - begun
    if churn:
        fleet = Fleet(series // 97, 60)
        renewed = max(int(fleet.hosts * churn), 1)
        many = [
            fleet.body(first, min(first + HOSTS, renewed), 20, 1, generation=1)
            for first in range(0, renewed, HOSTS)
        ]
        start = time.process_time()
        for body in many:
            store.write("site", body, "")
        found["churn_us"] = (time.process_time() - start) / (renewed * fleet.each) * 1e6
    store.stop()
    return found


ROWS = (
    ("RSS a series as written, bytes", "rss_a_series", "{:,.0f}"),
    ("RSS a series at a full chunk, bytes", "rss_at_full_chunk", "{:,.0f}"),
    ("  of it head", "head_bytes", "{:,.0f}"),
    ("  of it index", "index_bytes", "{:,.0f}"),
    ("points written", "points", "{:.0f}"),
    ("write, CPU-s a million samples", "cpu_s_per_million", "{:.3f}"),
    ("a series first seen, µs CPU", "first_seen_us", "{:.1f}"),
    ("log left to replay, MB", "log_mb", "{:,.0f}"),
    ("start after kill -9, s", "start_s", "{:.2f}"),
    ("  CPU-s a million samples replayed", "replayed_s_per_million", "{:.3f}"),
    ("start when all is sealed, s", "start_sealed_s", "{:.2f}"),
    ("sealing, CPU-s a million samples", "seal_cpu_s_per_million", "{:.3f}"),
    ("a series renewed (churn), µs CPU", "churn_us", "{:.1f}"),
    *((f"look-up, ms: {name}", f"ms: {name}", "{:.2f}") for name in MATCHERS),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", default="1000,10000,100000,1000000")
    parser.add_argument("--points", type=int, default=FULL)
    parser.add_argument(
        "--points-million", type=int, default=120, help="points where there are 500,000 series or more"
    )
    parser.add_argument("--churn", type=float, default=0.1, help="part of the hosts that get new names")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object at the end")
    parser.add_argument("--folder", help="where the stores lie; a temporary folder otherwise")
    parser.add_argument("--fill", nargs=3, metavar=("FOLDER", "SERIES", "POINTS"), help=argparse.SUPPRESS)
    parser.add_argument("--start", nargs=2, metavar=("FOLDER", "SERIES"), help=argparse.SUPPRESS)
    parser.add_argument("--bodies", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bodies:
        make_bodies(*options.bodies)
        return
    if options.fill:
        folder, series, points = options.fill
        print(json.dumps(fill(Path(folder), int(series), int(points))), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if options.start:
        print(json.dumps(start_again(Path(options.start[0]), int(options.start[1]), options.churn)))
        return
    columns = []
    for series in map(int, options.series.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="metrics-scale-", dir=options.folder))
        points = options.points_million if series >= 500_000 else options.points
        try:
            found = _run("--fill", str(folder), str(series), str(points))
            found |= _run("--churn", str(options.churn), "--start", str(folder), str(int(found["series"])))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found["log_mb"] = found["log_bytes"] / 1e6
        columns.append(found)
        print(f"{series} series done", flush=True)
    print(f"\n{'series':38}" + "".join(f"{one['series']:>14,.0f}" for one in columns))
    for title, key, form in ROWS:
        print(f"{title:38}" + "".join(f"{form.format(one.get(key, float('nan'))):>14}" for one in columns))
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}, {os.cpu_count()} CPUs")
    if options.json:
        print(json.dumps(columns))


def _run(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.metrics_scale", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, -signal.SIGKILL) or not done.stdout:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
