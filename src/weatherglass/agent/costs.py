"""What the agent itself costs, from /proc/self: told in every heartbeat and as samples."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from weatherglass.agent.remote_write import Sample

PSS_EVERY_S = 30.0
"""The kernel walks the page tables for it (0.5 ms here); memory moves slowly."""


def parse_pss(rollup: str) -> int:
    """Bytes of the `Pss:` line of a smaps_rollup."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class Costs:
    """Memory and CPU of this process."""

    def __init__(self) -> None:
        self._pss, self._due = 0, 0.0

    def now(self) -> dict[str, float]:
        """`pss_bytes` and `cpu_seconds` (children that ended are not counted)."""
        if time.monotonic() >= self._due:
            self._pss = parse_pss(Path("/proc/self/smaps_rollup").read_text())
            self._due = time.monotonic() + PSS_EVERY_S
        return {"pss_bytes": float(self._pss), "cpu_seconds": time.process_time()}


COUNTERS = frozenset(
    [
        "cpu_seconds",
        "heartbeats",
        "heartbeat_failures",
        "batches",
        "send_failures",
        "refused_batches",
        "spool_dropped",
        "work_items",
        "lines",
        "collector_errors",
        "scrape_errors",
    ]
)


def as_samples(told: Mapping[str, float]) -> Iterator[Sample]:
    """`weatherglass_agent_…` samples of what a heartbeat says; counters end in `_total`."""
    for name, value in told.items():
        yield Sample(f"weatherglass_agent_{name}" + ("_total" if name in COUNTERS else ""), (), value)
