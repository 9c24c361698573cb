"""What an engine told of a run, as jobs, progress and errors; and what was measured, joined to it. Pure.

Snakemake's events come as lines of JSON (`plugins/`). A measurement is joined to its job by the text of its command;
where a job has none (a script), by its time, if only one such job was under way.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weatherglass.pipelines.run.record import Task

_FINAL = {"job_finished": "done", "job_error": "failed"}


@dataclass(slots=True)
class Job:
    """One job as the engine told of it."""

    number: str
    info: Mapping[str, Any]
    started_ns: int
    ended_ns: int = 0
    state: str = "running"
    cluster: str = ""


@dataclass(slots=True)
class Told:
    """Everything told so far. Fed line by line, so that progress can be shown while it runs."""

    jobs: dict[str, Job] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    errors: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    last_ns: int = 0

    def take(self, line: str) -> None:
        """One line of events; a line that is not whole (the engine was killed while writing) is passed over."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        kind, at = event.get("event"), int(event.get("at_ns", 0))
        self.last_ns = max(self.last_ns, at)
        number = str(event.get("job_id", event.get("jobid", "")))
        if kind == "job_info":
            # A job that is tried again is told again: the last counts.
            self.jobs[number] = Job(number, event, at)
        elif kind in _FINAL and number in self.jobs:
            self.jobs[number].ended_ns = at
            self.jobs[number].state = _FINAL[kind]
        elif kind == "progress":
            self.done, self.total = int(event.get("done", 0)), int(event.get("total", 0))
        elif kind == "run_info":
            self._counts(event)
        if event.get("level") in ("ERROR", "CRITICAL") or kind == "error":
            text = str(event.get("text") or event.get("exception") or "")
            if text and text != "None":
                self.errors.append(text)

    def _counts(self, event: Mapping[str, Any]) -> None:
        for line in str(event.get("text", "")).split("\n"):
            name, _, count = line.strip().rpartition(" ")
            if name.strip() and count.isdigit():
                self.counts[name.strip()] = int(count)
        self.total = self.counts.pop("total", self.total)

    def left_s(self, now_ns: int, at_once: int) -> float | None:
        """About how long the rest takes: what is left of each rule at its mean, at the rate jobs ran together so far."""
        took: dict[str, list[float]] = defaultdict(list)
        for job in self.jobs.values():
            if job.state == "done" and job.ended_ns:
                took[str(job.info.get("rule_name"))].append((job.ended_ns - job.started_ns) / 1e9)
        if not took:
            return None
        every = [one for times in took.values() for one in times]
        mean = sum(every) / len(every)
        left = 0.0
        for rule, count in self.counts.items():
            times = took.get(rule, [])
            each = sum(times) / len(times) if times else mean
            left += max(count - len(times), 0) * each
        begun = min(job.started_ns for job in self.jobs.values())
        together = min(max(sum(every) / max((now_ns - begun) / 1e9, 1e-3), 1.0), float(at_once))
        return left / together


def tasks(told: Told, measured: Sequence[Mapping[str, Any]]) -> tuple[Task, ...]:
    """Jobs with what was measured of them, in the order they began. Jobs without a command (targets) are left out."""
    from hashlib import sha256

    by_command: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in sorted(measured, key=lambda one: int(one["started_ns"])):
        by_command[str(one["command"])].append(one)
    free = {id(one) for one in measured}
    found = []
    for job in sorted(told.jobs.values(), key=lambda job: job.started_ns):
        command = job.info.get("shellcmd")
        own: list[Mapping[str, Any]] = []
        if command:
            text = " ".join(("set -euo pipefail; ", str(command), "")).strip()
            own = by_command.get(sha256(text.encode("utf-8", "surrogateescape")).hexdigest(), [])
        else:
            own = _by_time(job, told, [one for one in measured if id(one) in free])
        own = [one for one in own if id(one) in free]
        if not command and not own and str(job.info.get("rule_name")) == "all":
            continue
        free -= {id(one) for one in own}
        found.append(_task(job, own[-1] if own else None))
    return tuple(found)


def _by_time(job: Job, told: Told, measured: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Measurements within the job's time, unless another job without a command overlaps it."""
    end = job.ended_ns or told.last_ns
    for other in told.jobs.values():
        apart = other is job or other.info.get("shellcmd")
        if not apart and other.started_ns < end and job.started_ns < (other.ended_ns or told.last_ns):
            return []
    return [one for one in measured if job.started_ns <= int(one["started_ns"]) <= end]


def _task(job: Job, one: Mapping[str, Any] | None) -> Task:
    info = job.info
    resources = info.get("resources") or {}
    asked = float(resources.get("mem_mb") or 0) * 1e6 if isinstance(resources, Mapping) else 0.0
    ended = job.ended_ns or job.started_ns
    base: dict[str, Any] = {
        "job": job.number,
        "rule": str(info.get("rule_name", "")),
        "wildcards": {str(key): str(value) for key, value in (info.get("wildcards") or {}).items()},
        "threads": int(info.get("threads") or 1),
        "state": job.state,
        "asked_memory": int(asked),
        "log": [str(path) for path in info.get("log") or ()],
        "command": str(info.get("shellcmd") or "")[:4000],
    }
    if one is None:
        return Task(**base, started_ns=job.started_ns, seconds=(ended - job.started_ns) / 1e9)
    same = (
        *(
            "seconds",
            "user_s",
            "system_s",
            "run_wait_s",
            "io_wait_s",
            "read_bytes",
            "write_bytes",
            "read_chars",
        ),
        *("write_chars", "exit", "oom_kills", "host", "points"),
    )
    return Task(
        **base,
        **{name: one[name] for name in same},
        started_ns=int(one["started_ns"]),
        measured=True,
        # A tree's proportional set counts shared pages once; the largest single process is never less.
        memory=max(int(one["tree_pss"]), int(one["max_rss"])),
        most_threads=int(one["threads"]),
        cluster_job=str(one["slurm_job"]),
    )
