"""Write samples of a state that no server runs on into a file: Parquet, OpenMetrics, or Prometheus' text.

Example: weatherglass metrics export --state DIR --tenant site --match '{job="node"}' node.parquet
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.ids import SITE_TENANT
from weatherglass.cli import exits, show
from weatherglass.cli.client import default_state


class Form(StrEnum):
    PARQUET = "parquet"
    OPENMETRICS = "openmetrics"
    PROMETHEUS = "prometheus"


def run(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    state: Annotated[Path | None, typer.Option("--state", metavar="DIR", help="The state folder.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose samples.")] = SITE_TENANT,
    match: Annotated[str, typer.Option(help="Which series.")] = '{__name__=~".+"}',
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="ISO 8601; default: the first.")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="ISO 8601; default: the last.")] = "",
    form: Annotated[Form, typer.Option("--format", help="What is written.")] = Form.PARQUET,
    json: show.Json = False,
) -> int:
    from weatherglass.house.at_rest import exported

    where = state or default_state()
    moved = exported(where, file, tenant=tenant, match=match, since=since, until=until, form=form.value)
    if json:
        show.as_json(
            {"file": str(file), "samples": moved.samples, "series": moved.series, "left_out": moved.left_out}
        )
    else:
        show.say(f"{file}: {moved.samples} samples of {moved.series} series")
        if moved.left_out:
            show.say(f"{moved.left_out} native histograms were left out", "yellow")
    return exits.OK
