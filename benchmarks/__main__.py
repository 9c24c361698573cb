"""`make bench`: every figure of docs/performance.md, one program after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

PROGRAMS: dict[str, tuple[str, ...]] = {
    "metrics_ingest": ("--hosts", "20", "--points", "2880", "--rounds", "4"),
    "metrics_gnocchi": (),
    "metrics_queries": (),
    "metrics_mixed": (),
    "metrics_scale": (),
    "metrics_scrape": (),
    "logs_store": ("--events", "40000", "--rounds", "3"),
    "logs_templates": ("--repeat", "25"),
    "logs_peers": ("--events", "1000000"),
    "network_compile": (),
    "shares_guard": (),
    "shares_verify": (),
    "pipelines_scale": ("--trials", "40"),
    "pipelines_profiler": ("--runs", "9"),
    "server_start": ("--runs", "10"),
    "agent_rest": ("--seconds", "600"),
    "drills": ("--runs", "10"),
}
QUICK: dict[str, tuple[str, ...]] = {
    "metrics_ingest": ("--hosts", "5", "--points", "1440", "--rounds", "2"),
    "metrics_gnocchi": ("--metrics", "20", "--live", "4", "--batched", "1", "--count", "0"),
    "metrics_queries": ("--hosts", "5", "--points", "1440", "--repeat", "3", "--small", "300"),
    "metrics_mixed": ("--hosts", "5", "--points", "1440", "--rounds", "2", "--writes", "150"),
    "metrics_scale": ("--series", "1000,10000", "--points", "120"),
    "metrics_scrape": ("--targets", "4", "--seconds", "10"),
    "logs_store": ("--events", "10000", "--rounds", "1"),
    "logs_templates": ("--repeat", "2"),
    "logs_peers": ("--events", "20000"),
    "network_compile": ("--nodes", "10"),
    "shares_guard": ("--gigabytes", "0.5", "--rounds", "1"),
    "shares_verify": ("--tenants", "200"),
    "pipelines_scale": ("--trials", "8"),
    "pipelines_profiler": ("--runs", "3"),
    "server_start": ("--runs", "3"),
    "agent_rest": ("--seconds", "60"),
    "drills": ("--runs", "2"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument(
        "names", nargs="*", help=f"which ones: {', '.join(PROGRAMS)}; all where none is named"
    )
    parser.add_argument("--room", default="", help="all of one room: metrics, logs, …")
    parser.add_argument("--quick", action="store_true", help="small runs, to see that they work")
    options = parser.parse_args()
    failed = 0
    rooms = [name for name in PROGRAMS if name.startswith(f"{options.room}_")]
    if not rooms and options.room:
        parser.error(f"no benchmark of {options.room}; there are {', '.join(PROGRAMS)}")
    for name in options.names or (rooms if options.room else PROGRAMS):
        began = time.monotonic()
        print(f"\n=== {name} " + "=" * (76 - len(name)), flush=True)
        arguments = (QUICK if options.quick else PROGRAMS)[name]
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode
            != 0
        )
        print(f"--- {name}: {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
