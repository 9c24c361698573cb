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
    state: show.State = None,
    json: show.Json = False,
) -> int:
    # drill/ is a program of its own that speaks HTTP alone: it is told where by the environment
    try:
        os.environ[URL], os.environ[TOKEN] = find(state)
    except (Unavailable, Unauthenticated):
        if what != "list":
            raise
    arguments = [what, *([name] if name else []), *(["--json"] if json else [])]
    return int(import_module("weatherglass.drill.main").main(arguments))
