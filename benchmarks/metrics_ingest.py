"""What it costs to take samples in: Debian's peers and `weatherglass metrics serve`, the same requests, by turns.

A day of node-exporter-like series as remote write 1.0, one keep-alive connection each, round by round in turn:
Prometheus, VictoriaMetrics (neither rolls up), ours without roll-ups, ours with three granularities, p95 on. CPU is
of the whole tree of processes, what is done after the last request included. Then what was stored is put into its
resting form (a forced merge there, a seal here), weighed, read back and compared bit by bit.

    python -m benchmarks.metrics_ingest                        # about five minutes
    python -m benchmarks.metrics_ingest --hosts 5 --points 1440 --rounds 2
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import metrics_peers as peers
from benchmarks.metrics_data import Site
from benchmarks.metrics_peers import Server

COUNT = 'sum(count_over_time({__name__="node_load1"}[48h]))'

Row = tuple[str, Callable[[Server], float], str]


def read_back(server: Server, site: Site) -> tuple[int, int]:
    """(samples of the first host that came back with other bits, or not at all; samples there are)."""
    wire, wrong = server.wire(), 0
    mine = [k for k, host in enumerate(site.host) if host == 0]
    sent = {tuple(sorted(site.labels[k].items())): site.values[k] for k in mine}
    instance = site.labels[mine[0]]["instance"]
    hours = int(np.ptp(site.times)) // 3_600_000 + 2
    found = server.query(
        wire, "query", query=f'{{instance="{instance}"}}[{hours}h]', time=int(site.times.max()) // 1000 + 1
    )
    seen = {tuple(sorted(one["metric"].items())): one["values"] for one in found["result"]}
    for labels, values in sent.items():
        back = seen.get(labels, [])
        if [round(float(at) * 1000) for at, _ in back] != site.times[0].tolist():
            wrong += len(values)
            continue
        bits = np.array([float(text) for _, text in back]).view(np.int64)
        wrong += int(np.count_nonzero(bits != values.view(np.int64)))
    return wrong, sum(map(len, sent.values()))


def measured(options: argparse.Namespace, folder: Path) -> list[Server]:
    site = Site(options.hosts, options.points)
    series = len(site.labels)
    print(f"{series} series × {options.points} points, {series * options.each} samples a request", flush=True)
    servers: list[Server] = []
    try:
        servers.append(peers.prometheus(folder / "prometheus"))
        servers.append(peers.victoria(folder / "victoria"))
        servers.append(peers.weatherglass(folder / "raw", name="Weatherglass, raw"))
        servers.append(peers.weatherglass(folder / "rolled", rolled=True))
        edges = np.linspace(0, options.points // options.each, options.rounds + 1).astype(int) * options.each
        for number, (first, last) in enumerate(itertools.pairwise(edges)):
            bodies = list(site.bodies(first, last, options.each))
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                server.send(bodies, series * options.each)
            print(f"round {number + 1} of {options.rounds}", flush=True)
        for server in servers:
            server.settle()
            count(server, site, options.hosts * int(edges[-1]))
            # VictoriaMetrics has no log: what it holds in memory alone is in no file before the merge
            early = server.disk()
            server.tidy(server)
            server.files = (early if server.at_rest else server.disk()) / server.samples
            rest = server.at_rest(server) if server.at_rest else server.disk()
            server.rest = rest / server.samples
            server.wrong, server.read = read_back(server, site)
        return servers
    finally:
        for server in servers:
            server.stop()


def count(server: Server, site: Site, wanted: int) -> None:
    wire = server.wire()
    found = server.query(wire, "query", query=COUNT, time=int(site.times.max()) // 1000 + 1)
    wire.close()
    stored = float(found["result"][0]["value"][1])
    if stored != wanted:
        raise SystemExit(f"{server.name} holds {stored} of {wanted} samples")


ROWS: Sequence[Row] = (
    ("CPU-s a million samples", lambda s: s.cpu / s.samples * 1e6, "{:.3f}"),
    ("samples/s, one connection", lambda s: s.samples / s.wall, "{:,.0f}"),
    ("request p50 (ms)", lambda s: statistics.median(s.latencies) * 1e3, "{:.2f}"),
    ("request p99 (ms)", lambda s: peers.percentile(s.latencies, 99) * 1e3, "{:.2f}"),
    ("bytes a sample: all files, logs included", lambda s: s.files, "{:.2f}"),
    ("bytes a sample: at rest, without a log", lambda s: s.rest, "{:.2f}"),
    ("resident memory at its highest (MB)", lambda s: s.peak, "{:.0f}"),
    ("samples read back with other bits (%)", lambda s: 100 * s.wrong / s.read, "{:.2f}"),
)


def report(servers: Sequence[Server]) -> dict[str, dict[str, float]]:
    ours, rows, figures = servers[-1], [], {}
    for title, of, form in ROWS:
        values = [of(server) for server in servers]
        figures[title] = {server.name: value for server, value in zip(servers, values, strict=True)}
        ratios = [f"{values[-1] / value:.2f}" if value else "–" for value in (values[1], values[0])]
        rows.append([title, *(form.format(value) for value in values), *ratios])
    header = ["", *(server.title for server in servers), "roll-ups / VM", "roll-ups / Prometheus"]
    print("\n" + peers.table(header, rows))
    print(f"\n{ours.samples:,} samples each. {peers.ground()}")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--points", type=int, default=5760, help="samples of each series, 15 s apart")
    parser.add_argument("--each", type=int, default=5, help="samples of each series in one request")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object at the end")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="metrics-ingest-"))
    try:
        figures = report(measured(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
