"""Compile a policy into a backend's commands or exports, in the order that never opens a window.

Example: weatherglass shares compile examples/shares/lustre.yaml --backend lustre-2.17

Needs no server. The file is a declaration, or its shares: section alone. Backends: lustre-2.9 to lustre-2.17, ganesha.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The declaration.")],
    backend: Annotated[
        str, typer.Option(help="lustre-2.9 … lustre-2.17, ganesha.", show_default="as declared")
    ] = "",
    only: Annotated[str, typer.Option(metavar="NAME", help="One file system of it.")] = "",
    files: Annotated[
        bool, typer.Option("--files", help="The lnet.conf of each place, not commands.")
    ] = False,
    json: show.Json = False,
) -> int:
    from weatherglass.house.sharing import compiled

    found = compiled(policy, backend, only)
    if json:
        show.as_json(found[0] if len(found) == 1 else found)
        return exits.OK
    for one in found:
        if len(found) > 1:
            typer.echo(f"# {one['name']}: {one['backend']}")
        if files:
            for place, text in one["files"].items():
                typer.echo(f"# {place}\n{text}")
        else:
            typer.echo(one["text"], nl=False)
    return exits.OK
