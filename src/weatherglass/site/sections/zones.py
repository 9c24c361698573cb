"""`zones:` what fails together."""

from __future__ import annotations

from weatherglass.site.fields import TEXTS, MapOf, plain_name
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Site, Zone
from weatherglass.site.section import Context, Section


def _finish(context: Context) -> dict[str, Zone]:
    return {name: Zone(name, attributes) for name, attributes in context.values["zones"].items()}


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    return [
        Entity(zone.entity, "zone", zone.name, {"site": site.name, "zone": zone.name}, dict(zone.attributes))
        for zone in site.zones.values()
    ], []


SECTION = Section(
    name="zones",
    type=MapOf(TEXTS, key=plain_name),
    doc="What fails together: a name, and what it hangs on in free words (power, switch).",
    finish=_finish,
    entities=_entities,
)
