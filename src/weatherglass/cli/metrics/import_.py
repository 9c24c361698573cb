"""Store the samples of a file in a state that no server runs on: Parquet as `export` writes it, or text with timestamps.

Example: weatherglass metrics import --state DIR --tenant site node.parquet
"""

from __future__ import annotations

import time
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
    from weatherglass.house.at_rest import metrics_of
    from weatherglass.metrics import exchange

    with metrics_of(state or default_state(), make=True) as store:
        if form is Form.PARQUET or (form is None and _is_parquet(file)):
            moved = exchange.from_parquet(store, tenant, file)
        else:
            openmetrics = form is Form.OPENMETRICS or (form is None and _is_openmetrics(file))
            now_ms = time.time_ns() // 1_000_000
            with file.open(encoding="utf-8") as lines:
                moved = exchange.from_text(store, tenant, lines, now_ms, openmetrics=openmetrics)
        store.seal()
    if json:
        show.as_json({"samples": moved.samples, "series": moved.series})
    else:
        show.say(f"{moved.samples} samples of {moved.series} series stored for {tenant}")
    return exits.OK


def _is_parquet(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"PAR1"


def _is_openmetrics(file: Path) -> bool:
    """Whether it ends as OpenMetrics must."""
    with file.open("rb") as opened:
        opened.seek(max(file.stat().st_size - 16, 0))
        return opened.read().rstrip(b"\r\n").endswith(b"# EOF")
