"""What flows do to a packet: a second reader of the emitted text, pure, with connection tracking and tunnels.

It shares no code with the compiler; it knows OpenFlow's and ovs-fields(7)'s words and nothing of topologies but where
a node's tunnels end and which port a switch port is. `trace` follows one packet to where it comes out or dies, and
says which rule did it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.network.tables import NAME, TUNNEL
from weatherglass.network.topology import Topology

Packet = dict[str, Any]
"""Fields by name: eth_src, eth_dst, eth_type, vlan, ip_src, ip_dst, proto, ttl, tp_src, tp_dst, tcp_flags,
icmp_type, icmp_code, arp_op, arp_spa, arp_tpa, arp_sha, arp_tha, nd_target, nd_sll, nd_tll, registers, metadata."""

_SHORT: dict[str, dict[str, int]] = {
    "ip": {"eth_type": 0x0800}, "ipv6": {"eth_type": 0x86DD}, "arp": {"eth_type": 0x0806},
    "icmp": {"eth_type": 0x0800, "proto": 1}, "icmp6": {"eth_type": 0x86DD, "proto": 58},
    "tcp": {"eth_type": 0x0800, "proto": 6}, "tcp6": {"eth_type": 0x86DD, "proto": 6},
    "udp": {"eth_type": 0x0800, "proto": 17}, "udp6": {"eth_type": 0x86DD, "proto": 17},
    "sctp": {"eth_type": 0x0800, "proto": 132}, "sctp6": {"eth_type": 0x86DD, "proto": 132},
}  # fmt: skip
_FIELD = {
    "dl_src": "eth_src", "dl_dst": "eth_dst", "nw_src": "ip_src", "nw_dst": "ip_dst", "ipv6_src": "ip_src",
    "ipv6_dst": "ip_dst", "nw_proto": "proto", "nw_ttl": "ttl", "icmpv6_type": "icmp_type",
    "icmpv6_code": "icmp_code",
}  # fmt: skip
_NXM = {
    "NXM_OF_ETH_SRC[]": "eth_src", "NXM_OF_ETH_DST[]": "eth_dst", "NXM_OF_IP_SRC[]": "ip_src",
    "NXM_OF_IP_DST[]": "ip_dst", "NXM_NX_IPV6_SRC[]": "ip_src", "NXM_NX_IPV6_DST[]": "ip_dst",
    "NXM_NX_ARP_SHA[]": "arp_sha", "NXM_NX_ARP_THA[]": "arp_tha", "NXM_OF_ARP_SPA[]": "arp_spa",
    "NXM_OF_ARP_TPA[]": "arp_tpa", "NXM_NX_REG6[]": "reg6", "NXM_NX_REG7[]": "reg7", "NXM_OF_IN_PORT[]": "in_port",
}  # fmt: skip
_PARTS = re.compile(r"[^,(]+(?:\([^)]*\))?")
_ADDRESSES = ("ip_src", "ip_dst", "arp_spa", "arp_tpa", "nd_target")
_MACS = ("eth_src", "eth_dst", "arp_sha", "arp_tha", "nd_sll", "nd_tll")
_MOST_STEPS = 200

Test = Callable[[Packet], bool]


@dataclass(frozen=True, slots=True)
class Read:
    """One flow as read from its text."""

    table: int
    priority: int
    tests: tuple[Test, ...]
    actions: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One rule a packet met: on which node, in which table."""

    node: str
    table: str
    rule: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a packet came to: `delivered` (to ports), `dropped`, `agent` (DHCP, errors), `wire` (out of the site)."""

    verdict: str
    why: str
    path: tuple[Step, ...]
    ports: tuple[str, ...] = ()
    packet: Mapping[str, Any] = field(default_factory=dict)


def read(lines: Iterable[str]) -> dict[int, list[Read]]:
    """Flows of ovs-ofctl's text by table, the highest priority first. Raises Invalid for a word not known here."""
    tables: dict[int, list[Read]] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match, found, actions = line.strip().partition(",actions=")
        if not found:
            raise Invalid(f"a flow without actions: {line[:80]!r}")
        table = priority = 0
        tests: list[Test] = []
        for word in match.split(","):
            name, _, value = word.partition("=")
            if name == "table":
                table = int(value)
            elif name == "priority":
                priority = int(value)
            else:
                tests += _tests(name, value, line)
        parsed = Read(table, priority, tuple(tests), tuple(_PARTS.findall(actions)), line.strip())
        tables.setdefault(table, []).append(parsed)
    for flows in tables.values():
        flows.sort(key=lambda one: -one.priority)
    return tables


