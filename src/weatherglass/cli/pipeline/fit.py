"""Fit scaling laws to measured runs: which law, the best n, the knee, what runs at other n would take.

Example: weatherglass pipeline fit runs.csv --predict 32 --predict 64

The table has the columns n (instances) and seconds, and size where inputs differ. Bands hold nine runs of ten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show


def run(
    table: Annotated[Path, typer.Argument(metavar="RUNS.csv", help="Columns n, seconds and perhaps size.")],
    predict: Annotated[
        list[float] | None,
        typer.Option("--predict", metavar="N", help="Instances to predict; may be given often."),
    ] = None,
    more: Annotated[
        list[float] | None, typer.Argument(metavar="[N...]", help="More instances to predict.")
    ] = None,
    size: Annotated[
        float | None, typer.Option(help="Input size, in the table's unit.", show_default=False)
    ] = None,
    most: Annotated[int, typer.Option(help="How many instances there are to run on; 0: not said.")] = 0,
    json: show.Json = False,
) -> int:
    from weatherglass.house.science import fitted

    found = fitted(table, [*(predict or ()), *(more or ())], size, most)
    if json:
        show.as_json(found)
        return exits.OK
    say(found)
    return exits.OK


def say(found: dict[str, Any]) -> None:
    """The fit for people."""
    values = ", ".join(f"{name} {value:.4g}" for name, value in found["parameters"].items())
    show.say(f"{found['law']}: {values} (noise {found['noise']:.1%})")
    for name, words in (
        ("n_star", "fastest at"),
        ("knee", "the knee at"),
        ("stop_paying", "nothing is gained past"),
    ):
        show.say(f"{words:>22}  {_spoken(found[name])}")
    for one in found["predictions"]:
        show.say(
            f"{'n = ' + format(one['n'], 'g'):>22}  {one['seconds']:.1f} s  ({one['low']:.1f} to {one['high']:.1f})"
        )
    if not found["enough"]:
        show.say(f"not enough data: {found['why']}", "yellow")
        if found["next"]:
            show.say(
                f"run this next: n = {found['next']['n']} (about {found['next']['instance_seconds']:.0f} instance-seconds)"
            )


def _spoken(interval: dict[str, Any]) -> str:
    at, low, high = (f"{value:.0f}" if value is not None else "no bound" for value in interval.values())
    return f"n = {at}  ({low} to {high})"
