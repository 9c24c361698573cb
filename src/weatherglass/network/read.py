"""A topology from its YAML: every problem at once with its line; what is left out follows stably from the names.

The words of `networks:` are those of the site's declaration. Numbers that nobody gave (VNIs, ports' numbers, switch
ports, MACs) come from a digest of the name, so that adding a port changes no other's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from weatherglass.base.errors import Invalid, Problem
from weatherglass.network.topology import (
    MOST_ZONES,
    PROTOCOLS,
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
from weatherglass.site.fields import (
    BAD,
    BOOLEAN,
    NAME,
    REQUIRED,
    At,
    Field,
    ListOf,
    MapOf,
    Record,
    Report,
    Scalar,
    Type,
    near,
    plain_name,
    whole,
)
from weatherglass.site.sections import networks as declared
from weatherglass.site.sections.networks import ADDRESS, NETWORK, PREFIX
from weatherglass.site.tree import compose

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MOST_OFPORT = 60_000


def _mac(text: str) -> str:
    if not _MAC.fullmatch(text.lower()) or int(text[:2], 16) & 1:
        raise ValueError(f"{text!r} is not the MAC of one interface; write one like fa:16:3e:00:00:01")
    return text.lower()


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        found = int(first), int(last) if dash else int(first)
    except ValueError:
        raise ValueError(f"{text!r} is not a port or a range like 80-443") from None
    if not 0 < found[0] <= found[1] <= 65535:
        raise ValueError(f"{text!r} is out of order or beyond 65535")
    return found


def _from(text: str) -> str:
    if text == "any" or text.startswith("group:"):
        return text
    return declared.prefix(text)


def _protocol(text: str) -> str:
    if text in PROTOCOLS or (text.isdigit() and int(text) < 256):
        return text
    raise ValueError(f"{text!r} is no protocol; {near(text, PROTOCOLS)}, or a number")


class _Lets(NamedTuple):
    protocol: str
    ports: tuple[int, int]
    type: int
    code: int
    other: str
    version: int


MAC = Scalar(_mac, {"type": "string"}, "a MAC")
_OTHER = Scalar(_from, {"type": "string"}, "a prefix, group:NAME or any")
_LETS = Record(
    {
        "protocol": Field(Scalar(_protocol, {"type": ["string", "integer"]}, "a protocol"), "which", "any"),
        "ports": Field(Scalar(_ports, {"type": ["string", "integer"]}, "a port or range"), "which", (0, 0), "default: all"),
        "type": Field(whole(-1, 255), "ICMP's type", -1, "default: all"),
        "code": Field(whole(-1, 255), "ICMP's code", -1, "default: all"),
        "from": Field(_OTHER, "who may send (ingress)", "any"),
        "to": Field(_OTHER, "to whom (egress)", "any"),
        "version": Field(whole(0, 6), "4 or 6", 0, "default: both, or the prefix's"),
    },
    lambda **values: (
        _Lets(
            values["protocol"], values["ports"], values["type"], values["code"],
            values["from"] if values["from"] != "any" else values["to"], values["version"],
        )
    ),
)  # fmt: skip


class _Plain(NamedTuple):
    """A record's values, by name."""

    values: Mapping[str, Any]


def _kept(**values: Any) -> _Plain:
    return _Plain(values)


