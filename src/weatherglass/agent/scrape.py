"""Declared `metrics:` endpoints: fetched each round, parsed, given the labels of their service and replica."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from weatherglass.agent.exposition import parse
from weatherglass.agent.remote_write import Sample
from weatherglass.base.errors import Invalid

TIMEOUT_S = 3.0
BODY_LIMIT = 8 << 20
SAMPLES_LIMIT = 20_000
AT_ONCE = 4


class Target(NamedTuple):
    """One endpoint; `labels` beside the agent's own."""

    url: str
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def instance(self) -> str:
        return urlsplit(self.url).netloc


def url_of(target: str) -> str:
    """`:9100/metrics` and `10.0.0.1:9100` are addresses too, as a site writes them."""
    if target.startswith(("http://", "https://")):
        return target
    host, _, path = target.partition("/")
    if host.startswith(":"):
        host = "127.0.0.1" + host
    return f"http://{host}/{path or 'metrics'}"


def fetch(url: str) -> str:
    """The text of an endpoint. Raises OSError, HTTPException, ValueError."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "text/plain;version=0.0.4", "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(BODY_LIMIT + 1)
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        if len(body) > BODY_LIMIT:
            raise ValueError(f"more than {BODY_LIMIT >> 20} MiB")
        return body.decode()
    finally:
        connection.close()


def scrape(target: Target) -> list[Sample]:
    """Its samples, then `up` and how long it took. One that fails says `up` 0 and nothing else of itself."""
    own = (*target.labels, ("instance", target.instance))
    began = time.monotonic()
    samples: list[Sample] = []
    try:
        for name, labels, value in parse(fetch(target.url)):
            mine = {label for label, _ in own}
            kept = tuple(("exported_" + key if key in mine else key, text) for key, text in labels)
            samples.append(Sample(name, kept + own, value))
            if len(samples) > SAMPLES_LIMIT:
                raise ValueError(f"more than {SAMPLES_LIMIT} samples")
        up = 1.0
    except (OSError, ValueError, http.client.HTTPException, Invalid):
        samples, up = [], 0.0
    took = time.monotonic() - began
    return [*samples, Sample("up", own, up), Sample("scrape_duration_seconds", own, took)]


class Scraper:
    """The declared endpoints. A slow one delays its round by at most `TIMEOUT_S`."""

    def __init__(self) -> None:
        self._targets: tuple[Target, ...] = ()
        self._pool: ThreadPoolExecutor | None = None

    def set_targets(self, targets: Sequence[Target]) -> None:
        self._targets = tuple(targets)

    def samples(self) -> Iterator[Sample]:
        """One round over all targets."""
        if not self._targets:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(AT_ONCE, "scrape")
        for found in self._pool.map(scrape, self._targets):
            yield from found
