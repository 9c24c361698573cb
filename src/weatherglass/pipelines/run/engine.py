"""Run a workflow with Snakemake, as a process of its own, and follow what it tells. The edge of running.

A run has a folder, `.weatherglass/runs/ID` in the working directory: the engine's events and output, one measurement
a task, and in the end `record.json`. Nothing of the engine is imported here, so whatever it needs stays its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Conflict, Invalid, Unavailable
from weatherglass.engine.files import RealFiles
from weatherglass.pipelines.run.events import Told, tasks
from weatherglass.pipelines.run.record import Record, Task, Trouble, dumps
from weatherglass.pipelines.run.staging import Hashes, programs
from weatherglass.pipelines.run.troubles import troubles

_HERE = Path(__file__).parent
_LOOK_S = 0.2
_WORDS = 4000
Progress = Callable[[Told, float | None], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run. `n`: cores on this machine, jobs at once on a cluster. `config` as the workflow's own keys."""

    pipeline: Path
    directory: Path
    n: int
    executor: str = "local"
    config: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    measure: bool = True
    containers: bool = False

    @property
    def workflow(self) -> Path:
        """The workflow's file: the path itself, or where Snakemake looks for it. Raises Invalid."""
        if self.pipeline.is_file():
            return self.pipeline
        for name in ("Snakefile", "workflow/Snakefile", "snakefile"):
            if (self.pipeline / name).is_file():
                return self.pipeline / name
        raise Invalid("there is no Snakefile", where=str(self.pipeline), mend="name the workflow's file")


def version() -> str:
    """Snakemake's version. Raises Unavailable where it is not installed."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--version"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable("Snakemake is not installed", mend="pip install 'weatherglass[pipelines]'")
    return done.stdout.strip()


def run(asked: Asked, progress: Progress | None = None) -> Record:
    """Run to the end, or to the first failure; what is finished already is not done again.

    Raises Invalid, Unavailable, Conflict (another run holds the folder). A failed run is a record with troubles.
    """
    workflow, known = asked.workflow.resolve(), version()
    home = asked.directory / ".weatherglass"
    (home / "runs").mkdir(parents=True, exist_ok=True)
    with _held(home) as lock:
        _finish_killed(home)
        _unlock(asked.directory, workflow)
        started = time.time_ns()
        folder = home / "runs" / time.strftime(f"%Y%m%dT%H%M%S-{os.getpid()}", time.gmtime(started / 1e9))
        (folder / "tasks").mkdir(parents=True)
        plan = {
            "id": folder.name,
            "pipeline": str(workflow),
            "commit": _commit(workflow.parent),
            "engine": "snakemake",
            "engine_version": known,
            "executor": asked.executor,
            "n": asked.n,
            "config": dict(asked.config),
            "started_ns": started,
            "machine": machine(),
        }
        RealFiles().write_atomic(folder / "plan.json", json.dumps(plan).encode())
        code = _drive(asked, workflow, folder, lock, progress)
        return _finished(folder, home, "done" if code == 0 else "failed")


@contextlib.contextmanager
def _held(home: Path) -> Iterator[int]:
    """The folder's lock. The engine inherits it: it is held until the last process of a run has ended."""
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Conflict(
            "another run holds this folder", where=str(home.parent), mend="wait for it, or end it"
        ) from None
    try:
        yield lock
    finally:
        os.close(lock)


def _unlock(directory: Path, workflow: Path) -> None:
    """Take away the lock that a killed engine left. We hold our own, so none of ours runs; others' are seen."""
    locks = directory / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    here = str(directory.resolve())
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"snakemake" in words and str(Path(f"/proc/{pid}/cwd").resolve()) == here:
                raise Conflict(
                    f"process {pid} runs Snakemake in this folder", where=here, mend="wait for it, or end it"
                )
        except OSError:
            continue
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--unlock", "-s", str(workflow), "-d", str(directory)],
        capture_output=True,
        check=False,
    )


def command(asked: Asked, workflow: Path, folder: Path) -> list[str]:
    """The engine's command line."""
    words = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(workflow),
        "--directory",
        str(asked.directory),
    ]
    words += ["--rerun-incomplete", "--logger", "weatherglass", "--show-failed-logs", "--nocolor"]
    words += (
        ["--cores", str(asked.n)]
        if asked.executor == "local"
        else ["--executor", asked.executor, "--jobs", str(asked.n)]
    )
    if asked.executor == "slurm":
        words += ["--slurm-logdir", str(folder / "slurm"), "--latency-wait", "30"]
        words += ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"]
        if not _accounting():
            words += ["--slurm-status-command", "squeue", "--slurm-no-account"]
    if asked.config:
        words += ["--config", *(f"{key}={value}" for key, value in asked.config.items())]
    if asked.measure:
        words += ["--default-resources", f"shell_exec='{folder / 'bin' / 'bash'}'"]
    if asked.containers:
        words += ["--software-deployment-method", "apptainer"]
    return [*words, *asked.arguments]


def _accounting() -> bool:
    """Whether the cluster keeps accounts: without them sacct knows no job, and squeue must be asked."""
    try:
        said = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, check=False, timeout=20
        )
    except FileNotFoundError:
        raise Unavailable("Slurm's commands are not installed", mend="apt-get install slurm-client") from None
    except subprocess.TimeoutExpired:
        raise Unavailable("Slurm does not answer", mend="see that scontrol ping does") from None
    if said.returncode:
        raise Unavailable(
            f"Slurm does not answer: {said.stderr.strip()[:200]}", mend="see that scontrol ping does"
        )
    return not re.search(r"AccountingStorageType\s*=\s*accounting_storage/none", said.stdout)


