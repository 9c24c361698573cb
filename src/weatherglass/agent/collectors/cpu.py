"""CPU seconds by mode, from /proc/stat (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
TICKS = os.sysconf("SC_CLK_TCK")


def parse_cpu(stat: str) -> Iterator[Sample]:
    """`node_cpu_seconds_total{cpu,mode}` of every `cpuN` line."""
    for line in stat.splitlines():
        if line.startswith("cpu") and line[3:4].isdigit():
            name, *ticks = line.split()
            for mode, count in zip(MODES, ticks, strict=False):
                labels = (("cpu", name[3:]), ("mode", mode))
                yield Sample("node_cpu_seconds_total", labels, int(count) / TICKS)


def cpu(proc: Path) -> Iterator[Sample]:
    return parse_cpu((proc / "stat").read_text())
