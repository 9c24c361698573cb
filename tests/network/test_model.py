"""Packets through the compiled flows: who reaches whom, for one of everything and for random topologies.

`may` is a plain definition of what a topology lets pass, in a few lines and with no flow in it; the model of the
emitted flows must say the same for every pair of ports, in both families.
"""

from __future__ import annotations

from ipaddress import ip_address as ip
from ipaddress import ip_network as net

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.world import mac, one_of_everything
from weatherglass.base.errors import Invalid
from weatherglass.network.model import Outcome, Switches, read
from weatherglass.network.packets import packet
from weatherglass.network.pipeline import compile
from weatherglass.network.tables import NUMBER, TABLES
from weatherglass.network.topology import (
    Address,
    Group,
    Network,
    Node,
    Port,
    Router,
    Rule,
    Subnet,
    Topology,
    check,
)


def switches(topology: Topology) -> Switches:
    return Switches(topology, {node: read(map(str, compile(topology, node))) for node in topology.nodes})


def send(world: Switches, port: str, spec: str) -> Outcome:
    return world.trace(port, packet(spec, world.topology, world.topology.ports[port]))


CASES = [
    (
        "p3",
        "udp,dst=10.2.0.2,dport=53",
        "delivered",
        "p2",
    ),  # another node, through the router, into a trunk's VLAN
    ("p3", "udp,dst=10.1.0.2,dport=53", "delivered", "p1"),
    ("p1", "udp,dst=10.2.0.2,dport=53", "delivered", "p2"),  # back out of the port it came in by
    ("p3", "tcp,dst=10.1.0.2,dport=80", "dropped", "out_rules"),  # its group lets nothing but DNS out
    ("p3", "udp,dst=10.1.0.2,dport=53,src=10.1.0.9", "dropped", "guard"),
    ("p3", "udp,dst=10.1.0.2,dport=53,src=10.1.0.200", "dropped", "in_rules"),  # an allowed pair, in no group
    ("p3", "udp,dst=10.1.0.2,dport=53,smac=fa:16:3e:00:00:77", "dropped", "guard"),
    ("p1", "icmp,dst=10.1.0.1", "dropped", "out_rules"),
    ("p1", "icmp6,dst=fd01::1", "delivered", "p1"),  # the gateway's own answer
    ("p1", "arp,tpa=10.1.0.3", "delivered", "p1"),
    ("p1", "arp,tpa=10.1.0.1", "delivered", "p1"),
    ("p1", "arp,tpa=10.1.0.2", "dropped", "arp"),  # a host that looks for a double of itself
    ("p1", "arp,tpa=10.1.0.3,spa=10.1.0.3", "dropped", "guard"),
    ("p1", "nd,target=fd01::1", "delivered", "p1"),
    ("p1", "udp,src=0.0.0.0,dst=255.255.255.255,sport=68,dport=67", "agent", "guard"),
    ("p4", "udp,dst=10.3.0.9,sport=67,dport=68", "dropped", "guard"),  # nobody plays DHCP server
    ("p1", "udp,dst=10.2.0.2,dport=53,ttl=1", "agent", "route"),
    ("p1", "udp,dst=10.9.0.2,dport=53", "agent", "route"),  # no route: the agent says so
    ("p4", "tcp,dst=10.3.0.99", "wire", "ext"),
    ("p4", "icmp,dst=10.1.0.2", "wire", "ext"),  # no router on the wire's network: its own gateway is outside
]


@pytest.mark.parametrize(("port", "spec", "verdict", "words"), CASES)
def test_where_a_packet_comes_out(port: str, spec: str, verdict: str, words: str) -> None:
    outcome = send(switches(one_of_everything()), port, spec)
    assert outcome.verdict == verdict, outcome
    assert words in outcome.why or words in outcome.ports, outcome.why


def test_answers_to_what_was_let_through_pass_and_nothing_else() -> None:
    world = switches(one_of_everything())
    back = "udp,dst=10.1.0.3,sport=53,dport=40000"
    assert send(world, "p1", back).verdict == "dropped"
    assert send(world, "p3", "udp,dst=10.1.0.2,dport=53,sport=40000").verdict == "delivered"
    assert send(world, "p1", back).verdict == "delivered"
    assert send(world, "p1", "udp,dst=10.1.0.3,sport=53,dport=40001").verdict == "dropped"


def test_an_answer_says_what_was_asked_for() -> None:
    found = send(switches(one_of_everything()), "p1", "arp,tpa=10.1.0.1").packet
    assert (found["arp_op"], found["arp_sha"], str(found["arp_spa"])) == (2, mac(9), "10.1.0.1")
    assert (found["arp_tha"], str(found["arp_tpa"]), found["eth_dst"]) == (mac(1), "10.1.0.2", mac(1))
    found = send(switches(one_of_everything()), "p1", "nd,target=fd01::1").packet
    assert (found["icmp_type"], found["nd_tll"], found["nd_reserved"]) == (136, mac(9), 0xE0000000)


def test_every_flow_keeps_to_its_table() -> None:
    for node in ("x", "y"):
        for flow in compile(one_of_everything(), node):
            name = next(name for name, number in NUMBER.items() if number == flow.table)
            for word in flow.actions.split(","):
                if word.startswith("goto_table:"):
                    to = next(other for other, number in NUMBER.items() if number == int(word[11:]))
                    assert to in TABLES[name].to, flow


