"""What the scraper knows, in the form of Prometheus' `/targets`, `/targets/metadata` and `/scrape_pools`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from weatherglass.metrics.promql.printer import duration
from weatherglass.metrics.scrape.job import Target

_NEVER = "0001-01-01T00:00:00Z"


def active(told: Any) -> dict[str, Any]:
    """One target that is scraped."""
    one: Target = told.target
    at = (
        datetime.fromtimestamp(told.at_ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
        if told.at_ns
        else _NEVER
    )
    return {
        "discoveredLabels": dict(one.found),
        "labels": dict(one.labels),
        "scrapePool": one.job.name,
        "scrapeUrl": one.url,
        "globalUrl": one.url,
        "lastError": told.error,
        "lastScrape": at,
        "lastScrapeDuration": told.duration_s,
        "health": told.health,
        "scrapeInterval": duration(one.interval_s),
        "scrapeTimeout": duration(one.timeout_s),
    }


def targets(
    found: Sequence[Any], dropped: Mapping[str, Sequence[Mapping[str, str]]], state: str, pool: str
) -> dict[str, Any]:
    """`state` is active, dropped or any; `pool` a job, or nothing for all."""
    return {
        "activeTargets": [
            active(one) for one in found if state != "dropped" and (not pool or one.target.job.name == pool)
        ],
        "droppedTargets": [
            {"discoveredLabels": dict(labels), "scrapePool": name}
            for name, many in dropped.items()
            for labels in many
            if state != "active" and (not pool or name == pool)
        ],
        "droppedTargetCounts": {name: len(many) for name, many in dropped.items()},
    }
