"""The kinds of discovery, as a table: their name in a job's configuration, and the module that makes each.

Modules are imported when a job first asks for them: a server whose site discovers nothing starts without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from weatherglass.metrics.scrape.discovery.groups import Discovery

KINDS = {
    "static_configs": "static",
    "dns_sd_configs": "dns",
    "file_sd_configs": "files",
    "http_sd_configs": "http",
    "openstack_sd_configs": "openstack",
    "site_sd_configs": "site",
}
"""A module here has `configured(given, where, house)`; `house` is what only the house can give."""


def make(kind: str, given: Mapping[str, Any], where: str, house: Any) -> Discovery:
    """A discovery of its configuration. Raises Invalid."""
    module = import_module(f"weatherglass.metrics.scrape.discovery.{KINDS[kind]}")
    return cast(Discovery, module.configured(given, where, house))
