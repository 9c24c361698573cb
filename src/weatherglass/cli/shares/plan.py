"""What would lead from live nodemaps to the policy: in an order that opens no window, twice the same as once.

Example: weatherglass shares plan examples/shares/lustre.yaml --live nodemaps.txt

--live is what `lctl get_param -R 'nodemap.*'` prints on the MGS. Exit code 0: nothing to change, 2: changes, 1: the plan
is not proven.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The declaration.")],
    live: Annotated[Path, typer.Option(metavar="FILE", help="The live nodemaps.")],
    only: Annotated[str, typer.Option(metavar="NAME", help="One file system of it.")] = "",
    json: show.Json = False,
) -> int:
    from weatherglass.house.sharing import planned

    found = planned(policy, live, only)
    good = found["leads"] and found["proven"]
    if json:
        show.as_json(found)
    else:
        if found["open_now"]:
            typer.echo("# as it is now, a tenant with a leg up reaches what is not its own")
        for one in found["changes"]:
            typer.echo(f"{shlex.join(one['argv'])}   # {one['why']}")
            if one["evict"]:
                typer.echo(f"# then evict {one['evict']}'s clients: what is mounted stays as it was")
        typer.echo(found["told"] if not good else f"# {len(found['changes'])} changes, proven at every step")
    if not good:
        return exits.FAILED
    return exits.CHANGES if found["changes"] else exits.OK
