"""The pipeline's tables: each declared once, with what it may match, what it may set, and where it may go. Pure.

The compiler writes flows by these; a test holds every flow of every case against its table (`allows`), as Faucet's
pipeline does. Registers: reg6 and reg7 are the numbers of the port a packet comes from and goes to on this node, reg2
its domain of addresses, reg5 the security groups of the other side as bits; metadata is the network's vni.
"""

from __future__ import annotations

from typing import NamedTuple

TUNNEL = 65000
"""The switch port of tunnels on every node (`ofport_request`)."""


class Table(NamedTuple):
    """One table. `matches` and `sets` are fields; `to` the tables (by name) it may send a packet on to."""

    number: int
    matches: frozenset[str]
    sets: frozenset[str]
    to: frozenset[str]
    doc: str


def _table(number: int, matches: str, sets: str, to: str, doc: str) -> Table:
    return Table(number, frozenset(matches.split()), frozenset(sets.split()), frozenset(to.split()), doc)


TABLES: dict[str, Table] = {
    "classify": _table(
        0, "in_port dl_vlan vlan_tci tun_id eth_type icmp_type", "reg2 reg6 metadata vlan", "guard land arp",
        "Which port, network and domain a packet comes from.",
    ),
    "guard": _table(
        10,
        "reg6 dl_src dl_dst eth_type nw_src ipv6_src nw_proto arp_spa arp_sha tp_src tp_dst icmpv6_type icmp_type "
        "nd_target nd_sll nd_tll nw_dst ipv6_dst",
        "", "reach arp route",
        "Anti-spoofing: only a port's own MAC and addresses pass; DHCP goes to the agent.",
    ),
    "reach": _table(
        18, "reg2 nw_dst ipv6_dst eth_type", "reg5", "out_track", "The groups of whom a packet is for, as bits."
    ),
    "out_track": _table(20, "eth_type reg6", "", "out_rules route", "Connection tracking in the sender's zone."),
    "out_rules": _table(
        21, "ct_state eth_type nw_proto tcp_flags reg5 reg6 nw_dst ipv6_dst tp_dst icmp_type icmp_code icmpv6_type "
        "icmpv6_code",
        "", "route", "What the sender's groups let out.",
    ),
    "arp": _table(
        30, "metadata eth_type arp_op arp_tpa nw_proto icmpv6_type icmp_type nd_target ipv6_dst",
        "dl_src dl_dst arp_op arp_sha arp_spa arp_tha arp_tpa reg7 icmpv6_type nd_options_type nd_reserved "
        "ipv6_src ipv6_dst",
        "deliver advertise", "ARP and neighbour discovery, answered here for all that is known.",
    ),
    "advertise": _table(
        31, "metadata eth_type nw_proto icmp_type nd_target", "nd_tll", "deliver",
        "The second half of a neighbour's answer: Open vSwitch lets an option be set only where its type is matched.",
    ),
    "route": _table(
        40, "metadata dl_dst eth_type nw_dst ipv6_dst nw_proto icmp_type icmpv6_type nw_ttl",
        "dl_src dl_dst metadata nw_src nw_dst ipv6_src ipv6_dst icmp_type icmpv6_type nw_ttl reg7",
        "next_hop switch deliver", "Distributed routing: by subnet; a gateway's own answers.",
    ),
    "next_hop": _table(
        45, "metadata eth_type nw_dst ipv6_dst", "dl_dst", "switch", "The MAC of whom a routed packet is for."
    ),
    "switch": _table(
        50, "metadata dl_dst", "reg7 tun_id tun_dst vlan", "whence land", "Layer 2: here, or over a tunnel, or a wire."
    ),
    "land": _table(52, "metadata dl_dst", "reg7", "whence", "Layer 2 for what comes from a tunnel: never out again."),
    "whence": _table(
        55, "reg2 nw_src ipv6_src eth_type", "reg5", "in_track", "The groups of whom a packet is from, as bits."
    ),
    "in_track": _table(60, "eth_type reg7", "", "in_rules deliver", "Connection tracking in the receiver's zone."),
    "in_rules": _table(
        61, "ct_state eth_type nw_proto tcp_flags reg5 reg7 nw_src ipv6_src tp_dst icmp_type icmp_code icmpv6_type "
        "icmpv6_code",
        "", "deliver", "What the receiver's groups let in.",
    ),
    "deliver": _table(70, "reg7", "in_port vlan", "", "Out of the port."),
}  # fmt: skip

NUMBER = {name: table.number for name, table in TABLES.items()}
NAME = {table.number: name for name, table in TABLES.items()}
