"""Price the choices: the cheapest within a deadline, or the fastest within a budget, and the curve between.

Example: weatherglass pipeline price runs.csv --prices prices.yaml --deadline 1800
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show


def run(
    table: Annotated[
        Path, typer.Argument(metavar="RUNS.csv", help="Columns n, seconds, perhaps size and flavour.")
    ],
    prices: Annotated[Path, typer.Option(help="Flavours and prices, YAML or JSON.")],
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Done within.", show_default=False)
    ] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="MONEY", help="For no more than.", show_default=False)
    ] = None,
    size: Annotated[
        float | None, typer.Option(help="Input size, in the table's unit.", show_default=False)
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0, max=0.999, help="Chance with which the deadline must hold.")
    ] = 0.5,
    most: Annotated[
        int, typer.Option(help="The most instances of a flavour without a limit of its own.")
    ] = 0,
    json: show.Json = False,
) -> int:
    from weatherglass.house.science import priced

    found = priced(
        table, prices, deadline_s=deadline, budget=budget, size=size, confidence=confidence, most=most
    )
    if json:
        show.as_json(found)
        return exits.OK if found["choice"] else exits.FAILED
    money = found["currency"]
    if found["choice"]:
        show.say(f"{_spoken(found['choice'], money)}: {found['why']}", "green")
    else:
        show.say(found["why"], "yellow")
    if found["on_site"]:
        show.say(f"on site: {_spoken(found['on_site'], money)}")
    for one in found["pareto"][:20]:
        show.say(f"    {_spoken(one, money)}")
    for name, why in found["left_out"].items():
        show.say(f"{name} is left out: {why}")
    return exits.OK if found["choice"] else exits.FAILED


def _spoken(one: dict[str, Any], money: str) -> str:
    carbon = f", {one['carbon_g']:.0f} g CO2e" if one["carbon_g"] else ""
    return (
        f"{one['n']} × {one['flavour']}: {one['seconds']:.0f} s ({one['low']:.0f} to {one['high']:.0f}), "
        f"{one['cost']:.4g} {money}{carbon}"
    )
