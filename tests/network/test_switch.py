"""A real Open vSwitch and the model of the emitted flows meet the same rules, packet by packet, in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.switch import Switch
from network.test_model import CASES, SERVICES, switches, topologies
from network.world import one_of_everything
from peers import program
from weatherglass.network.model import Switches
from weatherglass.network.packets import packet
from weatherglass.network.pipeline import compile
from weatherglass.network.tables import NUMBER
from weatherglass.network.topology import Topology


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    program("ovs-vswitchd", "openvswitch-switch")
    one = Switch(tmp_path_factory.mktemp("ovs") / "x")
    yield one
    one.close()


def modelled(world: Switches, sender: str, spec: str) -> tuple[str, list[tuple[int, int]]]:
    """(the sender's node, the rules met on it before the packet leaves it)."""
    world.known.clear()
    outcome = world.trace(sender, packet(spec, world.topology, world.topology.ports[sender]))
    node = world.topology.ports[sender].node
    met: list[tuple[int, int]] = []
    for step in outcome.path:
        if step.node != node:
            break
        priority = next(word for word in step.rule.split(",") if word.startswith("priority="))
        met.append((NUMBER[step.table], int(priority[9:])))
    return node, met


def agree(switch: Switch, world: Switches, sender: str, spec: str) -> None:
    port = world.topology.ports[sender]
    _, met = modelled(world, sender, spec)
    told = switch.rules(port.ofport, port.vlan, packet(spec, world.topology, port))
    assert told == met, (sender, spec)


@pytest.mark.parametrize("node", ["x", "y"])
def test_every_case_meets_the_rules_the_model_says(switch: Switch, node: str) -> None:
    topology = one_of_everything()
    world = switches(topology)
    switch.become(topology, node, compile(topology, node))
    tried = 0
    for sender, spec, _, _ in CASES:
        if topology.ports[sender].node == node:
            agree(switch, world, sender, spec)
            tried += 1
    assert tried > 3


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topologies(), st.sampled_from(SERVICES))
def test_random_topologies_too(switch: Switch, topology: Topology, service: tuple[str, int]) -> None:
    world = switches(topology)
    for node in topology.nodes:
        if not topology.by_node.get(node):
            continue
        switch.become(topology, node, compile(topology, node))
        for sender in topology.by_node[node]:
            for target in topology.ports.values():
                for to in target.addresses:
                    if sender is target or not any(one.version == to.version for one in sender.addresses):
                        continue
                    agree(switch, world, sender.name, f"{service[0]},dst={to},dport={service[1]}")
                    agree(switch, world, sender.name, f"{'arp,tpa' if to.version == 4 else 'nd,target'}={to}")
