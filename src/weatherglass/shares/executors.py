"""The room's hands on a host: read live nodemaps, run a plan's commands in their order. Light: the agent imports this.

A command is a list of words for one of four programs, never a line for a shell; the first that fails ends the run, so
that nothing after it opens what it was to close.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, Unavailable
from weatherglass.engine.plug import Executor, Hands

PROGRAMS = ("lctl", "lnetctl", "lfs", "nft")
READ = ("lctl", "get_param", "-R", "nodemap.*")
USAGE = ("lctl", "get_param", "obdfilter.*.exports.*.stats", "mdt.*.exports.*.stats", "*.*.job_stats")
TIMEOUT_S = 60
MOST = 8 << 20


def _ran(argv: list[str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise Unavailable(f"{argv[0]} is not on this host", mend="a host of the file system's") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(argv)[:120]} did not end in {TIMEOUT_S} s") from None
    return done.returncode, done.stdout[-MOST:], done.stderr[-4096:]


def _read(state: Path, host: str) -> Hands:
    def read(body: Mapping[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
        code, out, error = _ran(list(READ))
        if code:
            raise Unavailable(f"{' '.join(READ)}: {error.strip()[:300]}")
        return {"listing": out}

    return read


def _usage(state: Path, host: str) -> Hands:
    def usage(body: Mapping[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
        # A pattern that matches nothing here (an MDS has no obdfilter) is no failure of the others.
        return {"listing": _ran(list(USAGE))[1]}

    return usage


def _run(state: Path, host: str) -> Hands:
    def run(body: Mapping[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
        commands = [[str(word) for word in argv] for argv in body["commands"]]
        for argv in commands:
            if not argv or argv[0] not in PROGRAMS:
                raise Invalid(
                    f"{' '.join(argv)[:80]!r} is not for this executor", mend=f"one of {', '.join(PROGRAMS)}"
                )
        for number, argv in enumerate(commands):
            progress(number / len(commands), " ".join(argv))
            code, _, error = _ran(argv)
            if code:
                return {"done": number, "failed": argv, "code": code, "error": error.strip()[:1000]}
        return {"done": len(commands)}

    return run


EXECUTORS = {
    "shares-usage": Executor(_usage, "Read what clients and jobs did on this server's targets."),
    "shares-read": Executor(_read, "Read the live nodemaps of a Lustre file system."),
    "shares-run": Executor(_run, "Run a plan's commands in their order, up to the first that fails."),
}
