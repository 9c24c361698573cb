"""Say how many series there are, what they differ by, and who makes new ones.

Example: weatherglass metrics cardinality --tenant genomics
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

_LISTS = (
    ("by_metric", "series by metric"),
    ("by_label", "values by label"),
    ("by_pair", "series by label and value"),
    ("new_by_metric", "new series by metric"),
    ("new_by_label", "new values by label"),
)


def run(
    tenant: Annotated[str, typer.Option(help="Whose series; default: the token's own.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of each.")] = 10,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    told: dict[str, Any] = Client(state, tenant).get("/api/v1/metrics/cardinality", limit=limit)
    if json:
        show.as_json(told)
        return exits.OK
    bound = f" of at most {told['limit']}" if told["limit"] else ""
    show.say(f"{told['series']} series{bound}; {told['new']} new in the last {told['new_s'] / 60:.0f} min")
    if told["blame"]:
        show.say(told["blame"])
    for name, title in _LISTS:
        if told[name]:
            show.say(f"\n{title}")
            for one, many in told[name]:
                show.say(f"{many:>10}  {one}")
    return exits.OK
