"""`networks:` the tenants' layer 2 and 3: their addresses, the router that joins them, the wire some of them are.

The same words are read in a topology by itself (`network.read`); what they mean for a switch is that room's to say.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple

from weatherglass.base.ids import entity
from weatherglass.site.fields import (
    BOOLEAN,
    NAME,
    REQUIRED,
    TEXT,
    At,
    Field,
    ListOf,
    MapOf,
    Record,
    Scalar,
    plain_name,
    whole,
)
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Site
from weatherglass.site.section import Context, Section


class Subnet(NamedTuple):
    """Addresses of a network; `gateway` "" is the first of them, `none` is none."""

    prefix: str
    gateway: str = ""
    dhcp: bool = True
    dns: tuple[str, ...] = ()


class Wire(NamedTuple):
    """A wire of the site's that a network is, with its VLAN (0: none)."""

    wire: str
    vlan: int = 0


class Declared(NamedTuple):
    """One network as it is declared."""

    tenant: str
    subnets: Mapping[str, Subnet]
    router: str
    vni: int
    mtu: int
    provider: Wire | None


def prefix(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        raise ValueError(f"{error}; write a prefix like 10.20.0.0/24, its host bits 0") from None


def address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"{text!r} is not an address") from None


def _gateway(text: str) -> str:
    return text if text == "none" else address(text)


PREFIX = Scalar(prefix, {"type": "string"}, "a prefix like 10.20.0.0/24")
ADDRESS = Scalar(address, {"type": "string"}, "an address")
_SUBNET = Record(
    {
        "prefix": Field(PREFIX, "its addresses", REQUIRED),
        "gateway": Field(
            Scalar(_gateway, {"type": "string"}, "an address or none"),
            "where its router answers",
            "",
            "default: the first",
        ),
        "dhcp": Field(BOOLEAN, "whether addresses are given out", True),
        "dns": Field(ListOf(ADDRESS, single=True), "name servers that DHCP tells", ()),
    },
    Subnet,
    short=("scalar", "prefix"),
)


class _Subnets:
    """Subnets by name; each a prefix, or a record."""

    _map = MapOf(_SUBNET, key=plain_name)

    def read(self, at: At) -> Any:
        return self._map.read(at)

    def schema(self) -> dict[str, Any]:
        return self._map.schema()


NETWORK = Record(
    {
        "tenant": Field(NAME, "whose it is", ""),
        "subnets": Field(
            _Subnets(), "its addresses by a name of yours: {v4: 10.20.0.0/24, v6: fd20::/64}", {}
        ),
        "router": Field(NAME, "the router that joins it to others", ""),
        "vni": Field(whole(0, (1 << 24) - 1), "its number in tunnels", 0, "default: from its name"),
        "mtu": Field(whole(576, 9216), "the largest packet", 1450),
        "provider": Field(
            Record(
                {
                    "wire": Field(TEXT, "the wire's name on the hosts", REQUIRED),
                    "vlan": Field(whole(0, 4094), "its VLAN", 0, "default: untagged"),
                },
                Wire,
            ),
            "a wire of the site's that this network is",
        ),
    },
    Declared,
)


def finish(context: Context) -> dict[str, Declared]:
    """Checks what only a network's own words can show: gateways inside their prefixes, no two alike."""
    networks: dict[str, Declared] = context.values["networks"]
    for name, network in networks.items():
        path = f"networks.{name}"
        if network.tenant and "tenants" in context.values:
            context.refer(f"{path}.tenant", "tenants", network.tenant)
        seen: list[tuple[str, Any]] = []
        for subnet_name, subnet in network.subnets.items():
            where = f"{path}.subnets.{subnet_name}"
            own = ipaddress.ip_network(subnet.prefix)
            if subnet.gateway not in ("", "none") and ipaddress.ip_address(subnet.gateway) not in own:
                context.report.add(where, f"gateway {subnet.gateway} lies outside {own}", "an address in it")
            for other_name, other in seen:
                if other.version == own.version and other.overlaps(own):
                    context.report.add(
                        where, f"{own} overlaps {other_name}'s {other}", "prefixes beside each other"
                    )
            seen.append((subnet_name, own))
    return networks


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    entities, edges = [], []
    for name, network in site.sections.get("networks", {}).items():
        own = entity("network", name)
        attributes = {"subnets": [subnet.prefix for subnet in network.subnets.values()]}
        entities.append(Entity(own, "network", name, {"site": site.name}, attributes))
        if network.tenant in site.tenants:
            edges.append(Edge(site.tenants[network.tenant].entity, "needs", own))
    return entities, edges


SECTION = Section(
    name="networks",
    type=MapOf(NETWORK, key=plain_name, nullable=True),
    doc="The tenants' networks: addresses, routers, wires.",
    after=("tenants",),
    finish=finish,
    entities=_entities,
)
