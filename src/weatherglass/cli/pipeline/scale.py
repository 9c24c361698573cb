"""Run a pipeline at the numbers of instances that tell most, and say how far it scales.

Example: weatherglass pipeline scale examples/metagenomics --most 4 --config data=/data/mgnify

Stops when the law is known well enough, or after --runs. What was run is in FOLDER/runs.csv, for fit and price.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    pipeline: Annotated[Path, typer.Argument(help="A workflow's folder.")],
    most: Annotated[int, typer.Option(help="The most instances (cores here, jobs at once on a cluster).")],
    folder: Annotated[Path, typer.Option(help="Where the runs are made and kept.")] = Path("scale"),
    runs: Annotated[int, typer.Option(help="No more runs than this.")] = 6,
    on: Annotated[str, typer.Option(help="local, slurm, or another executor of Snakemake's.")] = "local",
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="KEY=VALUE", help="The workflow's own configuration."),
    ] = None,
    predict: Annotated[
        list[float] | None,
        typer.Option("--predict", metavar="N", help="Instances to predict; may be given often."),
    ] = None,
    json: show.Json = False,
) -> int:
    from weatherglass.house.scaling import scaled

    found = scaled(
        pipeline,
        folder=folder,
        most=most,
        limit=runs,
        executor=on,
        config=config or (),
        predict=predict or (),
        say=(lambda text: None) if json else show.say,
    )
    if json:
        show.as_json(found)
        return exits.OK
    from weatherglass.cli.pipeline.fit import say

    for one in found["runs"]:
        show.say(f"{'n = ' + str(one['n']):>22}  {one['seconds']:.1f} s")
    say(found)
    blame = found.get("blame")
    if blame:
        show.say(
            f"at n = {blame['n']} {blame['step']} takes {blame['share']:.0%} of the tasks' time; it waits for: {blame['waits_for']}"
        )
        if blame["infrastructure"]:
            show.say(blame["infrastructure"], "yellow")
    return exits.OK
