"""Search the events in the query language (docs/logs.md).

Example: weatherglass logs search 'level:ERROR AND "lost connection" AND NOT service:horizon' --since 6h
"""

from __future__ import annotations

from typing import Annotated

import typer

from weatherglass.cli import complete, exits, show
from weatherglass.cli.client import Client
from weatherglass.cli.events import tell


def run(
    query: Annotated[
        str,
        typer.Argument(help="What to look for; all where nothing is said.", autocompletion=complete.queries),
    ] = "",
    entity: Annotated[
        str, typer.Option(help="service/keystone, host/ctl-1 …", autocompletion=complete.entities)
    ] = "",
    level: Annotated[str, typer.Option(help="ERROR; WARNING+ for it and above.")] = "",
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back.")] = "1h",
    until: Annotated[str, typer.Option(metavar="TIME", help="An instant, or -15m.")] = "now",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    before: Annotated[str, typer.Option(metavar="CURSOR", help="Go on: the `next` of a page.")] = "",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    page = Client(state).get(
        "/api/v1/logs/search", query=query, entity=entity, level=level, start=f"-{since.removeprefix('-')}",
        end=until, limit=limit, before=before,
    )  # fmt: skip
    if json:
        show.as_json(page)
        return exits.OK
    for one in reversed(page["events"]):
        tell(one)
    if not page["events"]:
        show.say(f"No events in the last {since}; --since 1d looks further back.")
    return exits.OK
