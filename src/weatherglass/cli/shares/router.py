"""Print a router's nft rules and kernel settings: no forged source, no way between tenants, no way past the guard.

Example: weatherglass shares router examples/shares/lustre.yaml lnr-1 > lnr-1.sh
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits


def run(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The declaration.")],
    router: Annotated[str, typer.Argument(metavar="ROUTER", help="Its name.")],
    only: Annotated[str, typer.Option(metavar="NAME", help="One file system of it.")] = "",
) -> int:
    from weatherglass.house.sharing import routed

    typer.echo(routed(policy, router, only), nl=False)
    return exits.OK
