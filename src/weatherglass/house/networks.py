"""The networks' local doors: a topology's file in, flows and verdicts out. No server, no switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weatherglass.base.errors import NotFound
from weatherglass.house.texts import text_of
from weatherglass.network import read
from weatherglass.network.model import Switches
from weatherglass.network.model import read as read_flows
from weatherglass.network.packets import packet
from weatherglass.network.pipeline import Flow, compile
from weatherglass.network.topology import Port, Topology


def _topology(path: Path) -> Topology:
    return read.read(text_of(path), path.name)


def flows(path: Path, node: str) -> list[Flow]:
    """The flows of a node. Raises Invalid, NotFound."""
    return compile(_topology(path), node)


def trace(path: Path, sender: str, spec: str, after: Sequence[str] = ()) -> dict[str, Any]:
    """What becomes of a packet: `verdict`, `why`, `path` of rules, `ports` it came out of. Raises Invalid, NotFound.

    `after` are packets sent before it (`PORT:SPEC`), which connection tracking remembers.
    """
    topology = _topology(path)
    world = Switches(
        topology, {name: read_flows(map(str, compile(topology, name))) for name in topology.nodes}
    )
    for earlier in after:
        port, _, words = earlier.partition(":")
        world.trace(port, packet(words, topology, _port(topology, port)))
    found = world.trace(sender, packet(spec, topology, _port(topology, sender)))
    return {
        "verdict": found.verdict,
        "why": found.why,
        "ports": list(found.ports),
        "path": [asdict(step) for step in found.path],
        "packet": {name: _plain(value) for name, value in found.packet.items()},
    }


def _port(topology: Topology, name: str) -> Port:
    if name not in topology.ports:
        raise NotFound(
            f"there is no port {name}", where=name, mend=f"one of {', '.join(list(topology.ports)[:12])}"
        )
    return topology.ports[name]


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return value if isinstance(value, (int, str)) else str(value)
