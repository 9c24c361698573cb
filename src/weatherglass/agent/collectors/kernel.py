"""The kernel's own counters: boot time, context switches, tasks, open files, the wall clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample

STAT_LINES = {
    "btime": "node_boot_time_seconds",
    "ctxt": "node_context_switches_total",
    "processes": "node_forks_total",
    "procs_running": "node_procs_running",
    "procs_blocked": "node_procs_blocked",
}


def parse_kernel(stat: str) -> Iterator[Sample]:
    for line in stat.splitlines():
        name, _, value = line.partition(" ")
        if name in STAT_LINES:
            yield Sample(STAT_LINES[name], (), int(value))


def kernel(proc: Path) -> Iterator[Sample]:
    yield from parse_kernel((proc / "stat").read_text())
    allocated, _, maximum = (proc / "sys/fs/file-nr").read_text().split()
    yield Sample("node_filefd_allocated", (), int(allocated))
    yield Sample("node_filefd_maximum", (), int(maximum))
    # The one clock that is read in a collector: the series exists to compare this host's clock with others'.
    yield Sample("node_time_seconds", (), time.time())
