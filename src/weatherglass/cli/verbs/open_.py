"""Print a one-time address that logs you in to the portal.

Example: xdg-open "$(weatherglass open)"
"""

from __future__ import annotations

import typer

from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Look"


def run(state: show.State = None, json: show.Json = False) -> int:
    client = Client(state)
    ticket = client.post("/api/v1/login-ticket")
    address = client.url + ticket["path"]
    show.as_json({"url": address, "expires_s": ticket["expires_s"]}) if json else typer.echo(address)
    return exits.OK
