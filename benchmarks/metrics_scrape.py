"""The same samples scraped and pushed: what a server spends on each, and how old the newest sample is that it answers.

Some targets of a node exporter's size, each scraped once a second; then the same series pushed as remote write 1.0,
one request a target and second, made when an exporter would have been asked. Prometheus, VictoriaMetrics and ours,
one after the other, each alone. Every body holds the time it was made (`bench_made_seconds`): staleness is how long
ago that was when a query answers it, asked at moments that are spread over the interval.

    python -m benchmarks.metrics_scrape                        # about four minutes
    python -m benchmarks.metrics_scrape --targets 4 --seconds 10
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cramjam
import numpy as np

from benchmarks import metrics_peers as peers
from benchmarks.metrics_data import Site, field, varint
from benchmarks.metrics_peers import Server

VARIANTS = 8
MADE = "bench_made_seconds"


@dataclass
class Target:
    """One target's series, and what they say at a few moments, one after the other."""

    number: int
    labels: list[dict[str, str]]
    values: list[list[float]]  # by moment

    def __post_init__(self) -> None:
        self.turn = itertools.cycle(range(VARIANTS))
        self.texts = [self._text(row) for row in self.values]
        self.packed = [self._message(labels) for labels in [*self.labels, self._named(MADE)]]

    def _named(self, name: str, labels: dict[str, str] | None = None) -> dict[str, str]:
        own = {"instance": f"target-{self.number:03d}", "job": "node"}
        return {**(labels or {}), **own, "__name__": name}

    def _text(self, row: list[float]) -> bytes:
        lines = []
        for labels, value in zip(self.labels, row, strict=True):
            inside = ",".join(
                f'{name}="{text}"'
                for name, text in labels.items()
                if name not in ("__name__", "instance", "job")
            )
            lines.append(f"{labels['__name__']}{{{inside}}} {value!r}\n")
        return "".join(lines).encode()

    def _message(self, labels: dict[str, str]) -> bytes:
        return b"".join(field(1, field(1, name) + field(2, text)) for name, text in sorted(labels.items()))

    def exposed(self) -> bytes:
        return self.texts[next(self.turn)] + f"{MADE} {time.time()!r}\n".encode()

    def body(self) -> bytes:
        made = time.time()
        row = [*self.values[next(self.turn)], made]
        at = b"\x10" + varint(int(made * 1000))
        out = []
        for packed, value in zip(self.packed, row, strict=True):
            sample = b"\x12" + varint(9 + len(at)) + b"\x09" + struct.pack("<d", value) + at
            out.append(b"\x0a" + varint(len(packed) + len(sample)) + packed + sample)
        return bytes(cramjam.snappy.compress_raw(b"".join(out)))


def targets(many: int) -> list[Target]:
    site, found = Site(many, 240), []
    for number in range(many):
        mine = [k for k, host in enumerate(site.host) if host == number]
        labels = [{**site.labels[k], "instance": f"target-{number:03d}", "job": "node"} for k in mine]
        found.append(Target(number, labels, site.values[mine][:, :VARIANTS].T.tolist()))
    return found


def exporter(found: list[Target]) -> ThreadingHTTPServer:
    """Every target under a path of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = found[int(self.path.rpartition("/")[2])].exposed()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing is told."""

    class Quiet(ThreadingHTTPServer):
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            """A server that is stopped hangs up; that is no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def configuration(port: int, many: int) -> str:
    lines = [
        "global: {scrape_interval: 1s, scrape_timeout: 1s}",
        "scrape_configs:",
        "- job_name: node",
        "  static_configs:",
    ]
    for number in range(many):
        labels = f"{{instance: target-{number:03d}, __metrics_path__: /t/{number}}}"
        lines.append(f"  - {{targets: ['127.0.0.1:{port}'], labels: {labels}}}")
    return "\n".join(lines) + "\n"


def stale(server: Server, seconds: float) -> list[float]:
    """How old the newest answer of each target is, asked for again and again."""
    wire, found, until, rng = server.wire(), [], time.time() + seconds, np.random.default_rng(1)
    while time.time() < until:
        time.sleep(float(rng.uniform(0.05, 0.35)))
        asked = server.query(wire, "query", query=MADE, time=f"{time.time():.3f}")
        now = time.time()
        found += [now - float(one["value"][1]) for one in asked["result"]]
    wire.close()
    return found


def pushing(server: Server, found: list[Target], stop: threading.Event) -> None:
    """One request a target and second, spread over the second, on one connection."""
    wire, begin = server.wire(), time.monotonic()
    for turn in itertools.count():
        for target in found:
            due = begin + turn + target.number / len(found)
            if stop.wait(max(due - time.monotonic(), 0.0)):
                wire.close()
                return
            status, text = wire.ask("POST", server.write_path, target.body(), peers.WRITE_HEADERS)
            if status // 100 != 2:
                raise SystemExit(f"{server.name}: {status} {text[:300]!r}")


def measured(
    make: Callable[[], Server], found: list[Target], seconds: float, *, push: bool
) -> tuple[str, list[str]]:
    server, stop = make(), threading.Event()
    try:
        if push:
            threading.Thread(target=pushing, args=(server, found, stop), daemon=True).start()
        time.sleep(5)  # every target is known, every series made
        before, began = server.cpu_s(), time.monotonic()
        time.sleep(seconds)
        cpu, took = server.cpu_s() - before, time.monotonic() - began
        wire = server.wire()
        # Every body holds all series: so many of them as came, times the series.
        came = server.query(wire, "query", query=f"sum(count_over_time({MADE}[{int(took)}s]))")
        each = server.query(wire, "query", query='count({job="node",__name__!~"scrape_.*|up"})')
        wire.close()
        samples = float(came["result"][0]["value"][1]) * float(each["result"][0]["value"][1]) / len(found)
        ages = stale(server, min(seconds, 15.0))
        row = [
            f"{samples / took:,.0f}", f"{cpu / took * 100:.1f} %", f"{cpu / samples * 1e6:.2f}",
            f"{statistics.median(ages) * 1000:.0f}", f"{peers.percentile(ages, 99) * 1000:.0f}", f"{server.rss_mb():.0f}",
        ]  # fmt: skip
        return server.title, row
    finally:
        stop.set()
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    found = targets(options.targets)
    http, rows = exporter(found), []
    series = sum(len(one.labels) + 1 for one in found)
    print(f"{options.targets} targets, {series} series, one sample a second each", flush=True)
    scrape = configuration(int(http.server_address[1]), options.targets)
    with tempfile.TemporaryDirectory(prefix="wg-scrape-") as named:
        folder = Path(named)
        (folder / "ours.yml").write_text(scrape)
        ours = ("--config", str(folder / "ours.yml"))
        servers: list[tuple[Callable[[], Server], Callable[[], Server]]] = [
            (lambda: peers.prometheus(folder / "p1", scrape), lambda: peers.prometheus(folder / "p2")),
            (lambda: peers.victoria(folder / "v1", scrape), lambda: peers.victoria(folder / "v2")),
            (lambda: peers.weatherglass(folder / "w1", more=ours), lambda: peers.weatherglass(folder / "w2")),
        ]
        for scraped, pushed in servers:
            for way, make in (("scraped", scraped), ("pushed", pushed)):
                title, row = measured(make, found, options.seconds, push=way == "pushed")
                rows.append([title, way, *row])
                print(" ".join(rows[-1]), flush=True)
    http.shutdown()
    header = ["", "", "samples/s", "CPU", "CPU-s/M samples", "staleness ms, median", "p99", "RSS MB"]
    print("\n" + peers.table(header, rows) + f"\n\n{peers.ground()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
