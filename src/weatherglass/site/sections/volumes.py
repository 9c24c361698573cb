"""`volumes:` where data rests."""

from __future__ import annotations

from typing import NamedTuple

from weatherglass.site.fields import NAME, SIZE, Field, MapOf, Record, plain_name
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Site, Volume
from weatherglass.site.section import Context, Section

MIN_SIZE = 16 << 20
"""Below this ext4 leaves no room for its own journal."""


class _Written(NamedTuple):
    size: int
    max: int
    host: str


def _finish(context: Context) -> dict[str, Volume]:
    volumes = {}
    for name, (size, most, host) in context.values["volumes"].items():
        path = f"volumes.{name}"
        if host:
            context.refer(f"{path}.host", "hosts", host)
        if size and size < MIN_SIZE:
            context.report.add(f"{path}.size", "a sized volume has at least 16MiB", "give more, or no size")
        if most and not size:
            context.report.add(f"{path}.max", "max without size", "give size too: only a sized volume grows")
        if most and most < size:
            context.report.add(
                f"{path}.max", "max is smaller than size", "give at least the size, or leave it out"
            )
        volumes[name] = Volume(name, size, most or size, host)
    return volumes


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    entities, edges = [], []
    hosts = _hosts(site)
    for volume in site.volumes.values():
        host = volume.host or hosts.get(volume.name, "")
        labels = {"site": site.name, "volume": volume.name} | ({"host": host} if host else {})
        attributes = {"size": volume.size, "max": volume.max}
        entities.append(Entity(volume.entity, "volume", volume.name, labels, attributes))
        if host:
            edges.append(Edge(volume.entity, "runs_on", site.hosts[host].entity))
    return entities, edges


def _hosts(site: Site) -> dict[str, str]:
    """The host of each volume: that of the replica it is attached to."""
    return {
        volume: replica.host
        for service in site.services.values()
        for volume in service.volumes.values()
        for replica in service.replicas
    }


SECTION = Section(
    name="volumes",
    type=MapOf(
        Record(
            {
                "size": Field(
                    SIZE, "how large; without it the volume is a plain folder", 0, "default: a folder"
                ),
                "max": Field(SIZE, "how far the remedy `grow` may take it", 0, "default: its size"),
                "host": Field(NAME, "where it is", "", "default: where its service runs"),
            },
            _Written,
        ),
        key=plain_name,
        nullable=True,
    ),
    doc="Where data rests; with a size, a file system of its own.",
    after=("hosts",),
    finish=_finish,
    entities=_entities,
)
