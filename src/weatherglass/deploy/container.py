"""The `container` runtime: a replica in a podman container, asked for by the API, found by labels.

No restart policy: the reconciler is the only one who starts. Host networking; files, volumes and the replica's
own folders are bound in. Afterwards a container is one main process, watched by pid and start time as any other.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from weatherglass.base.errors import NotFound, Unavailable
from weatherglass.deploy import proc
from weatherglass.deploy.cgroups import Group
from weatherglass.deploy.memory import Main
from weatherglass.deploy.podman import Podman
from weatherglass.deploy.runtime import SETTLE_S, Job, end, kill, tail

AGENT, REPLICA, UNIT = "weatherglass.agent", "weatherglass.replica", "weatherglass.unit"
DELETE_TRIES = 20
_ID = re.compile(r"[0-9a-f]{64}")


class ContainerRuntime:
    """Replicas as containers. `tag` labels them as this agent's."""

    name = "container"

    def __init__(self, podman: Podman, tag: str, group: Callable[[str], Group | None]) -> None:
        self._podman, self._tag, self._group = podman, tag, group
        self._codes: dict[str, int | None] = {}

    def usable(self) -> str:
        return self._podman.usable()

    def start(self, job: Job) -> Main:
        log = job.home.path("logs") / "stdout.log"
        container = self._create(job, log)
        main = self._start(container, job)
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            if proc.alive(main.pid, main.ticks) is None:
                code, said = self.exit_code(main), plain(tail(log))
                raise Unavailable(
                    f"{job.name} ended at once with exit code {code}" + (f": {said}" if said else ""),
                    where=f"replica/{job.replica}",
                    mend=f"see {log}",
                )
            time.sleep(0.02)
        return main

    def _create(self, job: Job, log: Path) -> str:
        """A fresh container; one of the same name that was left over is taken away first."""
        self._clear(job.name)
        body: dict[str, Any] = {
            "name": container_name(self._tag, job.name),
            "image": job.image,
            "env": dict(job.environment),
            "labels": {AGENT: self._tag, REPLICA: job.name, UNIT: job.unit_hash},
            "netns": {"nsmode": "host"},
            "mounts": [
                {
                    "destination": inside,
                    "source": str(path.absolute()),
                    "type": "bind",
                    "options": ["rbind", "rw"],
                }
                for inside, path in (job.binds or {}).items()
            ],
            "log_configuration": {"driver": "k8s-file", "path": str(log.absolute())},
            "restart_policy": "no",
            "hostname": job.replica.partition("@")[0].replace(".", "-"),
        }
        if job.command:
            body["command"] = list(job.command)
            body["entrypoint"] = []
        if job.user:
            body["user"] = job.user
        return str(self._podman.call("POST", "/containers/create", body=body)["Id"])

    def _start(self, container: str, job: Job) -> Main:
        self._podman.call("POST", f"/containers/{container}/start")
        state = self._podman.call("GET", f"/containers/{container}/json")["State"]
        pid = int(state["Pid"])
        seen = proc.stat(pid) if pid else None
        if seen is None:  # it has ended already
            return Main(self.name, 0, 0, proc.boot_id(), container)
        group = self._group(job.name.replace(":", "."))
        if group is not None:
            group.take([pid])
        return Main(self.name, pid, seen.ticks, proc.boot_id(), container)

    def stop(self, main: Main, group: Group | None, signal_name: str, grace_s: float) -> None:
        end(main, group, signal_name, grace_s)
        self._delete(main.container)

    def _delete(self, container: str) -> None:
        """Gone on return. Podman refuses for a moment while conmon's own clean-up is at the same container."""
        for attempt in range(DELETE_TRIES):
            try:
                query = {"force": "true", "timeout": "0"}
                self._podman.call("DELETE", f"/containers/{container}", query=query, good=(200, 204, 404))
                return
            except Unavailable:
                if attempt == DELETE_TRIES - 1:
                    raise
                time.sleep(0.1)

    def _clear(self, name: str) -> None:
        """Take away whatever holds the name: exited, created and not startable, or running for nobody."""
        self._delete(container_name(self._tag, name))

    def exit_code(self, main: Main) -> int | None:
        """Asked of podman once; conmon needs a moment to write it down."""
        if main.container not in self._codes:
            code: int | None = None
            for _ in range(20):
                try:
                    state = self._podman.call("GET", f"/containers/{main.container}/json")["State"]
                except (NotFound, Unavailable):
                    break
                if state["Status"] not in ("running", "stopping"):
                    code = int(state["ExitCode"])
                    break
                time.sleep(0.05)
            self._codes[main.container] = code
        return self._codes[main.container]

    def run(self, job: Job, timeout_s: float, line: Callable[[str], None]) -> tuple[int, str]:
        log = job.home.path("logs") / f"{job.name.rpartition(':')[2]}.log"
        log.unlink(missing_ok=True)
        container = self._create(job, log)
        try:
            main = self._start(container, job)
            deadline, told = time.monotonic() + timeout_s, ""
            while main.pid and proc.alive(main.pid, main.ticks) is not None:
                time.sleep(0.1)
                said = plain(tail(log, lines=1))
                if said and said != told:
                    told = said
                    line(said)
                if time.monotonic() > deadline:
                    end(main, None, "SIGTERM", 5.0)
            code = self.exit_code(main)
            return -1 if code is None else code, plain(tail(log, lines=12))
        finally:
            self._delete(container)

    def strays(self, known: Mapping[str, Main]) -> dict[str, tuple[str, int]]:
        """Containers under our label that nobody remembers, and live ones that podman has forgotten."""
        monitors = self._monitors()
        here = monitors or any(main.container for main in known.values()) or self._podman.serving()
        if not here or self.usable():  # a host without containers is not made to run podman's service
            return {}
        found, listed = {}, set()
        query = {"all": "true", "filters": f'{{"label":["{AGENT}={self._tag}"]}}'}
        for seen in self._podman.call("GET", "/containers/json", query=query) or []:
            replica, container = seen["Labels"][REPLICA], seen["Id"]
            listed.add(container)
            main = known.get(replica)
            if main is None or main.container != container:
                found[f"container:{container}"] = (replica, int(seen.get("Pid") or 0))
        for container, (replica, pid) in monitors.items():
            if container not in listed:
                found[f"container:{container}"] = (replica, pid)
        return found

    def _monitors(self) -> dict[str, tuple[str, int]]:
        """{container: (replica, conmon's pid)} of the conmon processes that watch containers of our naming.

        `podman ps -a` does not show what a podman that was killed amid `run` left alive; conmon's command line does.
        """
        found = {}
        for pid in proc.pids():
            words = proc.command(pid)
            if not words or Path(words[0]).name != "conmon":
                continue
            options = dict(pairwise(words))
            name, container = options.get("-n", ""), options.get("-c", "")
            if name.startswith(f"wg-{self._tag}-") and _ID.fullmatch(container):
                found[container] = (name.removeprefix(f"wg-{self._tag}-").replace("_at_", "@"), pid)
        return found

    def adopt(self, replica: str, unit_hash: str) -> Main | None:
        try:
            seen = self._podman.call("GET", f"/containers/{container_name(self._tag, replica)}/json")
        except NotFound:
            return None
        pid = int(seen["State"]["Pid"])
        stat = proc.stat(pid) if pid else None
        if stat is None or seen["Config"]["Labels"].get(UNIT) != unit_hash:
            return None
        return Main(self.name, pid, stat.ticks, proc.boot_id(), seen["Id"])

    def collect(self, handle: str) -> None:
        container = handle.partition(":")[2]
        self._delete(container)
        for watched, (_, monitor) in self._monitors().items():
            if watched == container:
                for pid in (*proc.descendants(monitor), monitor):
                    kill(pid)
        # runc's children are conmon's no more when conmon was killed too: the container's groups still name it.
        for pid in proc.pids():
            if pid != os.getpid() and _in_container(pid, container):
                kill(pid)


def _in_container(pid: int, container: str) -> bool:
    try:
        return f"libpod-{container}" in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def container_name(tag: str, name: str) -> str:
    """`wg-<agent>-keystone.1_at_ctl-1`: what podman accepts as a name."""
    return f"wg-{tag}-{name.replace('@', '_at_').replace(':', '.')}"


def plain(text: str) -> str:
    """Lines of a k8s-file log without what it puts in front (`<time> stdout F `)."""
    return "\n".join(
        parts[3] if len(parts := line.split(" ", 3)) == 4 else line for line in text.splitlines()
    )
