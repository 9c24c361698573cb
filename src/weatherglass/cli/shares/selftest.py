"""Print what a site with a real Lustre runs to see that all of this holds there; or try a guarded leg from a tenant's machine.

Example: weatherglass shares selftest examples/shares/lustre.yaml > selftest.txt

With --call: from a machine of a tenant's, as root, LNet down: every handshake that the guard must refuse. Exit code 0:
all as it must be, 1: not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The declaration.")],
    only: Annotated[str, typer.Option(metavar="NAME", help="One file system of it.")] = "",
    call: Annotated[str, typer.Option(metavar="NID", help="The leg to try.", show_default="none")] = "",
    own: Annotated[
        str, typer.Option(metavar="NID", help="This machine's own NID.", show_default="none")
    ] = "",
    port: Annotated[int, typer.Option(help="The leg's port.")] = 988,
    json: show.Json = False,
) -> int:
    from weatherglass.house.sharing import attempted, selftest

    if not call:
        typer.echo(selftest(policy, only), nl=False)
        return exits.OK
    found = attempted(policy, call, own, port, only)
    if json:
        show.as_json(found)
    else:
        for one in found:
            typer.echo(
                f"{'good' if one['good'] else 'BAD '}  {one['name']}: {'answered' if one['answered'] else 'refused'}"
            )
    return exits.OK if all(one["good"] for one in found) else exits.FAILED
