"""The servers that the benchmarks of metrics start, load and ask: VictoriaMetrics, Prometheus, and Weatherglass.

Each is a tree of processes over a temporary folder, on a free port of loopback. CPU is user and system time of the
whole tree, of children that have ended too. Ours is `weatherglass metrics serve`, as anyone would start it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TICKS = os.sysconf("SC_CLK_TCK")
READY_S = 60

WRITE_HEADERS = (
    b"Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
    b"X-Prometheus-Remote-Write-Version: 0.1.0\r\n"
)
JSON_HEADERS = b"Content-Type: application/json\r\nAccept: application/json\r\n"

ROLLED = """\
site: benchmark
hosts: {here: {address: 127.0.0.1}}
metrics:
  retention: forever
  rollups:
    all:
      series: '{__name__=~".+"}'
      keep: forever
      every:
        60s: {methods: [mean, max, min, count, p95]}
        300s: {methods: [mean, max, min, count, p95]}
        3600s: {methods: [mean, max, min, count, p95]}
"""
"""Three granularities, p95 among their methods."""


class Wire:
    """One keep-alive connection and nothing more: what a client costs is not to be taken for the server's."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""

    def ask(self, method: str, path: str, body: bytes = b"", headers: bytes = b"") -> tuple[int, bytes]:
        """(status, body) of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n".encode()
        self._socket.sendall(head + headers + b"\r\n" + body)
        raw = self._until(b"\r\n\r\n")
        lines = raw.split(b"\r\n")
        status, said = int(lines[0].split()[1]), {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            said[name.strip().lower()] = value.strip()
        if status in (204, 304):
            return status, b""
        if b"content-length" in said:
            return status, self._exactly(int(said[b"content-length"]))
        if said.get(b"transfer-encoding", b"").lower() == b"chunked":
            return status, b"".join(iter(self._chunk, b""))
        raise SystemExit(f"an answer without a length: {lines[0]!r}")

    def close(self) -> None:
        self._socket.close()

    def _chunk(self) -> bytes:
        size = int(self._until(b"\r\n").partition(b";")[0], 16)
        found = self._exactly(size)
        self._until(b"\r\n")
        return found

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._left:
            self._more()
        found, _, self._left = self._left.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        if len(self._left) >= size:
            found, self._left = self._left[:size], self._left[size:]
            return found
        found = bytearray(size)
        have = len(self._left)
        found[:have], self._left = self._left, b""
        view = memoryview(found)
        while have < size:
            got = self._socket.recv_into(view[have:])
            if not got:
                raise SystemExit("the server hung up")
            have += got
        return bytes(found)

    def _more(self) -> None:
        got = self._socket.recv(1 << 18)
        if not got:
            raise SystemExit("the server hung up")
        self._left += got


@dataclass
class Server:
    """A server under measurement. Trees of `processes` are all its own."""

    name: str
    version: str
    port: int
    folder: Path
    processes: list[subprocess.Popen[bytes]]
    prefix: str = "/api/v1"
    write_path: str = "/api/v1/write"
    extra: str = ""  # what a query is to say besides, to be answered without a cache
    tidy: Callable[[Server], None] = lambda server: None  # brings what is stored into the form it is kept in
    at_rest: Callable[[Server], int] | None = None  # bytes of that form alone
    cpu: float = 0.0
    began: float | None = None  # its CPU clock at the first request
    wall: float = 0.0
    samples: int = 0
    peak: float = 0.0
    latencies: list[float] = field(default_factory=list)
    files: float = 0.0  # bytes a sample, of every file
    rest: float = 0.0  # bytes a sample, at rest
    wrong: int = 0  # samples that came back with other bits
    read: int = 0

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}".strip()

    @property
    def pids(self) -> list[int]:
        return tree([one.pid for one in self.processes])

    def cpu_s(self) -> float:
        return cpu_of([one.pid for one in self.processes])

    def rss_mb(self) -> float:
        return sum(_pages(pid) for pid in self.pids) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def disk(self) -> int:
        return size_of(self.folder)

    def wire(self) -> Wire:
        return Wire(self.port)

    def send(self, bodies: Iterable[bytes], samples_each: int) -> None:
        """Remote write, one request after the other on one connection; what it took is added up."""
        wire, count = self.wire(), 0
        before, start = self.cpu_s(), time.perf_counter()
        self.began = before if self.began is None else self.began
        for body in bodies:
            sent = time.perf_counter()
            status, text = wire.ask("POST", self.write_path, body, WRITE_HEADERS)
            if status // 100 != 2:
                raise SystemExit(f"{self.name}: {status} {text[:300]!r}")
            self.latencies.append(time.perf_counter() - sent)
            count += 1
        self.wall += time.perf_counter() - start
        self.cpu = self.cpu_s() - self.began
        self.samples += samples_each * count
        self.peak = max(self.peak, self.rss_mb())
        wire.close()

    def settle(self, most_s: int = 45) -> None:
        """Waits until the processes are idle for 3 s; all that they worked since the first request counts, while
        others were loaded too."""
        last, quiet = self.cpu_s(), 0
        for _ in range(most_s):
            time.sleep(1)
            now = self.cpu_s()
            quiet = quiet + 1 if now - last < 0.06 else 0
            last = now
            if quiet >= 3:
                break
        self.cpu = last - (self.began or 0.0)
        self.peak = max(self.peak, self.rss_mb())

    def address(self, question: str, **asked: Any) -> str:
        query = urllib.parse.urlencode({name: value for name, value in asked.items() if value is not None})
        return f"{self.prefix}/{question}?{query}{self.extra}"

    def query(self, wire: Wire, question: str, **asked: Any) -> Any:
        """The data of an answer. Ends the run where it is refused."""
        status, body = wire.ask("GET", self.address(question, **asked))
        if status != 200:
            raise SystemExit(f"{self.name} refuses {asked}: {status} {body[:300]!r}")
        return json.loads(body)["data"]

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- processes -------------------------------------------------------------------------------------------


def tree(roots: Sequence[int]) -> list[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, front = [], list(roots)
    while front:
        pid = front.pop()
        found.append(pid)
        front += children.get(pid, [])
    return found


def cpu_of(roots: Sequence[int]) -> float:
    """User and system seconds of the trees, with those of children that were waited for."""
    total = 0
    for pid in tree(roots):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # a merge took it meanwhile
    return total


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def wait_for(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    """Until the path answers 200."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        try:
            wire = Wire(port)
            status, _ = wire.ask("GET", path)
            wire.close()
            if status == 200:
                return
        except (OSError, SystemExit):
            pass
        time.sleep(0.05)
    raise SystemExit(f"{path} does not answer")