def _equal(name: str, value: Any) -> Test:
    return lambda packet: packet.get(name) == value


def _tests(name: str, value: str, line: str) -> list[Test]:
    if not value:
        if name not in _SHORT:
            raise Invalid(f"{name!r} is not a match known here", where=line[:120])
        return [_equal(key, wanted) for key, wanted in _SHORT[name].items()]
    name = _FIELD.get(name, name)
    if name == "ct_state":
        return [_flags("ct_state", value)]
    if name == "tcp_flags":
        return [_flags("tcp_flags", value)]
    if name == "vlan_tci":
        return [lambda packet: not packet.get("vlan")]
    if name == "dl_vlan":
        return [_equal("vlan", int(value))]
    if name in _ADDRESSES:
        if "/" not in value:
            return [_equal(name, ip_address(value))]
        prefix = ip_network(value)
        return [
            lambda packet: (
                (one := packet.get(name)) is not None and one.version == prefix.version and one in prefix
            )
        ]
    if name in _MACS:
        # An option that is not there reads as zeros.
        return [lambda packet: packet.get(name, "00:00:00:00:00:00") == value]
    number, _, mask = value.partition("/")
    wanted = int(number, 0)
    if mask:
        bits = int(mask, 0)
        return [lambda packet: packet.get(name) is not None and packet[name] & bits == wanted]
    return [lambda packet: packet.get(name, 0 if name.startswith("reg") else None) == wanted]


def _flags(name: str, value: str) -> Test:
    signs = re.findall(r"([+-])(\w+)", value)
    on = {flag for sign, flag in signs if sign == "+"}
    off = {flag for sign, flag in signs if sign == "-"}

    def test(packet: Packet) -> bool:
        flags = packet.get(name)
        return flags is not None and on <= flags and not off & flags

    return test


@dataclass(slots=True)
class Switches:
    """Every node's flows and what its conntrack remembers (zone → connections). Tracing a packet adds to it."""

    topology: Topology
    flows: Mapping[str, dict[int, list[Read]]]
    known: dict[tuple[str, int], set[tuple[Any, ...]]] = field(default_factory=dict)

    def trace(self, port: str, packet: Packet) -> Outcome:
        """Follows a packet that a port sends. Raises Invalid for a port that is not there."""
        if port not in self.topology.ports:
            raise Invalid(f"there is no port {port}", where="port")
        sender = self.topology.ports[port]
        start = {**packet, "in_port": sender.ofport, "vlan": sender.vlan}
        walk = _Walk(self)
        walk.node(sender.node, start)
        return walk.outcome()


