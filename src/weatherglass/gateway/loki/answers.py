"""Loki's answers over the logs room: streams of lines, counts over time, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from weatherglass.base.time import SECOND_NS
from weatherglass.gateway.loki.logql import Asked, field_of
from weatherglass.gateway.rooms import LogsRoom
from weatherglass.logs import aggs
from weatherglass.logs import filter as ask
from weatherglass.logs.fields import LABELS
from weatherglass.logs.filter import Filter

SAMPLE = 1000
"""The newest events whose labels are looked at to learn which there are."""

_MOST_SERIES = 500


def labels_of(event: Any) -> dict[str, str]:
    """The stream that an event belongs to: its labels, and its level as Loki tells it."""
    found = dict(event.labels)
    if event.level:
        found.setdefault("detected_level", event.level.lower())
    return found


def streams(
    room: LogsRoom, tenant: str, holds: Filter, start: int, end: int, limit: int, direction: str
) -> Any:
    """`resultType: streams`; newest first unless `direction=forward`."""
    newest = direction.lower() != "forward"
    found = room.find(
        tenant,
        holds,
        start_ns=start,
        end_ns=end,
        sort=(("@timestamp", newest),),
        limit=limit,
        track_total=False,
    )
    grouped: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}
    for event in found.events:
        key = tuple(sorted(labels_of(event).items()))
        grouped.setdefault(key, []).append([str(event.time_ns), event.raw])
    return {
        "resultType": "streams",
        "result": [{"stream": dict(key), "values": values} for key, values in grouped.items()],
        "stats": {},
    }


def _names(room: LogsRoom, tenant: str, holds: Filter, start: int, end: int) -> list[str]:
    found = room.find(
        tenant,
        holds,
        start_ns=start,
        end_ns=end,
        sort=(("@timestamp", True),),
        limit=SAMPLE,
        track_total=False,
    )
    return sorted({name for event in found.events for name, _ in event.labels})


def labels(room: LogsRoom, tenant: str, start: int, end: int) -> list[str]:
    found = set(_names(room, tenant, ask.All(), start, end))
    counted = room.aggregate(
        tenant, ask.All(), {name: aggs.Terms(name, size=1) for name in LABELS}, start_ns=start, end_ns=end
    )
    return sorted(found | {name for name in LABELS if counted[name].buckets})


def values(room: LogsRoom, tenant: str, name: str, start: int, end: int) -> list[str]:
    field = "level" if name == "detected_level" else field_of(name)
    counted = room.aggregate(
        tenant, ask.All(), {"by": aggs.Terms(field, size=10_000)}, start_ns=start, end_ns=end
    )
    found = sorted(str(bucket.key) for bucket in counted["by"].buckets)
    return [one.lower() for one in found] if name == "detected_level" else found


def series(
    room: LogsRoom, tenant: str, parts: Sequence[Filter], start: int, end: int
) -> list[dict[str, str]]:
    holds = ask.Or(tuple(parts)) if parts else ask.All()
    found = room.find(
        tenant,
        holds,
        start_ns=start,
        end_ns=end,
        sort=(("@timestamp", True),),
        limit=10_000,
        track_total=False,
    )
    return [dict(one) for one in dict.fromkeys(tuple(sorted(event.labels)) for event in found.events)]


# --- counts over time ------------------------------------------------------------------------------------


def _counted(
    room: LogsRoom, tenant: str, asked: Asked, start: int, end: int, width: int
) -> dict[tuple[tuple[str, str], ...], dict[int, int]]:
    """Labels → bucket's start → events, in even buckets from `start`."""
    names = asked.by if asked.by is not None else tuple(_names(room, tenant, asked.holds, start, end))
    agg: Any = aggs.DateHistogram(fixed_ns=width, offset_ns=start % width, min_count=1)
    sources = tuple(
        aggs.Source(name, aggs.Terms("level" if name == "detected_level" else field_of(name)), missing=True)
        for name in names
    )
    if not sources:
        counted = room.aggregate(tenant, asked.holds, {"at": agg}, start_ns=start, end_ns=end)["at"]
        return {(): {int(one.key): one.count for one in counted.buckets}} if counted.buckets else {}
    by = aggs.Composite(sources, size=_MOST_SERIES, subs={"at": agg})
    counted = room.aggregate(tenant, asked.holds, {"by": by}, start_ns=start, end_ns=end)["by"]
    return {
        tuple((name, str(value)) for name, value in zip(names, one.key, strict=True) if value is not None): {
            int(inner.key): inner.count for inner in one.subs["at"].buckets
        }
        for one in counted.buckets
    }


def matrix(room: LogsRoom, tenant: str, asked: Asked, start: int, end: int, step: int) -> Any:
    """`resultType: matrix`: at each step what lies in the range before it."""
    width = math.gcd(asked.range_ns, step)
    first = start - asked.range_ns
    found = _counted(room, tenant, asked, first, end, width)
    points = range(start, end + 1, step)
    result = []
    for key, counts in sorted(found.items()):
        shown = [
            (at, total)
            for at in points
            if (total := sum(count for begin, count in counts.items() if at - asked.range_ns <= begin < at))
        ]
        if shown:
            result.append(
                {
                    "metric": dict(key),
                    "values": [[at / SECOND_NS, _value(asked, total)] for at, total in shown],
                }
            )
    return {"resultType": "matrix", "result": result, "stats": {}}


def vector(room: LogsRoom, tenant: str, asked: Asked, at: int) -> Any:
    """`resultType: vector`: what lies in the range before one instant."""
    found = _counted(room, tenant, asked, at - asked.range_ns, at, asked.range_ns)
    result = [
        {"metric": dict(key), "value": [at / SECOND_NS, _value(asked, sum(counts.values()))]}
        for key, counts in sorted(found.items())
    ]
    return {"resultType": "vector", "result": result, "stats": {}}


def _value(asked: Asked, total: int) -> str:
    value = total / (asked.range_ns / SECOND_NS) if asked.over == "rate" else total
    return f"{value:.12g}"
