"""The compiler: what it writes Open vSwitch reads, each place once, and a node pays for what it sees alone."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.world import mac, one_of_everything
from peers import program
from weatherglass.base.errors import Invalid
from weatherglass.network.pipeline import compile, masks
from weatherglass.network.topology import check


@pytest.mark.parametrize("node", ["x", "y"])
def test_open_vswitch_reads_every_flow(node: str, tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    compiled = compile(one_of_everything(), node)
    flows.write_text("".join(f"{flow}\n" for flow in compiled))
    told = subprocess.run(
        [program("ovs-ofctl", "openvswitch-switch"), "-O", "OpenFlow15", "parse-flows", flows],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0 and "WARN" not in told.stderr, told.stderr[-2000:]
    assert sum(line.startswith(("ADD", "OFPT_FLOW_MOD")) for line in told.stdout.splitlines()) == len(
        compiled
    )


@pytest.mark.parametrize("node", ["x", "y"])
def test_each_place_is_taken_once(node: str) -> None:
    places = [flow[:3] for flow in compile(one_of_everything(), node)]
    assert len(set(places)) == len(places)


def test_a_node_knows_nothing_of_networks_it_has_no_part_in() -> None:
    text = "\n".join(map(str, compile(one_of_everything(), "y")))
    assert "1003" not in text and mac(4) not in text
    assert "10.2.0.2" in text  # joined by the router: a packet may be for it


@given(st.integers(1, 65535), st.integers(0, 3000))
def test_a_range_of_ports_is_exactly_its_masks(first: int, more: int) -> None:
    last = min(first + more, 65535)
    found = [port for value, mask in masks(first, last) for port in range(value, value + (0xFFFF - mask) + 1)]
    assert found == list(range(first, last + 1))


def test_what_two_ports_cannot_share_is_told_all_at_once() -> None:
    topology = one_of_everything()
    ports = dict(topology.ports)
    ports["p3"] = replace(
        ports["p3"], node="x", mac=ports["p1"].mac, addresses=ports["p1"].addresses, network="a"
    )
    with pytest.raises(Invalid) as refused:
        check(replace(topology, ports=ports))
    text = str(refused.value.problems)
    for words in ("number 1 on x", "switch port 1", f"{mac(1)} on a", "10.1.0.2 on a"):
        assert words in text
