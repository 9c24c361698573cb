"""The newest events of a query; with -f what comes, as it comes, until Ctrl-C.

Example: weatherglass logs tail -f 'service:keystone AND level:(ERROR OR CRITICAL)'
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import typer

from weatherglass.cli import complete, exits, show
from weatherglass.cli.client import Client
from weatherglass.cli.events import tell


def run(
    query: Annotated[
        str, typer.Argument(help="What to look for, in the query language.", autocompletion=complete.queries)
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="So many to begin with.")] = 20,
    entity: Annotated[
        str, typer.Option(help="service/keystone, host/ctl-1 …", autocompletion=complete.entities)
    ] = "",
    level: Annotated[str, typer.Option(help="ERROR; WARNING+ for it and above.")] = "",
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back to look for them.")] = "1d",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    client = Client(state)
    asked = {name: text for name, text in (("query", query), ("entity", entity), ("level", level)) if text}
    stream = client.events(f"/api/v1/logs/tail?{urlencode(asked)}") if follow else None
    if stream is not None:
        next(stream, None)  # the tail is open: what comes from here on is not lost
    if lines:
        page = client.get("/api/v1/logs/search", start=f"-{since.removeprefix('-')}", limit=lines, **asked)
        for one in reversed(page["events"]):
            tell(one, json)
    try:
        for kind, told in stream or ():
            if kind == "event":
                tell(told["event"], json)
            elif kind == "missed":
                typer.echo(f"{told['events']} events came too fast and are left out", err=True)
    except KeyboardInterrupt:
        pass
    return exits.OK
