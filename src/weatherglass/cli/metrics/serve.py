"""Serve the metrics part alone, on loopback: Prometheus' and Gnocchi's APIs, OTLP, under their usual prefixes.

Example: weatherglass metrics serve --state /tmp/metrics --port 9090 --bare --no-auth
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits


class GnocchiAuth(StrEnum):
    NONE = "none"
    BASIC = "basic"
    KEYSTONE = "keystone"
    REMOTEUSER = "remoteuser"


def run(
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="Where everything is kept.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 8700,
    bare: Annotated[
        bool, typer.Option("--bare", help="An empty store: no defaults, retention without end, test limits.")
    ] = False,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="No token is asked (loopback only).")] = False,
    gnocchi_auth: Annotated[
        GnocchiAuth, typer.Option(help="How Gnocchi's API finds out who asks.")
    ] = GnocchiAuth.NONE,
    promql_experimental: Annotated[
        bool, typer.Option("--promql-experimental", help="What Prometheus 3 calls experimental, too.")
    ] = False,
    site: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A declaration whose `metrics:` says what is kept, and rolled up."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="What is scraped: `scrape_configs`, as Prometheus has them.",
        ),
    ] = None,
) -> int:
    from weatherglass.house.alone import alone

    alone(
        frozenset({"metrics"}),
        state,
        port,
        no_auth=no_auth,
        bare=bare,
        gnocchi_auth="" if gnocchi_auth is GnocchiAuth.NONE else gnocchi_auth.value,
        promql_experimental=promql_experimental,
        site=site,
        scrape=config,
    )
    return exits.OK
