"""The agent of this very host: a process of its own, started under `up` and started again when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from weatherglass.base.errors import NotFound
from weatherglass.house.hold import server_of

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0


def arguments(url: str, state: Path, host: str, site: str, zone: str) -> list[str]:
    """The agent's command line, kept in its folder: `up --only agent` and `down` work without a server's help."""
    folder = state / "agent"
    argv = ["--server", url, "--token-file", str(folder / "token"), "--state", str(folder), "--host", host]
    argv += ["--site", site, *(["--zone", zone] if zone else [])]
    (folder / "host").write_text(host)
    (folder / "arguments.json").write_text(json.dumps(argv))
    return argv


def alone(state: Path) -> NoReturn:
    """`up --only agent`: this process becomes the local agent of a server on the same state. Raises NotFound."""
    try:
        argv = json.loads((state / "agent" / "arguments.json").read_text())
    except (OSError, ValueError) as error:
        raise NotFound(
            "no server has run on this state yet, so its agent has no token",
            where=str(state),
            mend="weatherglass up SITE --only server, first",
        ) from error
    server = server_of(state)
    if server:
        argv[argv.index("--server") + 1] = str(server["url"])
    # Anew, so that it is as light as an agent is; what the command line had loaded is gone.
    os.execv(sys.executable, [sys.executable, "-m", "weatherglass.agent", *argv])  # noqa: S606


REFUSED = (2, 3, 4)
"""Exit codes after which trying again cannot help (agent/command.py)."""


class LocalAgent:
    """Keeps one agent running until stopped. Its output goes to `agent.log` in its state folder."""

    def __init__(self, arguments: Sequence[str], state: Path) -> None:
        self._argv = [sys.executable, "-m", "weatherglass.agent", *arguments]
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._state, self._log = state, state / "agent.log"
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="local-agent", daemon=True)
        self.restarts = -1

    @property
    def pid(self) -> int:
        process = self._process
        return process.pid if process and process.poll() is None else 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Ask it to stop and wait; the services it looks after go on. Asking twice does no harm."""
        self._stopping.set()
        process = self._process
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._thread.ident:
            self._thread.join(grace_s)

    def _keep(self) -> None:
        wait = _FIRST_WAIT_S
        end_orphan(self._state / "lock")
        while not self._stopping.is_set():
            with self._log.open("ab") as log:
                # A session of its own: a Ctrl-C in the terminal is the server's to hand on.
                self._process = subprocess.Popen(
                    self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            self.restarts += 1
            began = time.monotonic()
            code = self._process.wait()
            if code in REFUSED:
                return
            if time.monotonic() - began >= _LONGEST_WAIT_S:
                wait = _FIRST_WAIT_S  # it did run: what ended it is not what ended it last time
            if self._stopping.wait(wait):
                return
            wait = min(wait * 2, _LONGEST_WAIT_S)


def end_orphan(lock: Path, grace_s: float = 5.0) -> None:
    """End an agent that outlived its server (killed -9): it holds the lock, and may push to an old address."""
    try:
        inode = lock.stat().st_ino
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return
    for fields in held:
        if len(fields) < 6 or fields[1] != "FLOCK" or fields[5].rpartition(":")[2] != str(inode):
            continue
        pid = int(fields[4])
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"weatherglass.agent" not in command or str(lock.parent).encode() not in command:
                continue
            os.kill(pid, signal.SIGTERM)
            until = time.monotonic() + grace_s
            while time.monotonic() < until and Path(f"/proc/{pid}").exists():
                time.sleep(0.05)
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue
