"""What it costs to compile a node's flows: CPU-milliseconds a node, by how many ports and nodes there are."""

from __future__ import annotations

import argparse
import time
from ipaddress import ip_address, ip_network

from weatherglass.network.pipeline import compile
from weatherglass.network.topology import Group, Network, Node, Port, Router, Rule, Subnet, Topology, check

PER_NETWORK, PER_ROUTER, SPREAD = 100, 4, 40


def mac(number: int) -> str:
    return f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def world(ports: int, nodes: int) -> Topology:
    """Tenants of 400 ports in four routed networks, each spread over up to forty nodes; one group that names itself."""
    count = max(ports // PER_NETWORK, 1)
    networks = {
        f"net{j}": Network(
            f"net{j}",
            1000 + j,
            (Subnet(ip_network(f"10.{j // 250}.{j % 250}.0/24"), ip_address(f"10.{j // 250}.{j % 250}.1")),),
        )
        for j in range(count)
    }
    routers = {
        f"r{j}": Router(
            f"r{j}", mac(0x800000 + j), tuple(f"net{k}" for k in range(j, min(j + PER_ROUTER, count)))
        )
        for j in range(0, count, PER_ROUTER)
    }
    web = Group(
        "web",
        (
            Rule("ingress", 4, "tcp", 80, 80),
            Rule("ingress", 4, group="web"),
            Rule("egress", 4),
            Rule("egress", 6),
        ),
    )
    found: dict[str, Port] = {}
    used: dict[str, int] = {}
    for n in range(ports):
        network = n // PER_NETWORK
        node = f"n{(network * 7 + n % SPREAD) % nodes}"
        used[node] = used.get(node, 0) + 1
        address = ip_address(f"10.{network // 250}.{network % 250}.{n % PER_NETWORK + 2}")
        found[f"p{n}"] = Port(
            f"p{n}", used[node], f"net{network}", mac(n), (address,), node, used[node], ("web",)
        )
    machines = {f"n{i}": Node(f"n{i}", ip_address(f"192.0.{i // 250}.{i % 250 + 1}")) for i in range(nodes)}
    topology = Topology(machines, networks, routers, found, {"web": web})
    check(topology)
    return topology


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--nodes", type=int, default=100, help="how many nodes are compiled of each")
    options = parser.parse_args()
    print("| ports | nodes | flows a node | CPU-ms a node | goal |\n|---|---|---|---|---|")
    for ports, nodes in ((2_000, 1), (2_000, 50), (20_000, 500)):
        topology = world(ports, nodes)
        compile(topology, "n0")
        tried = min(nodes, options.nodes)
        began = time.process_time()
        flows = sum(len(compile(topology, f"n{i}")) for i in range(tried))
        took = (time.process_time() - began) / tried * 1000
        print(f"| {ports:,} | {nodes} | {flows // tried:,} | {took:.1f} | 15 |")


if __name__ == "__main__":
    main()
