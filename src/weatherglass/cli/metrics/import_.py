"""Store the samples of a file in a state that no server runs on: Parquet as `export` writes it, or text with timestamps.

Example: weatherglass metrics import --state DIR --tenant site node.parquet
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.ids import SITE_TENANT
from weatherglass.cli import exits, show
from weatherglass.cli.client import default_state
from weatherglass.cli.metrics.export import Form


def run(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What to store.")],
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="The state folder; made when it is not there."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose samples they become.")] = SITE_TENANT,
    form: Annotated[
        Form | None, typer.Option("--format", help="What it holds.", show_default="told by the file")
    ] = None,
    json: show.Json = False,
) -> int:
    from weatherglass.house.at_rest import imported

    moved = imported(state or default_state(), file, tenant=tenant, form=form.value if form else "")
    if json:
        show.as_json({"samples": moved.samples, "series": moved.series})
    else:
        show.say(f"{moved.samples} samples of {moved.series} series stored for {tenant}")
    return exits.OK
