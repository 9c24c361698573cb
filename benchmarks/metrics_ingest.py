"""What it costs to take samples in: Debian's Prometheus and Weatherglass, the same data, in turns, in one run.

Generates a day of node-exporter-like series, sends it as remote write 1.0 over one keep-alive connection each,
round by round in turn, and prints CPU seconds (user and system, of the server process alone), samples a second,
bytes on disk and resident memory. CPU seconds a million samples is the figure to trust on a shared machine.

    python benchmarks/metrics_ingest.py                        # about two minutes, 11 M samples each
    python benchmarks/metrics_ingest.py --hosts 5 --points 1440
    python benchmarks/metrics_ingest.py --url http://127.0.0.1:8700/prometheus/api/v1/write \\
        --pid 123 --state DIR/metrics --token-file DIR/token   # a running server in place of the bare store

Without --url our side is the store behind the smallest HTTP server that could be (`serve` below).
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np

STEP_MS = 15_000
COUNT_QUERY = 'sum(count_over_time({__name__="node_load1"}[48h]))'


# --- the data --------------------------------------------------------------------------------------------


def host_series(rng, points):
    """(name, labels, values) of one host: counters, gauges, constants, and a few floats of full entropy."""
    t = np.arange(points)
    load = np.clip(
        0.4 + 0.3 * np.sin(2 * np.pi * t / 5760) + np.cumsum(rng.normal(0, 0.001, points)), 0.02, 1
    )

    def counter(steps, start=1e9):
        return int(rng.integers(1, int(start))) + np.cumsum(steps)

    def seconds(steps):
        return np.round(rng.uniform(1e3, 1e6) + np.cumsum(np.maximum(steps, 0)), 2)

    def noise(spread):
        return 1 + rng.normal(0, spread, points)

    for cpu in range(4):
        for mode, share in {
            "user": 0.7,
            "system": 0.15,
            "iowait": 0.05,
            "softirq": 0.02,
            "nice": 0.005,
        }.items():
            yield (
                "node_cpu_seconds_total",
                {"cpu": cpu, "mode": mode},
                seconds(15 * load * share * noise(0.15)),
            )
        yield "node_cpu_seconds_total", {"cpu": cpu, "mode": "idle"}, seconds(15 * (1 - load) * noise(0.02))
        rare = np.where(rng.random(points) < 0.01, 0.01, 0)
        for mode in ("irq", "steal"):
            yield "node_cpu_seconds_total", {"cpu": cpu, "mode": mode}, seconds(rare)
    for device in ("eth0", "eth1", "ib0"):
        packets = rng.poisson(2e4 * load + 50)
        octets = packets * rng.integers(200, 1400, points)
        for way, part in (("receive", 1.0), ("transmit", 0.7)):
            yield (
                f"node_network_{way}_packets_total",
                {"device": device},
                counter((packets * part).astype(int)),
            )
            yield (
                f"node_network_{way}_bytes_total",
                {"device": device},
                counter((octets * part).astype(int), 1e12),
            )
    for device in ("nvme0n1", "sda"):
        reads = rng.poisson(300 * load + 2)
        for what, part in (("reads", 1), ("writes", 2)):
            labels = {"device": device}
            yield f"node_disk_{what}_completed_total", labels, counter(reads // part)
            moved = reads // part * rng.integers(1, 32, points) * 4096
            yield f"node_disk_{what}_bytes_total", labels, counter(moved, 1e12)
            busy = np.round(1e4 + np.cumsum(load * rng.random(points) * 3 / part), 3)
            yield f"node_disk_{what}_time_seconds_total", labels, busy
    total = 256 * 2**30
    yield "node_memory_MemTotal_bytes", {}, np.full(points, total)
    free = np.clip(0.5 + np.cumsum(rng.normal(0, 0.0005, points)), 0.02, 0.95) * total
    shares = {"MemFree": 1, "MemAvailable": 1.2, "Cached": 0.3, "Slab": 0.02, "Active": 0.5, "AnonPages": 0.4}
    for name, share in shares.items():
        yield f"node_memory_{name}_bytes", {}, np.floor(free * share * noise(0.001) / 4096) * 4096
    slow = np.floor(free * 0.01 / 4096) * 4096
    yield "node_memory_Buffers_bytes", {}, slow[t // 4 * 4]
    yield "node_memory_SwapFree_bytes", {}, np.zeros(points)
    for mount in ("/", "/scratch", "/home"):
        written = np.cumsum(rng.poisson(3, points) * (rng.random(points) < 0.3)) * 4096
        yield (
            "node_filesystem_avail_bytes",
            {"mountpoint": mount, "fstype": "xfs"},
            9e11 // 4096 * 4096 - written,
        )
        yield "node_filesystem_size_bytes", {"mountpoint": mount, "fstype": "xfs"}, np.full(points, 1.2e12)
    for minutes, window in ((1, 4), (5, 20), (15, 60)):
        smooth = np.convolve(load * 64 * noise(0.2), np.ones(window) / window, mode="same")
        yield f"node_load{minutes}", {}, np.round(smooth, 2)
    for sensor in range(8):
        warmth = 45 + load * 30 + np.repeat(rng.normal(0, 1, points // 4 + 1), 4)[:points]
        yield "node_hwmon_temp_celsius", {"chip": "coretemp_0", "sensor": f"temp{sensor}"}, np.round(warmth)
    for supply in range(4):
        yield "node_power_watts", {"psu": supply}, 200 + load * 300 + rng.normal(0, 5, points)
    yield "node_timex_offset_seconds", {}, np.round(rng.normal(0, 1e-5, points), 9)
    for name, rate in (("context_switches", 3e5), ("intr", 2e5), ("forks", 30)):
        yield f"node_{name}_total", {}, counter(rng.poisson(rate * load))
    yield "node_procs_running", {}, rng.poisson(64 * load)
    yield "node_filefd_allocated", {}, 2000 + rng.integers(0, 40, points) * 32
    yield "node_sockstat_TCP_inuse", {}, 150 + np.round(rng.normal(0, 6, points))
    yield "node_boot_time_seconds", {}, np.full(points, 1.79e9)
    for name in ("up", "node_uname_info", "node_scrape_collector_success"):
        yield name, {}, np.ones(points)


class Site:
    """A day of a few hosts, and its remote-write bodies."""

    def __init__(self, hosts, points, seed=7):
        rng = np.random.default_rng(seed)
        # An hour that lies whole in the past, so that no server finds a sample in its future.
        end = int(time.time()) // 3600 * 3600_000
        self.labels, values, self.times, self.host = [], [], np.empty((hosts, points), np.int64), []
        for number in range(hosts):
            jitter = np.where(rng.random(points) < 0.05, rng.integers(-3, 4, points), 0)
            grid = end - (points - np.arange(points)) * STEP_MS
            self.times[number] = grid + int(rng.integers(10, 14_000)) + jitter
            base = {"instance": f"compute-{number:03d}.research.example.org:9100", "job": "node"}
            base |= {"rack": f"r{number // 4:02d}", "cluster": "hpc-main", "region": f"az{number % 2 + 1}"}
            for name, labels, series in host_series(rng, points):
                self.labels.append({"__name__": name, **base, **{k: str(v) for k, v in labels.items()}})
                values.append(np.asarray(series, np.float64))
                self.host.append(number)
        self.values, self.host = np.array(values), np.array(self.host)

    def bodies(self, first, last, each):
        """Snappy bodies of points first…last, `each` points of every series in a body."""
        import cramjam

        series, template, places = len(self.labels), bytearray(), []
        for labels in self.labels:
            packed = b"".join(_field(1, _field(1, k) + _field(2, v)) for k, v in sorted(labels.items()))
            template += b"\x0a" + _varint(len(packed) + 18 * each) + packed
            places.append(len(template))
            template += (b"\x12\x10\x09" + bytes(8) + b"\x10" + bytes(6)) * each
        body = np.frombuffer(bytes(template), np.uint8).copy()
        at = np.array(places)[:, None] + 18 * np.arange(each)[None]
        value_at, time_at = (at + 3)[:, :, None] + np.arange(8), (at + 12)[:, :, None] + np.arange(6)
        for point in range(first, last - each + 1, each):
            cut = np.ascontiguousarray(self.values[:, point : point + each])
            body[value_at] = cut.view(np.uint8).reshape(series, each, 8)
            times = self.times[self.host, point : point + each]
            varints = ((times[:, :, None] >> np.arange(0, 42, 7)) & 127).astype(np.uint8)
            varints[:, :, :5] |= 128
            body[time_at] = varints
            yield bytes(cramjam.snappy.compress_raw(body))


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number, payload):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


# --- the servers -----------------------------------------------------------------------------------------


def serve(port, folder):
    """The bare store behind a minimal HTTP/1.1 server on one event loop: what a write costs without a gateway."""
    from weatherglass.base.time import SystemClock
    from weatherglass.engine.files import RealFiles
    from weatherglass.engine.tables import Tables
    from weatherglass.metrics import TABLES, Metrics

    tables = Tables(Path(folder) / "tables.db")
    tables.migrate({"metrics": TABLES})
    store = Metrics(Path(folder) / "metrics", files=RealFiles(), tables=tables, clock=SystemClock())
    store.start()

    async def connection(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            method, target = head.split(b" ", 2)[:2]
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            if method == b"POST":
                store.write("site", body)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                continue
            asked = urllib.parse.parse_qs(urllib.parse.urlsplit(target.decode()).query)
            if "query" in asked:
                found = store.query("site", asked["query"][0], int(float(asked["time"][0]) * 1000))
                answer = {"data": {"result": [{"value": [0, str(v)]} for v in found.values[:, 0].tolist()]}}
            else:
                answer = store.stats()
            text = json.dumps(answer).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    async def run():
        async def guarded(reader, writer):
            try:
                await connection(reader, writer)
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(guarded, "127.0.0.1", port, limit=4 << 20)
        await server.serve_forever()

    asyncio.run(run())


class Server:
    """A server process under measurement."""

    def __init__(self, name, version, url, pid, folder, process=None, token="", query_url=""):
        self.name, self.version, self.pid, self.folder, self.process = name, version, pid, folder, process
        self.url, self.query_url = urllib.parse.urlsplit(url), query_url
        self.headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        self.headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.cpu, self.wall, self.samples, self.peak = 0.0, 0.0, 0, 0.0
        self.latencies = []

    def cpu_s(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self):
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def disk(self):
        return sum(path.stat().st_size for path in Path(self.folder).rglob("*") if path.is_file())

    def send(self, bodies, samples_each):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before, start = self.cpu_s(), time.perf_counter()
        for body in bodies:
            sent = time.perf_counter()
            connection.request("POST", self.url.path, body, self.headers)
            response = connection.getresponse()
            text = response.read()
            if response.status // 100 != 2:
                raise SystemExit(f"{self.name}: {response.status} {text[:300]!r}")
            self.latencies.append(time.perf_counter() - sent)
        self.wall += time.perf_counter() - start
        self.cpu += self.cpu_s() - before
        self.samples += samples_each * len(bodies)
        self.peak = max(self.peak, self.rss_mb())
        connection.close()

    def settle(self, most_s=45):
        """Waits until the process is idle for 3 s; what it worked meanwhile counts too."""
        last, quiet = self.cpu_s(), 0
        first = last
        for _ in range(most_s):
            time.sleep(1)
            now = self.cpu_s()
            quiet = quiet + 1 if now - last < 0.06 else 0
            last = now
            if quiet >= 3:
                break
        self.cpu += last - first

    def count(self, at_s):
        query = urllib.parse.urlencode({"query": COUNT_QUERY, "time": at_s})
        with urllib.request.urlopen(f"{self.query_url}?{query}", timeout=60) as response:
            return float(json.load(response)["data"]["result"][0]["value"][1])

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(url, process):
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def prometheus(folder):
    folder.mkdir()
    (folder / "prometheus.yml").write_text("global:\n  scrape_interval: 1h\nscrape_configs: []\n")
    port = free_port()
    arguments = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--log.level=error",
    ]
    process = subprocess.Popen(arguments)
    wait_for(f"http://127.0.0.1:{port}/-/ready", process)
    version = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    word = (version.stdout + version.stderr).split()[2]
    base = f"http://127.0.0.1:{port}/api/v1"
    return Server(
        "Prometheus", word, f"{base}/write", process.pid, folder / "data", process, query_url=f"{base}/query"
    )


def weatherglass(folder):
    from weatherglass import __version__

    folder.mkdir()
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(port), str(folder)])
    wait_for(f"http://127.0.0.1:{port}/stats", process)
    base = f"http://127.0.0.1:{port}"
    return Server(
        "Weatherglass", __version__, f"{base}/write", process.pid, folder, process, query_url=f"{base}/query"
    )


def running(options):
    token = Path(options.token_file).read_text().strip() if options.token_file else ""
    return Server("Weatherglass (running)", "", options.url, options.pid, options.state, token=token)


# --- the run ---------------------------------------------------------------------------------------------

ROWS = (
    ("CPU-s per million samples", lambda s: s.cpu / s.samples * 1e6, "{:.3f}"),
    ("samples/s, one connection", lambda s: s.samples / s.wall, "{:,.0f}"),
    ("request p50, ms", lambda s: float(np.median(s.latencies)) * 1e3, "{:.2f}"),
    ("request p99, ms", lambda s: float(np.percentile(s.latencies, 99)) * 1e3, "{:.2f}"),
    ("disk bytes per sample, all files", lambda s: s.disk() / s.samples, "{:.2f}"),
    ("RSS at its highest, MB", lambda s: s.peak, "{:.0f}"),
    ("RSS at the end, MB", lambda s: s.rss_mb(), "{:.0f}"),
)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--points", type=int, default=5760, help="samples of each series, 15 s apart")
    parser.add_argument("--each", type=int, default=5, help="samples of each series in one request")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--url", help="a running Weatherglass' write address")
    parser.add_argument("--pid", type=int, help="its process")
    parser.add_argument("--state", help="its metrics folder")
    parser.add_argument("--token-file", default="")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object at the end")
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(int(options.serve[0]), options.serve[1])
        return
    site = Site(options.hosts, options.points)
    series = len(site.labels)
    print(f"{series} series × {options.points} points, {series * options.each} samples a request", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="metrics-ingest-"))
    servers = []
    try:
        servers.append(prometheus(folder / "prometheus"))
        servers.append(running(options) if options.url else weatherglass(folder / "weatherglass"))
        edges = np.linspace(0, options.points // options.each, options.rounds + 1).astype(int) * options.each
        for number, (first, last) in enumerate(itertools.pairwise(edges)):
            bodies = list(site.bodies(first, last, options.each))
            for server in servers if number % 2 == 0 else servers[::-1]:
                server.send(bodies, series * options.each)
            print(f"round {number + 1} of {options.rounds}", flush=True)
        for server in servers:
            server.settle()
        for server in servers:
            if server.query_url:
                stored = server.count(site.times.max() / 1000 + 1)
                if stored != options.hosts * (edges[-1]):
                    raise SystemExit(f"{server.name} holds {stored} of {options.hosts * edges[-1]} samples")
        report(servers, options)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def report(servers, options):
    print(f"\n{'':34}" + "".join(f"{f'{s.name} {s.version}':>26}" for s in servers) + f"{'ratio':>9}")
    figures = {}
    for title, of, form in ROWS:
        values = [of(server) for server in servers]
        print(
            f"{title:34}"
            + "".join(f"{form.format(v):>26}" for v in values)
            + f"{values[1] / values[0]:>9.2f}"
        )
        figures[title] = dict(zip((server.name for server in servers), values, strict=True))
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}, {os.cpu_count()} CPUs")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
