"""Faults for drills: the executor of work of kind "fault". It breaks what is this agent's own, and nothing else.

Bodies: `{"fault": "kill" | "stop" | "cont", "replica": NAME}`, `{"fault": "fill", "volume": NAME, "leave_bytes":
N}`, `{"fault": "unfill", "volume": NAME}`. Each answers with `at_ns`, the instant of the injection: what a drill's
delays are counted from.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from weatherglass.base.errors import Conflict, Invalid, NotFound, Unavailable
from weatherglass.base.time import Clock
from weatherglass.deploy import proc
from weatherglass.engine.protocols import ReplicaSeen, VolumeSeen

BALLAST = ".weatherglass-ballast"


class Owner(Protocol):
    """Who says what is this agent's own."""

    def replicas(self) -> list[ReplicaSeen]: ...

    def volumes(self) -> list[VolumeSeen]: ...


class Fault(NamedTuple):
    """One fault: the function, and what it does in a sentence."""

    run: Callable[[Faults, Mapping[str, Any]], dict[str, Any]]
    doc: str


class Faults:
    """Injects. `volumes` is the folder under which the agent's volumes are seen."""

    def __init__(self, owner: Owner, volumes: Path, clock: Clock) -> None:
        self._owner, self._folder, self._clock = owner, volumes, clock

    def run(self, body: Mapping[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
        """Inject one. Raises Invalid, NotFound (not ours), Conflict (not as it must be), Unavailable."""
        fault = FAULTS.get(str(body.get("fault")))
        if fault is None:
            raise Invalid(f"no fault is called {body.get('fault')!r}", mend=f"one of {', '.join(FAULTS)}")
        return {"fault": body["fault"], **fault.run(self, body)}

    def kill(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._signal(body, signal.SIGKILL)

    def halt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._signal(body, signal.SIGSTOP)

    def resume(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._signal(body, signal.SIGCONT)

    def fill(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take what is free, but for `leave_bytes`, at once (fallocate writes nothing)."""
        folder, leave = self._volume(body), body.get("leave_bytes", 0)
        if not isinstance(leave, int) or leave < 0:
            raise Invalid("leave_bytes is a number of bytes", where="leave_bytes")
        ballast = folder / BALLAST
        handle = os.open(ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            before = os.fstat(handle).st_size
            at_ns = self._clock.now_ns()
            taken = before
            # What is free counts blocks that the file's own extents will need: the last asks are refused.
            for _ in range(16):
                free = os.statvfs(folder)
                want = free.f_bavail * free.f_frsize - leave
                if want < free.f_frsize:
                    break
                try:
                    os.posix_fallocate(handle, taken, want)
                except OSError:
                    want //= 2
                    try:
                        os.posix_fallocate(handle, taken, max(want, free.f_frsize))
                    except OSError:
                        break
                taken = os.fstat(handle).st_size
        finally:
            os.close(handle)
        left = os.statvfs(folder)
        return {"at_ns": at_ns, "bytes": taken - before, "free_bytes": left.f_bavail * left.f_frsize}

    def unfill(self, body: Mapping[str, Any]) -> dict[str, Any]:
        ballast = self._volume(body) / BALLAST
        at_ns = self._clock.now_ns()
        if not ballast.exists():
            return {"at_ns": at_ns, "bytes": 0}
        held = ballast.stat().st_size
        ballast.unlink()
        return {"at_ns": at_ns, "bytes": held}

    def _signal(self, body: Mapping[str, Any], number: signal.Signals) -> dict[str, Any]:
        name = str(body.get("replica", ""))
        seen = next((one for one in self._owner.replicas() if one.replica == name), None)
        if seen is None:
            raise NotFound(f"{name!r} is not a replica of this agent's", where="replica")
        if seen.pid <= 1:
            raise Conflict(f"{name} has no process: it is {seen.state}", where="replica")
        # Main process last for SIGSTOP and SIGCONT would let it see its children change; first, it starts no more.
        pids = [(seen.pid, self._open(seen.pid))]
        at_ns = self._clock.now_ns()
        try:
            if pids[0][1] < 0:
                raise Conflict(f"{name} ended just now", where="replica")
            if number is signal.SIGKILL:
                # The tree must be read while its root lives; afterwards children belong to init.
                pids += [(pid, self._open(pid)) for pid in proc.descendants(seen.pid)]
                at_ns = self._clock.now_ns()
                self._send(pids, number)
            else:
                at_ns = self._clock.now_ns()
                self._send(pids, number)
                children = [(pid, self._open(pid)) for pid in proc.descendants(seen.pid)]
                pids += children
                self._send(children, number)
        finally:
            for _, handle in pids:
                if handle >= 0:
                    os.close(handle)
        return {"at_ns": at_ns, "replica": name, "pids": [pid for pid, handle in pids if handle >= 0]}

    @staticmethod
    def _open(pid: int) -> int:
        try:
            return os.pidfd_open(pid)
        except OSError:
            return -1

    @staticmethod
    def _send(pids: list[tuple[int, int]], number: signal.Signals) -> None:
        for pid, handle in pids:
            if handle < 0:
                continue
            try:
                signal.pidfd_send_signal(handle, number)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise Unavailable(f"process {pid} may not be signalled by this agent") from error

    def _volume(self, body: Mapping[str, Any]) -> Path:
        name = str(body.get("volume", ""))
        if not any(seen.volume == name for seen in self._owner.volumes()):
            raise NotFound(f"{name!r} is not a sized volume of this agent's", where="volume")
        return self._folder / name


FAULTS: dict[str, Fault] = {
    "kill": Fault(Faults.kill, "SIGKILL to the replica's main process and all it started."),
    "stop": Fault(Faults.halt, "SIGSTOP to the whole tree: it is there and does not answer."),
    "cont": Fault(Faults.resume, "SIGCONT to the whole tree."),
    "fill": Fault(Faults.fill, "A ballast file takes what is free in a volume, but for `leave_bytes`."),
    "unfill": Fault(Faults.unfill, "The ballast goes."),
}
