"""How long the house takes to see, name and mend a store that is killed, and one that hangs.

    python -m benchmarks.drills [--runs 10] [--state DIR]

`--runs` of each, in turns, on the example (brought up on ports of its own, and taken down), or on the house that runs
on DIR. Between runs it rests, so that no restart counts as one that did not hold. As root, with podman.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REST_S = 22.0
DRILLS = ("kill-store", "hang-store")
KINDS = {"kill-store": "dead", "hang-store": "hung"}
GOALS = {("kill-store", "seen_s"): 6.0, ("kill-store", "healed_s"): 20.0, ("hang-store", "healed_s"): 40.0}
COLUMNS = {"seen_s": "seen", "named_s": "cause named", "healed_s": "healed"}


@contextmanager
def example() -> Iterator[Path]:
    """The example on a state of its own, until it is left."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))
    from example import copy_example
    from institute import House

    with tempfile.TemporaryDirectory(prefix="weatherglass-drills-") as folder:
        site, _ = copy_example(Path(folder), "first-light-bench")
        house = House(site, Path(folder) / "state")
        try:
            print(f"first start: READY after {house.start(timeout_s=300):.0f} s", flush=True)
            yield house.state
        finally:
            house.down()


def drill(name: str, state: Path) -> dict[str, Any] | None:
    """The report of one run; None where it could not begin or end."""
    argv = [sys.executable, "-m", "weatherglass", "drill", "run", name, "--json", "--state", str(state)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout:
        print(f"{name} did not run: {done.stderr.strip()}", file=sys.stderr)
        return None
    report: dict[str, Any] = json.loads(done.stdout)
    missed = [check["name"] for check in report["checks"] if not check["ok"]]
    print(f"{name}: {report['delays']} {', '.join(missed) or 'passed'}", flush=True)
    return report


def measure(runs: int, state: Path) -> dict[str, list[dict[str, Any] | None]]:
    reports: dict[str, list[dict[str, Any] | None]] = {name: [] for name in DRILLS}
    for number in range(runs * len(DRILLS)):
        if number:
            time.sleep(REST_S)
        name = DRILLS[number % len(DRILLS)]
        reports[name].append(drill(name, state))
    return reports


def table(reports: dict[str, list[dict[str, Any] | None]]) -> bool:
    """Print it; whether every goal was met in every run."""
    met = True
    print(f"\n{'drill':<12} {'delay':<12} {'min':>7} {'median':>7} {'max':>7}   goal")
    for name, runs in reports.items():
        ran = [one for one in runs if one is not None]
        for column, words in COLUMNS.items():
            values = [one["delays"][column] for one in ran if one["delays"][column] is not None]
            goal = GOALS.get((name, column))
            held = len(values) == len(runs) and (goal is None or max(values) <= goal)
            met &= held
            spread = (
                f"{min(values):7.2f} {statistics.median(values):7.2f} {max(values):7.2f}"
                if values
                else " " * 23
            )
            said = f"≤ {goal:g} s {'met' if held else 'MISSED'}" if goal is not None else ""
            print(f"{name:<12} {words:<12} {spread}   {said}".rstrip())
        told = sum(one["kinds"] == [KINDS[name]] for one in ran)
        cause = sum(check["ok"] for one in ran for check in one["checks"] if check["name"] == "cause")
        passed = sum(one["passed"] for one in ran)
        met &= told == cause == passed == len(runs)
        print(
            f"{name:<12} told as {KINDS[name]} {told}/{len(runs)}, cause right {cause}/{len(runs)}, ", end=""
        )
        print(f"passed {passed}/{len(runs)}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--state", type=Path, help="of a house that runs already")
    options = parser.parse_args()
    if options.state:
        return 0 if table(measure(options.runs, options.state)) else 1
    if os.geteuid() != 0:
        print("the example runs in containers, on a volume of its own size: run as root", file=sys.stderr)
        return 1
    with example() as state:
        return 0 if table(measure(options.runs, state)) else 1


if __name__ == "__main__":
    sys.exit(main())
