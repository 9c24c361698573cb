"""Network interfaces, from /proc/net/dev."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample

COLUMNS: tuple[tuple[int, str], ...] = (
    (0, "node_network_receive_bytes_total"),
    (1, "node_network_receive_packets_total"),
    (2, "node_network_receive_errs_total"),
    (3, "node_network_receive_drop_total"),
    (8, "node_network_transmit_bytes_total"),
    (9, "node_network_transmit_packets_total"),
    (10, "node_network_transmit_errs_total"),
    (11, "node_network_transmit_drop_total"),
)


def parse_network(table: str) -> Iterator[Sample]:
    """Samples of every interface; pairs of containers (`veth…`) come and go and are left out."""
    for line in table.splitlines()[2:]:
        name, colon, rest = line.partition(":")
        numbers = rest.split()
        name = name.strip()
        if not colon or len(numbers) < 12 or name.startswith("veth"):
            continue
        for column, metric in COLUMNS:
            yield Sample(metric, (("device", name),), int(numbers[column]))


def network(proc: Path) -> Iterator[Sample]:
    # /proc/net is a link to self/net: the host's own view as long as the agent sits in its namespace.
    return parse_network((proc / "self" / "net" / "dev").read_text())
