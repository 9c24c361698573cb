"""Show what each step of a run took and what it waited for, and which step holds the rest up.

Example: weatherglass pipeline profile ./work

A record's file, a run's folder, or a working directory (its newest run).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show


def run(
    path: Annotated[Path, typer.Argument(help="A record, a run's folder, or a working directory.")] = Path(),
    json: show.Json = False,
) -> int:
    from weatherglass.house.running import found, profile

    told = profile(found(path))
    if json:
        show.as_json(told)
    else:
        say(told)
    return exits.OK


def say(told: dict[str, Any]) -> None:
    """The profile for people."""
    show.table(
        (
            "step",
            "tasks",
            "seconds",
            "cpu s",
            "core wait",
            "disk wait",
            "memory",
            "read",
            "written",
            "waits for",
        ),
        [
            (
                one["step"],
                str(one["tasks"]),
                f"{one['seconds']:.2f}",
                f"{one['cpu_s']:.2f}",
                f"{one['run_wait_s']:.2f}",
                f"{one['io_wait_s']:.2f}",
                f"{one['memory'] / 1e6:.0f} MB",
                f"{one['read_bytes'] / 1e6:.1f} MB",
                f"{one['write_bytes'] / 1e6:.1f} MB",
                one["waits_for"] if one["measured"] else "not measured",
            )
            for one in told["steps"]
        ],
    )
    for one in told["troubles"]:
        show.say(f"{one['step']}: {one['what']}", "red" if one["fatal"] else "yellow")
        show.say(f"  → {one['mend']}", "green")
    show.say(
        f"run {told['id']}: {told['state']}, {told['seconds']:.1f} s, {told['cpu_seconds']:.1f} CPU-seconds"
    )
