"""Refusals in Gnocchi's own words: `said` is the `description` that its clients match by regular expression.

The class says which of our errors it is, and so the status; the gateway puts it into a body.
"""

from __future__ import annotations

from typing import Any

import voluptuous

from weatherglass.base.errors import Conflict, Denied, Invalid, NotFound, WeatherglassError

Said = str | dict[str, Any]


class Refused(WeatherglassError):
    """A refusal that Gnocchi's clients know by its text, or by `cause`, `reason` and `detail`."""

    def __init__(self, said: Said = "") -> None:
        super().__init__(said if isinstance(said, str) else str(said.get("cause", "")))
        self.said = said


class Bad(Refused, Invalid):
    """400."""


class Missing(Refused, NotFound):
    """404."""


class Taken(Refused, Conflict):
    """409."""


class Forbidden(Refused, Denied):
    """403."""


class Stale(Refused, Conflict):
    """412: a precondition does not hold."""


class Undone(Refused, Invalid):
    """501: a thing that Gnocchi does not do either."""


def argument(name: str, reason: str) -> Bad:
    """A parameter of the address that cannot be read."""
    return Bad({"cause": "Argument value error", "detail": name, "reason": reason})


def unfit(error: voluptuous.Invalid) -> Bad:
    """A body that is not of its schema."""
    return Bad({"cause": "Invalid input", "reason": str(error), "detail": [str(part) for part in error.path]})


def fitting(schema: Any, value: Any, *, required: bool = True) -> Any:
    """The value as the schema (voluptuous) has it. Raises Bad."""
    try:
        return voluptuous.Schema(schema, required=required)(value)
    except voluptuous.Invalid as error:
        raise unfit(error) from error


def no_metric(name: object) -> Missing:
    return Missing(f"Metric {name} does not exist")


def no_resource(name: object) -> Missing:
    return Missing(f"Resource {name} does not exist")


def no_type(name: object) -> Missing:
    return Missing(f"Resource type {name} does not exist")


def no_policy(name: object) -> Missing:
    return Missing(f"Archive policy {name} does not exist")


def no_aggregate(metric: str, method: str, granularity_ns: int) -> Missing:
    return Missing(
        f"Aggregation method '{method}' at granularity '{granularity_ns / 1e9}' for metric {metric} does not exist"
    )


def cannot_aggregate(reason: str, detail: Any) -> Bad:
    return Bad({"cause": "Metrics cannot be aggregated", "reason": reason, "detail": detail})
