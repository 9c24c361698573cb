"""A real server process on a state folder of its own, and what tests ask of it over HTTP. No test here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import zstandard

from weatherglass.agent.remote_write import Encoder, Sample
from weatherglass.deploy.execute import Executor
from weatherglass.house.hold import server_of

WRITE_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
_START_S = 90.0  # the machine may be busy


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


class Server:
    """`weatherglass up --only server`; started, killed and started again on the same state and port."""

    def __init__(self, state: Path, site: Path | None = None) -> None:
        self.state, self.site, self.port = state, site, free_port()
        self.environment: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None
        self.log = state.with_name(f"{state.name}.log")

    def spawn(self, port: int | None = None, **more: Any) -> subprocess.Popen[str]:
        """One process more on this state; not waited for."""
        site = [str(self.site)] if self.site else []
        command = [sys.executable, "-m", "weatherglass", "up", *site, "--only", "server"]
        command += ["--state", str(self.state), "--listen", f"127.0.0.1:{port or self.port}"]
        return subprocess.Popen(command, text=True, env={**os.environ, **self.environment}, **more)

    def begin(self) -> None:
        """Start it, not waiting; what it says goes to `log`, beside the state."""
        with self.log.open("a") as log:
            self.process = self.spawn(stdout=log, stderr=log)

    def start(self) -> float:
        """Start it; seconds until it was ready."""
        began = time.monotonic()
        self.begin()
        self.wait()
        return time.monotonic() - began

    def wait(self) -> None:
        """Until it is ready: it, and not another one on its port."""
        assert self.process is not None
        until = time.monotonic() + _START_S
        while not (self.ready() and (told := server_of(self.state)) and told["pid"] == self.process.pid):
            assert self.process.poll() is None, f"it ended: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < until, f"not ready: {self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> float:
        """Ask it to stop; seconds until it had."""
        began = time.monotonic()
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(30) == 0, self.log.read_text()[-3000:]
            finally:
                self.kill()
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def token(self) -> str:
        return (self.state / "token").read_text().strip()

    def resident(self) -> int:
        """Bytes of memory that the process has."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def client(self, token: str = "", tenant: str = "site", timeout_s: float = 30.0) -> httpx.Client:
        """Speaks with the administrator's token unless told another."""
        headers = {"Authorization": f"Bearer {token or self.token}", "X-Weatherglass-Tenant": tenant}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)

    def new_token(self, name: str, role: str, host: str = "", tenants: Sequence[str] = ("site",)) -> str:
        """The text of a new token."""
        body = {"name": name, "role": role, "tenants": list(tenants), "host": host}
        with self.client() as client:
            made = client.post("/api/v1/tokens", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["token"])


class Agent:
    """A real agent of one host, with its state in a folder; started, killed and started again."""

    def __init__(self, server: Server, folder: Path, host: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.host, self.log = folder, host, folder / "agent.log"
        (folder / "token").write_text(server.new_token(f"agent-{host}", "agent", host))
        self._command = [sys.executable, "-m", "weatherglass.agent", "--server", server.url, "--host", host]
        self._command += [
            "--token-file",
            str(folder / "token"),
            "--state",
            str(folder / "state"),
            "--site",
            "faults",
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9; what it looks after goes on."""
        if self.process is not None:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            self.process.kill()
            self.process.wait()
            self.process = None

    def down(self) -> None:
        """End what it looks after, then itself."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None
        hands = Executor(self.folder / "state", self.host, secret=str)
        hands.adopt()
        hands.act({"action": "down"}, lambda share, text: None)


_PLAIN = Encoder({})


def samples(name: str, rows: Sequence[tuple[Mapping[str, str], float, int]]) -> bytes:
    """A remote write body of (labels, value, ms)."""
    # One body a time stamp is all that the agent's encoder makes: raw protobuf messages join by concatenation.
    import cramjam

    parts = (_PLAIN.encode([Sample(name, tuple(labels.items()), value)], at) for labels, value, at in rows)
    return bytes(
        cramjam.snappy.compress_raw(b"".join(bytes(cramjam.snappy.decompress_raw(p)) for p in parts))
    )


def write(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/prometheus/api/v1/write", content=body, headers=WRITE_HEADERS)


def events(rows: Sequence[tuple[int, Mapping[str, str], str]]) -> bytes:
    """A body of events as the agent pushes it."""
    lines = b"".join(json.dumps([at, dict(labels), text]).encode() + b"\n" for at, labels, text in rows)
    return zstandard.ZstdCompressor().compress(lines)


def push(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/api/v1/agent/events", content=body, headers={"Content-Encoding": "zstd"})


def raw(client: httpx.Client, selector: str, at_s: float, span: str = "1h") -> list[dict[str, Any]]:
    """Series with their raw samples: a range selector asked at one instant."""
    asked = client.get("/prometheus/api/v1/query", params={"query": f"{selector}[{span}]", "time": at_s})
    assert asked.status_code == 200, asked.text
    return list(asked.json()["data"]["result"])


def found(client: httpx.Client, words: str, start_s: float, end_s: float) -> Iterator[dict[str, Any]]:
    """Every event that has `words`, newest first, page by page."""
    asked: dict[str, Any] = {"words": words, "start": start_s, "end": end_s, "limit": 1000}
    while True:
        page = client.get("/api/v1/logs/search", params=asked)
        assert page.status_code == 200, page.text
        yield from page.json()["events"]
        if not page.json()["next"]:
            return
        asked["before"] = page.json()["next"]
