"""`hosts:` the machines, one by one or as a range."""

from __future__ import annotations

import re
from typing import NamedTuple

from weatherglass.base.ids import is_plain_name
from weatherglass.site.fields import FILLED, NAME, REQUIRED, Field, ListOf, MapOf, Record
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Host, Site
from weatherglass.site.section import Context, Section

MAX_HOSTS = 10_000
_RANGE = re.compile(r"\[(\d{1,6})\.\.(\d{1,6})\]")


class _Written(NamedTuple):
    address: str
    roles: tuple[str, ...]
    zone: tuple[str, ...]


def expand(pattern: str) -> list[str]:
    """`ctl-[1..3]` is ctl-1, ctl-2, ctl-3; `n[08..10]` keeps its width. Raises ValueError."""
    ranges = _RANGE.findall(pattern)
    if not ranges:
        if "[" in pattern or "]" in pattern:
            raise ValueError(f"{pattern!r} has brackets that are no range; write one like ctl-[1..3]")
        return [pattern]
    if len(ranges) > 1:
        raise ValueError(f"{pattern!r} has more than one range")
    first, last = int(ranges[0][0]), int(ranges[0][1])
    if not 0 <= last - first < MAX_HOSTS:
        raise ValueError(f"the range of {pattern!r} must rise and stay below {MAX_HOSTS}")
    width = len(ranges[0][0]) if ranges[0][0].startswith("0") else 0
    head, tail = _RANGE.split(pattern)[0], _RANGE.split(pattern)[-1]
    return [f"{head}{number:0{width}d}{tail}" for number in range(first, last + 1)]


def _pattern(text: str) -> str:
    for name in (expand(text)[0], expand(text)[-1]):
        if not is_plain_name(name):
            raise ValueError(f"{name!r} is not a host's name: lower-case letters, digits, - _ .")
    return text


def _finish(context: Context) -> dict[str, Host]:
    hosts: dict[str, Host] = {}
    addresses: dict[str, str] = {}
    for pattern, written in context.values["hosts"].items():
        path = f"hosts.{pattern}"
        names = expand(pattern)
        for number, role in enumerate(written.roles):
            context.refer(f"{path}.roles[{number}]", "roles", role)
        for number, zone in enumerate(written.zone):
            context.refer(f"{path}.zone[{number}]", "zones", zone)
        try:
            spread = expand(written.address)
        except ValueError as error:
            context.report.add(f"{path}.address", str(error), 'write one like "10.0.0.1[1..3]"')
            spread = names
        if len(spread) != len(names):
            context.report.add(
                f"{path}.address",
                f"{len(names)} hosts but {len(spread)} addresses",
                f"give the range [1..{len(names)}], or one like it, in both",
            )
            continue
        for number, (name, address) in enumerate(zip(names, spread, strict=True)):
            if name in hosts:
                context.report.add(path, f"the host {name} is there twice", "keep one of them")
                continue
            if address in addresses:
                context.report.add(
                    f"{path}.address",
                    f"{address} is also the address of {addresses[address]}",
                    "give each its own",
                )
            addresses[address] = name
            zone = written.zone[number % len(written.zone)] if written.zone else ""
            hosts[name] = Host(name, address, written.roles, zone)
    if not hosts and not context.names.get("hosts"):
        context.report.add("", "no host is declared", "give hosts: {here: {address: 127.0.0.1, roles: […]}}")
    return hosts


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    entities, edges = [], []
    for host in site.hosts.values():
        labels = {"site": site.name, "host": host.name} | ({"zone": host.zone} if host.zone else {})
        entities.append(
            Entity(
                host.entity, "host", host.name, labels, {"address": host.address, "roles": list(host.roles)}
            )
        )
        if host.zone:
            edges.append(Edge(host.entity, "member_of", site.zones[host.zone].entity))
    return entities, edges


SECTION = Section(
    name="hosts",
    type=MapOf(
        Record(
            {
                "address": Field(
                    FILLED, "where the host is reached; a range beside a range of names", REQUIRED
                ),
                "roles": Field(ListOf(NAME, single=True), "what it runs, by role", ()),
                "zone": Field(
                    ListOf(NAME, single=True), "its zone; a list is dealt to the hosts in turn", ()
                ),
            },
            _Written,
        ),
        key=_pattern,
    ),
    doc="The machines: a name, or a range of names like ctl-[1..3].",
    after=("zones",),
    finish=_finish,
    entities=_entities,
)
