"""Networks, subnets, routers, ports, security groups: what is to be, as values. Pure; nothing here knows a flow.

`Topology` is what sources (a declaration, Neutron, Kubernetes) give and the compiler takes. Whatever the compiler asks
of it again and again is looked up once (`index`), so that compiling a node costs what the node sees and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from weatherglass.base.errors import Invalid, Problem

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
MOST_ZONES = 65535
"""A port's number on its node is its conntrack zone, 16 bits."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with a switch: the address tunnels end at, and the switch port of each provider network's wire."""

    name: str
    address: Address
    wires: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A network's addresses. `gateway` is where its router answers."""

    prefix: Prefix
    gateway: Address | None = None
    dhcp: bool = True
    dns: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """A network that is a wire of the site's: its name on the nodes, and its VLAN (0: none)."""

    wire: str
    vlan: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    """A tenant's layer 2. `vni` tells it apart in tunnels and in the pipeline (24 bits)."""

    name: str
    vni: int
    subnets: tuple[Subnet, ...] = ()
    tenant: str = ""
    mtu: int = 1450
    provider: Provider | None = None


@dataclass(frozen=True, slots=True)
class Router:
    """Joins networks: on each it answers at the gateways of the network's subnets, everywhere with one MAC."""

    name: str
    mac: str
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a security group lets through. `version` 4 or 6; ports are 0 and 0 for all (ICMP: type and code + 1)."""

    direction: str  # ingress, egress
    version: int
    protocol: str = "any"
    first: int = 0
    last: int = 0
    prefix: Prefix | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A security group: what is not let through is dropped; answers to what was let through pass."""

    name: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Addresses a port may speak for besides its own."""

    prefix: Prefix
    mac: str


@dataclass(frozen=True, slots=True)
class Port:
    """Where a container or machine hangs on a network.

    `number` is the port's own on its node (its conntrack zone, its register value); `ofport` its switch port; a
    subport has its parent's `ofport` and a `vlan`.
    """

    name: str
    number: int
    network: str
    mac: str
    addresses: tuple[Address, ...]
    node: str
    ofport: int
    groups: tuple[str, ...] = ()
    vlan: int = 0
    parent: str = ""
    pairs: tuple[Pair, ...] = ()
    secured: bool = True


@dataclass(frozen=True)
class Topology:
    """Everything, by name."""

    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    routers: Mapping[str, Router]
    ports: Mapping[str, Port]
    groups: Mapping[str, Group]

    @cached_property
    def by_node(self) -> dict[str, list[Port]]:
        return _grouped((port.node, port) for port in self.ports.values())

    @cached_property
    def by_network(self) -> dict[str, list[Port]]:
        return _grouped((port.network, port) for port in self.ports.values())

    @cached_property
    def spoken(self) -> dict[str, tuple[tuple[int, str], ...]]:
        """Port → (version, text) of its addresses: an address takes longer to write than all else of a flow."""
        return {
            port.name: tuple((address.version, str(address)) for address in port.addresses)
            for port in self.ports.values()
        }

    @cached_property
    def router_of(self) -> dict[str, Router]:
        """Network → the router that joins it to others."""
        return {network: router for router in self.routers.values() for network in router.networks}

    @cached_property
    def domain_of(self) -> dict[str, int]:
        """Network → a number for all networks its addresses can reach: within it addresses are unique."""
        numbers = {name: number for number, name in enumerate(sorted(self.routers), 1)}
        return {
            name: numbers[self.router_of[name].name] if name in self.router_of else 1 << 24 | network.vni
            for name, network in self.networks.items()
        }

    def seen_from(self, node: str) -> list[Network]:
        """The networks a node must know: those of its ports, and what their routers join to them. By name."""
        own = {port.network for port in self.by_node.get(node, ())}
        joined = {name for one in own if one in self.router_of for name in self.router_of[one].networks}
        return [self.networks[name] for name in sorted(own | joined)]

    def neighbours(self, port: Port) -> tuple[str, ...]:
        """The networks a port's packets can come to: its own, and its router's."""
        router = self.router_of.get(port.network)
        return router.networks if router else (port.network,)


def _grouped(pairs: Iterable[tuple[str, Port]]) -> dict[str, list[Port]]:
    found: dict[str, list[Port]] = {}
    for key, port in pairs:
        found.setdefault(key, []).append(port)
    return found


def link_local(mac: str) -> IPv6Address:
    """The address that an interface of this MAC gives itself (RFC 4291 §2.5.1)."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    eui = bytes([*octets[:3], 0xFF, 0xFE, *octets[3:]])
    return IPv6Address(b"\xfe\x80" + bytes(6) + eui)


