"""Podman by its API socket: one service process of our own, detached, found again after we died. No containers here.

The configuration that works on machines without systemd and crun is written into the state folder and used via
CONTAINERS_CONF. The service never is a child that dies with us: podman killed amid a start leaves orphans.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from weatherglass.base.errors import NotFound, Unavailable
from weatherglass.deploy import proc
from weatherglass.deploy.places import write_private

CONF = """[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
[containers]
default_ulimits=["nofile=4096:4096","nproc=4096:4096"]
[network]
network_backend="netavark"
"""
API = "/v4.0.0/libpod"
_LONGEST_SOCKET = 100
"""sun_path holds 108 bytes; a longer state folder gets its socket under /run."""


class Podman:
    """Calls to podman's API. Callable from any thread; the service is started when first needed."""

    def __init__(self, state: Path, tag: str) -> None:
        self._conf = state / "deploy" / "containers.conf"
        self._log = state / "deploy" / "podman.log"
        here = state / "run" / "podman.sock"
        self._socket = (
            here if len(str(here.absolute())) < _LONGEST_SOCKET else Path("/run/weatherglass") / f"{tag}.sock"
        )
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._why: str | None = None

    def usable(self) -> str:
        """Empty, or why containers are not to be had here. Looked at once."""
        if self._why is None:
            if os.geteuid() != 0:
                self._why = "containers need root here"
            else:
                missing = [tool for tool in ("podman", "runc", "conmon") if shutil.which(tool) is None]
                self._why = f"containers need {', '.join(missing)}" if missing else ""
            if not self._why:
                try:
                    self.call("GET", "/info")
                except Unavailable as error:
                    self._why = f"podman does not work here: {error.message}"
        return self._why

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        good: tuple[int, ...] = (200, 201, 204, 304),
    ) -> Any:
        """One call; the JSON of its answer. Raises NotFound for 404, Unavailable for all else that is not `good`."""
        for attempt in (1, 2):
            client = self._connected()
            try:
                answer = client.request(
                    method, f"http://podman{API}{path}", json=body, params=query, timeout=timeout_s
                )
                break
            except httpx.ConnectError as error:
                self._drop()
                if attempt == 2:
                    raise Unavailable(f"podman's service is not there: {error}") from error
            except httpx.HTTPError as error:
                self._drop()
                raise Unavailable(f"podman's service broke off: {error}") from error
        if answer.status_code == 404 and 404 not in good:
            raise NotFound(_said(answer))
        if answer.status_code not in good:
            raise Unavailable(f"podman: {_said(answer)}")
        return answer.json() if "json" in answer.headers.get("content-type", "") and answer.content else None

    def command(self, *words: str, timeout_s: float = 600.0) -> str:
        """A podman command that needs files of ours (import). Detached from our session. Raises Unavailable."""
        environment = self._environment()
        done = subprocess.run(
            ["podman", *words], capture_output=True, text=True, check=False, timeout=timeout_s,
            env=environment, start_new_session=True,
        )  # fmt: skip
        if done.returncode:
            raise Unavailable(f"podman {words[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def serving(self) -> bool:
        """Whether our service runs, which it does from the first container or image on."""
        return self._client is not None or bool(self._services())

    def close(self) -> None:
        """End our service; what runs in containers goes on."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
            for pid in self._services():
                os.kill(pid, 15)
            self._socket.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        if not self._conf.exists() or self._conf.read_text() != CONF:
            write_private(self._conf, CONF.encode())
        keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            **keep,
            "CONTAINERS_CONF": str(self._conf.absolute()),
        }

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                if not self._services() or not self._socket.exists():
                    self._serve()
                self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(self._socket.absolute())))
            return self._client

    def _drop(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _services(self) -> list[int]:
        """Pids of the service on our socket, whoever started it."""
        mark = f"unix://{self._socket.absolute()}"
        return [
            pid for pid in proc.pids()
            if (words := proc.command(pid)) and Path(words[0]).name == "podman" and mark in words
            and (seen := proc.stat(pid)) is not None and seen.state not in "ZX"
        ]  # fmt: skip

    def _serve(self) -> None:
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for pid in self._services():
            os.kill(pid, 15)
        self._socket.unlink(missing_ok=True)
        environment = self._environment()
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{self._socket.absolute()}"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            )  # fmt: skip
        deadline = time.monotonic() + 15
        while not self._socket.exists():
            if child.poll() is not None:
                raise Unavailable(f"podman's service ended with {child.returncode}", mend=f"see {self._log}")
            if time.monotonic() > deadline:
                raise Unavailable("podman's service did not come up in 15 s", mend=f"see {self._log}")
            time.sleep(0.02)


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message") or answer.json().get("cause") or answer.status_code)
    except ValueError:
        return f"{answer.status_code} {answer.text[:200]}"
