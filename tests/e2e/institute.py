"""A house as a person runs it: `weatherglass up` in a process of its own, spoken to by HTTP and by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from example import free_ports

T = TypeVar("T")


def wait(what: Callable[[], T], timeout_s: float, about: str) -> T:
    """The first true value of `what`, asked four times a second; what it raises on the way is not yet the end."""
    until, last = time.monotonic() + timeout_s, None
    while time.monotonic() < until:
        try:
            value = what()
        except (httpx.HTTPError, OSError, KeyError, IndexError, ValueError) as error:
            last, value = error, None
        if value:
            return value
        time.sleep(0.25)
    raise AssertionError(f"{about}: not within {timeout_s:g} s ({last})")


class House:
    """One site on one state folder. `start` and `stop` any number of times; `down` at the end."""

    def __init__(self, site: Path | None, state: Path) -> None:
        self.site, self.state = site, state
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.log = state.parent / f"{state.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0

    def start(self, timeout_s: float = 60.0, *, only: str = "") -> float:
        """Run it until it says READY (or, with `only`, until it is ready); seconds that this took."""
        argv = [sys.executable, "-m", "weatherglass", "up", *([str(self.site)] if self.site else [])]
        argv += ["--state", str(self.state), "--listen", self.url.removeprefix("http://")]
        argv += [f"--only={only}"] if only else []
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._read = log.tell()
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait(self._ready if only else self._said_ready, timeout_s, f"READY\n{self.said()}")
        return time.monotonic() - began

    def said(self) -> str:
        """What it has printed since the last start."""
        return self.log.read_bytes()[self._read :].decode(errors="replace") if self.log.exists() else ""

    def _said_ready(self) -> bool:
        said = self.said()
        assert self.running, said
        assert "NOT READY" not in said, said
        return "READY" in said

    def _ready(self) -> bool:
        assert self.running, self.said()
        return httpx.get(f"{self.url}/-/ready", timeout=2).status_code == 200

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def agent_pid(self) -> int:
        """The agent that works for this state now."""
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                argv = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "weatherglass.agent" in argv and str(self.state / "agent") in argv:
                return int(folder.name)
        return 0

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 15.0) -> float:
        """Seconds until it was gone."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(number)
        self._process.wait(timeout_s)
        return time.monotonic() - began

    @property
    def token(self) -> str:
        return (self.state / "token").read_text().strip()

    def get(self, path: str, **params: Any) -> Any:
        """An answer as JSON; an error as httpx.HTTPStatusError."""
        answer = httpx.get(
            f"{self.url}{path}", params=params, timeout=20, headers={"Authorization": f"Bearer {self.token}"}
        )
        answer.raise_for_status()
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        told = self.get("/prometheus/api/v1/query", query=expr, **({"time": at} if at else {}))
        assert told["status"] == "success"
        return list(told["data"]["result"])

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/logs/search", **{"start": "-30m", "limit": 50, **filters})["events"])

    def states(self) -> dict[str, str]:
        return {one["entity"]: one["state"] for one in self.get("/api/v1/states", limit=1000)["states"]}

    def cli(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """The command line, on this state."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("WEATHERGLASS_")
        }
        return subprocess.run(
            [sys.executable, "-m", "weatherglass", *arguments, "--state", str(self.state)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )

    def cli_json(self, *arguments: str, timeout_s: float = 120) -> tuple[int, Any]:
        done = self.cli(*arguments, "--json", timeout_s=timeout_s)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def down(self) -> None:
        """End the server, the agent and all that they started."""
        if not self.state.exists():
            return
        done = self.cli("down")
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        assert done.returncode == 0, done.stdout + done.stderr
