"""Processes as /proc shows them: who a pid is, beyond doubt; how it fares. Reads only, a few syscalls each.

A pid alone names nobody: it is used again. A process is the pair (pid, start time in ticks since boot), under
one boot id.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """What is used of /proc/<pid>/stat. `state` is its letter: R S D T t Z X."""

    state: str
    ppid: int
    session: int
    ticks: int


def stat(pid: int) -> Stat | None:
    """None when there is no such process (any more)."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name stands in brackets and may hold spaces and brackets itself: fields count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def alive(pid: int, ticks: int) -> Stat | None:
    """The process that started at `ticks`, unless it is gone, a zombie, or the pid is another's by now."""
    seen = stat(pid) if pid > 1 else None
    return seen if seen and seen.ticks == ticks and seen.state not in "ZX" else None


def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def started_ns(ticks: int) -> int:
    """Nanoseconds since the epoch of a start time in ticks."""
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot_ns + ticks * 1_000_000_000 // _TICK


def pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def environment(pid: int) -> dict[str, str]:
    """The environment it was started with; empty when it may not be read."""
    try:
        pairs = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)


def command(pid: int) -> list[str]:
    try:
        return [os.fsdecode(word) for word in (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Its children and theirs, parents first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop(0)
        try:
            children = (PROC / str(parent) / "task" / str(parent) / "children").read_text().split()
        except OSError:
            continue
        found += map(int, children)
        queue += map(int, children)
    return found


def descriptors(pid: int) -> tuple[int, int]:
    """Open descriptors and their soft limit; (0, 0) when they may not be read."""
    try:
        used = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 (names alone, twice a second)
        for line in (PROC / str(pid) / "limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return used, int(soft) if soft.isdigit() else 0
    except OSError:
        pass
    return 0, 0


def resident(pid: int) -> int:
    """Bytes resident."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def memory_total() -> int:
    for line in (PROC / "meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def threads(pids: list[int]) -> int:
    """Tasks of these processes, as a pids limit counts them."""
    total = 0
    for pid in pids:
        try:
            total += len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 (names alone)
        except OSError:
            continue
    return total


def pids_allowed(pid: int) -> int:
    """The limit of its version-1 pids group; 0 when there is none."""
    try:
        for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "pids" and path != "/":
                most = Path("/sys/fs/cgroup/pids", path.lstrip("/"), "pids.max").read_text().strip()
                return int(most) if most.isdigit() else 0
    except OSError:
        pass
    return 0
