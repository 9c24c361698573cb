"""The `process` runtime: a replica as a supervised process of the host.

Each leads a session of its own and, where control groups can be written, has a group of its own. It is no child
that dies with us: its output goes to files, and a later agent finds it by pid and start time. Marks in its
environment let one that was started and never remembered be found again.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from weatherglass.base.errors import Invalid, Unavailable
from weatherglass.deploy import proc
from weatherglass.deploy.cgroups import Group
from weatherglass.deploy.memory import Main
from weatherglass.deploy.places import ids
from weatherglass.deploy.runtime import SETTLE_S, Job, end, kill, tail

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProcessRuntime:
    """Replicas as processes. `state` marks them as this agent's."""

    name = "process"

    def __init__(self, state: Path, group: Callable[[str], Group | None]) -> None:
        self._mark = str(state.resolve())
        self._group = group
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._codes: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def usable(self) -> str:
        return ""

    def start(self, job: Job) -> Main:
        logs = job.home.path("logs")
        out, err = logs / "stdout.log", logs / "stderr.log"
        child = self._spawn(job, out, err)
        seen = proc.stat(child.pid)
        group = self._group(job.replica)
        if group is not None:
            group.take([child.pid])
        with self._lock:
            self._children[child.pid] = child
        try:
            code = child.wait(SETTLE_S)
        except subprocess.TimeoutExpired:
            assert seen is not None  # it lives, so it was there
            return Main(self.name, child.pid, seen.ticks, proc.boot_id())
        if group is not None:
            group.kill()
        said = tail(err) or tail(out)
        raise Unavailable(
            f"{job.name} ended at once with exit code {code}" + (f": {said}" if said else ""),
            where=f"replica/{job.replica}",
            mend=f"see {err}",
        )

    def _spawn(self, job: Job, out: Path, err: Path) -> subprocess.Popen[bytes]:
        environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(job.home.path("data")), **job.environment}
        environment |= {
            "WEATHERGLASS_REPLICA": job.name,
            "WEATHERGLASS_UNIT": job.unit_hash,
            "WEATHERGLASS_STATE": self._mark,
        }
        uid = gid = None
        if job.user:
            uid, gid = ids(job.user)
            if uid != os.geteuid() and os.geteuid() != 0:
                raise Invalid(
                    f"{job.name} is to run as {job.user}, and this agent is not root",
                    where=f"replica/{job.replica}",
                    mend="run the agent as root, or leave `user:` out",
                )
        try:
            with out.open("ab") as stdout, err.open("ab") as stderr:
                return subprocess.Popen(
                    list(job.command), cwd=job.home.path("run"), env=environment, stdin=subprocess.DEVNULL,
                    stdout=stdout, stderr=stderr, start_new_session=True,
                    user=uid, group=gid, extra_groups=[] if uid is not None and os.geteuid() == 0 else None,
                )  # fmt: skip
        except FileNotFoundError as error:
            mend = "install its package on this host, or declare an `image:`"
            raise Invalid(
                f"there is no program {error.filename}", where=f"replica/{job.replica}", mend=mend
            ) from None
        except PermissionError as error:
            mend = "its user must be able to reach the program and the folder above it (chmod o+x)"
            raise Invalid(
                f"may not start {error.filename}", where=f"replica/{job.replica}", mend=mend
            ) from None

    def stop(self, main: Main, group: Group | None, signal_name: str, grace_s: float) -> None:
        end(main, group, signal_name, grace_s)
        self.exit_code(main)

    def exit_code(self, main: Main) -> int | None:
        """Of our own child, reaped here; of one that was adopted nobody can know."""
        with self._lock:
            child = self._children.get(main.pid)
            if child is not None:
                code = child.poll()
                if code is not None:
                    del self._children[main.pid]
                    self._codes[main.pid, main.ticks] = code
            return self._codes.get((main.pid, main.ticks))

    def run(self, job: Job, timeout_s: float, line: Callable[[str], None]) -> tuple[int, str]:
        out = job.home.path("logs") / f"{job.name.rpartition(':')[2]}.log"
        out.unlink(missing_ok=True)
        child = self._spawn(job, out, out)
        seen = proc.stat(child.pid)
        group = self._group(job.name.replace(":", "."))
        if group is not None:
            group.take([child.pid])
        deadline, told = time.monotonic() + timeout_s, ""
        while True:
            try:
                code = child.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                said = tail(out, lines=1)
                if said and said != told:
                    told = said
                    line(said)
                if time.monotonic() > deadline and seen is not None:
                    end(Main(self.name, child.pid, seen.ticks, ""), group, "SIGTERM", 5.0)
                    code = child.wait()
                    break
        if group is not None:
            group.kill()
            group.remove()
        return code, tail(out, lines=12)

    def strays(self, known: Mapping[str, Main]) -> dict[str, tuple[str, int]]:
        found = {}
        for pid, replica, _ in self._marked():
            main = known.get(replica)
            if main is not None and main.runtime == self.name:
                group = self._group(replica)
                family = {main.pid, *proc.descendants(main.pid), *(group.pids() if group else ())}
                if pid in family:
                    continue
            found[f"process:{pid}"] = (replica, pid)
        return found

    def adopt(self, replica: str, unit_hash: str) -> Main | None:
        for pid, name, mark in self._marked():
            seen = proc.stat(pid)
            if name == replica and mark == unit_hash and seen is not None and seen.state not in "ZX":
                return Main(self.name, pid, seen.ticks, proc.boot_id())
        return None

    def collect(self, handle: str) -> None:
        pid = int(handle.partition(":")[2])
        # Asked again: between the report and this order the pid may have become another's.
        if any(pid == marked for marked, _, _ in self._marked()):
            for each in (*proc.descendants(pid), pid):
                kill(each)

    def _marked(self) -> list[tuple[int, str, str]]:
        """(pid, replica, unit hash) of the session leaders that carry this agent's marks."""
        found = []
        for pid in proc.pids():
            seen = proc.stat(pid)
            if seen is None or seen.session != pid or seen.state in "ZX":
                continue
            marks = proc.environment(pid)
            if marks.get("WEATHERGLASS_STATE") == self._mark and "WEATHERGLASS_REPLICA" in marks:
                found.append((pid, marks["WEATHERGLASS_REPLICA"], marks.get("WEATHERGLASS_UNIT", "")))
        return found
