"""Let the house put nothing right by itself for a while; what is asked is still done.

Example: weatherglass pause --why "maintenance on the rack"
"""

from __future__ import annotations

from typing import Annotated

import typer

from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Declare and deploy"


def run(
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    told = Client(state).post("/api/v1/deploy/pause", {"why": why})
    show.as_json(told) if json else show.say(
        "Paused: drift is told and left alone. To go on: weatherglass resume"
    )
    return exits.OK