def _drive(asked: Asked, workflow: Path, folder: Path, lock: int, progress: Progress | None) -> int:
    events = folder / "events.jsonl"
    environment = {**os.environ, "WEATHERGLASS_EVENTS": str(events), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        part for part in (str(_HERE / "plugins"), os.environ.get("PYTHONPATH", "")) if part
    )
    if asked.measure:
        environment["WEATHERGLASS_TASKS"] = str(folder / "tasks")
        _shell(folder / "bin" / "bash")
    with (folder / "engine.log").open("wb") as out:
        engine = subprocess.Popen(
            command(asked, workflow, folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=asked.directory,
            pass_fds=(lock,),
            start_new_session=True,
            preexec_fn=_die_with_us,  # noqa: PLW1509 — one thread; nothing but a system call
        )
        told = Told()
        try:
            _follow(engine, events, told, asked.n, progress)
        except BaseException:
            os.killpg(engine.pid, signal.SIGTERM)
            engine.wait()
            _finished(folder, folder.parent.parent, "killed")
            raise
    return engine.returncode


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _shell(path: Path) -> None:
    """What the engine takes for bash: it starts the measured one. Named bash, so that the engine adds its safety."""
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {_HERE / "task.py"} "$@"\n')
    path.chmod(0o755)


def _follow(
    engine: subprocess.Popen[bytes], events: Path, told: Told, n: int, progress: Progress | None
) -> None:
    at, rest = 0, ""
    ended = False
    while not ended:
        try:
            engine.wait(_LOOK_S)
            ended = True
        except subprocess.TimeoutExpired:
            pass
        if events.exists():
            with events.open(encoding="utf-8", errors="replace") as file:
                file.seek(at)
                text = rest + file.read()
                at = file.tell()
            *lines, rest = text.split("\n")
            for line in lines:
                told.take(line)
        if progress:
            progress(told, told.left_s(time.time_ns(), n))


def _finish_killed(home: Path) -> None:
    """Runs that were killed have a plan and no record: make it from what they left."""
    for folder in sorted((home / "runs").iterdir()):
        if (folder / "plan.json").exists() and not (folder / "record.json").exists():
            _finished(folder, home, "killed")


def _finished(folder: Path, home: Path, state: str) -> Record:
    """The record of a run from its folder's files alone, written there."""
    plan = json.loads((folder / "plan.json").read_text())
    told = Told()
    events = folder / "events.jsonl"
    for line in events.read_text(errors="replace").split("\n") if events.exists() else ():
        told.take(line)
    measured = [one for path in sorted((folder / "tasks").glob("*.json")) if (one := _json(path))]
    found = tasks(told, measured)
    if state == "failed":
        found = tuple(replace(one, state="failed") if one.state == "running" else one for one in found)
    directory = home.parent
    hashes = Hashes(home / "hashes.json")
    made = {str(path) for job in told.jobs.values() for path in job.info.get("output") or ()}
    read = sorted({str(path) for job in told.jobs.values() for path in job.info.get("input") or ()} - made)
    inputs = tuple(hashes.of(directory / path) for path in read if (directory / path).is_file())
    ended = max([time.time_ns()] if state != "killed" else [told.last_ns, plan["started_ns"]])
    words = {one.job: _last_words(one, directory, folder) for one in found if one.state == "failed"}
    seen = troubles(found, words, told.errors if state == "failed" else ())
    if state == "failed" and not any(one.fatal for one in seen):
        last = (folder / "engine.log").read_text(errors="replace").strip().split("\n")[-3:]
        seen = (*seen, Trouble("the workflow", " ".join(last)[:400], f"read {folder / 'engine.log'}"))
    record = Record(
        **plan,
        ended_ns=ended,
        state=state,
        tasks=found,
        inputs=inputs,
        programs=programs(sorted({one.command for one in found}), hashes),
        troubles=seen,
    )
    hashes.keep()
    RealFiles().write_atomic(folder / "record.json", dumps(record).encode())
    return record


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_words(task: Task, directory: Path, folder: Path) -> str:
    """The ends of a task's own logs, of its cluster job's, and of the engine's output."""
    paths = [directory / path for path in task.log]
    paths += sorted((folder / "slurm").rglob("*.log")) if (folder / "slurm").is_dir() else []
    found = [path.read_text(errors="replace")[-_WORDS:] for path in paths if path.is_file()]
    engine = folder / "engine.log"
    if engine.exists():
        text = engine.read_text(errors="replace")
        found += [
            part[:_WORDS]
            for part in re.split(r"(?=Error in rule )", text)[1:]
            if part.startswith(f"Error in rule {task.rule},")
        ]
        found.append(text[-_WORDS:])
    return "\n".join(found)


def _commit(folder: Path) -> str:
    """The commit that the workflow stands at, with a + where files differ from it; "" where it is in no repository."""
    git = ["git", "-C", str(folder)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        if head.returncode:
            return ""
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "."],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine() -> dict[str, Any]:
    """What the run's own host is."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().split("\n")
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "host": platform.node(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory,
        "cpu": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
