"""What an agent costs that has nothing to do: PSS and CPU of a real agent process against a real HTTP sink.

    python benchmarks/agent_rest.py [--seconds 600] [--probes 3] [--logs 5]

It beats, collects every five seconds, probes and watches a few quiet log files, as it does on any host. The
first seconds (imports, first round) are told apart: rest begins after them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from agent import agent_process
from agent.agent_sink import Sink

GOAL_PSS_MB, GOAL_CPU = 60.0, 0.01
SETTLE_S = 8.0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no Pss line")


def switches(pid: int) -> int:
    """Voluntary context switches of all its threads: its wake-ups."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def measure(seconds: float, probes: int, logs: int) -> list[tuple[str, str, str]]:
    """Rows of (what, measured, goal)."""
    with tempfile.TemporaryDirectory() as folder, Sink(keep=False) as sink:
        sink.keepalive_s = 5.0
        root = Path(folder)
        for number in range(logs):
            (root / f"service-{number}.log").write_text(
                "2026-11-22 10:00:00.000 1 INFO a.b [-] started\n" * 100
            )
        began = time.monotonic()
        agent = agent_process.start(sink.url, root)
        try:
            sink.wait(lambda: sink.heartbeats)
            ready = time.monotonic() - began
            address = f"127.0.0.1:{sink.port}"
            specs = [{"entity": f"service/s{n}", "kind": "tcp", "address": address} for n in range(probes)]
            sink.send("probes", {"probes": specs})
            sink.send("collect", {"logs": [{"globs": [f"{folder}/*.log"], "labels": {"service": "s"}}]})
            time.sleep(SETTLE_S)
            start, cpu, woken = time.monotonic(), cpu_seconds(agent.pid), switches(agent.pid)
            first, highest = pss_mb(agent.pid), 0.0
            while time.monotonic() - start < seconds:
                time.sleep(min(10.0, seconds))
                highest = max(highest, pss_mb(agent.pid))
                sink.heartbeats = sink.heartbeats[-1:]
            took = time.monotonic() - start
            spent, wakes = cpu_seconds(agent.pid) - cpu, (switches(agent.pid) - woken) / took
        finally:
            code, said = agent_process.end(agent)
        if code:
            raise SystemExit(f"the agent ended with {code}: {said}")
    share = spent / took
    return [
        ("time", f"{took:.0f} s", ""),
        ("first heartbeat after", f"{ready:.2f} s", ""),
        ("PSS, highest", f"{highest:.1f} MB" + verdict(highest <= GOAL_PSS_MB), f"≤ {GOAL_PSS_MB:.0f} MB"),
        ("PSS, growth since settled", f"{highest - first:+.1f} MB", ""),
        ("CPU", f"{share:.2%} of a core" + verdict(share <= GOAL_CPU), f"≤ {GOAL_CPU:.0%}"),
        ("wake-ups", f"{wakes:.1f} /s", ""),
    ]


def verdict(good: bool) -> str:
    return "" if good else "  MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--probes", type=int, default=3)
    parser.add_argument("--logs", type=int, default=5)
    asked = parser.parse_args()
    rows = [("agent at rest", "measured", "goal"), *measure(asked.seconds, asked.probes, asked.logs)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
