"""Search the events of all services and hosts by words; `search` takes the query language.

Example: weatherglass logs refused --entity service/keystone --level ERROR --since 1h --follow
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from weatherglass.base.time import SECOND_NS
from weatherglass.cli import complete, exits, logs, show
from weatherglass.cli.client import Client
from weatherglass.cli.events import tell
from weatherglass.cli.nouns import noun

PANEL = "Look"


def run(
    words: Annotated[list[str] | None, typer.Argument(help="Words that an event must hold.")] = None,
    entity: Annotated[
        str, typer.Option(help="service/keystone, host/ctl-1 …", autocompletion=complete.entities)
    ] = "",
    level: Annotated[str, typer.Option(help="ERROR; WARNING+ for it and above.")] = "",
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back.")] = "15m",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    client = Client(state)
    asked = {"words": " ".join(words or ()), "entity": entity, "level": level}
    start = f"-{since.removeprefix('-')}"
    seen: set[tuple[int, str]] = set()
    newest = 0
    while True:
        page = client.get("/api/v1/logs/search", start=start, limit=limit, **asked)
        fresh = [one for one in reversed(page["events"]) if (one["time_ns"], one["raw"]) not in seen]
        if json and not follow:
            show.as_json(page)
        else:
            for one in fresh:
                tell(one, json)
        if not follow:
            if not page["events"] and not json:
                show.say(f"No events in the last {since}; --since 1d looks further back.")
            return exits.OK
        seen.update((one["time_ns"], one["raw"]) for one in fresh)
        newest = max([newest, *(one["time_ns"] for one in fresh)])
        if (
            newest
        ):  # an event may come late, and two may share an instant: look a little back, show what is new
            start = str(newest / SECOND_NS - 5)
            seen = {one for one in seen if one[0] > newest - 10 * SECOND_NS}
        time.sleep(1)


app = noun(logs, __doc__, otherwise=run)
