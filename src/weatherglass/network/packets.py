"""A packet as a person writes it: `tcp,dst=10.2.0.14,dport=80`. Pure.

What is left out is filled in as the sending port would: its MAC and address, the MAC of whom the packet is for or of
the router on the way, a TTL of 64, a SYN for TCP, an echo request for ICMP.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.network.model import Packet
from weatherglass.network.topology import Address, Port, Topology

_KINDS = {
    "tcp": 6,
    "udp": 17,
    "sctp": 132,
    "icmp": 1,
    "icmp6": 58,
    "icmpv6": 58,
    "arp": 0,
    "nd": 58,
    "ip": 253,
}
_ALIASES = {
    "src": "ip_src", "nw_src": "ip_src", "ipv6_src": "ip_src", "dst": "ip_dst", "nw_dst": "ip_dst",
    "ipv6_dst": "ip_dst", "sport": "tp_src", "tp_src": "tp_src", "dport": "tp_dst", "tp_dst": "tp_dst",
    "smac": "eth_src", "dl_src": "eth_src", "eth_src": "eth_src", "dmac": "eth_dst", "dl_dst": "eth_dst",
    "eth_dst": "eth_dst", "ttl": "ttl", "flags": "tcp_flags", "type": "icmp_type", "icmp_type": "icmp_type",
    "code": "icmp_code", "icmp_code": "icmp_code", "tpa": "arp_tpa", "spa": "arp_spa", "sha": "arp_sha",
    "op": "arp_op", "target": "nd_target", "proto": "proto", "ip_src": "ip_src", "ip_dst": "ip_dst",
}  # fmt: skip
_ADDRESSED = {"ip_src", "ip_dst", "arp_tpa", "arp_spa", "nd_target"}
_NUMBERS = {"tp_src", "tp_dst", "ttl", "icmp_type", "icmp_code", "arp_op", "proto"}


def packet(spec: str, topology: Topology, sender: Port) -> Packet:
    """The packet of its spec, sent by a port. Raises Invalid with the word that is wrong."""
    kind, given = "ip", {}
    for number, word in enumerate(part.strip() for part in spec.split(",") if part.strip()):
        name, equals, value = word.partition("=")
        if not equals:
            if number or name not in _KINDS:
                raise Invalid(
                    f"{word[:40]!r} is no packet", where="packet", mend=f"one of {', '.join(_KINDS)} first"
                )
            kind = name
        elif name not in _ALIASES:
            raise Invalid(f"{name[:40]!r} is no field", where="packet", mend=f"one of {', '.join(_ALIASES)}")
        else:
            given[_ALIASES[name]] = _value(_ALIASES[name], value)
    made = _filled(kind, given, topology, sender)
    return {**made, **given}


def _value(name: str, text: str) -> Any:
    try:
        if name in _ADDRESSED:
            return ip_address(text)
        if name in _NUMBERS:
            return int(text, 0)
    except ValueError as error:
        raise Invalid(f"{name}: {error}", where="packet") from None
    if name == "tcp_flags":
        return frozenset(text.replace("+", " ").split())
    return text.lower()


def _filled(kind: str, given: dict[str, Any], topology: Topology, sender: Port) -> Packet:
    target: Address | None = given.get("ip_dst") or given.get("arp_tpa") or given.get("nd_target")
    if target is None:
        raise Invalid(
            "the packet has no destination",
            where="packet",
            mend="dst=10.0.0.2, tpa=… for arp, target=… for nd",
        )
    own = given.get("ip_src") or next(
        (one for one in sender.addresses if one.version == target.version), None
    )
    if kind == "arp":
        return {
            "eth_type": 0x0806, "eth_src": sender.mac, "eth_dst": "ff:ff:ff:ff:ff:ff", "arp_op": 1,
            "arp_sha": given.get("eth_src", sender.mac), "arp_spa": own, "arp_tpa": target, "arp_tha": "00:00:00:00:00:00",
        }  # fmt: skip
    made: Packet = {
        "eth_type": 0x0800 if target.version == 4 else 0x86DD,
        "eth_src": sender.mac,
        "eth_dst": next_mac(topology, sender, target),
        "ip_src": own,
        "ip_dst": target,
        "proto": _KINDS[kind],
        "ttl": 64,
    }
    if own is None:
        raise Invalid(
            f"{sender.name} has no address of IP version {target.version}", where="packet", mend="src=…"
        )
    if kind == "nd":
        solicited = ip_address(int(ip_address("ff02::1:ff00:0")) | int(target) & 0xFFFFFF)
        made |= {
            "icmp_type": 135,
            "icmp_code": 0,
            "nd_target": target,
            "nd_sll": sender.mac,
            "ip_dst": solicited,
            "ttl": 255,
        }
    elif kind.startswith("icmp"):
        made |= {"icmp_type": 8 if target.version == 4 else 128, "icmp_code": 0}
        made["proto"] = 1 if target.version == 4 else 58
    elif kind in ("tcp", "udp", "sctp"):
        made |= {"tp_src": 40000, "tp_dst": 80}
        if kind == "tcp":
            made["tcp_flags"] = frozenset({"syn"})
    return made


def next_mac(topology: Topology, sender: Port, target: Address) -> str:
    """The MAC a port sends to for an address: a neighbour's own, else the router's, else nobody's."""
    network = topology.networks[sender.network]
    if any(target.version == one.prefix.version and target in one.prefix for one in network.subnets):
        for port in topology.by_network.get(sender.network, ()):
            if target in port.addresses or any(
                pair.prefix.version == target.version and target in ip_network(pair.prefix)
                for pair in port.pairs
            ):
                return port.mac
        if not any(one.gateway == target for one in network.subnets):
            return "02:00:00:00:00:00"  # nobody has the address: nobody would have answered
    router = topology.router_of.get(sender.network)
    return router.mac if router else "02:00:00:00:00:00"
