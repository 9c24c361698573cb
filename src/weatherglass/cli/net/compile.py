"""Print the flows of one node of a topology, in ovs-ofctl's words.

Example: weatherglass net compile topology.yaml --node cmp-1 | ovs-ofctl -O OpenFlow15 --bundle replace-flows br-int -
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    topology: Annotated[
        Path, typer.Argument(metavar="TOPOLOGY.yaml", help="Nodes, networks, ports, groups.")
    ],
    node: Annotated[str, typer.Option(help="The node whose flows are wanted.")],
    json: show.Json = False,
) -> int:
    from weatherglass.house.networks import flows

    found = flows(topology, node)
    if json:
        show.as_json([flow._asdict() for flow in found])
    else:
        sys.stdout.write("".join(f"{flow}\n" for flow in found))
    return exits.OK
