"""Follow one request through all services: which part took how long, what it wrote, what failed.

Example: weatherglass logs request req-5b1e0c4a-7f1d-4a55-9a0e-2d6a8f6f1c10
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from weatherglass.cli import complete, exits, show
from weatherglass.cli.client import Client
from weatherglass.cli.events import LEVELS, span

WIDTH = 40


def run(
    id: Annotated[
        str,
        typer.Argument(help="A request id, global request id or trace id.", autocompletion=complete.requests),
    ],
    state: show.State = None,
    json: show.Json = False,
) -> int:
    told = Client(state).get(f"/api/v1/logs/request/{quote(id, safe='')}")
    if json:
        show.as_json(told)
        return exits.OK
    length = max(1, told["end_ns"] - told["start_ns"])
    show.say(f"{show.clock(told['start_ns'])}  {span(length)}, {told['errors']} errors", "bold")
    rows = []
    for one in told["parts"]:
        begin = min(WIDTH - 1, one["offset_ns"] * WIDTH // length)
        long = max(1, min(WIDTH - begin, round(one["duration_ns"] * WIDTH / length)))
        bar = " " * begin + ("▆" if one["span"] else "▂") * long
        name = "  " * one["depth"] + one["name"][:48]
        rows.append(
            (
                name,
                one["service"],
                bar,
                span(one["duration_ns"]),
                span(one["own_ns"]),
                str(one["errors"] or ""),
            )
        )
    show.table(("part", "service", "", "took", "itself", "errors"), rows)
    for row in told["events"]:
        event = row["event"]
        said = event["message"] or event["fields"].get("span_name", "") or event["raw"]
        show.say(
            f"{'+' + span(row['offset_ns']):>10}  {event['level'] or '-':8} {row['service']}  {said}",
            LEVELS.get(event["level"], ""),
        )
    return exits.OK
