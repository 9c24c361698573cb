"""Targets of the site's own graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.discovery.groups import Finding, Group, Labels


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


def configured(given: Mapping[str, Any], where: str, targets: Any) -> SiteDiscovery:
    """Of a configuration (`services`: only those). Raises Invalid where there is no site to look at."""
    if not callable(targets):
        raise Invalid(
            "there is no site here to find targets in", where=where, mend="static_configs, dns_sd_configs, …"
        )
    services = (given or {}).get("services", ())
    if not isinstance(services, (list, tuple)):
        raise Invalid("services are a list of names", where=f"{where}.services")
    return SiteDiscovery(targets, tuple(map(str, services)))
