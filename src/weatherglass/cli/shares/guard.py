"""Guard a router's leg: a peer's NID is its own address, called is the leg alone, and every header says so.

Example: weatherglass shares guard --leg 10.20.0.254@tcp32769 --peers "10.20.0.[0-255]@tcp32769" --to "10.0.0.[2-7]@tcp0"

Runs in the foreground until SIGTERM; each drop is a JSON line. `weatherglass shares router` prints the nft rules that
send the leg's connections here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits


def run(
    leg: Annotated[str, typer.Option(metavar="NID", help="The router's own NID on the tenant's net.")],
    peers: Annotated[
        list[str], typer.Option(metavar="RANGE", help="Whose NIDs come in; may be given often.")
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RANGE",
            help="Whom they may speak to besides the leg; may be given often.",
            show_default="all",
        ),
    ] = None,
    server: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="LNet's own acceptor.", show_default="the leg's, 988")
    ] = "",
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS:PORT", help="Where the tenant's calls come.", show_default="the leg's, 9880"
        ),
    ] = "",
    outbound: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="Where LNet's own calls to the tenant come.",
            show_default="the leg's, 9881; none",
        ),
    ] = "",
    counts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the counts there, as Prometheus' text.", show_default="none"),
    ] = None,
) -> int:
    from weatherglass.house.guarding import guard

    guard(leg, peers, to or (), listen=listen, outbound=outbound, server=server, counts=counts)
    return exits.OK
