"""Follow a packet through a topology: where it comes out, or which rule of which table ends it.

Example: weatherglass net trace topology.yaml --from web-1 --packet tcp,dst=10.2.0.14,dport=80

A packet is a kind (tcp, udp, icmp, icmp6, arp, nd, ip) and fields: src, dst, sport, dport, smac, dmac, ttl, type,
code, flags, tpa, target. What is left out is what the port would send. Exit code 0 when it is delivered, 1 when not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    topology: Annotated[
        Path, typer.Argument(metavar="TOPOLOGY.yaml", help="Nodes, networks, ports, groups.")
    ],
    sender: Annotated[str, typer.Option("--from", metavar="PORT", help="The port that sends it.")],
    packet: Annotated[str, typer.Option(metavar="SPEC", help="The packet: tcp,dst=10.2.0.14,dport=80")],
    after: Annotated[
        list[str] | None,
        typer.Option(metavar="PORT:SPEC", help="A packet sent before it, so that answers can be asked for."),
    ] = None,
    json: show.Json = False,
) -> int:
    from weatherglass.house.networks import trace

    found = trace(topology, sender, packet, after or ())
    if json:
        show.as_json(found)
    else:
        for step in found["path"]:
            show.say(f"{step['node']:>12}  {step['table']:<10} {step['rule']}")
        show.say(
            f"{found['verdict']}: {found['why']}", "green" if found["verdict"] == "delivered" else "yellow"
        )
    return exits.OK if found["verdict"] == "delivered" else exits.FAILED
