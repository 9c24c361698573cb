"""Load averages, from /proc/loadavg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample


def parse_load(loadavg: str) -> Iterator[Sample]:
    for name, value in zip(("node_load1", "node_load5", "node_load15"), loadavg.split(), strict=False):
        yield Sample(name, (), float(value))


def load(proc: Path) -> Iterator[Sample]:
    return parse_load((proc / "loadavg").read_text())
