"""What the pages of resources ask of Gnocchi's model: who asks, which filter, a metric's points as a chart."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import SECOND_NS, parse_iso
from weatherglass.metrics.gnocchi import Caller, Gnocchi, Metric, Resource, json_filter, text_filter
from weatherglass.portal.charts import Chart, Line, Value
from weatherglass.portal.kit import Visit

POINTS_AT_MOST = 400
_PLAIN = re.compile(r"[\w.:/@+-]+")


def caller(visit: Visit, room: Gnocchi) -> Caller:
    """Who looks, as Gnocchi's rules see them: operators see all, a tenant is the project of its name. Only for
    reading: the role that it gives to operators may do anything."""
    name, tenant = visit.principal.name, visit.lens.tenant
    return room.caller(
        creator=f"{name}:{visit.lens.partition}",
        roles=frozenset() if tenant else frozenset({"admin"}),
        tenant=visit.lens.partition,
        user_id=name,
        project_id=visit.lens.partition,
        scoped=True,
    )


def filter_of(text: str, attributes: Sequence[str], creator: str) -> dict[str, Any] | None:
    """The filter of what was typed: Gnocchi's string syntax, or a part of a name or id. Raises Bad."""
    text = text.strip()
    if not text:
        return None
    if not _PLAIN.fullmatch(text):
        return text_filter(text, creator)
    part = f"%{text}%"
    names = ["original_resource_id", *(a for a in attributes if a in ("display_name", "name", "host"))]
    tries: list[dict[str, Any]] = [{"like": {name: part}} for name in names]
    return json_filter({"or": tries}, creator)


class Change(NamedTuple):
    """One revision: when it began, and what was different from the one before ((name, before, after))."""

    at_ns: int
    what: list[tuple[str, Any, Any]]


_OF_EVERY_REVISION = frozenset({"revision_start", "revision_end", "metrics"})


def changes(revisions: Sequence[Resource]) -> list[Change]:
    """The newest first; the oldest says nothing but when it began."""
    found = []
    before: dict[str, Any] = {}
    for one in sorted(revisions, key=lambda r: r.revision_start):
        now = {name: value for name, value in one.shown().items() if name not in _OF_EVERY_REVISION}
        what = [
            (name, before.get(name), value)
            for name, value in now.items()
            if before and before.get(name) != value
        ]
        found.append(Change(one.revision_start * 1000, what))
        before = now
    return found[::-1]


def level_for(granularities_ns: Sequence[int], span_ns: int) -> int:
    """The finest granularity that gives not more than POINTS_AT_MOST points over a span; else the coarsest."""
    fitting = [one for one in granularities_ns if span_ns / one <= POINTS_AT_MOST]
    return min(fitting, default=max(granularities_ns))


def method_for(methods: Sequence[str], wanted: str) -> str:
    """The one that was asked for where the policy has it, else the most telling."""
    for one in (wanted, "mean", "last", "max", "sum", "count"):
        if one in methods:
            return one
    return min(methods)


def chart_of(
    room: Gnocchi, who: Caller, metric: Metric, resource: Resource, wanted: str, start_ns: int, end_ns: int
) -> Chart:
    """A metric's aggregates over a span; gaps stay gaps; what went wrong stands in its place."""
    policy = metric.policy
    title = metric.name or metric.id
    frame: dict[str, Any] = {
        "title": title, "unit": metric.unit or "", "start": start_ns / SECOND_NS, "end": end_ns / SECOND_NS,
    }  # fmt: skip
    if policy is None or not policy.levels or not policy.methods:
        return Chart(times=(), lines=(), problem="its archive policy keeps nothing", **frame)
    step_ns = level_for(policy.granularities, end_ns - start_ns)
    method = method_for(sorted(policy.methods), wanted)
    owned = dataclasses.replace(metric, resource=resource)
    try:
        found = room.measures.get(
            who,
            owned,
            method=method,
            granularity_ns=step_ns,
            start_ns=start_ns,
            stop_ns=end_ns,
            resample=None,
        )
    except WeatherglassError as error:
        return Chart(times=(), lines=(), problem=error.message or "not to be read", **frame)
    at = {parse_iso(moment): value for moment, _, value in found}
    times = range(min(at), max(at) + 1, step_ns) if at else range(0)
    values: tuple[Value, ...] = tuple(at.get(t) for t in times)
    return Chart(
        times=tuple(t / SECOND_NS for t in times),
        lines=(Line(title, values),),
        note=f"{method} of {step_ns / SECOND_NS:g} s",
        query=f'{{gnocchi_metric="{metric.id}"}}',
        **frame,
    )
