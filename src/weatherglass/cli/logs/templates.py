"""The templates of files of logs, of whatever format, with counts; without files those that the server has seen.

Example: weatherglass logs templates /var/log/nova/*.log --json

Files need no server: .gz and .zst too, and - for standard input. With --json, one object a line and template, most
frequent first. Of the server: weatherglass logs templates --new 24h, or --rare 5, or --query level:ERROR.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.cli import complete, exits, show
from weatherglass.cli.client import Client


def run(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="- is standard input.")
    ] = None,
    query: Annotated[
        str, typer.Option(help="Of the server: of which events.", autocompletion=complete.queries)
    ] = "",
    since: Annotated[str, typer.Option(metavar="SPAN", help="Of the server: how far back.")] = "1d",
    new: Annotated[str, typer.Option(metavar="SPAN", help="Of the server: never seen before that.")] = "",
    rare: Annotated[int, typer.Option(metavar="COUNT", help="Of the server: seen at most so often.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Of the server: at most this many.")] = 100,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    if not files:
        asked = {"since": f"-{new.removeprefix('-')}" if new else "", "most": rare or "", "limit": limit}
        span = f"-{(new or since).removeprefix('-')}"
        told = Client(state).get("/api/v1/logs/templates", query=query, start=span, **asked)
        return _of_server(told, json)
    import json as text

    from weatherglass.house.logfiles import Told
    from weatherglass.house.logtemplates import templates

    told = Told()
    found = templates(files, told)
    for one in found:
        if json:
            # ASCII, as a lone surrogate of a JSON log has no UTF-8.
            sys.stdout.write(text.dumps(one) + "\n")
        else:
            words = str(one["template"]).encode("utf-8", "backslashreplace").decode()
            sys.stdout.write(f"{one['count']:>9}  {words}\n")
    sys.stdout.flush()
    print(f"{told.events} events, {len(found)} templates", file=sys.stderr)
    return exits.OK


def _of_server(told: dict[str, Any], json: bool) -> int:
    if json:
        show.as_json(told)
        return exits.OK
    rows = [
        (
            f"{one['count']:,}",
            max(one["levels"], key=lambda level: one["levels"][level], default=""),
            show.clock(one["first_ns"]),
            one["logger"],
            one["text"],
        )
        for one in told["templates"]
    ]
    if rows:
        show.table(("events", "level", "first", "logger", "template"), rows)
    more = told["total"] - len(rows)
    show.say(
        f"{more} more; --limit, or --query" if more > 0 else "" if rows else "No templates in this span."
    )
    return exits.OK
