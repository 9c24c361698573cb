"""What the agent itself costs, from /proc/self: told in every heartbeat and as samples."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from weatherglass.agent.remote_write import Sample

PSS_EVERY_S = 30.0
"""The kernel walks the page tables for it; memory moves slowly."""


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


TOLD: dict[str, tuple[str, str]] = {
    "pss_bytes": ("gauge", "Memory of the agent: its own and its share of what it shares."),
    "cpu_seconds": ("counter", "CPU the agent has used."),
    "spool_bytes": ("gauge", "What the spool holds on disk."),
    "spool_waiting": ("gauge", "Batches that the server has not acknowledged."),
    "spool_dropped": ("counter", "Batches dropped because the spool was full: data lost."),
    "heartbeats": ("counter", "Heartbeats that arrived."),
    "heartbeat_failures": ("counter", "Heartbeats that did not."),
    "batches": ("counter", "Batches of samples and events that the server acknowledged."),
    "send_failures": ("counter", "Times the server did not take a batch for now."),
    "refused_batches": ("counter", "Batches the server decided against: data lost."),
    "events": ("counter", "Log events read."),
    "lost_files": ("counter", "Log files that were gone before they were read to their end."),
    "work_items": ("counter", "Items of work received."),
    "collector_errors": ("counter", "Collectors that could not be read, rounds that could not be kept."),
}
"""What an agent says of itself: in heartbeats under these names, as samples with `weatherglass_agent_` before."""


def sample_name(name: str) -> str:
    return f"weatherglass_agent_{name}" + ("_total" if TOLD[name][0] == "counter" else "")


def as_samples(told: Mapping[str, float]) -> Iterator[Sample]:
    """The samples of what a heartbeat says."""
    for name, value in told.items():
        yield Sample(sample_name(name), (), value)
