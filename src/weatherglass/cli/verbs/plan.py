"""Show what apply would change, and why. Nothing is changed.

Example: weatherglass plan site.yaml

Exit code 0 when there is nothing to do, 2 when there are changes. FILE lies on the server's machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import deploys, exits, show
from weatherglass.cli.client import Client

PANEL = "Declare and deploy"


def run(
    file: Annotated[
        Path | None, typer.Argument(help="The declaration; the server's own where not given.")
    ] = None,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    plan = Client(state).post("/api/v1/plan", deploys.source(file))
    if json:
        show.as_json(plan)
    else:
        deploys.show_plan(plan)
    return exits.CHANGES if plan["changes"] else exits.OK
