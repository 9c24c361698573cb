"""What went wrong in a run, in words: the step, what happened, what to change. A table of signs. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from weatherglass.pipelines.run.record import Task, Trouble

_MB = 1e6


class Sign(NamedTuple):
    """One kind of trouble: how it is known from the task and its last words, and what is said of it."""

    known: Callable[[Task, str], bool]
    what: Callable[[Task], str]
    mend: Callable[[Task], str]


def _text(pattern: str) -> Callable[[Task, str], bool]:
    wanted = re.compile(pattern, re.IGNORECASE)
    return lambda task, words: bool(wanted.search(words))


def _larger(task: Task) -> int:
    """What to ask for, in MB: what was used, or asked for where that is more, and a half again; whole hundreds."""
    return int(-(-max(task.memory, task.asked_memory) * 1.5 / _MB // 100) * 100)


SIGNS: tuple[Sign, ...] = (
    Sign(
        lambda task, words: bool(
            re.search(r"no space left on device|disk quota exceeded", words, re.IGNORECASE)
        ),
        lambda task: f"the disk was full{' on ' + task.host if task.host else ''}",
        lambda task: (
            "make room (or name another folder with --directory), then run again: finished steps stay"
        ),
    ),
    Sign(
        lambda task, words: (
            task.oom_kills > 0
            or bool(
                re.search(
                    r"out.of.memory|oom[-_ ]kill|MemoryError|bad_alloc|Cannot allocate memory",
                    words,
                    re.IGNORECASE,
                )
            )
        ),
        lambda task: (
            f"it was over its memory: {task.memory / _MB:.0f} MB used"
            + (f", {task.asked_memory / _MB:.0f} MB asked for" if task.asked_memory else "")
        ),
        lambda task: f"resources: mem_mb={_larger(task)}",
    ),
    Sign(
        _text(r"NODE_FAIL|node failure|BOOT_FAIL"),
        lambda task: f"its node was lost{' (' + task.host + ')' if task.host else ''}",
        lambda task: "run again: finished steps stay; retries: 2 on the step does so by itself",
    ),
    Sign(
        _text(r"\bTIMEOUT\b|DUE TO TIME LIMIT|DEADLINE"),
        lambda task: f"it took longer than it asked for ({task.seconds:.0f} s so far)",
        lambda task: "resources: runtime=… in minutes, or more threads",
    ),
    Sign(
        lambda task, words: task.exit in (127,) or "command not found" in words,
        lambda task: "a program it calls is not there",
        lambda task: "install it, or give the step a container or a conda environment",
    ),
    Sign(
        lambda task, words: task.exit == -9 or task.exit == 137,
        lambda task: "it was killed (signal 9)",
        lambda task: "see whether someone killed it, or the machine ran out of memory (dmesg)",
    ),
    Sign(
        lambda task, words: True,
        lambda task: f"it ended with {task.exit or 'an error'}",
        lambda task: f"read its log{': ' + task.log[0] if task.log else ' above'}",
    ),
)


def step(task: Task) -> str:
    words = ", ".join(f"{key}={value}" for key, value in task.wildcards.items())
    return f"{task.rule} ({words})" if words else task.rule


def troubles(tasks: Iterable[Task], words: Mapping[str, str], errors: Iterable[str]) -> tuple[Trouble, ...]:
    """What failed, and what would fail where requests are held to. `words` by job are a task's last words."""
    found = []
    for task in tasks:
        if task.state == "failed":
            sign = next(one for one in SIGNS if one.known(task, words.get(task.job, "")))
            found.append(Trouble(step(task), sign.what(task), sign.mend(task)))
        elif task.measured and 0 < task.asked_memory < task.memory:
            found.append(
                Trouble(
                    step(task),
                    f"it used {task.memory / _MB:.0f} MB and asked for {task.asked_memory / _MB:.0f} MB: "
                    "a cluster would have killed it",
                    f"resources: mem_mb={_larger(task)}",
                    fatal=False,
                )
            )
    if not any(one.fatal for one in found):
        found += [_workflow(text) for text in errors]
    return tuple(dict.fromkeys(found))


def _workflow(text: str) -> Trouble:
    """A mistake of the workflow itself, with its file and line where the engine says them."""
    at = re.search(r"in (?:file )?[\"']?([^\s\"',]+)[\"']?,?\s+line (\d+)", text)
    where = f"{at[1]}:{at[2]}" if at else "the workflow"
    if "MissingInputException" in text:
        missing = [line.strip() for line in text.partition("affected files:")[2].split("\n") if line.strip()]
        return Trouble(
            where, f"inputs are missing: {', '.join(missing[:3])}", "put them there, or mend the path"
        )
    if "LockException" in text or "cannot be locked" in text:
        return Trouble(where, "another run holds this folder", "wait for it, or end it")
    lines = [line.strip() for line in text.strip().split("\n") if line.strip()]
    return Trouble(where, " ".join(lines[:3])[:400], "mend the line named here")
