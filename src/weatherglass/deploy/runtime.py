"""What a runtime is: the small interface behind which replicas run as processes or in containers.

And what both share: how a main process is told to stop, waited for, and killed with all it started.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from weatherglass.base.errors import Unavailable
from weatherglass.deploy import cgroups, proc
from weatherglass.deploy.cgroups import Group
from weatherglass.deploy.memory import Main
from weatherglass.deploy.places import Home

SETTLE_S = 0.25
"""A process that ends within this time of its start did not start: what it said is the reason."""


@dataclass(frozen=True, slots=True)
class Job:
    """A replica's main process, or a job that runs once, with everything put in that only the host knows."""

    name: str  # the replica's, or `replica:job`
    replica: str
    unit_hash: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    home: Home
    image: str = ""
    binds: Mapping[str, Path] | None = None  # path inside → path on the host
    stop_signal: str = "SIGTERM"
    stop_grace_s: float = 10.0


class Runtime(Protocol):
    """Where replicas run. All methods block; none is called twice at once for one replica."""

    name: str

    def usable(self) -> str:
        """Empty, or why it is not to be had on this host."""
        ...

    def start(self, job: Job) -> Main:
        """Start detached from us: it outlives this agent. Raises Invalid, Unavailable."""
        ...

    def stop(self, main: Main, group: Group | None, signal_name: str, grace_s: float) -> None:
        """Stop it and everything it started; on return nothing of it is left."""
        ...

    def exit_code(self, main: Main) -> int | None:
        """Of a main process that is gone; None when nobody can know."""
        ...

    def run(self, job: Job, timeout_s: float, line: Callable[[str], None]) -> tuple[int, str]:
        """Run a job to its end: exit code and the tail of what it said."""
        ...

    def strays(self, known: Mapping[str, Main]) -> dict[str, tuple[str, int]]:
        """What runs under our marks and nobody remembers: {handle: (replica, pid)}. `known` are those remembered that
        live, and ended containers."""
        ...

    def adopt(self, replica: str, unit_hash: str) -> Main | None:
        """The main process of a replica that was started and not yet remembered when we died."""
        ...

    def collect(self, handle: str) -> None:
        """End a stray and take away what is left of it."""
        ...


def end(main: Main, group: Group | None, signal_name: str, grace_s: float) -> None:
    """Signal the main process, wait, then kill what is left of its group, session and children.

    Through a pidfd: between the look at its start time and the signal the pid cannot become another's. One that
    is stopped or frozen cannot hear SIGTERM, so it is given no grace.
    """
    seen = proc.alive(main.pid, main.ticks)
    if seen is not None:
        try:
            handle = os.pidfd_open(main.pid)
        except ProcessLookupError:
            handle = -1
        if handle >= 0:
            try:
                _end(handle, main, group, signal_name, grace_s)
            finally:
                os.close(handle)
    if group is not None:
        group.kill()
        group.remove()


def _end(handle: int, main: Main, group: Group | None, signal_name: str, grace_s: float) -> None:
    seen = proc.alive(main.pid, main.ticks)
    if seen is None:
        return
    others = [(pid, stat.ticks) for pid in _with(main.pid) if (stat := proc.stat(pid)) is not None]
    still = (
        seen.state in "Tt"
        or (group is not None and group.frozen())
        or cgroups.frozen_v1(main.pid) is not None
    )
    if not still:
        send(handle, signal.Signals[signal_name])
    if still or not gone(handle, grace_s):
        send(handle, signal.SIGKILL)
        cgroups.thaw_v1(main.pid)
        if not gone(handle, 5.0):
            raise Unavailable(f"process {main.pid} does not die from SIGKILL (waiting in the kernel)")
    for pid, ticks in others:
        if proc.alive(pid, ticks) is not None:
            kill(pid)


def _with(pid: int) -> list[int]:
    """Its descendants and, when it leads a session, the session's members."""
    found = set(proc.descendants(pid))
    for other in proc.pids():
        seen = proc.stat(other)
        if seen is not None and seen.session == pid and other != pid:
            found.add(other)
    return sorted(found)


def send(handle: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return


def gone(handle: int, timeout_s: float) -> bool:
    """Whether the process behind a pidfd ended within the time."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def tail(path: Path, lines: int = 8, most: int = 4096) -> str:
    """The last lines of a file, for a person who asks why."""
    try:
        with path.open("rb") as source:
            source.seek(max(0, source.seek(0, os.SEEK_END) - most))
            text = source.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
