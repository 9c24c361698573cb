"""Look for files that are open to others, or whose ids are not their tenant's: a fileset does not keep those apart.

Example: weatherglass shares strays examples/shares/nfs.yaml --mount /srv/shared

Walks every tenant's tree; links are not followed. Exit code 0: none, 1: some, each with the command that mends it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The declaration.")],
    mount: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where it is mounted.", show_default="as declared")
    ] = None,
    only: Annotated[str, typer.Option(metavar="NAME", help="One file system of it.")] = "",
    json: show.Json = False,
) -> int:
    from weatherglass.house.sharing import strayed

    found = strayed(policy, mount, only)
    if json:
        show.as_json(found)
    else:
        for fs in found:
            for one in fs["strays"]:
                typer.echo(f"{one['tenant']}: {one['path']}: {one['told']}\n  → {one['mend']}")
            count = sum(one["count"] for one in fs["counts"])
            typer.echo(f"{fs['name']}: {fs['files']} files, {count or 'no'} strays")
    return exits.FAILED if any(fs["counts"] for fs in found) else exits.OK
