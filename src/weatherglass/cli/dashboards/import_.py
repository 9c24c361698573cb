"""Turn a dashboard of Grafana's (its JSON) into a file of ours, and say what of it cannot be shown.

Example: weatherglass dashboards import ceph-cluster.json --to dashboards
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    files: Annotated[list[Path], typer.Argument(help="Dashboards as Grafana exports them.")],
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="The folder `dashboards` beside the site.")
    ] = Path("dashboards"),
    replace: Annotated[bool, typer.Option("--replace", help="Write over files that are there.")] = False,
    json: show.Json = False,
) -> int:
    from weatherglass.house.boards import taken_over

    every = [taken_over(file, to, replace=replace) for file in files]
    if json:
        show.as_json([one._asdict() | {"file": str(one.file)} for one in every])
        return exits.OK
    for one in every:
        show.say(f"{one.file}: {one.title}, {one.panels} panels")
        for told in one.told:
            show.say(f"  {told}", "yellow")
    return exits.OK