SECTIONS: dict[str, Type] = {
    "nodes": MapOf(
        Record(
            {
                "address": Field(ADDRESS, "where its tunnels end", REQUIRED),
                "wires": Field(MapOf(whole(1, _MOST_OFPORT)), "provider wires → switch ports", {}),
            },
            _kept,
            short=("scalar", "address"),
        ),
        key=plain_name,
    ),
    "networks": MapOf(NETWORK, key=plain_name, nullable=True),
    "routers": MapOf(
        Record(
            {
                "networks": Field(ListOf(NAME), "what it joins", ()),
                "mac": Field(MAC, "its MAC on all of them", "", "default: from its name"),
            },
            _kept,
        ),
        key=plain_name,
        nullable=True,
    ),
    "groups": MapOf(
        Record(
            {
                "ingress": Field(ListOf(_LETS), "what is let in", ()),
                "egress": Field(ListOf(_LETS), "what is let out", None, "default: everything"),
            },
            _kept,
        ),
        key=plain_name,
        nullable=True,
    ),
    "ports": MapOf(
        Record(
            {
                "node": Field(NAME, "where it is", REQUIRED),
                "network": Field(NAME, "what it hangs on", REQUIRED),
                "addresses": Field(ListOf(ADDRESS, single=True), "its addresses", ()),
                "mac": Field(MAC, "its MAC", "", "default: from its name"),
                "number": Field(whole(0, MOST_ZONES), "its number on its node", 0, "default: from its name"),
                "ofport": Field(whole(0, _MOST_OFPORT), "its switch port", 0, "default: its number"),
                "groups": Field(ListOf(NAME, single=True), "its security groups", ()),
                "security": Field(BOOLEAN, "whether it is held to its addresses and groups", True),
                "trunk": Field(NAME, "the port whose VLAN it is", ""),
                "vlan": Field(whole(0, 4094), "its VLAN on the trunk", 0, "default: none"),
                "pairs": Field(
                    ListOf(
                        Record(
                            {
                                "prefix": Field(PREFIX, "addresses it may speak for", REQUIRED),
                                "mac": Field(MAC, "with this MAC", "", "default: the port's"),
                            },
                            _kept,
                            short=("scalar", "prefix"),
                        )
                    ),
                    "addresses it may speak for besides its own",
                    (),
                ),
            },
            _kept,
        ),
        key=plain_name,
        nullable=True,
    ),
}
"""The sections of a topology, each with how it is read."""


def read(text: str, file: str = "topology.yaml") -> Topology:
    """The topology of a YAML text. Raises Invalid with every problem, each with file, line and mend."""
    root = compose(text, file)
    if root is None:
        raise Invalid("there is nothing in it", where=file, mend="nodes:, networks:, ports: …")
    report = Report()
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for name, at in (At(root, "", report).pairs() or {}).items():
        if name not in SECTIONS:
            at.bad(f"{name} is not a section of a topology", near(name, SECTIONS))
            continue
        found = SECTIONS[name].read(at)
        if found is not BAD:
            values[name] = found
    if report.problems:
        raise _invalid(report.problems)
    try:
        topology = build(values)
        check(topology)
    except Invalid as error:
        placed = [
            Problem(one.message, f"{report.place(one.where)}.{one.where}", one.mend) for one in error.problems
        ]
        raise _invalid(placed) from None
    return topology


def _invalid(problems: list[Problem]) -> Invalid:
    first = problems[0]
    return Invalid(first.message, where=first.where, mend=first.mend, problems=problems)


def build(values: Mapping[str, Mapping[str, Any]]) -> Topology:
    """A topology of the sections' values. Raises Invalid for what refers to nothing."""
    nodes = {
        name: Node(name, ip_address(one.values["address"]), dict(one.values["wires"]))
        for name, one in values["nodes"].items()
    }
    networks = named_networks(values["networks"])
    joined: dict[str, list[str]] = {}
    for name, network in values["networks"].items():
        if network.router:
            joined.setdefault(network.router, []).append(name)
    routers = {}
    for name in [*values["routers"], *(one for one in joined if one not in values["routers"])]:
        given: Mapping[str, Any] = values["routers"][name].values if name in values["routers"] else {}
        routers[name] = Router(
            name,
            given.get("mac") or _made_mac(f"router/{name}"),
            (*given.get("networks", ()), *joined.get(name, ())),
        )
    groups = {name: _group(name, one.values) for name, one in values["groups"].items()}
    return Topology(nodes, networks, routers, _read_ports(values["ports"]), groups)


