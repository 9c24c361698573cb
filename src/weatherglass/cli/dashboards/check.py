"""Read dashboards and their queries as the portal does, and say everything that is wrong.

Example: weatherglass dashboards check dashboards/*.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    files: Annotated[list[Path], typer.Argument(help="YAML of ours, or JSON of Grafana's.")],
    json: show.Json = False,
) -> int:
    from weatherglass.house.boards import checked

    found = {str(file): checked(file) for file in files}
    if json:
        show.as_json(found)
    else:
        for file, problems in found.items():
            show.say(f"{file}: {'good' if not problems else ''}".rstrip())
            for problem in problems:
                show.say(f"  {problem}", "yellow")
    return exits.FAILED if any(found.values()) else exits.OK
