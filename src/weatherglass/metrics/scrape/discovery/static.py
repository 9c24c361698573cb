"""`static_configs`: targets that are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.discovery.groups import Finding, Group


@dataclass(frozen=True, slots=True)
class StaticDiscovery:
    """`static_configs`: addresses with labels; never changes."""

    group: Group
    every_s: float = 3600.0

    def look(self) -> Finding:
        return Finding((self.group,))


def group(given: Any, source: str, where: str) -> Group:
    """A group in Prometheus' form: targets, and labels for all of them. Raises Invalid."""
    if not isinstance(given, Mapping):
        raise Invalid(
            "a mapping with targets belongs here", where=where, mend='{targets: ["a:9100"], labels: {}}'
        )
    targets, labels = given.get("targets", ()), given.get("labels") or {}
    if not isinstance(targets, (list, tuple)) or not all(isinstance(one, str) and one for one in targets):
        raise Invalid("targets are a list of addresses", where=f"{where}.targets", mend='["a:9100"]')
    if not isinstance(labels, Mapping) or not all(isinstance(name, str) for name in labels):
        raise Invalid("labels are a mapping", where=f"{where}.labels")
    more = {str(name): str(value) for name, value in labels.items()}
    return Group(source, tuple({"__address__": address, **more} for address in targets))


def configured(given: Mapping[str, Any], where: str = "static_configs", house: Any = None) -> StaticDiscovery:
    """Of a configuration. Raises Invalid."""
    return StaticDiscovery(group(given, where, where))
