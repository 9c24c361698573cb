"""Archive policies and the rules that choose one by a metric's name. Pure."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import voluptuous as v

from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.errors import Bad, fitting
from weatherglass.metrics.granularity import METHODS as PLAIN
from weatherglass.metrics.granularity import RATE

METHODS = frozenset(PLAIN) | {RATE + method for method in PLAIN}
DEFAULT_METHODS = ("mean", "min", "max", "sum", "std", "count")
_WRITTEN = sorted(METHODS | {"*"} | {sign + method for sign in "+-" for method in METHODS})


@dataclass(frozen=True, slots=True)
class Level:
    """One granularity of a policy, and how many points of it are kept; None: all."""

    granularity_ns: int
    points: int | None

    @property
    def timespan_ns(self) -> int | None:
        return None if self.points is None else self.granularity_ns * self.points

    def shown(self) -> dict[str, Any]:
        return {
            "timespan": times.shown_span(self.timespan_ns),
            "granularity": times.shown_span(self.granularity_ns),
            "points": self.points,
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """At which granularities and by which methods a metric is aggregated."""

    name: str
    back_window: int
    levels: tuple[Level, ...]
    methods: frozenset[str]

    def level(self, granularity_ns: int) -> Level | None:
        return next((level for level in self.levels if level.granularity_ns == granularity_ns), None)

    @property
    def granularities(self) -> list[int]:
        """ns, coarse first."""
        return sorted((level.granularity_ns for level in self.levels), reverse=True)

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "back_window": self.back_window,
            "definition": [level.shown() for level in self.levels],
            "aggregation_methods": sorted(self.methods),
        }


def _span(value: Any) -> int:
    try:
        return times.span(value)
    except ValueError as error:
        raise v.Invalid(str(error)) from error


_LEVELS = v.All(
    [{"granularity": _span, "points": v.All(v.Coerce(int), v.Range(min=1)), "timespan": _span}],
    v.Length(min=1),
)
_BACK_WINDOW = v.All(v.Coerce(int), v.Range(min=0))
_NEW = v.Schema(
    {
        v.Required("name"): str,
        v.Required("back_window", default=0): _BACK_WINDOW,
        v.Required("aggregation_methods", default=list(DEFAULT_METHODS)): _WRITTEN,
        v.Required("definition"): v.Schema(_LEVELS),
    }
)
_CHANGE = v.Schema(
    {
        v.Required("definition"): v.Schema(_LEVELS),
        v.Optional("back_window"): _BACK_WINDOW,
        v.Optional("aggregation_methods"): _WRITTEN,
    }
)
RULE = v.Schema(
    {v.Required("name"): str, v.Required("metric_pattern"): str, v.Required("archive_policy_name"): str}
)


def level(granularity: int | None = None, points: int | None = None, timespan: int | None = None) -> Level:
    """A level of any two of its three sides. Raises Bad."""
    if granularity is not None and points is not None and timespan is not None:
        if timespan != granularity * points:
            raise Bad("timespan ≠ granularity × points")
        return Level(granularity, points)
    if granularity is None:
        if points is None or timespan is None:
            raise Bad("At least two of granularity/points/timespan must be provided")
        return Level(int(timespan / points), points)
    if points is None and timespan is not None:
        points = timespan // granularity
        if points <= 0:
            raise Bad("Calculated number of points is < 0")
    return Level(granularity, points)


def resolved(written: Iterable[str]) -> frozenset[str]:
    """The methods that `*`, `-mean` and `+median` come to; signs alone count from the default."""
    given = set(written)
    if "*" in given:
        found = set(METHODS)
    elif all(method[0] in "+-" for method in given):
        found = set(DEFAULT_METHODS)
    else:
        found = {method for method in given if method[0] not in "+-"}
    found |= {method[1:] for method in given if method[0] == "+"}
    return frozenset(found - {method[1:] for method in given if method[0] == "-"})


def _levels(definition: Sequence[Mapping[str, int]]) -> tuple[Level, ...]:
    levels = tuple(level(**one) for one in definition)
    for granularity, count in Counter(one.granularity_ns for one in levels).items():
        if count > 1:
            raise Bad(f"More than one archive policy uses granularity `{granularity / 1e9}'")
    return levels


def new(body: Any) -> Policy:
    """A policy of a request's body. Raises Bad."""
    fit = fitting(_NEW, body)
    return Policy(
        fit["name"], fit["back_window"], _levels(fit["definition"]), resolved(fit["aggregation_methods"])
    )


def changed(policy: Policy, body: Any) -> Policy:
    """The policy after a PATCH. Granularities stay; methods may change here, unlike in Gnocchi. Raises Bad."""
    fit = fitting(_CHANGE, body)
    levels = tuple(level(**one) for one in fit["definition"])
    before = sorted(policy.levels, key=lambda one: one.granularity_ns)
    after = sorted(levels, key=lambda one: one.granularity_ns)
    if len(before) != len(after):
        raise _unsupported(policy.name, "Cannot add or drop granularities")
    for old, fresh in zip(before, after, strict=True):
        if old.granularity_ns != fresh.granularity_ns:
            raise _unsupported(policy.name, f"{old.granularity_ns / 1e9} granularity interval was changed")
    written = fit.get("aggregation_methods")
    return Policy(
        policy.name,
        fit.get("back_window", policy.back_window),
        levels,
        policy.methods if written is None else resolved(written),
    )


def _unsupported(name: str, reason: str) -> Bad:
    return Bad(f"Archive policy {name} does not support change: {reason}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Metrics whose name matches `pattern` (fnmatch) get `policy`."""

    name: str
    pattern: str
    policy: str

    def shown(self) -> dict[str, str]:
        return {"name": self.name, "metric_pattern": self.pattern, "archive_policy_name": self.policy}


def ordered(rules: Iterable[Rule]) -> list[Rule]:
    """In the order they are tried: patterns from the end of the alphabet, names from its beginning."""
    return sorted(sorted(rules, key=lambda rule: rule.name), key=lambda rule: rule.pattern, reverse=True)


def match(rules: Iterable[Rule], metric: str | None) -> str | None:
    """The name of the policy that the first fitting rule gives; None where none fits."""
    return next((rule.policy for rule in ordered(rules) if fnmatch.fnmatch(metric or "", rule.pattern)), None)


DEFAULTS = (
    Policy("bool", 3600, (level(times.span(1), timespan=times.span("365 days")),), frozenset({"last"})),
    Policy("low", 0, (level(times.span(300), timespan=times.span("30 days")),), frozenset(DEFAULT_METHODS)),
    Policy(
        "medium",
        0,
        (
            level(times.span(60), timespan=times.span("7 days")),
            level(times.span(3600), timespan=times.span("365 days")),
        ),
        frozenset(DEFAULT_METHODS),
    ),
    Policy(
        "high",
        0,
        (
            level(times.span(1), timespan=times.span("1 hour")),
            level(times.span(60), timespan=times.span("7 days")),
            level(times.span(3600), timespan=times.span("365 days")),
        ),
        frozenset(DEFAULT_METHODS),
    ),
)
"""What `gnocchi-upgrade` makes in a new installation, with DEFAULT_RULE."""

DEFAULT_RULE = Rule("default", "*", "low")
