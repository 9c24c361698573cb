"""Real packets between namespaces on two nodes: what passes is what the model says, in both families."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address as ip
from ipaddress import ip_network as net

import pytest

from network.lab import Lab, run
from network.test_model import may
from network.world import mac
from peers import program
from weatherglass.network.topology import (
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

pytestmark = pytest.mark.root

ROUTED = (Subnet(net("10.71.0.0/24"), ip("10.71.0.1")), Subnet(net("fd71::/64"), ip("fd71::1")))
BEHIND = (Subnet(net("10.72.0.0/24"), ip("10.72.0.1")), Subnet(net("fd72::/64"), ip("fd72::1")))


def topology() -> Topology:
    """A tenant with two routed networks over two nodes, and another with the same addresses that never meets it."""
    web = Group(
        "web",
        (
            Rule("ingress", 4, "tcp", 8080, 8080), Rule("ingress", 6, "tcp", 8080, 8080),
            Rule("ingress", 4, "icmp"), Rule("ingress", 6, "icmpv6"), Rule("egress", 4), Rule("egress", 6),
        ),
    )  # fmt: skip
    quiet = Group("quiet", (Rule("egress", 4), Rule("egress", 6)))
    friends = Group("friends", (Rule("ingress", 4, group="web"), Rule("egress", 4), Rule("egress", 6)))

    def port(name: str, number: int, network: str, last: int, node: str, *groups: str) -> Port:
        k = 72 if network == "b" else 71
        addresses = (ip(f"10.{k}.0.{last}"), ip(f"fd{k}::{last:x}"))
        return Port(
            name, number, network, mac(number + (100 if node == "y" else 0)), addresses, node, number, groups
        )

    made = Topology(
        {"x": Node("x", ip("192.0.2.1")), "y": Node("y", ip("192.0.2.2"))},
        {"a": Network("a", 7101, ROUTED), "b": Network("b", 7102, BEHIND), "c": Network("c", 7103, ROUTED)},
        {"r": Router("r", mac(0x900), ("a", "b"))},
        {
            one.name: one
            for one in (
                port("a1", 1, "a", 11, "x", "web"), port("a2", 2, "a", 12, "x", "quiet"),
                port("b1", 3, "b", 13, "x", "web"), port("c1", 4, "c", 14, "x", "web"),
                port("a3", 1, "a", 15, "y", "web"), port("b2", 2, "b", 16, "y", "friends"),
                port("c2", 3, "c", 11, "y", "web"),  # the address of a1, another tenant's
            )
        },
        {"web": web, "quiet": quiet, "friends": friends},
    )  # fmt: skip
    check(made)
    return made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid():
        pytest.skip("namespaces need root")
    program("ovs-vswitchd", "openvswitch-switch")
    one = Lab(tmp_path_factory.mktemp("lab"), topology())
    # A switch asks for a tunnel's other end when the first packet is for it, and loses that packet.
    for sender, address in (("a1", "10.71.0.15"), ("a3", "10.71.0.11")):
        assert any(one.ping(sender, address) for _ in range(5)), "the tunnel does not come up"
    yield one
    one.close()


@pytest.mark.parametrize("version", [4, 6])
def test_who_reaches_whom_with_real_packets(lab: Lab, version: int) -> None:
    """Every pair of one tenant, over both nodes and the router."""
    wrong, reached = [], 0
    ports = [port for port in lab.topology.ports.values() if port.network in ("a", "b")]
    for sender in ports:
        for target in ports:
            if sender is target:
                continue
            to = str(next(one for one in target.addresses if one.version == version))
            wanted = may(lab.topology, sender, target, "tcp", 8080, version)
            got = lab.connects(sender.name, target.name, to, 8080)
            reached += got
            if got != wanted:
                wrong.append((sender.name, target.name, wanted, got))
    assert not wrong
    assert reached >= 8


def test_a_port_that_no_rule_names_is_shut(lab: Lab) -> None:
    assert lab.connects("a1", "a3", "10.71.0.15", 8080)
    assert not lab.connects("a1", "a3", "10.71.0.15", 8081)


def test_gateways_answer_and_tenants_with_one_address_never_meet(lab: Lab) -> None:
    assert lab.ping("a1", "10.71.0.1") and lab.ping("a1", "fd71::1") and lab.ping("b2", "10.72.0.1")
    assert lab.ping("c1", "10.71.0.11")  # c2, though a1 of the other tenant has the address too
    assert not lab.ping("c1", "10.71.0.15")  # a3, another tenant's
    assert not lab.ping("c1", "10.72.0.13")


def test_nobody_speaks_for_another(lab: Lab) -> None:
    space = lab.space("a1")
    assert lab.ping("a1", "10.71.0.15")
    run("ip", "-n", space, "addr", "add", "10.71.0.99/24", "dev", "eth0")
    try:
        words = ("ping", "-I", "10.71.0.99", "-c", "1", "-W", "1", "10.71.0.15")
        assert run("ip", "netns", "exec", space, *words, check=False).returncode != 0
    finally:
        run("ip", "-n", space, "addr", "del", "10.71.0.99/24", "dev", "eth0")
    run("ip", "-n", space, "link", "set", "eth0", "address", mac(0x777))
    try:
        assert not lab.ping("a1", "10.71.0.15")
    finally:
        run("ip", "-n", space, "link", "set", "eth0", "address", mac(1))
    assert lab.ping("a1", "10.71.0.15")


def test_the_switch_forwards_while_nobody_programs_it(lab: Lab) -> None:
    """Flows are all a node needs: written again as they are, nothing is lost; a connection lives through it."""
    assert lab.ping("a1", "10.71.0.15")
    lab.program("x")
    assert lab.ping("a1", "10.71.0.15")
