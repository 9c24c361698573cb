"""The state folder held by one server: an exclusive lock, and where to find whoever holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Conflict, Invalid, Unavailable


def default_state() -> Path:
    """`/var/lib/weatherglass` as root, `$XDG_STATE_HOME/weatherglass` else."""
    if os.geteuid() == 0:
        return Path("/var/lib/weatherglass")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "weatherglass"


class Hold:
    """The exclusive hold on a state folder, taken before anything in it is opened."""

    def __init__(self, state: Path) -> None:
        """Raises Conflict (another server holds it), Invalid (it cannot be made or written)."""
        self.state = state
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Not inheritable: services outlive the server and must not keep its lock.
            self._lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Invalid(
                f"the state folder cannot be used: {error.strerror}",
                where=str(state),
                mend="choose another --state",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            holder = server_of(state)
            known = f" (pid {holder['pid']}, {holder['url']})" if holder else ""
            raise Conflict(
                f"another server runs on this state{known}",
                where=str(state),
                mend="use that one, stop it, or give this one its own --state",
            ) from error

    def announce(self, url: str, started_ns: int) -> None:
        """Write down where this server answers, for the CLI's `--state`. Raises Unavailable (the disk is full)."""
        body = json.dumps({"pid": os.getpid(), "url": url, "started_ns": started_ns})
        fresh = self.state / "server.json.new"
        try:
            fresh.write_text(body)
            fresh.replace(self.state / "server.json")
        except OSError as error:
            raise Unavailable(
                f"the state folder cannot be written: {error.strerror}",
                where=str(self.state),
                mend="see that its disk has room and is writable, then start again; nothing is lost",
            ) from error

    def release(self) -> None:
        (self.state / "server.json").unlink(missing_ok=True)
        os.close(self._lock)


def server_of(state: Path) -> Mapping[str, Any] | None:
    """What the server that holds `state` wrote of itself, or None."""
    try:
        body = json.loads((state / "server.json").read_text())
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None
