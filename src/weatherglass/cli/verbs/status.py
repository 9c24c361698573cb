"""Tell how the cloud is: the sentence, what is unwell and why, what is open.

Example: weatherglass status --watch
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Look"


def run(
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew every two seconds, until Ctrl-C.")
    ] = False,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    client = Client(state)
    while True:
        told = client.get("/api/v1/status")
        if watch and not json:
            show.console().clear()
        if json:
            show.as_json(told)
        else:
            _tell(told)
        if not watch:
            return exits.OK
        time.sleep(2)


def _tell(told: dict[str, Any]) -> None:
    show.say(f"{told['site']}  {show.clock(told['at_ns'])}", "bold")
    show.say(told["sentence"])
    counts = ", ".join(f"{count} {word}" for word, count in sorted(told["states"].items()))
    show.say(counts or "Nothing is declared yet: weatherglass up SITE")
    if told["unwell"]:
        rows = [
            (
                one["entity"],
                one["state"],
                show.clock(one["since_ns"]),
                one["evidence"][0]["text"] if one["evidence"] else "",
            )
            for one in told["unwell"]
        ]
        show.table(("entity", "state", "since", "why"), rows, colour_of=1)
    for incident in told["incidents"]:
        show.say(f"incident {incident['id']}: {incident['sentence']}", "yellow")
