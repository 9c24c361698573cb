"""Topologies from YAML: defaults that hold still, every mistake with its line, the doors, and the site's own networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.cli.main import main
from weatherglass.network.pipeline import compile
from weatherglass.network.read import named_networks, read
from weatherglass.site import load

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "network" / "two-tenants.yaml"
REFERENCE = Path(__file__).resolve().parents[2] / "examples" / "reference" / "site.yaml"

SMALL = """
nodes: {x: 192.0.2.1}
networks: {a: {subnets: {v4: 10.1.0.0/24}}}
ports:
  p: {node: x, network: a, addresses: 10.1.0.5}
"""


def test_what_nobody_gave_follows_from_the_name_and_stays() -> None:
    one = read(SMALL)
    more = read(SMALL + "  q: {node: x, network: a, addresses: 10.1.0.6}\n  a-first: {node: x, network: a}\n")
    assert more.ports["p"] == one.ports["p"]
    assert more.networks["a"] == one.networks["a"]
    assert one.ports["p"].ofport == one.ports["p"].number > 0
    assert str(one.networks["a"].subnets[0].gateway) == "10.1.0.1"


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        (SMALL.replace("node: x,", "node: y,"), "no node y", 5),
        (SMALL.replace("network: a,", "network: b,"), "no network b", 5),
        (SMALL.replace("10.1.0.5", "10.1.0.500"), "not an address", 5),
        (SMALL.replace("10.1.0.0/24", "10.1.0.1/24"), "host bits", 3),
        (SMALL + "  q: {node: x, network: a, addresses: 10.1.0.5}\n", "10.1.0.5 on a is p's too", 6),
        (SMALL + "  q: {node: x, network: a, trunk: nobody, vlan: 5}\n", "no port nobody", 6),
        (SMALL + "  q: {node: x, network: a, vlan: 5}\n", "come together", 6),
        (SMALL + "  q: {network: a}\n", "node is missing", 6),
        (SMALL + "groups: {g: {ingress: [{ports: 99999}]}}\n", "99999", 6),
        (SMALL + "groups: {g: {ingress: [{from: 'group:h'}]}}\n", "no group h", 6),
        (SMALL + "switches: {}\n", "not a section", 6),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, words: str, line: int) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        read(text)
    assert f"topology.yaml:{line}" in refused.value.where


@given(st.text(alphabet=st.sampled_from("nodesprtwk: {}[],.\n-0129/"), max_size=120))
def test_any_text_is_a_topology_or_refused(text: str) -> None:
    try:
        topology = read(text)
    except Invalid:
        return
    for node in topology.nodes:
        compile(topology, node)


@pytest.mark.parametrize(
    ("sender", "packet", "code", "verdict"),
    [
        ("web-1", "tcp,dst=10.2.0.5,dport=5432", 0, "delivered"),  # a rule that names a group, over a router
        ("web-1", "tcp,dst=10.2.0.5,dport=22", 1, "dropped"),
        ("scan", "tcp,dst=10.1.0.12,dport=80", 1, "dropped"),  # another tenant with the same addresses
        ("vm", "tcp,dst=10.2.0.21,dport=80", 0, "delivered"),  # to the pod in its own trunk
        ("pod", "icmp,dst=10.1.0.11", 0, "delivered"),
        ("web-1", "icmp6,dst=fd01::12", 0, "delivered"),
    ],
)
def test_the_trace_door(
    sender: str, packet: str, code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["net", "trace", str(EXAMPLE), "--from", sender, "--packet", packet, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == verdict and found["path"]


def test_an_answer_is_asked_for_after_what_it_answers(capsys: pytest.CaptureFixture[str]) -> None:
    answer = [
        "net",
        "trace",
        str(EXAMPLE),
        "--from",
        "db",
        "--packet",
        "tcp,dst=10.1.0.11,sport=5432,dport=40000",
    ]
    assert main(answer) == 1
    assert main([*answer, "--after", "web-1:tcp,dst=10.2.0.5,dport=5432"]) == 0
    capsys.readouterr()


def test_the_compile_door_prints_what_a_switch_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "compile", str(EXAMPLE), "--node", "cmp-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("table=") and ",actions=" in line for line in lines) and len(lines) > 50
    assert main(["net", "compile", str(EXAMPLE), "--node", "nowhere"]) != 0
    assert "no node nowhere" in capsys.readouterr().err


def test_a_sites_networks_are_the_same_words() -> None:
    networks = named_networks(load(REFERENCE).sections["networks"])
    assert networks["genomics"].vni == 20001
    assert [str(one.prefix) for one in networks["genomics"].subnets] == ["10.20.0.0/24", "fd20::/64"]
    assert networks["course"].provider is not None and networks["course"].subnets[0].gateway is None
