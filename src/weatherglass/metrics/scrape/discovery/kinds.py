"""The kinds of discovery, as a table: their name in a job's configuration, and how each is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weatherglass.metrics.scrape.discovery import dns, files, http, static
from weatherglass.metrics.scrape.discovery.groups import Discovery

Make = Callable[[Mapping[str, Any], str, Any], Discovery]
"""(configuration, where it stands, what the house gives) → a discovery. Raises Invalid."""

KINDS: dict[str, Make] = {
    "static_configs": lambda given, where, house: static.configured(given, where),
    "dns_sd_configs": lambda given, where, house: dns.configured(given, where),
    "file_sd_configs": lambda given, where, house: files.configured(given, where),
    "http_sd_configs": lambda given, where, house: http.configured(given, where),
    "site_sd_configs": static.of_site,
}
