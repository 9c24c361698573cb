"""Count events by fields and over time; average, percentiles, different values of a field.

Example: weatherglass logs aggregate 'format:span' --by service --stat p95:duration_ns --since 6h
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from weatherglass.cli import complete, exits, show
from weatherglass.cli.client import Client


def run(
    query: Annotated[
        str, typer.Argument(help="Which events, in the query language.", autocompletion=complete.queries)
    ] = "",
    by: Annotated[
        list[str] | None,
        typer.Option(help="A field; several times: one in another.", autocompletion=complete.fields),
    ] = None,
    every: Annotated[str, typer.Option(metavar="SPAN", help="Over time, like 5m.")] = "",
    stat: Annotated[
        list[str] | None, typer.Option(help="avg:took, p95:took, cardinality:request_id …")
    ] = None,
    size: Annotated[int, typer.Option(min=1, max=1000, help="How many values of a field.")] = 10,
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back.")] = "1h",
    until: Annotated[str, typer.Option(metavar="TIME", help="An instant, or -15m.")] = "now",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    told = Client(state).get(
        "/api/v1/logs/aggregate", query=query, by=list(by or ()), every=every, stat=list(stat or ()), size=size,
        start=f"-{since.removeprefix('-')}", end=until,
    )  # fmt: skip
    if json:
        show.as_json(told)
        return exits.OK
    show.say(f"{told['total']:,} events", "bold")
    heads = [*(by or ()), *(["time"] if every else []), "events", *(stat or ())]
    if len(heads) > 1:
        show.table(heads, list(_rows(told["found"], [], told["total"])))
    return exits.OK


def _rows(found: Mapping[str, Any], path: list[str], count: int) -> list[list[str]]:
    """The tree of buckets as rows: the keys on the way, how many, the figures."""
    grouped = next((name for name in found if name == "over_time" or name.startswith("by ")), None)
    if grouped is None:
        return [[*path, f"{count:,}", *(_figure(one) for one in found.values())]]
    rows: list[list[str]] = []
    for bucket in found[grouped]["buckets"]:
        key = show.clock(bucket["key"]) if grouped == "over_time" else str(bucket["key"])
        rows += _rows(bucket["subs"], [*path, key], bucket["count"])
    return rows


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(one)}" for name, one in value.items())
    return f"{value:g}" if isinstance(value, int | float) else "–"
