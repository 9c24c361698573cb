"""Prove that commands keep every tenant to its part, or tell the shortest story of how they do not.

Example: weatherglass shares verify examples/shares/lustre.yaml --commands commands.txt

Needs no server. Without --commands, what we compile ourselves is judged. Exit code 0 proven, 1 not (with the
counter-example), 2 where the policy or the file cannot be read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.errors import WeatherglassError
from weatherglass.cli import exits, show

UNREADABLE = 2


def run(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The declaration.")],
    commands: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Commands, or a ganesha.conf, from anywhere.", show_default="ours"),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="lustre-2.9 … lustre-2.17, ganesha.", show_default="as declared")
    ] = "",
    only: Annotated[str, typer.Option(metavar="NAME", help="One file system of it.")] = "",
    json: show.Json = False,
) -> int:
    from weatherglass.house.sharing import verified

    try:
        found = verified(policy, commands, backend, only)
    except WeatherglassError as error:
        print(f"weatherglass: {error}", file=sys.stderr)
        return UNREADABLE
    if json:
        show.as_json(found[0] if len(found) == 1 else found)
    else:
        for one in found:
            typer.echo(one["told"], nl=False)
    return exits.OK if all(one["proven"] for one in found) else exits.FAILED
