"""A topology with one of everything, for tests. No test here."""

from __future__ import annotations

from ipaddress import ip_address as ip
from ipaddress import ip_network as net

from weatherglass.network.topology import (
    Group,
    Network,
    Node,
    Pair,
    Port,
    Provider,
    Router,
    Rule,
    Subnet,
    Topology,
    check,
)


def mac(number: int) -> str:
    """A MAC of one's own making."""
    return f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def one_of_everything() -> Topology:
    """Two nodes; a routed pair of networks in both families, a wire; a trunk, allowed pairs, a port without security."""
    web = Group(
        "web",
        (
            Rule("ingress", 4, "tcp", 80, 443),
            Rule("ingress", 4, "icmp", 9, 1),
            Rule("ingress", 6, "icmpv6"),
            Rule("ingress", 4, group="web"),
            Rule("egress", 4, "udp", 53, 53, net("10.0.0.0/8")),
            Rule("egress", 6),
        ),
    )
    topology = Topology(
        {"x": Node("x", ip("192.0.2.1"), {"ext": 9}), "y": Node("y", ip("192.0.2.2"))},
        {
            "a": Network(
                "a",
                1001,
                (Subnet(net("10.1.0.0/24"), ip("10.1.0.1")), Subnet(net("fd01::/64"), ip("fd01::1"))),
            ),
            "b": Network("b", 1002, (Subnet(net("10.2.0.0/24"), ip("10.2.0.1")),)),
            "p": Network(
                "p", 1003, (Subnet(net("10.3.0.0/24"), ip("10.3.0.1")),), provider=Provider("ext", 77)
            ),
        },
        {"r": Router("r", mac(9), ("a", "b"))},
        {
            "p1": Port("p1", 1, "a", mac(1), (ip("10.1.0.2"), ip("fd01::2")), "x", 1, ("web",)),
            "p2": Port("p2", 2, "b", mac(2), (ip("10.2.0.2"),), "x", 1, ("web",), vlan=101, parent="p1"),
            "p3": Port(
                "p3",
                1,
                "a",
                mac(3),
                (ip("10.1.0.3"),),
                "y",
                1,
                ("web",),
                pairs=(Pair(net("10.1.0.128/25"), mac(3)),),
            ),
            "p4": Port("p4", 3, "p", mac(4), (ip("10.3.0.4"),), "x", 3, secured=False),
        },
        {"web": web},
    )
    check(topology)
    return topology
