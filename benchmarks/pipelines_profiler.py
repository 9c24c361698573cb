"""The profiler: what measuring a task costs, and whether short tasks are measured.

    python -m benchmarks.pipelines_profiler [--runs 9]

The same shell command with and without the measured shell, in CPU-seconds of the whole tree (wall time on a shared
machine says little), for tasks of about 5 s, 1 s and 0.05 s. Runs alternate, the median of the pairs' differences counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TASK = Path(__file__).resolve().parent.parent / "src" / "weatherglass" / "pipelines" / "run" / "task.py"
LOOP = "python3 -S -c 'sum(i * i for i in range({count}))'"
SIZES = {"about 5 s": 70_000_000, "about 1 s": 14_000_000, "about 0.05 s": 500_000}


def cpu(words: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    for name, count in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "WEATHERGLASS_TASKS": folder}
            command = f"set -euo pipefail; {LOOP.format(count=count)}; true"
            bare, more = [], []
            for _ in range(options.runs):
                bare.append(cpu(["/bin/bash", "-c", command], environment))
                more.append(
                    cpu([sys.executable, "-I", "-S", str(TASK), "-c", command], environment) - bare[-1]
                )
            told = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
            seen = statistics.median(one["user_s"] + one["system_s"] for one in told)
            extra, own = statistics.median(more), statistics.median(one["profiler_s"] for one in told)
            base = statistics.median(bare)
            print(
                f"{name:14} {base:7.3f} CPU-s bare, {extra * 1000:+6.1f} ms with the profiler ({extra / base:+.2%}); by its own "
                f"count {own * 1000:.0f} ms ({own / base:.2%}); {len(told)} of {options.runs} measured, seen {seen:.3f} CPU-s"
            )


if __name__ == "__main__":
    main()
