"""Let the house put right what differs from the declaration again.

Example: weatherglass resume
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
    told = Client(state).post("/api/v1/deploy/resume", {"why": why})
    show.as_json(told) if json else show.say("Resumed.")
    return exits.OK
