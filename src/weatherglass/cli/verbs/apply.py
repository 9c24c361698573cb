"""Make the declaration so: shows the plan, asks, and tells each step as it happens.

Example: weatherglass apply site.yaml --yes --why "new keystone"

What is applied is the plan that was shown: when the world moved on meanwhile, it is refused (exit code 4).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.errors import Invalid
from weatherglass.cli import deploys, exits, show
from weatherglass.cli.client import Client

PANEL = "Declare and deploy"


def run(
    file: Annotated[
        Path | None, typer.Argument(help="The declaration; the server's own where not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    if json and not yes:
        raise Invalid("--json asks nobody", mend="add --yes to apply what the plan says")
    client = Client(state)
    plan = client.post("/api/v1/plan", deploys.source(file))
    if not plan["changes"]:
        show.as_json({"state": "done", "plan": plan}) if json else deploys.show_plan(plan)
        return exits.OK
    if not json:
        deploys.show_plan(plan)
    if not yes:
        typer.confirm("Apply this?", abort=True)
    body = {**deploys.source(file), "why": why, "expect": plan}
    return deploys.follow(client, client.post("/api/v1/apply", body)["run"], json)
