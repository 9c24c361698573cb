"""Many small writes while very large reads go on: how long a write takes then, against writes alone.

A day of 1,940 series lies in VictoriaMetrics, Prometheus and `metrics serve`. A writer sends one host's scrape (97
samples) a request, one after the other on a connection that is kept. By turns, server by server: alone, and while a
reader in a process of its own asks for the sum of all series over 24 hours without pause. The p99 of a phase, and of
each server the median of its phases and their ratio.

    python -m benchmarks.metrics_mixed                     # about four minutes
    python -m benchmarks.metrics_mixed --hosts 5 --points 1440 --rounds 2 --writes 200
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import metrics_peers as peers
from benchmarks.metrics_data import STEP_MS, Site
from benchmarks.metrics_peers import WRITE_HEADERS, Server, Wire

READ = "sum by (__name__) ({job='node'})"


class Writes:
    """One host's scrapes, later than all that is stored, each once a server."""

    def __init__(self, points: int) -> None:
        self._site = Site(1, points, seed=11)
        self._site.labels = [
            {**one, "instance": "writer.research.example.org:9100"} for one in self._site.labels
        ]
        self._site.times = int(self._site.times.max()) + STEP_MS + np.arange(points)[None, :] * 1000
        self._next = 0

    def take(self, count: int) -> list[bytes]:
        first, self._next = self._next, self._next + count
        return list(self._site.bodies(first, self._next, 1))


@contextmanager
def reading(server: Server, end_s: int) -> Iterator[None]:
    """A reader goes on within the block; it has had its first answer when the block begins."""
    address = server.address("query_range", query=READ, start=end_s - 86_400, end=end_s, step=60)
    command = [sys.executable, "-m", "benchmarks.metrics_mixed", "--read", str(server.port), address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()


def read(port: int, address: str) -> None:
    wire = Wire(port)
    while True:
        status, body = wire.ask("GET", address)
        if status != 200:
            raise SystemExit(body[:300])
        print(len(body), flush=True)


def written(server: Server, bodies: Sequence[bytes], pause_s: float) -> list[float]:
    wire, took = server.wire(), []
    for body in bodies:
        time.sleep(pause_s)  # writers come and go; one that never rests would be the load itself
        start = time.perf_counter()
        status, text = wire.ask("POST", server.write_path, body, WRITE_HEADERS)
        took.append(time.perf_counter() - start)
        if status // 100 != 2:
            raise SystemExit(f"{server.name}: {status} {text[:300]!r}")
    wire.close()
    return took


def run(servers: Sequence[Server], options: argparse.Namespace, end_s: int) -> dict[str, Any]:
    writes = Writes(options.rounds * 2 * options.writes + 40)
    first = writes.take(20)
    for server in servers:
        written(server, first, 0)
    found: dict[str, Any] = {server.name: {"alone": [], "beside": [], "p50": ([], [])} for server in servers}
    for number in range(options.rounds):
        bodies = [writes.take(options.writes) for _ in range(2)]
        for server in servers if number % 2 else servers[::-1]:
            alone = written(server, bodies[0], options.pause)
            with reading(server, end_s):
                beside = written(server, bodies[1], options.pause)
            mine = found[server.name]
            mine["alone"].append(peers.percentile(alone, 99))
            mine["beside"].append(peers.percentile(beside, 99))
            mine["p50"][0].append(statistics.median(alone))
            mine["p50"][1].append(statistics.median(beside))
        print(f"round {number + 1} of {options.rounds}", flush=True)
    return found


def report(servers: Sequence[Server], found: dict[str, Any]) -> dict[str, float]:
    rows, ratios = [], {}
    for server in servers:
        mine = found[server.name]
        alone, beside = statistics.median(mine["alone"]), statistics.median(mine["beside"])
        ratios[server.name] = beside / alone
        each = [b / a for a, b in zip(mine["alone"], mine["beside"], strict=True)]
        rows.append(
            [
                server.title,
                *(f"{statistics.median(some) * 1e3:.2f}" for some in mine["p50"]),
                f"{alone * 1e3:.2f}",
                f"{beside * 1e3:.2f}",
                f"{beside / alone:.2f}",
                f"{min(each):.2f} … {max(each):.2f}",
            ]
        )
    header = ["write of 97 samples (ms)", "p50 alone", "p50 beside reads", "p99 alone", "p99 beside reads"]
    print("\n" + peers.table([*header, "ratio", "ratios of the rounds"], rows))
    print(f"\nMedians of the rounds. {peers.ground()}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--points", type=int, default=5760)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--writes", type=int, default=600, help="in each phase")
    parser.add_argument("--pause", type=float, default=0.002, help="seconds between a writer's requests")
    parser.add_argument("--ours", action="store_true", help="without the peers")
    parser.add_argument("--json", action="store_true", help="ratios as one JSON object at the end")
    parser.add_argument("--read", nargs=2, metavar=("PORT", "ADDRESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(int(options.read[0]), options.read[1])
        return
    folder = Path(tempfile.mkdtemp(prefix="metrics-mixed-"))
    servers: list[Server] = []
    try:
        site = Site(options.hosts, options.points)
        every = (peers.prometheus, peers.victoria, peers.weatherglass)
        for start in every[2:] if options.ours else every:
            servers.append(start(folder / start.__name__))
        for server in servers:
            server.send(site.bodies(0, options.points, 20), len(site.labels) * 20)
        for server in servers:
            server.settle(20)
        ratios = report(servers, run(servers, options, int(site.times.max()) // 1000 + 1))
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
