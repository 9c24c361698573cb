"""Break something on purpose and see it found, explained and healed: `drill list`, `drill run NAME`.

Example: weatherglass drill run kill-store --json

Exit code 0 when detection, cause and recovery were right, 1 when not.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Annotated

import typer

from weatherglass.base.errors import Unauthenticated, Unavailable
from weatherglass.cli import show
from weatherglass.cli.client import TOKEN, URL, find

PANEL = "Practise"


def run(
    what: Annotated[str, typer.Argument(metavar="list|run", help="List drills, or run one.")] = "list",
    name: Annotated[str, typer.Argument(help="Which drill to run.", show_default=False)] = "",
    service: Annotated[
        str, typer.Option(help="On this service; the one that most others need where not given.")
    ] = "",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    if what not in ("list", "run") or (what == "run") != bool(name):
        raise typer.BadParameter("write `drill list`, or `drill run NAME`")
    # drill/ is a program of its own that speaks HTTP alone: it is told where by the environment
    try:
        os.environ[URL], os.environ[TOKEN] = find(state)
    except (Unavailable, Unauthenticated):
        if what != "list":
            raise
    arguments = [what, *([name] if name else []), *(["--json"] if json else [])]
    arguments += ["--service", service] if service else []
    return int(import_module("weatherglass.drill.main").main(arguments))
