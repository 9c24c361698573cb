"""Stop the server, the agent and every service they started on this host; data stays.

Example: weatherglass down --state .state/first-light

Works without a running server too. `weatherglass up` brings all of it back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli.client import default_state

PANEL = "Run"


def run(
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="The state to take down.")
    ] = None,
) -> int:
    from weatherglass.house.down import down

    return down(state or default_state())