@pytest.mark.parametrize(
    "spec", ["", "tcp", "what,dst=1.2.3.4", "tcp,dst=x", "tcp,color=red", "tcp,dst=1.2.3.4,dport=x"]
)
def test_a_packet_that_is_none_is_refused(spec: str) -> None:
    topology = one_of_everything()
    with pytest.raises(Invalid):
        packet(spec, topology, topology.ports["p1"])


# --- random topologies -----------------------------------------------------------------------------------

SERVICES = [("tcp", 22), ("tcp", 80), ("udp", 53)]


def may(topology: Topology, sender: Port, target: Port, protocol: str, port: int, version: int) -> bool:
    """Whether a new connection passes, from the topology's own words."""
    source = next((one for one in sender.addresses if one.version == version), None)
    to = next((one for one in target.addresses if one.version == version), None)
    if source is None or to is None or target.network not in topology.neighbours(sender):
        return False

    def lets(one: Port, direction: str, other: Port, address: Address) -> bool:
        if not one.secured:
            return True
        for name in one.groups:
            for rule in topology.groups[name].rules:
                if rule.direction != direction or rule.version != version:
                    continue
                if rule.protocol not in ("any", protocol):
                    continue
                if rule.first and not rule.first <= port <= (rule.last or rule.first):
                    continue
                if rule.prefix is not None and address not in rule.prefix:
                    continue
                if rule.group and rule.group not in other.groups:
                    continue
                return True
        return False

    return lets(sender, "egress", target, to) and lets(target, "ingress", sender, source)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    networks, routers, ports = {}, {}, {}
    count = draw(st.integers(1, 4))
    for k in range(count):
        # Tenants' networks overlap: k // 2 says which addresses, so that 0 and 1 differ and 2 is like 0 again.
        v4 = net(f"10.{k % 2}.0.0/24")
        v6 = net(f"fd0{k % 2}::/64")
        networks[f"n{k}"] = Network(f"n{k}", 100 + k, (Subnet(v4, v4[1]), Subnet(v6, v6[1])))
    for k in range(0, count - 1, 2):
        if draw(st.booleans()):
            routers[f"r{k}"] = Router(f"r{k}", mac(0x900 + k), (f"n{k}", f"n{k + 1}"))
    names = ["g0", "g1", "g2"]
    groups = {}
    for name in names:
        rules = []
        for _ in range(draw(st.integers(0, 4))):
            version = draw(st.sampled_from([4, 6]))
            protocol, port = draw(st.sampled_from([("any", 0), *SERVICES]))
            kind = draw(st.sampled_from(["all", "prefix", "group"]))
            prefix = draw(
                st.sampled_from(
                    [net("10.0.0.0/25"), net("10.1.0.0/24")] if version == 4 else [net("fd01::/64")]
                )
            )
            rules.append(
                Rule(
                    draw(st.sampled_from(["ingress", "egress"])), version, protocol, port, port + (2 if port else 0),
                    prefix if kind == "prefix" else None, draw(st.sampled_from(names)) if kind == "group" else "",
                )
            )  # fmt: skip
        groups[name] = Group(name, tuple(rules))
    numbers = {"x": 0, "y": 0}
    trunk: dict[str, int] = {}
    for n in range(draw(st.integers(2, 6))):
        node = draw(st.sampled_from(["x", "y"]))
        network = draw(st.sampled_from(sorted(networks)))
        numbers[node] += 1
        k = int(network[1:])
        addresses = [ip(f"10.{k % 2}.0.{10 + n}")] + (
            [ip(f"fd0{k % 2}::{10 + n:x}")] if draw(st.booleans()) else []
        )
        sub = node in trunk and draw(st.booleans())
        ofport = trunk[node] if sub else numbers[node]
        trunk.setdefault(node, ofport)
        ports[f"p{n}"] = Port(
            f"p{n}", numbers[node], network, mac(n + 1), tuple(addresses), node, ofport,
            tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=2))),
            vlan=100 + n if sub else 0, secured=draw(st.integers(0, 5)) > 0,
        )  # fmt: skip
    topology = Topology(
        {"x": Node("x", ip("192.0.2.1")), "y": Node("y", ip("192.0.2.2"))}, networks, routers, ports, groups
    )
    check(topology)
    return topology


@settings(max_examples=60)
@given(topologies(), st.sampled_from(SERVICES))
def test_who_reaches_whom_is_what_the_topology_says(topology: Topology, service: tuple[str, int]) -> None:
    protocol, number = service
    world = switches(topology)
    for sender in topology.ports.values():
        for target in topology.ports.values():
            if sender is target:
                continue
            for version in (4, 6):
                source = next((one for one in sender.addresses if one.version == version), None)
                to = next((one for one in target.addresses if one.version == version), None)
                if source is None or to is None:
                    continue
                world.known.clear()
                outcome = send(world, sender.name, f"{protocol},src={source},dst={to},dport={number}")
                same_address = [
                    one.name
                    for one in topology.ports.values()
                    if to in one.addresses and one.network in topology.neighbours(sender)
                ]
                wanted = [
                    name
                    for name in same_address
                    if name != sender.name
                    and may(topology, sender, topology.ports[name], protocol, number, version)
                ]
                assert list(outcome.ports) == wanted, (sender.name, target.name, version, outcome)
