"""What each replica uses: its whole process tree added up, its cgroup's pressure where it has one of its own.

Memory is the sum of resident sets: pages that the processes of a tree share are counted for each. PSS would be
exact, but costs the kernel a walk of all page tables every five seconds; where a replica has a version-1
memory cgroup of its own (a container), that is exact for free and is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from weatherglass.agent.collectors.cpu import TICKS
from weatherglass.agent.collectors.pressure import KINDS, RESOURCES, parse_pressure
from weatherglass.agent.remote_write import Sample
from weatherglass.base.errors import Invalid
from weatherglass.base.ids import split_replica
from weatherglass.deploy import proc
from weatherglass.engine.protocols import ReplicaSeen, Running

TOLD: dict[str, str] = {
    "up": "1 while its main process runs.",
    "restarts_total": "How often it was started again.",
    "cpu_seconds_total": "CPU of its processes.",
    "memory_bytes": "Resident memory of its processes, or its memory cgroup's.",
    "io_read_bytes_total": "Bytes its processes read from storage.",
    "io_written_bytes_total": "Bytes its processes wrote to storage.",
    "threads": "Threads of its processes.",
    "open_fds": "Open descriptors of its processes.",
    "processes": "Its processes.",
    **{
        f"pressure_{resource}_{kind}_seconds_total": f"Seconds in which its tasks were {kind} for {resource}."
        for resource in RESOURCES
        for kind in KINDS.values()
    },
}
"""What is said of each replica, with `weatherglass_replica_` before."""

PAGE = os.sysconf("SC_PAGE_SIZE")
ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


@dataclass
class Usage:
    """Sums over a process tree."""

    cpu_s: float = 0.0
    memory: int = 0
    read: int = 0
    written: int = 0
    threads: int = 0
    open_fds: int = 0
    processes: int = 0


def parse_stat(stat: str) -> tuple[float, int, int]:
    """CPU seconds (own and of children it waited for), threads, resident bytes of a /proc/PID/stat."""
    fields = stat[stat.rindex(")") + 2 :].split()
    return sum(map(int, fields[11:15])) / TICKS, int(fields[17]), int(fields[21]) * PAGE


def parse_io(io: str) -> tuple[int, int]:
    """Bytes that reached or left storage, of a /proc/PID/io."""
    told = dict(line.split(": ") for line in io.splitlines())
    return int(told["read_bytes"]), int(told["write_bytes"])


def tree_usage(pid: int) -> Usage:
    """The sums over a process and all it started. Processes that end meanwhile are left out."""
    usage = Usage()
    for each in (pid, *proc.descendants(pid)):
        base = Path(f"/proc/{each}")
        try:
            cpu_s, threads, resident = parse_stat((base / "stat").read_text(errors="replace"))
            read, written = parse_io((base / "io").read_text())
            open_fds = len(os.listdir(base / "fd"))  # noqa: PTH208 - names alone
        except (OSError, ValueError, KeyError, IndexError):
            continue
        usage.cpu_s += cpu_s
        usage.threads += threads
        usage.memory += resident
        usage.read += read
        usage.written += written
        usage.open_fds += open_fds
        usage.processes += 1
    return usage


def parse_cgroups(text: str) -> dict[str, str]:
    """Controller → path of a /proc/PID/cgroup; the unified hierarchy under the empty name."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


class Replicas:
    """Samples of replicas. Counters of a replica never fall while its process lives."""

    def __init__(self) -> None:
        self._own = self._cgroups(os.getpid())
        self._highest: dict[tuple[str, int], Usage] = {}

    def samples(self, seen: Sequence[ReplicaSeen]) -> Iterator[Sample]:
        """What every replica uses now; `up` 0 or 1 for each, the rest only for those that have a process."""
        highest = {}
        for replica in seen:
            try:
                service, _, _ = split_replica(replica.replica)
            except Invalid:
                continue
            labels = (("replica", replica.replica), ("service", service))
            yield Sample("weatherglass_replica_up", labels, float(replica.state is Running.RUNNING))
            yield Sample("weatherglass_replica_restarts_total", labels, replica.restarts)
            if replica.state not in (Running.RUNNING, Running.STOPPED) or replica.pid <= 1:
                continue
            usage = tree_usage(replica.pid)
            if not usage.processes:
                continue
            self._rise(usage, self._highest.get((replica.replica, replica.pid)))
            highest[(replica.replica, replica.pid)] = usage
            groups = self._cgroups(replica.pid)
            memory = self._group_memory(groups) or usage.memory
            yield Sample("weatherglass_replica_cpu_seconds_total", labels, usage.cpu_s)
            yield Sample("weatherglass_replica_memory_bytes", labels, memory)
            yield Sample("weatherglass_replica_io_read_bytes_total", labels, usage.read)
            yield Sample("weatherglass_replica_io_written_bytes_total", labels, usage.written)
            yield Sample("weatherglass_replica_threads", labels, usage.threads)
            yield Sample("weatherglass_replica_open_fds", labels, usage.open_fds)
            yield Sample("weatherglass_replica_processes", labels, usage.processes)
            yield from self._pressure(groups, labels)
        self._highest = highest

    @staticmethod
    def _rise(usage: Usage, before: Usage | None) -> None:
        # A child that ends without being waited for by the tree takes its share along: the sum must not fall.
        if before is not None:
            usage.cpu_s = max(usage.cpu_s, before.cpu_s)
            usage.read = max(usage.read, before.read)
            usage.written = max(usage.written, before.written)

    @staticmethod
    def _cgroups(pid: int) -> dict[str, str]:
        try:
            return parse_cgroups(Path(f"/proc/{pid}/cgroup").read_text())
        except (OSError, ValueError):
            return {}

    def _group_memory(self, groups: dict[str, str]) -> int:
        path = groups.get("memory", "/")
        if path in ("/", self._own.get("memory")):
            return 0
        folder = ROOTS[1] / "memory" / path.lstrip("/")
        try:
            used = int((folder / "memory.usage_in_bytes").read_text())
            for line in (folder / "memory.stat").read_text().splitlines():
                if line.startswith("total_inactive_file "):
                    return max(0, used - int(line.split()[1]))
        except (OSError, ValueError):
            return 0
        return used

    def _pressure(self, groups: dict[str, str], labels: tuple[tuple[str, str], ...]) -> Iterator[Sample]:
        path = groups.get("", "/")
        if path in ("/", self._own.get("")):
            return
        for root in ROOTS:
            folder = root / path.lstrip("/")
            if not (folder / "cpu.pressure").exists():
                continue
            for resource in RESOURCES:
                try:
                    told = parse_pressure((folder / f"{resource}.pressure").read_text())
                except (OSError, ValueError):
                    continue
                for kind, seconds in told.items():
                    yield Sample(
                        f"weatherglass_replica_pressure_{resource}_{kind}_seconds_total", labels, seconds
                    )
            return