def named_networks(given: Mapping[str, declared.Declared]) -> dict[str, Network]:
    """The networks of `networks:`, of a topology or of a site."""
    vnis = _numbers(((name, one.vni) for name, one in given.items()), 4096, (1 << 24) - 1)
    return {
        name: Network(
            name,
            vnis[name],
            tuple(_subnet(one) for one in network.subnets.values()),
            network.tenant,
            network.mtu,
            Provider(network.provider.wire, network.provider.vlan) if network.provider else None,
        )
        for name, network in given.items()
    }


def _subnet(one: declared.Subnet) -> Subnet:
    prefix = ip_network(one.prefix)
    gateway = None if one.gateway == "none" else ip_address(one.gateway) if one.gateway else prefix[1]
    return Subnet(prefix, gateway, one.dhcp, tuple(ip_address(server) for server in one.dns))


def _numbers(given: Iterable[tuple[str, int]], low: int, high: int) -> dict[str, int]:
    """A number for each name: the one given, or one from the name's digest that nobody else has."""
    pairs = list(given)
    found = {name: number for name, number in pairs if number}
    taken = set(found.values())
    for name in sorted(name for name, number in pairs if not number):
        number = low + zlib.crc32(name.encode()) % (high - low + 1)
        while number in taken:
            number = number + 1 if number < high else low
        found[name] = number
        taken.add(number)
    return found


def _made_mac(name: str) -> str:
    digest = zlib.crc32(name.encode())
    return f"fa:16:3e:{digest >> 16 & 255:02x}:{digest >> 8 & 255:02x}:{digest & 255:02x}"


def _read_ports(given: Mapping[str, _Plain]) -> dict[str, Port]:
    by_node: dict[str, list[tuple[str, int]]] = {}
    for name, one in given.items():
        by_node.setdefault(one.values["node"], []).append((name, one.values["number"]))
    numbers = {name: n for pairs in by_node.values() for name, n in _numbers(pairs, 1, _MOST_OFPORT).items()}
    ports: dict[str, Port] = {}
    problems: list[Problem] = []
    for name, one in given.items():
        v = one.values
        trunk = v["trunk"]
        if trunk and (trunk not in given or given[trunk].values["node"] != v["node"]):
            problems.append(
                Problem(f"there is no port {trunk} on {v['node']}", f"ports.{name}.trunk", "its trunk's name")
            )
            continue
        if bool(trunk) != bool(v["vlan"]):
            problems.append(Problem("trunk and vlan come together", f"ports.{name}", "both, or neither"))
        ofport = v["ofport"] or numbers[name]
        if trunk:
            ofport = given[trunk].values["ofport"] or numbers[trunk]
        mac = v["mac"] or _made_mac(name)
        ports[name] = Port(
            name, numbers[name], v["network"], mac, tuple(ip_address(a) for a in v["addresses"]), v["node"], ofport,
            v["groups"], v["vlan"], trunk,
            tuple(Pair(ip_network(p.values["prefix"]), p.values["mac"] or mac) for p in v["pairs"]), v["security"],
        )  # fmt: skip
    if problems:
        raise _invalid(problems)
    return ports


def _group(name: str, given: Mapping[str, Any]) -> Group:
    rules: list[Rule] = []
    for direction in ("ingress", "egress"):
        lets = given[direction]
        if lets is None:  # a group that says nothing of egress lets everything out, as Neutron's do
            rules += [Rule(direction, 4), Rule(direction, 6)]
            continue
        for let in lets:
            rules += _rules(direction, let)
    return Group(name, tuple(rules))


_ONLY: Mapping[str, int] = {"icmp": 4, "icmpv6": 6}


def _rules(direction: str, let: _Lets) -> list[Rule]:
    prefix = ip_network(let.other) if let.other != "any" and not let.other.startswith("group:") else None
    group = let.other.removeprefix("group:") if let.other.startswith("group:") else ""
    version = let.version or _ONLY.get(let.protocol, 0) or (prefix.version if prefix else 0)
    first, last = let.ports
    if let.protocol in _ONLY:
        first, last = let.type + 1, let.code + 1
    make: Callable[[int], Rule] = lambda v: Rule(direction, v, let.protocol, first, last, prefix, group)  # noqa: E731
    return [make(one) for one in ((version,) if version else (4, 6))]
