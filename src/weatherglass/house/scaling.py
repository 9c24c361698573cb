"""Scale a pipeline: run it at the numbers of instances that tell most, until the law is known or the budget is spent.

Each run has a copy of the pipeline's folder, so that all do the same work from the beginning.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, Unavailable
from weatherglass.house.running import profile, started
from weatherglass.house.science import told_of
from weatherglass.pipelines.answers import first_runs
from weatherglass.pipelines.run.record import Record
from weatherglass.pipelines.runs import make

_LEFT_OUT = shutil.ignore_patterns(".*", "work", "results", "logs", "scale")


def scaled(
    pipeline: Path,
    *,
    folder: Path,
    most: int,
    limit: int,
    executor: str,
    config: Sequence[str] = (),
    predict: Sequence[float] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Runs at first at a few n, then at those that take most doubt away; at most `limit`. Raises Invalid, Unavailable.

    Writes `runs.csv` (n,seconds) into `folder` after every run, so that a scaling that was stopped goes on.
    """
    if not pipeline.is_dir():
        raise Invalid("scaling copies a pipeline's folder", where=str(pipeline), mend="name the folder")
    if most < 2:
        raise Invalid(f"{most} is too few to scale to", where="--most", mend="2 or more")
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "runs.csv"
    done = _read(table)
    planned = [n for n in first_runs(most) if n not in {one for one, _ in done}]
    record: Record | None = None
    while len(done) < limit:
        n = planned.pop(0) if planned else _next(done, predict, most)
        if n is None:
            break
        say(f"run {len(done) + 1}: n = {n}")
        record = _once(pipeline, folder / f"{len(done) + 1:02d}-n{n}", n, executor, config)
        done.append((n, record.seconds))
        table.write_text("n,seconds\n" + "".join(f"{n},{seconds:.3f}\n" for n, seconds in done))
    told = told_of(make([float(n) for n, _ in done], [seconds for _, seconds in done]), predict, most)
    return {
        **told,
        "runs": [{"n": n, "seconds": seconds} for n, seconds in done],
        "spent_instance_seconds": sum(n * seconds for n, seconds in done),
        **({"blame": _blame(record)} if record else {}),
    }


def _next(done: Sequence[tuple[int, float]], predict: Sequence[float], most: int) -> int | None:
    """Where to run next; None where the law is known well enough."""
    told = told_of(make([float(n) for n, _ in done], [seconds for _, seconds in done]), predict, most)
    return None if told["enough"] or not told["next"] else int(told["next"]["n"])


def _once(pipeline: Path, folder: Path, n: int, executor: str, config: Sequence[str]) -> Record:
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(pipeline, folder, ignore=_LEFT_OUT)
    record = started(folder, directory=folder, n=n, executor=executor, config=config)
    if record.state != "done":
        worst = next((one for one in record.troubles if one.fatal), None)
        raise Unavailable(
            f"the run at n = {n} failed: {worst.step}: {worst.what}"
            if worst
            else f"the run at n = {n} failed",
            where=str(folder),
            mend=worst.mend if worst else "read its record",
        )
    return record


def _blame(record: Record) -> dict[str, Any]:
    """Which step holds the last run up, what it waits for, and whether that is the machine's doing."""
    told = profile(record)
    steps = told["steps"]
    if not steps:
        return {}
    waited = sum(one["run_wait_s"] for one in steps)
    worked = sum(one["cpu_s"] for one in steps)
    share = waited / (waited + worked) if waited + worked else 0.0
    cores = int(record.machine.get("cores", 0))
    infrastructure = ""
    if share > 1 / 3 and record.n <= cores:
        infrastructure = (
            f"{share:.0%} of the time that tasks could run, no core was free: others use this machine"
        )
    elif share > 1 / 3:
        infrastructure = f"{record.n} at once on {cores} cores: {share:.0%} of the time tasks waited for one"
    return {
        "n": record.n,
        "step": steps[0]["step"],
        "waits_for": steps[0]["waits_for"],
        "share": steps[0]["seconds"] / max(sum(one["seconds"] for one in steps), 1e-9),
        "infrastructure": infrastructure,
    }


def _read(table: Path) -> list[tuple[int, float]]:
    if not table.exists():
        return []
    rows = [line.split(",") for line in table.read_text().split("\n")[1:] if line.strip()]
    return [(int(n), float(seconds)) for n, seconds in rows if math.isfinite(float(seconds))]
