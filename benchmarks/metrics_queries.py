"""What it costs to ask: 24 queries of PromQL, VictoriaMetrics without its cache, Prometheus, and `metrics serve`.

A day of node-exporter-like series in each; every query by turns, over HTTP on a connection that is kept, until its
last byte; medians. The answers are compared: ours with Prometheus' within 1e-9, with VictoriaMetrics' too, whose
`rate` and whose look-back are of its own kind (told as the share of cells that differ by more than 1 %). Then the
smallest of them many times over, for what a small query takes.

    python -m benchmarks.metrics_queries                     # about five minutes
    python -m benchmarks.metrics_queries --hosts 5 --points 1440 --repeat 3
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import metrics_peers as peers
from benchmarks.metrics_data import Site
from benchmarks.metrics_peers import Server, Wire

HOST = "compute-003.research.example.org:9100"
ONE = f'node_cpu_seconds_total{{instance="{HOST}",cpu="1",mode="user"}}'
CLOSE = 1e-9


class Query(NamedTuple):
    """`span_s` back from the end of the data at `step_s`; an instant where there is no step."""

    name: str
    text: str
    span_s: int = 0
    step_s: int = 0


DAY, HOUR = 86_400, 3_600
QUERIES: tuple[Query, ...] = (
    Query("one series, now", f'node_load1{{instance="{HOST}"}}'),
    Query("one series, 1 h", ONE, HOUR, 15),
    Query("one series, 24 h", ONE, DAY, 60),
    Query("one series, 24 h, raw", f"{ONE}[24h]"),
    Query("one series, rate, 24 h", f"rate({ONE}[5m])", DAY, 60),
    Query("one host, now", f'{{instance="{HOST}"}}'),
    Query("one metric, 24 h", "node_load1", DAY, 300),
    Query("all series, counted now", "count by (__name__) ({job='node'})"),
    Query("all series, sum, 24 h", "sum by (__name__) ({job='node'})", DAY, 60),
    Query("sum of rates, 24 h", "sum by (instance, mode) (rate(node_cpu_seconds_total[5m]))", DAY, 60),
    Query("increase by the hour, 24 h", "sum by (mode) (increase(node_cpu_seconds_total[1h]))", DAY, 300),
    Query("topk, now", "topk(10, node_load1)"),
    Query("topk of rates, 6 h", "topk(5, rate(node_network_receive_bytes_total[5m]))", 6 * HOUR, 60),
    Query("quantile, 24 h", "quantile by (region) (0.95, node_hwmon_temp_celsius)", DAY, 60),
    Query("quantile over time, 24 h", "quantile_over_time(0.95, node_load1[1h])", DAY, 300),
    Query("max over a day", "max by (instance) (max_over_time(node_load1[24h]))"),
    Query(
        "means by the hour, 24 h", "avg by (instance) (avg_over_time(node_cpu_seconds_total[1h]))", DAY, HOUR
    ),
    Query(
        "join, one to one, 24 h",
        "node_memory_MemAvailable_bytes / on (instance) node_memory_MemTotal_bytes",
        DAY,
        60,
    ),
    Query(
        "join, many to one, 24 h",
        "rate(node_network_receive_bytes_total[5m]) * on (instance) group_left () node_uname_info",
        DAY,
        60,
    ),
    Query(
        "regex of names and hosts, 6 h",
        "sum by (__name__) ({__name__=~'node_(cpu|disk)_.*',instance=~'compute-00[0-4].*'})",
        6 * HOUR,
        60,
    ),
    Query(
        "regex that excludes, 24 h",
        "sum by (device) (rate(node_disk_reads_completed_total{device!~'sd.*'}[5m]))",
        DAY,
        60,
    ),
    Query(
        "sub-query, 6 h", "max_over_time(rate(node_cpu_seconds_total{mode='user'}[5m])[1h:1m])", 6 * HOUR, 300
    ),
    Query(
        "filter of a mean of rates, 24 h",
        "(1 - avg by (instance) (rate(node_cpu_seconds_total{mode='idle'}[5m]))) > 0.3",
        DAY,
        60,
    ),
    Query("spread by rack, 24 h", "stddev by (rack) (node_power_watts)", DAY, 60),
)


@dataclass
class Taken:
    """What one query took on one server."""

    wall: list[float] = field(default_factory=list)
    cpu: float = 0.0
    body: bytes = b""

    @property
    def ms(self) -> float:
        return statistics.median(self.wall) * 1e3


def asked(query: Query, end_s: int) -> tuple[str, dict[str, Any]]:
    if not query.step_s:
        return "query", {"query": query.text, "time": end_s}
    start = end_s - query.span_s
    return "query_range", {"query": query.text, "start": start, "end": end_s, "step": query.step_s}


def run(servers: Sequence[Server], end_s: int, repeat: int) -> dict[str, dict[str, Taken]]:
    """Query → server → what it took; first of all every query once, so that nothing is asked cold."""
    wires = {server.name: server.wire() for server in servers}
    found: dict[str, dict[str, Taken]] = {}
    for query in QUERIES:
        question, arguments = asked(query, end_s)
        each = found[query.name] = {server.name: Taken() for server in servers}
        for turn in range(-1, repeat):
            for server in servers if turn % 2 else servers[::-1]:
                taken, address = each[server.name], server.address(question, **arguments)
                before, start = server.cpu_s(), time.perf_counter()
                status, body = wires[server.name].ask("GET", address)
                wall = time.perf_counter() - start
                if status != 200:
                    raise SystemExit(f"{server.name} refuses {query.text}: {status} {body[:300]!r}")
                taken.body = body
                if turn >= 0:
                    taken.wall.append(wall)
                    taken.cpu += (server.cpu_s() - before) / repeat
        print(f"{query.name}: " + ", ".join(f"{n} {t.ms:.2f} ms" for n, t in each.items()), flush=True)
    return found


# --- are they the same answers ----------------------------------------------------------------------------

Cells = dict[tuple[tuple[tuple[str, str], ...], float], float]


def cells(body: bytes) -> Cells:
    """(series, time) → value. Names are left out where VictoriaMetrics keeps them and Prometheus does not."""
    found: Cells = {}
    for one in json.loads(body)["data"]["result"]:
        labels = tuple(sorted(one["metric"].items()))
        for at, text in one.get("values") or [one["value"]]:
            found[labels, round(float(at), 3)] = float(text)
    return found


def differing(mine: Mapping[Any, float], theirs: Mapping[Any, float], tolerance: float) -> float:
    """Share of the cells of either that the other has not, or has with another value."""
    every = mine.keys() | theirs.keys()
    wrong = sum(
        1
        for key in every
        if key not in mine
        or key not in theirs
        or not math.isclose(mine[key], theirs[key], rel_tol=tolerance, abs_tol=tolerance)
    )
    return wrong / max(len(every), 1)


# --- the run -----------------------------------------------------------------------------------------------


def small(servers: Sequence[Server], end_s: int, times: int) -> dict[str, tuple[float, float]]:
    """Server → (p50, p99) in ms of one series' newest value, over HTTP."""
    question, arguments = asked(QUERIES[0], end_s)
    wires = {server.name: server.wire() for server in servers}
    took: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(times // 50):
        for server in servers:
            address, wire = server.address(question, **arguments), wires[server.name]
            took[server.name] += [timed(wire, address) for _ in range(50)]
    return {
        name: (statistics.median(all_) * 1e3, peers.percentile(all_, 99) * 1e3) for name, all_ in took.items()
    }


def timed(wire: Wire, address: str) -> float:
    start = time.perf_counter()
    wire.ask("GET", address)
    return time.perf_counter() - start


def report(
    servers: Sequence[Server], found: dict[str, dict[str, Taken]], tiny: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    prometheus, victoria, ours = servers
    rows, ratios, against, unlike = [], [], [], 0
    for query in QUERIES:
        each = found[query.name]
        p, v, w = (each[server.name] for server in servers)
        mine = cells(w.body)
        same = differing(mine, cells(p.body), CLOSE)
        unlike += same > 0
        other = differing(mine, cells(v.body), 0.01)
        ratios.append(w.ms / v.ms)
        against.append(w.ms / p.ms)
        rows.append(
            [
                query.name,
                *(f"{one.ms:.2f} ({one.cpu * 1e3:.0f})" for one in (p, v, w)),
                f"{ratios[-1]:.2f}",
                "yes" if not same else f"{100 * same:.2g} % of cells differ",
                "yes" if not other else f"{100 * other:.2g} %",
            ]
        )
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    header = ["wall ms (CPU ms)", *(s.title for s in servers), "ours / VM", "as Prometheus", "off VM by 1 %"]
    print("\n" + peers.table(header, rows))
    over = [query.name for query, ratio in zip(QUERIES, ratios, strict=True) if ratio > 1.5]
    print(
        f"\nagainst {victoria.title}: geometric mean {mean:.2f}, worst {max(ratios):.2f}, "
        f"{len(over)} of {len(QUERIES)} over 1.5"
    )
    print(f"against {prometheus.title}: {math.exp(statistics.fmean(map(math.log, against))):.2f}")
    for name, (p50, p99) in tiny.items():
        print(f"small query over HTTP, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    print(f"{unlike} answers unlike Prometheus'. {peers.ground()}")
    return {"geometric": mean, "worst": max(ratios), "over": over, "small_ms": tiny[ours.name][0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--points", type=int, default=5760)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--small", type=int, default=1000, help="how many times the small query is asked")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object at the end")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="metrics-queries-"))
    servers: list[Server] = []
    try:
        site = Site(options.hosts, options.points)
        for start in (peers.prometheus, peers.victoria, peers.weatherglass):
            servers.append(start(folder / start.__name__))
        for server in servers:
            server.send(site.bodies(0, options.points, 20), len(site.labels) * 20)
        for server in servers:
            server.settle(20)
        servers[1].tidy(servers[1])
        print(f"{servers[0].samples:,} samples of {len(site.labels)} series in each", flush=True)
        end_s = int(site.times.max()) // 1000 + 1
        found = run(servers, end_s, options.repeat)
        figures = report(servers, found, small(servers, end_s, options.small))
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
