"""A declaration checked without a server: all that `apply` would refuse of it by itself."""

from __future__ import annotations

from pathlib import Path

from weatherglass.deploy import units
from weatherglass.house import scraping
from weatherglass.shares import declared
from weatherglass.site import Site, load


def check(path: Path) -> Site:
    """The site, read and rendered. Raises Invalid with every problem: of the language first, then of templates and scrapes."""
    site = load(path)
    units.check(site)
    scraping.jobs(site, lambda: site)
    declared.check(declared.of(site.sections))
    return site
