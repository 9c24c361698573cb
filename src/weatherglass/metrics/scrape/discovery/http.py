"""`http_sd_configs`: groups as JSON from an address that is asked again and again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from weatherglass.base.errors import Invalid
from weatherglass.base.units import parse_duration
from weatherglass.metrics.scrape.discovery.files import joined
from weatherglass.metrics.scrape.discovery.groups import Finding, Group

_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class HttpDiscovery:
    """An answer other than 200, or no JSON, keeps what was found before."""

    url: str
    every_s: float = 60.0
    timeout_s: float = 10.0

    def look(self) -> Finding:
        try:
            with httpx.stream(
                "GET",
                self.url,
                timeout=self.timeout_s,
                trust_env=False,
                headers={
                    "Accept": "application/json",
                    "X-Prometheus-Refresh-Interval-Seconds": f"{self.every_s:g}",
                },
            ) as answer:
                if answer.status_code != 200:
                    return self._kept(f"HTTP {answer.status_code}")
                body = b""
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _MAX_BYTES:
                        return self._kept(f"more than {_MAX_BYTES >> 20} MiB")
            group = joined(json.loads(body), self.url)
        except (httpx.HTTPError, ValueError, RecursionError, Invalid) as error:
            return self._kept(str(error) or type(error).__name__)
        targets = []
        for labels in group.targets:
            more = {name: value for name, value in labels.items() if name != "__meta_filepath"}
            targets.append({"__meta_url": self.url, **more})
        return Finding((Group(self.url, tuple(targets)),))

    def _kept(self, why: str) -> Finding:
        return Finding((), {self.url: why})


def configured(
    given: Mapping[str, Any], where: str = "http_sd_configs", house: object = None
) -> HttpDiscovery:
    """Of a configuration (url, refresh_interval). Raises Invalid."""
    url = str(given.get("url", ""))
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise Invalid(
            f"{url[:80]!r} is no address to ask", where=f"{where}.url", mend="http://… without a password"
        )
    try:
        every = parse_duration(str(given.get("refresh_interval", "60s")))
    except ValueError as error:
        raise Invalid(str(error), where=f"{where}.refresh_interval") from None
    return HttpDiscovery(url, max(every, 1.0))
