"""The shell that an engine runs a task in: the real shell, measured over its whole process tree.

A program by itself (`python -I -S task.py -c COMMAND`), of the standard library alone: its start is part of every
task. Nothing is traced or preloaded: `/proc` is looked at, often at first and seldom later, and the kernel's own sums
are taken when the shell has ended. One JSON file a task goes into $WEATHERGLASS_TASKS.

What is exact: CPU (wait4, all descendants that were waited for), bytes (/proc/PID/io of the shell while it is a
zombie holds those of its reaped children), elapsed time, the largest process. What is sampled: memory of the tree,
time on the run queue and in uninterruptible sleep; what passes between two looks is not seen.
"""

import hashlib
import json
import os
import select
import signal
import socket
import sys
import time

FIRST_S, GROWTH, SLOWEST_S = 0.005, 1.8, 1.0
COSTLY = 0.003  # share of the task's time that looking at memory maps may take
MOST_POINTS = 240
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Direct children, by the kernel's own list."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(one) for one in file.read().split()]
    except OSError:
        return found
    return found


def tree(root: int) -> list[int]:
    found, at = [root], 0
    while at < len(found):
        found += children(found[at])
        at += 1
    return found


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


class Sampled:
    """What looks at the tree have seen so far."""

    def __init__(self) -> None:
        self.waits: dict[
            tuple[int, str], int
        ] = {}  # (pid, thread) → ns on the run queue; the last seen is kept when it ends
        self.peak_rss = self.peak_pss = 0
        self.blocked_s = 0.0
        self.most_processes = self.most_threads = 0
        self.points: list[tuple[float, int, int]] = []
        self.last = time.monotonic()
        self.maps_s = 0.0

    def look(self, root: int, began: float) -> None:
        now = time.monotonic()
        passed, self.last = now - self.last, now
        rss = threads = blocked = runnable = 0
        found = tree(root)
        for pid in found:
            try:
                ids = os.listdir(f"/proc/{pid}/task")
            except OSError:
                continue
            for one in ids:
                parts = read(f"/proc/{pid}/task/{one}/schedstat").split()
                if len(parts) == 3:
                    self.waits[pid, one] = int(parts[1])
                stat = read(f"/proc/{pid}/task/{one}/stat")
                state = stat[stat.rfind(")") + 2 : stat.rfind(")") + 3]
                blocked += state == "D"
                runnable += state == "R"
            threads += len(ids)
            memory = read(f"/proc/{pid}/statm").split()
            rss += int(memory[1]) * PAGE if len(memory) > 1 else 0
        # A task waits for its disk when some thread does and none could run.
        self.blocked_s += passed if blocked and not runnable else 0.0
        self.peak_rss = max(self.peak_rss, rss)
        self.most_threads = max(self.most_threads, threads)
        self.most_processes = max(self.most_processes, len(found))
        elapsed = now - began
        if elapsed > 0.2 and self.maps_s < COSTLY * elapsed and rss > self.peak_pss:
            before = time.process_time()
            self.peak_pss = max(self.peak_pss, sum(pss(pid) for pid in found))
            self.maps_s += time.process_time() - before
        self.points.append((round(elapsed, 3), rss, threads))
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]


def pss(pid: int) -> int:
    for line in read(f"/proc/{pid}/smaps_rollup").split("\n"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cgroup_limits() -> tuple[int, int]:
    """(memory limit in bytes or 0, OOM kills so far) of this process' cgroup, version 2 or 1."""
    v2, v1 = "", ""
    for line in read("/proc/self/cgroup").split("\n"):
        parts = line.split(":", 2)
        if len(parts) == 3 and parts[0] == "0" and not parts[1]:
            v2 = f"/sys/fs/cgroup{parts[2]}"
        elif len(parts) == 3 and "memory" in parts[1].split(","):
            v1 = f"/sys/fs/cgroup/memory{parts[2]}"
    limit = read(f"{v2}/memory.max").strip() if v2 else ""
    events = read(f"{v2}/memory.events")
    if v1 and not limit:
        limit, events = read(f"{v1}/memory.limit_in_bytes").strip(), read(f"{v1}/memory.oom_control")
    kills = sum(int(line.split()[1]) for line in events.split("\n") if line.startswith("oom_kill "))
    return (int(limit) if limit.isdigit() and int(limit) < 1 << 60 else 0), kills


def main() -> None:
    shell = os.environ.get("WEATHERGLASS_SHELL", "/bin/bash")
    folder = os.environ.get("WEATHERGLASS_TASKS", "")
    arguments = [shell, *sys.argv[1:]]
    if not folder:
        os.execv(shell, arguments)
    limit, kills = cgroup_limits()
    started_ns, began = time.time_ns(), time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            os.execv(shell, arguments)
        finally:
            os._exit(127)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, frame: os.kill(pid, number))
    sampled = Sampled()
    ended = select.poll()
    ended.register(os.pidfd_open(pid), select.POLLIN)
    pause = FIRST_S
    while not ended.poll(pause * 1000):
        sampled.look(pid, began)
        pause = min(pause * GROWTH, SLOWEST_S)
    # Ended and not yet reaped: the kernel still has the sums of all it reaped itself.
    lines = read(f"/proc/{pid}/io").split("\n")
    io = {line.split(":")[0]: int(line.split(":")[1]) for line in lines if ":" in line}
    for one in os.listdir(f"/proc/{pid}/task"):
        parts = read(f"/proc/{pid}/task/{one}/schedstat").split()
        if len(parts) == 3:
            sampled.waits[pid, one] = int(parts[1])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    own = os.times()
    write(
        folder,
        started_ns,
        {
            "command": hashlib.sha256(sys.argv[-1].encode("utf-8", "surrogateescape")).hexdigest(),
            "text": sys.argv[-1][:4000],
            "started_ns": started_ns,
            "seconds": seconds,
            "user_s": usage.ru_utime,
            "system_s": usage.ru_stime,
            "run_wait_s": sum(sampled.waits.values()) / 1e9,
            "io_wait_s": sampled.blocked_s,
            "max_rss": usage.ru_maxrss * 1024,
            "tree_rss": max(sampled.peak_rss, usage.ru_maxrss * 1024),
            "tree_pss": sampled.peak_pss,
            "processes": sampled.most_processes,
            "threads": sampled.most_threads,
            "read_bytes": io.get("read_bytes", usage.ru_inblock * 512),
            "write_bytes": io.get("write_bytes", usage.ru_oublock * 512),
            "read_chars": io.get("rchar", 0),
            "write_chars": io.get("wchar", 0),
            "switched": usage.ru_nivcsw,
            "gave_up": usage.ru_nvcsw,
            "exit": os.waitstatus_to_exitcode(status),
            "memory_limit": limit,
            "oom_kills": cgroup_limits()[1] - kills,
            "host": socket.gethostname(),
            "pid": pid,
            "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
            "profiler_s": own.user + own.system,
            "points": sampled.points,
        },
    )
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def write(folder: str, started_ns: int, found: dict[str, object]) -> None:
    """The measurement, whole or not at all. A full disk must not fail the task that was measured."""
    name = f"{folder}/{started_ns}-{os.getpid()}"
    try:
        with open(name + ".part", "w") as file:
            json.dump(found, file)
        os.replace(name + ".part", name + ".json")
    except OSError as error:
        sys.stderr.write(f"weatherglass: the task was not recorded: {error}\n")


if __name__ == "__main__":
    main()
