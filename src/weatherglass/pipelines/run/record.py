"""The record of a run: what was run on what, with which inputs and programs, and what each task took. Pure values.

A record is one JSON file, `record.json` in the run's folder; from it the run can be repeated and everything else
(Gantt, scaling, price) is computed. `VERSION` counts its form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Corrupt

VERSION = 1


@dataclass(frozen=True, slots=True)
class Task:
    """One job of the engine, with what was measured of it. Times in s, sizes in bytes, instants in ns.

    `measured` is False where the engine ran it without a shell of its own. `run_wait_s` is summed over threads:
    time they could have run and had no core; `io_wait_s` time in which all that could move waited for a disk.
    """

    job: str
    rule: str
    wildcards: Mapping[str, str]
    threads: int
    state: str
    started_ns: int
    seconds: float
    asked_memory: int = 0
    measured: bool = False
    user_s: float = 0.0
    system_s: float = 0.0
    run_wait_s: float = 0.0
    io_wait_s: float = 0.0
    memory: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    read_chars: int = 0
    write_chars: int = 0
    most_threads: int = 0
    exit: int = 0
    oom_kills: int = 0
    host: str = ""
    cluster_job: str = ""
    command: str = ""
    log: Sequence[str] = ()
    points: Sequence[Sequence[float]] = ()

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


@dataclass(frozen=True, slots=True)
class File:
    """An input by content."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program that tasks called: its file by content, and the package it came in where that is known."""

    name: str
    path: str
    sha256: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, or nearly: the step, what happened, what to change."""

    step: str
    what: str
    mend: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """One run. `n` is what was varied when scaling: cores here, jobs at once on a cluster."""

    id: str
    pipeline: str
    commit: str
    engine: str
    engine_version: str
    executor: str
    n: int
    config: Mapping[str, str]
    started_ns: int
    ended_ns: int
    state: str
    machine: Mapping[str, Any]
    tasks: tuple[Task, ...]
    inputs: tuple[File, ...] = ()
    programs: tuple[Program, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    containers: tuple[str, ...] = ()
    version: int = field(default=VERSION)

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.started_ns) / 1e9


def dumps(record: Record) -> str:
    return json.dumps(asdict(record), indent=1)


def load(path: Path) -> Record:
    """A record from its file. Raises Corrupt."""
    try:
        found = json.loads(path.read_text())
        if found.get("version") != VERSION:
            raise Corrupt(
                f"a record of version {found.get('version')}; this reads {VERSION}", where=str(path)
            )
        return Record(
            **{
                **found,
                "tasks": tuple(Task(**one) for one in found["tasks"]),
                "inputs": tuple(File(**one) for one in found["inputs"]),
                "programs": tuple(Program(**one) for one in found["programs"]),
                "troubles": tuple(Trouble(**one) for one in found["troubles"]),
                "containers": tuple(found["containers"]),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(
            f"it is no record of a run: {error}", where=str(path), mend="run the pipeline again"
        ) from None
