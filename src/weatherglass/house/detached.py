"""`up --detach`: the same in the background, and back once it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from weatherglass.base.errors import Invalid
from weatherglass.house.hold import server_of

_WAIT_S = 60.0


def detached(site: Path | None, state: Path, listen: str, only: tuple[str, ...], deadman: str) -> int:
    """Start it and wait until it answers. Raises Invalid where it ends at once, or does not answer in time."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = [sys.executable, "-m", "weatherglass", "up", *([str(site)] if site else [])]
    argv += ["--state", str(state), "--listen", listen, *(f"--only={part}" for part in only)]
    argv += ["--deadman", deadman] if deadman else []
    log = state / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=os.environ
        )
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Invalid(f"it ended at once (exit code {process.returncode})", where=str(log))
        server = server_of(state)
        if server and server.get("pid") == process.pid and _answers(str(server["url"])):
            print(f"running  {server['url']}  (pid {process.pid}, log {log})", flush=True)
            return 0
        time.sleep(0.1)
    raise Invalid("it does not answer yet", where=str(log), mend="look into that log")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