def check(topology: Topology) -> None:
    """Raises Invalid with everything that two nodes, or two ports, could not agree on."""
    problems: list[Problem] = []

    def bad(where: str, message: str, mend: str) -> None:
        problems.append(Problem(message, where, mend))

    _check_networks(topology, bad)
    _check_ports(topology, bad)
    for group in topology.groups.values():
        for rule in group.rules:
            if rule.group and rule.group not in topology.groups:
                bad(f"groups.{group.name}", f"there is no group {rule.group}", "declare it, or name a prefix")
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)


def _check_networks(topology: Topology, bad: object) -> None:
    assert callable(bad)
    vnis: dict[int, str] = {}
    for network in topology.networks.values():
        where = f"networks.{network.name}"
        if not 0 < network.vni < 1 << 24:
            bad(where, f"vni {network.vni} is not between 1 and 2^24-1", "another number")
        if (other := vnis.setdefault(network.vni, network.name)) != network.name:
            bad(where, f"vni {network.vni} is {other}'s too", "a number of its own")
        for subnet in network.subnets:
            if subnet.gateway is not None and subnet.gateway not in subnet.prefix:
                bad(where, f"gateway {subnet.gateway} lies outside {subnet.prefix}", "an address in it")
    joined: dict[str, str] = {}
    for router in topology.routers.values():
        prefixes: list[tuple[Prefix, str]] = []
        for name in router.networks:
            where = f"routers.{router.name}"
            if name not in topology.networks:
                bad(where, f"there is no network {name}", "one that is declared")
                continue
            if (other := joined.setdefault(name, router.name)) != router.name:
                bad(where, f"{name} is joined by {other} too", "one router a network")
            for subnet in topology.networks[name].subnets:
                for prefix, owner in prefixes:
                    if prefix.version == subnet.prefix.version and prefix.overlaps(subnet.prefix):
                        bad(
                            where, f"{subnet.prefix} of {name} overlaps {prefix} of {owner}", "other prefixes"
                        )
                prefixes.append((subnet.prefix, name))


def _check_ports(topology: Topology, bad: object) -> None:
    assert callable(bad)
    numbers: dict[tuple[str, int], str] = {}
    plugs: dict[tuple[str, int, int], str] = {}
    addresses: dict[tuple[str, Address], str] = {}
    macs: dict[tuple[str, str], str] = {}
    for port in topology.ports.values():
        where = f"ports.{port.name}"
        if port.network not in topology.networks:
            bad(where, f"there is no network {port.network}", "one that is declared")
        if port.node not in topology.nodes:
            bad(where, f"there is no node {port.node}", "one that is declared")
        for group in port.groups:
            if group not in topology.groups:
                bad(where, f"there is no group {group}", "one that is declared")
        if not 0 < port.number <= MOST_ZONES:
            bad(where, f"number {port.number} is not between 1 and {MOST_ZONES}", "another number")
        if not 0 <= port.vlan < 4095:
            bad(where, f"{port.vlan} is no VLAN", "1 to 4094, 0 for none")
        for taken, key, what in (
            (numbers, (port.node, port.number), f"number {port.number} on {port.node}"),
            (
                plugs,
                (port.node, port.ofport, port.vlan),
                f"switch port {port.ofport}, VLAN {port.vlan} of {port.node}",
            ),
            (macs, (port.network, port.mac), f"{port.mac} on {port.network}"),
            *((addresses, (port.network, one), f"{one} on {port.network}") for one in port.addresses),
        ):
            other = taken.setdefault(key, port.name)  # type: ignore[attr-defined]
            if other != port.name:
                bad(where, f"{what} is {other}'s too", "one of its own")
