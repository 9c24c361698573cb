"""What the host says of itself: a table of collectors, one idea a file, under node-exporter's names.

A collector is a plain function from the roots of /proc and /sys to samples. It keeps nothing between calls; a
file that is missing (an old kernel, a container) makes it say less, never fail the round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from weatherglass.agent.collectors.cpu import cpu
from weatherglass.agent.collectors.disk import disk
from weatherglass.agent.collectors.filesystem import filesystem
from weatherglass.agent.collectors.kernel import kernel
from weatherglass.agent.collectors.load import load
from weatherglass.agent.collectors.memory import memory
from weatherglass.agent.collectors.network import network
from weatherglass.agent.collectors.pressure import pressure
from weatherglass.agent.remote_write import Sample


class Collector(NamedTuple):
    """One source of host samples: the function, and what it tells in a sentence."""

    read: Callable[[Path], Iterable[Sample]]
    doc: str


COLLECTORS: dict[str, Collector] = {
    "cpu": Collector(cpu, "Seconds of each CPU by mode, from /proc/stat."),
    "memory": Collector(memory, "/proc/meminfo in bytes."),
    "load": Collector(load, "Load averages over 1, 5 and 15 minutes."),
    "disk": Collector(disk, "Requests, bytes and busy time of each block device, from /proc/diskstats."),
    "filesystem": Collector(filesystem, "Size, free space and read-only state of mounted file systems."),
    "network": Collector(network, "Bytes, packets, errors and drops of each interface."),
    "pressure": Collector(pressure, "Pressure stall seconds of CPU, memory and I/O."),
    "kernel": Collector(kernel, "Boot time, context switches, running tasks, open files."),
}


def host_samples(proc: Path = Path("/proc"), failed: Counter[str] | None = None) -> Iterator[Sample]:
    """Every collector's samples; one that cannot be read is counted in `failed` and passed over."""
    for name, collector in COLLECTORS.items():
        try:
            yield from collector.read(proc)
        except (OSError, ValueError, IndexError):
            if failed is not None:
                failed[name] += 1


def families(proc: Path = Path("/proc")) -> dict[str, tuple[str, str]]:
    """`{metric: (type, help)}` of every collector: counters end in `_total`, the rest are gauges."""
    told = {}
    for collector in COLLECTORS.values():
        try:
            for sample in collector.read(proc):
                told[sample.name] = (kind_of(sample.name), collector.doc)
        except (OSError, ValueError, IndexError):
            continue  # counted where its samples are asked for
    return told


def kind_of(name: str) -> str:
    return "counter" if name.endswith("_total") else "gauge"
