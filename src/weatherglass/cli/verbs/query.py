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
    explain: Annotated[
        bool, typer.Option("--explain", help="Run it, and tell what each part of it took instead.")
    ] = False,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    now, client = time.time(), Client(state)
    if explain:
        bounds = {"time": seconds(at, now)}
        if start:
            bounds = {"start": seconds(start, now), "end": seconds(end, now), "step": step}
        told = client.prometheus("explain", query=expr, **bounds)["data"]
        if json:
            show.as_json(told)
        else:
            _explain(told)
        return exits.OK
    if start:
        span = {"start": seconds(start, now), "end": seconds(end, now), "step": step}
        answer = client.prometheus("query_range", query=expr, **span)
    else:
        answer = client.prometheus("query", query=expr, time=seconds(at, now))
    if json:
        show.as_json(answer["data"])
    else:
        _tell(answer["data"])
    for said in (*answer.get("warnings", ()), *answer.get("infos", ())):
        typer.echo(said, err=True)
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
        show.table(("series", "value"), [(_series(one["metric"]), _cell(one)) for one in data["result"]])
    else:
        for one in data["result"]:
            show.say(_series(one["metric"]), "bold")
            cells = [*one.get("values", ()), *one.get("histograms", ())]
            for at, value in sorted(cells, key=lambda cell: float(cell[0])):
                show.say(f"  {datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}  {_value(value)}")
    if not data["result"]:
        show.say("No series. Which there are: weatherglass query 'count by (__name__) ({__name__=~\".+\"})'")


def _cell(one: dict[str, Any]) -> str:
    return _value((one["value"] if "value" in one else one["histogram"])[1])


def _value(value: Any) -> str:
    """A number, or a histogram in a few words."""
    if isinstance(value, str):
        return value
    buckets = "  ".join(f"({low}, {high}] {count}" for _, low, high, count in value.get("buckets", ()))
    return f"count {value['count']}  sum {value['sum']}  {buckets}".rstrip()


def _explain(told: dict[str, Any]) -> None:
    rows: list[tuple[str, ...]] = []

    def down(nodes: list[dict[str, Any]], depth: int) -> None:
        for one in nodes:
            rows.append(
                ("  " * depth + one["expr"], f"{one['series']:,}", f"{one['samples']:,}", f"{one['ms']:.2f}")
            )
            down(one["inner"], depth + 1)

    down(told["plan"], 0)
    show.table(("expression", "series", "samples", "ms"), rows)
    show.say(f"{told['samples']:,} samples looked at, {told['ms']:.2f} ms")


def _series(labels: dict[str, str]) -> str:
    rest = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')}{{{rest}}}"
