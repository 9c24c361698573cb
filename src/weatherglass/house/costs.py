"""What the house itself uses: cores, memory, bytes a day. Read from /proc; shown on the settings page."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")


def process_cost(pid: int) -> tuple[float, int]:
    """(CPU seconds so far, proportional memory in bytes) of one process; zeros when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        fields = stat[stat.rindex(")") + 2 :].split()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (OSError, ValueError):
        return 0.0, 0
    pss = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return (int(fields[11]) + int(fields[12])) / _TICK, pss * 1024


class Costs:
    """Costs of the server and of the agent beside it, cores over the time since the last look (at least 5 s)."""

    def __init__(self, agent_pid: Callable[[], int], stored_bytes: Callable[[], int]) -> None:
        self._agent_pid, self._stored = agent_pid, stored_bytes
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._first_bytes = stored_bytes()
        self._last: tuple[float, dict[str, float]] = (0.0, {})
        self._shown: Mapping[str, Any] = {}

    def __call__(self) -> Mapping[str, Any]:
        """`cores`, `memory_bytes`, `bytes_per_day`, and the same per process (`processes`)."""
        with self._lock:
            now = time.monotonic()
            if self._shown and now - self._last[0] < 5:
                return self._shown
            processes, used = {}, {}
            for name, pid in (("server", os.getpid()), ("agent", self._agent_pid())):
                cpu, pss = process_cost(pid) if pid else (0.0, 0)
                used[name] = cpu
                since = now - (self._last[0] or self._began)
                before = self._last[1].get(name, cpu if not self._last[0] else 0.0)
                processes[name] = {"cores": max(0.0, cpu - before) / max(since, 0.001), "memory_bytes": pss}
            self._last = now, used
            days = (now - self._began) / 86400
            grown = max(0, self._stored() - self._first_bytes)
            self._shown = {
                "cores": sum(one["cores"] for one in processes.values()),
                "memory_bytes": sum(int(one["memory_bytes"]) for one in processes.values()),
                "bytes_per_day": grown / days if now - self._began > 60 else 0.0,
                "processes": processes,
            }
            return self._shown
