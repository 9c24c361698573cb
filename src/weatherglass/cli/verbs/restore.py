"""Bring a saved state back into an empty folder.

Example: weatherglass restore weatherglass-2026-11-22.backup --state /var/lib/weatherglass
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show
from weatherglass.cli.client import default_state

PANEL = "Look after"


def run(
    file: Annotated[
        Path, typer.Argument(help="What `weatherglass backup` wrote.", exists=True, dir_okay=False)
    ],
    state: show.State = None,
    json: show.Json = False,
) -> int:
    from weatherglass.engine.backup import restore

    folder = state or default_state()
    restore(file, folder)
    show.as_json({"state": str(folder)}) if json else show.say(
        f"{folder} is as it was. Start it: weatherglass up --state {folder}"
    )
    return exits.OK
