"""The scrape jobs of a site: those it declares, and one for what its services declare under `metrics:`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from weatherglass.base.errors import Invalid, Problem
from weatherglass.metrics.scrape.discovery.groups import Labels
from weatherglass.metrics.scrape.discovery.site import SiteDiscovery
from weatherglass.metrics.scrape.job import Job, configured
from weatherglass.metrics.scrape.relabel import rule
from weatherglass.site import Site

OWN_JOB = "site"
INTERVAL_S, TIMEOUT_S = 15.0, 10.0


def targets(site: Site) -> list[Labels]:
    """An address for every replica and every `metrics:` of its service, with the house's labels as `__meta_site_…`."""
    found: list[Labels] = []
    for service in site.services.values():
        for replica in service.replicas:
            host = site.hosts[replica.host]
            for endpoint in service.metrics:
                address, slash, path = endpoint.removeprefix("http://").partition("/")
                at, _, port = address.rpartition(":")
                found.append(
                    {
                        "__address__": f"{at or host.address}:{port}",
                        "__metrics_path__": f"/{path}" if slash else "/metrics",
                        "__meta_site_site": site.name,
                        "__meta_site_host": host.name,
                        "__meta_site_zone": host.zone or "",
                        "__meta_site_service": service.name,
                        "__meta_site_replica": replica.name,
                    }
                )
    return found


def jobs(site: Site, now: Callable[[], Site | None]) -> list[Job]:
    """Every job of a site. Raises Invalid with all problems of all jobs."""
    problems: list[Problem] = []
    found: list[Job] = []

    def current() -> list[Labels]:
        site_now = now()
        return targets(site_now) if site_now else []

    declared: list[tuple[dict[str, Any], str]] = list(site.sections.get("scrape", ()))
    for given, where in declared:
        try:
            found.append(configured(given, where, current))
        except Invalid as error:
            problems += error.problems
    names = [job.name for job in found]
    for name in {name for name in names if names.count(name) > 1 or name == OWN_JOB}:
        problems.append(Problem(f"there are two jobs {name}", "scrape", "a name of its own for each"))
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)
    if targets(site):
        # Only what is collected from the site itself gets the house's labels.
        own = rule({"regex": "__meta_site_(.+)", "action": "labelmap"})
        found.append(
            Job(
                OWN_JOB,
                interval_s=INTERVAL_S,
                timeout_s=TIMEOUT_S,
                relabel=(own,),
                discoveries=((OWN_JOB, SiteDiscovery(current)),),
            )
        )
    return found


def of_file(path: Path) -> list[Job]:
    """The jobs of a file with `scrape_configs`, as Prometheus has it; `global` gives their intervals.

    Raises Invalid with all problems.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Invalid(f"it cannot be read: {' '.join(str(error).split())}", where=str(path)) from None
    configs = given.get("scrape_configs") if isinstance(given, dict) else None
    if not isinstance(configs, list) or not all(isinstance(one, dict) for one in configs):
        raise Invalid(
            "there are no scrape_configs in it", where=str(path), mend="scrape_configs: [{job_name: …}]"
        )
    shared = {
        name: value
        for name, value in (given.get("global") or {}).items()
        if name in ("scrape_interval", "scrape_timeout")
    }
    problems: list[Problem] = []
    found: list[Job] = []
    for number, one in enumerate(configs):
        try:
            found.append(configured({**shared, **one}, f"{path}: scrape_configs[{number}]"))
        except Invalid as error:
            problems += error.problems
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)
    return found