class _Walk:
    """One packet on its way."""

    def __init__(self, switches: Switches) -> None:
        self.switches, self.topology = switches, switches.topology
        self.path: list[Step] = []
        self.delivered: list[tuple[str, Packet]] = []
        self.ends: list[tuple[str, str]] = []

    def outcome(self) -> Outcome:
        path = tuple(self.path)
        if self.delivered:
            ports = tuple(port for port, _ in self.delivered)
            return Outcome("delivered", f"to {', '.join(ports)}", path, ports, self.delivered[0][1])
        verdict, why = self.ends[0] if self.ends else ("dropped", "no rule sent it anywhere")
        return Outcome(verdict, why, path)

    def node(self, name: str, packet: Packet) -> None:
        for register in ("reg2", "reg3", "reg4", "reg5", "reg6", "reg7"):
            packet[register] = 0
        packet["metadata"] = 0
        self._table(name, 0, packet)

    def _table(self, node: str, table: int, packet: Packet) -> None:
        while True:
            if len(self.path) > _MOST_STEPS:
                self.ends.append(("dropped", "the packet goes round in circles"))
                return
            flows = self.switches.flows[node].get(table, ())
            rule = next((one for one in flows if all(test(packet) for test in one.tests)), None)
            if rule is None:
                self.ends.append(("dropped", f"no rule of table {NAME.get(table, table)} on {node} matches"))
                return
            self.path.append(Step(node, NAME.get(table, str(table)), rule.text))
            following = self._actions(node, rule, packet)
            if following is None:
                return
            table = following

    def _actions(self, node: str, rule: Read, packet: Packet) -> int | None:
        """Does a rule's actions; the table that comes next."""
        for action in rule.actions:
            name, _, rest = action.partition(":")
            if action == "drop":
                self.ends.append(("dropped", f"{NAME.get(rule.table, rule.table)} on {node}: {rule.text}"))
                return None
            if name == "goto_table":
                return int(rest)
            if action.startswith("ct("):
                following = self._ct(node, action[3:-1], packet)
                if following is not None:
                    return following
            elif action.startswith("controller"):
                self.ends.append(("agent", f"{NAME.get(rule.table, rule.table)} on {node}: {rule.text}"))
                return None
            elif name == "output" or action == "in_port":
                self._out(node, int(rest) if rest else packet["in_port"], packet)
            else:
                _change(name, rest, packet)
        if not self.delivered and not self.ends:
            self.ends.append(("dropped", f"{rule.text} sends it nowhere"))
        return None

    def _ct(self, node: str, words: str, packet: Packet) -> int | None:
        options = dict(part.partition("=")[::2] for part in words.split(","))
        register = options["zone"].removeprefix("NXM_NX_").removesuffix("[0..15]").lower()
        connections = self.switches.known.setdefault((node, packet[register] & 0xFFFF), set())
        ends = (
            (str(packet["ip_src"]), packet.get("tp_src", 0)),
            (str(packet["ip_dst"]), packet.get("tp_dst", 0)),
        )
        if packet["proto"] in (1, 58):  # echo and its answer are one connection
            ends = ((ends[0][0], packet.get("icmp_id", 0)), (ends[1][0], packet.get("icmp_id", 0)))
        key, back = (packet["proto"], *ends), (packet["proto"], *reversed(ends))
        if "commit" in options:
            connections.add(key)
        seen = "est" if key in connections or back in connections else "new"
        packet["ct_state"] = {"trk", seen} | (
            {"rpl"} if back in connections and key not in connections else set()
        )
        return int(options["table"]) if "table" in options else None

    def _out(self, node: str, number: int, packet: Packet) -> None:
        if number == TUNNEL:
            if "tun_dst" not in packet:
                self.ends.append(("dropped", f"a tunnel on {node} without an end"))
                return
            far = next(
                (one for one in self.topology.nodes.values() if str(one.address) == packet["tun_dst"]), None
            )
            if far is None:
                self.ends.append(("dropped", f"no node has the address {packet['tun_dst']}"))
                return
            carried = {key: value for key, value in packet.items() if key not in ("tun_dst", "ct_state")}
            self.node(far.name, {**carried, "in_port": TUNNEL, "vlan": 0})
            return
        vlan = packet.get("vlan", 0) or 0
        for port in self.topology.by_node.get(node, ()):
            if port.ofport == number and port.vlan == vlan:
                self.delivered.append((port.name, dict(packet)))
                return
        wires = {wire: name for name, wire in self.topology.nodes[node].wires.items()}
        if number in wires:
            self.ends.append(
                ("wire", f"out of {wires[number]} on {node}" + (f", VLAN {vlan}" if vlan else ""))
            )
        else:
            self.ends.append(("dropped", f"nothing is plugged into switch port {number} of {node}"))


def _change(name: str, rest: str, packet: Packet) -> None:
    if name == "set_field":
        value, _, target = rest.partition("->")
        target = _FIELD.get(target, target)
        if target in ("tun_dst", "tun_ipv6_dst"):
            packet["tun_dst"] = value
        elif target == "vlan_vid":
            packet["vlan"] = int(value, 0) & 0xFFF
        elif target in _ADDRESSES:
            packet[target] = ip_address(value)
        elif target in _MACS:
            packet[target] = value
        else:
            packet[target] = int(value, 0)
    elif name == "move":
        source, _, target = rest.partition("->")
        packet[_NXM[target]] = packet[_NXM[source]]
    elif name == "load":
        value, _, target = rest.partition("->")
        # Clearing the port a packet came in by lets it go out there; it is not forgotten by who asks.
        if _NXM[target] != "in_port":
            packet[_NXM[target]] = int(value, 0)
    elif name == "dec_ttl":
        packet["ttl"] -= 1
    elif name == "pop_vlan":
        packet["vlan"] = 0
    elif name == "push_vlan":
        packet.setdefault("vlan", 0)
    else:
        raise Invalid(f"{name[:40]!r} is not an action known here")
