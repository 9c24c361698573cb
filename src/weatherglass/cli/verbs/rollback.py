"""Go back to the generation that was live before, or to the one named.

Example: weatherglass rollback --to 3 --why "22 was better"
"""

from __future__ import annotations

from typing import Annotated

import typer

from weatherglass.cli import deploys, show
from weatherglass.cli.client import Client

PANEL = "Declare and deploy"


def run(
    to: Annotated[int | None, typer.Option(metavar="NUMBER", help="A generation's number.")] = None,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    client = Client(state)
    body = {"why": why} if to is None else {"why": why, "to": to}
    return deploys.follow(client, client.post("/api/v1/rollback", body)["run"], json)
