"""Save the whole state into one file, as of one moment, while the server runs or while it does not.

Example: weatherglass backup weatherglass-2026-11-22.backup
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.errors import Conflict, Unavailable
from weatherglass.base.units import size
from weatherglass.cli import exits, show
from weatherglass.cli.client import Client, default_state

PANEL = "Look after"


def run(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    state: show.State = None,
    json: show.Json = False,
) -> int:
    if file.exists():
        raise Conflict(f"{file} is there already", mend="name another file, or remove it")
    try:
        written = Client(state).save("/api/v1/backup", file)
    except Unavailable as refused:
        folder = state or default_state()
        if not (folder / "tables.db").exists():
            raise
        try:
            written = _at_rest(folder, file)
        except Conflict:  # a server runs on it, and could not: what it said is the reason
            raise refused from None
    show.as_json({"file": str(file), "bytes": written}) if json else show.say(f"{file}: {size(written)}")
    return exits.OK


def _at_rest(folder: Path, file: Path) -> int:
    """Of a state that no server runs on: held meanwhile, so that none starts."""
    from weatherglass.engine.backup import backup
    from weatherglass.house.hold import Hold

    hold = Hold(folder)
    try:
        backup(folder, file)
    finally:
        hold.release()
    return file.stat().st_size