def said_version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"(\d+\.\d+\.\d+)", done.stdout + done.stderr)
    return found[1] if found else "?"


# --- the peers -------------------------------------------------------------------------------------------


def prometheus(folder: Path, scrape: str = "") -> Server:
    """`scrape` is a configuration with `scrape_configs`."""
    folder.mkdir(parents=True)
    config, port = folder / "prometheus.yml", free_port()
    config.write_text(scrape or "global:\n  scrape_interval: 1h\nscrape_configs: []\n")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--web.enable-admin-api",
            "--storage.tsdb.retention.time=60d",
            "--query.max-samples=200000000",
            "--log.level=error",
        ]
    )
    wait_for(port, "/-/ready", process)
    version = f"{said_version('prometheus', '--version')} (2023)"
    return Server("Prometheus", version, port, folder / "data", [process])


def victoria(folder: Path, scrape: str = "") -> Server:
    """`scrape` as with `prometheus`."""
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "scrape.yml").write_text(scrape or "scrape_configs: []\n")
    process = subprocess.Popen(
        [
            "victoria-metrics",
            f"-storageDataPath={folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=12",
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-search.maxPointsPerTimeseries=200000",
            "-loggerLevel=ERROR",
            f"-promscrape.config={folder / 'scrape.yml'}",
        ],
        stderr=subprocess.DEVNULL,
    )
    wait_for(port, "/health", process)
    version = f"{said_version('dpkg-query', '-W', 'victoria-metrics')} (2022)"

    def tidy(server: Server) -> None:
        wire = server.wire()
        wire.ask("GET", "/internal/force_flush")
        wire.ask("GET", "/internal/force_merge")
        wire.close()
        time.sleep(1)

    return Server("VictoriaMetrics", version, port, folder / "data", [process], extra="&nocache=1", tidy=tidy)


def weatherglass(folder: Path, *, rolled: bool = False, name: str = "", more: Sequence[str] = ()) -> Server:
    """`weatherglass metrics serve`; `rolled` with the three granularities of ROLLED."""
    from weatherglass import __version__

    folder.mkdir(parents=True)
    port, options = free_port(), list(more)
    if rolled:
        (folder / "site.yaml").write_text(ROLLED)
        options += ["--site", str(folder / "site.yaml")]
    command = [sys.executable, "-m", "weatherglass.cli.main"]
    program = Path(sys.executable).with_name("weatherglass")
    command = [str(program)] if program.exists() else command
    command += ["metrics", "serve", "--state", str(folder / "state"), "--port", str(port), "--no-auth"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    wait_for(port, "/-/ready", process)

    def tidy(server: Server) -> None:
        wire = server.wire()
        status, text = wire.ask("POST", "/prometheus/api/v1/admin/tsdb/snapshot")
        wire.close()
        if status != 200:
            raise SystemExit(f"no snapshot: {status} {text[:300]!r}")

    def at_rest(server: Server) -> int:
        (snapshot,) = (server.folder / "snapshots").iterdir()
        return sum(size_of(one) for one in snapshot.rglob("*") if one.is_dir() and one.name == "blocks")

    return Server(
        name or ("Weatherglass, roll-ups" if rolled else "Weatherglass"),
        f"{__version__} (2026)",
        port,
        folder / "state",
        [process],
        prefix="/prometheus/api/v1",
        write_path="/prometheus/api/v1/write",
        tidy=tidy,
        at_rest=at_rest,
    )


# --- figures ---------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(np.asarray(values), share)) if values else float("nan")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ground() -> str:
    """What stands under every table."""
    return (
        f"CPython {sys.version.split()[0]}, numpy {np.__version__}, {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())}"
    )
