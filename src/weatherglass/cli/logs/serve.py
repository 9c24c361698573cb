"""Serve the logs part alone, on loopback: Elasticsearch's, Loki's and OTLP's APIs, under their usual prefixes.

Example: weatherglass logs serve --state /tmp/logs --port 9200 --no-auth
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits


def run(
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="Where everything is kept.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 8700,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="No token is asked (loopback only).")] = False,
    syslog: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:PORT", help="Take syslog too: udp:5514, tcp:5514, tls:6514:CERT:KEY."),
    ] = None,
) -> int:
    from weatherglass.house.alone import alone

    alone(frozenset({"logs"}), state, port, no_auth=no_auth, syslog=tuple(syslog or ()))
    return exits.OK
