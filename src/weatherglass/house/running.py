"""The doors of running a pipeline: runs, records and profiles as plain values, for the command line and pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.pipelines.run.engine import Asked, Progress, run
from weatherglass.pipelines.run.record import Record, Task, load


def started(
    pipeline: Path,
    *,
    directory: Path | None,
    n: int,
    executor: str,
    config: Sequence[str] = (),
    arguments: Sequence[str] = (),
    measure: bool = True,
    progress: Progress | None = None,
) -> Record:
    """Run a pipeline to its end. `config` are words KEY=VALUE. Raises Invalid, Conflict, Unavailable."""
    if n < 1:
        raise Invalid(f"{n} is too few", where="-n", mend="1 or more")
    pairs = {}
    for word in config:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise Invalid(f"{word!r} is no KEY=VALUE", where="--config", mend="for example --config parts=4")
        pairs[key] = value
    whole = (directory or (pipeline if pipeline.is_dir() else pipeline.parent)).resolve()
    whole.mkdir(parents=True, exist_ok=True)
    return run(Asked(pipeline, whole, n, executor, pairs, arguments, measure), progress)


def found(path: Path) -> Record:
    """A record: its file, a run's folder, or the newest run of a working directory. Raises NotFound, Corrupt."""
    if path.is_file():
        return load(path)
    if (path / "record.json").is_file():
        return load(path / "record.json")
    runs = sorted((path / ".weatherglass" / "runs").glob("*/record.json"))
    if not runs:
        raise NotFound("there is no record of a run", where=str(path), mend="weatherglass pipeline run")
    return load(runs[-1])


def profile(record: Record) -> dict[str, Any]:
    """What each step took and waited for, the longest first; and which step holds the rest up, and why."""
    by_rule: dict[str, list[Task]] = defaultdict(list)
    for task in record.tasks:
        by_rule[task.rule].append(task)
    steps = [_step(name, some) for name, some in by_rule.items()]
    steps.sort(key=lambda one: -one["seconds"])
    return {
        "id": record.id,
        "state": record.state,
        "seconds": record.seconds,
        "cpu_seconds": sum(task.cpu_s for task in record.tasks),
        "steps": steps,
        "bottleneck": steps[0] if steps else None,
        "troubles": [
            {"step": one.step, "what": one.what, "mend": one.mend, "fatal": one.fatal}
            for one in record.troubles
        ],
    }


def _step(name: str, some: Sequence[Task]) -> dict[str, Any]:
    seconds = sum(task.seconds for task in some)
    threads = sum(task.seconds * max(task.threads, 1) for task in some)
    cpu = sum(task.cpu_s for task in some)
    queued, blocked = (sum(getattr(task, key) for task in some) for key in ("run_wait_s", "io_wait_s"))
    return {
        "step": name,
        "tasks": len(some),
        "seconds": seconds,
        "longest_s": max(task.seconds for task in some),
        "cpu_s": cpu,
        "run_wait_s": queued,
        "io_wait_s": blocked,
        "memory": max(task.memory for task in some),
        "asked_memory": max(task.asked_memory for task in some),
        "read_bytes": sum(task.read_bytes for task in some),
        "write_bytes": sum(task.write_bytes for task in some),
        "measured": all(task.measured for task in some),
        "waits_for": _waits_for(seconds, threads, cpu, queued, blocked),
    }


def _waits_for(seconds: float, threads: float, cpu: float, queued: float, blocked: float) -> str:
    """What a step's time went into. A step is held up by what takes a third of it or more, the worst first."""
    shares = {
        "a free core": queued / max(queued + cpu, 1e-9) * min(1.0, (queued + cpu) / max(seconds, 1e-9)),
        "the disk": blocked / max(seconds, 1e-9),
    }
    worst = max(shares, key=lambda key: shares[key])
    if shares[worst] >= 1 / 3:
        return worst
    return "its own work" if cpu >= 0.5 * threads else "neither core nor disk"
