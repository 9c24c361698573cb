"""Targets that are written down, and those of the site's own graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.discovery.groups import Finding, Group, Labels


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


def configured(given: Mapping[str, Any], where: str = "static_configs") -> StaticDiscovery:
    """Of a configuration. Raises Invalid."""
    return StaticDiscovery(group(given, where, where))


@dataclass(frozen=True, slots=True)
class SiteDiscovery:
    """`site_sd_configs`: what the site declares under `metrics:` of its services, a target a replica and endpoint.

    `targets` gives them as they are now: labels with `__address__`, `__metrics_path__` and the house's own labels as
    `__meta_site_…`.
    """

    targets: Callable[[], list[Labels]]
    services: tuple[str, ...] = ()
    every_s: float = 10.0

    def look(self) -> Finding:
        found = [
            one
            for one in self.targets()
            if not self.services or one.get("__meta_site_service") in self.services
        ]
        return Finding((Group("site", tuple(found)),))


def of_site(given: Mapping[str, Any], where: str, targets: Any) -> SiteDiscovery:
    """Of a configuration (`services`: only those). Raises Invalid where there is no site to look at."""
    if not callable(targets):
        raise Invalid(
            "there is no site here to find targets in", where=where, mend="static_configs, dns_sd_configs, …"
        )
    services = (given or {}).get("services", ())
    if not isinstance(services, (list, tuple)):
        raise Invalid("services are a list of names", where=f"{where}.services")
    return SiteDiscovery(targets, tuple(map(str, services)))
