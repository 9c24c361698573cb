"""`weatherglass down`: end the server, the agent and everything they started on this host; data stays.

The agent's own hands do it, in this process: no server is needed, so it works after a crash too.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from weatherglass.base.errors import Conflict, NotFound
from weatherglass.house.hold import Hold, server_of
from weatherglass.house.local_agent import end_orphan

_SERVER_S = 10.0


def down(state: Path) -> int:
    """Returns the exit code, 0. Raises NotFound (no such state), Conflict (the server does not stop), Unavailable."""
    state = state.absolute()
    if not state.is_dir():
        raise NotFound("there is no such state folder", where=str(state), mend="name it with --state")
    _end_server(state)
    hold = Hold(state)
    try:
        end_orphan(state / "agent" / "lock")
        _end_services(state / "agent")
    finally:
        hold.release()
    return 0


def _end_server(state: Path) -> None:
    server = server_of(state)
    pid = int(server["pid"]) if server else 0
    if not pid or not _is_ours(pid):
        return
    print(f"stopping the server (pid {pid})", flush=True)
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + _SERVER_S
    while _is_ours(pid):
        if time.monotonic() > until:
            raise Conflict(f"the server (pid {pid}) does not stop", mend=f"look at it, or kill -9 {pid}")
        time.sleep(0.05)


def _is_ours(pid: int) -> bool:
    """Whether a process is a server of ours: its number may have been given to another since."""
    try:
        return b"weatherglass" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _end_services(agent: Path) -> None:
    from weatherglass.deploy.execute import Executor

    if not (agent / "host").exists():
        return  # no agent ever ran here
    hands = Executor(agent, (agent / "host").read_text().strip(), secret=_no_secret)
    hands.adopt()
    hands.act({"action": "down"}, lambda share, text: print(text, flush=True))


def _no_secret(name: str) -> str:
    raise NotFound(f"secret {name!r} is not needed to stop anything")
