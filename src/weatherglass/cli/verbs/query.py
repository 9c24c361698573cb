"""Ask the metrics in PromQL.

Example: weatherglass query 'rate(node_cpu_seconds_total[5m])' --start -1h --end now --step 1m
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS, parse_iso
from weatherglass.base.units import parse_duration
from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Look"


def run(
    expr: Annotated[str, typer.Argument(help="A PromQL expression.")],
    at: Annotated[str, typer.Option(metavar="TIME", help="The instant asked about.")] = "now",
    start: Annotated[str, typer.Option(metavar="TIME", help="Of a range: its start, like -1h.")] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="Of a range: its end.")] = "now",
    step: Annotated[str, typer.Option(metavar="SPAN", help="Of a range: between its points.")] = "1m",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    now, client = time.time(), Client(state)
    if start:
        span = {"start": seconds(start, now), "end": seconds(end, now), "step": step}
        answer = client.prometheus("query_range", query=expr, **span)
    else:
        answer = client.prometheus("query", query=expr, time=seconds(at, now))
    if json:
        show.as_json(answer["data"])
    else:
        _tell(answer["data"])
    for warning in answer.get("warnings", ()):
        typer.echo(f"warning: {warning}", err=True)
    return exits.OK


def seconds(text: str, now: float) -> str:
    """Unix seconds of `now`, `-15m`, an ISO instant, or Unix seconds. Raises Invalid."""
    try:
        if text == "now":
            return f"{now:.3f}"
        if text.startswith("-"):
            return f"{now - parse_duration(text[1:]):.3f}"
        return str(float(text)) if text.replace(".", "", 1).isdigit() else str(parse_iso(text) / SECOND_NS)
    except ValueError:
        raise Invalid(
            f"{text!r} is not an instant", mend="write 2026-11-22T14:02:11Z, now, or -15m"
        ) from None


def _tell(data: dict[str, Any]) -> None:
    if data["resultType"] in ("scalar", "string"):
        show.say(data["result"][1])
    elif data["resultType"] == "vector":
        show.table(("series", "value"), [(_series(one["metric"]), one["value"][1]) for one in data["result"]])
    else:
        for one in data["result"]:
            show.say(_series(one["metric"]), "bold")
            for at, value in one["values"]:
                show.say(f"  {datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}  {value}")
    if not data["result"]:
        show.say("No series. Which there are: weatherglass query 'count by (__name__) ({__name__=~\".+\"})'")


def _series(labels: dict[str, str]) -> str:
    rest = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')}{{{rest}}}"
