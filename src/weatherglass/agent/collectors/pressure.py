"""Pressure stall information (Documentation/accounting/psi.rst): seconds in which work waited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample

RESOURCES = ("cpu", "memory", "io")
KINDS = {"some": "waiting", "full": "stalled"}


def parse_pressure(text: str) -> dict[str, float]:
    """Seconds by kind (`waiting` for some, `stalled` for full) of one pressure file."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        told = KINDS.get(kind)
        for field in fields:
            if told and field.startswith("total="):
                totals[told] = int(field[6:]) / 1e6
    return totals


def pressure(proc: Path) -> Iterator[Sample]:
    for resource in RESOURCES:
        path = proc / "pressure" / resource
        if path.exists():
            for kind, seconds in parse_pressure(path.read_text()).items():
                yield Sample(f"node_pressure_{resource}_{kind}_seconds_total", (), seconds)
