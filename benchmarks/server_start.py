"""From exec to `/-/ready` on a warm state, and the imports it pays for.

    python -m benchmarks.server_start [--runs 10]

The state holds a site, an hour of samples of 2,000 series (720,000 each way through the log and sealed) and 50,000
events; no services. Wall time is what an operator waits for; CPU seconds are what can be trusted on a shared machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

GOAL_S = 2.0
SITE = """\
site: warm
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [web]}
services:
  web: {command: [python3, -m, http.server, "8080"], ports: {http: 8080}}
"""


def warm(state: Path) -> None:
    """Fill a state as an hour's work would."""
    from weatherglass.engine.protocols import RawEvent, Samples
    from weatherglass.house.build import House, Options

    state.mkdir()
    house = House(Options(state))
    house.start()
    now = time.time_ns()
    labels = [(("__name__", "m"), ("instance", f"i{n % 50}"), ("n", str(n))) for n in range(2000)]
    for part in range(12):
        times = [now // 1_000_000 - 3_600_000 + (part * 30 + k) * 10_000 for k in range(30)]
        values = [[float(n + k) for k in range(30)] for n in range(2000)]
        house.metrics.append("site", Samples(labels, [times] * 2000, values))
    for part in range(50):
        line = "2026-11-22 10:00:00.{:03d} 7 INFO keystone.server [-] request {} took 12 ms"
        events = [
            RawEvent(
                now + part * 1000 + k, (("service", "keystone"),), line.format(k % 1000, part * 1000 + k)
            )
            for k in range(1000)
        ]
        house.logs.write_raw("site", events)
    house.stop()


def once(state: Path, site: Path) -> tuple[float, float, float]:
    """(wall s to ready, CPU s to ready, resident MB)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    argv = [sys.executable, "-m", "weatherglass", "up", str(site), "--only", "server"]
    argv += ["--state", str(state), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=0.5).status_code == 200:
                    break
            except httpx.HTTPError:
                if process.poll() is not None:
                    raise SystemExit("the server ended before it was ready") from None
            time.sleep(0.02)
        wall = time.monotonic() - began
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        resident = (
            int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    return wall, cpu, resident


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="weatherglass-start-"))
    try:
        site = folder / "site.yaml"
        site.write_text(SITE)
        warm(folder / "state")
        once(folder / "state", site)  # byte code, page cache
        rows = [once(folder / "state", site) for _ in range(options.runs)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"exec to /-/ready, warm state, {options.runs} runs (goal {GOAL_S:.0f} s)")
    for name, column, unit in (("wall", 0, "s"), ("CPU", 1, "s"), ("resident", 2, "MB")):
        figures = [row[column] for row in rows]
        print(
            f"  {name:9} min {min(figures):7.2f}  median {statistics.median(figures):7.2f}  max {max(figures):7.2f} {unit}"
        )


if __name__ == "__main__":
    main()
