"""Memory, from /proc/meminfo; names made the way node-exporter makes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample


def parse_memory(meminfo: str) -> Iterator[Sample]:
    """`MemTotal: 16 kB` is `node_memory_MemTotal_bytes` 16384; `Active(anon)` is `Active_anon`."""
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        value = rest.split()
        if not value:
            continue
        name = name.replace("(", "_").replace(")", "")
        if value[1:] == ["kB"]:
            yield Sample(f"node_memory_{name}_bytes", (), int(value[0]) * 1024)
        else:
            yield Sample(f"node_memory_{name}", (), int(value[0]))


def memory(proc: Path) -> Iterator[Sample]:
    return parse_memory((proc / "meminfo").read_text())
