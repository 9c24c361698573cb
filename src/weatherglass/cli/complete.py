"""Words that a shell may complete with what the server knows: entities, fields, requests of the last hour.

A shell's completion is silent: where the server cannot be reached, there is nothing to offer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weatherglass.base.errors import WeatherglassError

MOST = 50
Offer = Callable[[Any, str], list[str]]


def _asked(ctx: Any, path: str, **params: Any) -> Any:
    from weatherglass.cli.client import Client

    try:
        return Client(ctx.params.get("state")).get(path, **params)
    except WeatherglassError:
        return {}


def entities(ctx: Any, incomplete: str) -> list[str]:
    """`service/…`, `host/…`, `replica/…`."""
    told = _asked(ctx, "/api/v1/states", limit=1000)
    names = (str(one["entity"]) for one in told.get("states", ()))
    return sorted(one for one in names if one.startswith(incomplete))[:MOST]


def fields(ctx: Any, incomplete: str) -> list[str]:
    """Names of the fields that events have."""
    told = _asked(ctx, "/api/v1/logs/fields")
    return [one for one in told.get("fields", ()) if one.startswith(incomplete)][:MOST]


def queries(ctx: Any, incomplete: str) -> list[str]:
    """The field that a query goes on with."""
    head, space, word = incomplete.rpartition(" ")
    return [] if ":" in word else [f"{head}{space}{name}:" for name in fields(ctx, word)]


def requests(ctx: Any, incomplete: str) -> list[str]:
    """Request ids of the last hour, those with most events first."""
    told = _asked(ctx, "/api/v1/logs/aggregate", by="request_id", size=1000)
    buckets = told.get("found", {}).get("by request_id", {}).get("buckets", ())
    return [str(one["key"]) for one in buckets if str(one["key"]).startswith(incomplete)][:MOST]
