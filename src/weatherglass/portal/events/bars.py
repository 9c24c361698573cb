"""The histogram of events by level, and the row of facets: counts as geometry and links. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weatherglass.logs import aggs
from weatherglass.portal.events.question import LEVELS, clause, narrowed

FACETS = ("service", "host", "level", "logger", "exception", "request_id")
FACET_SIZE = 8
BUCKETS = 72
MOST_PARTED = 20
"""A field whose most frequent value has less than a twentieth of the events does not help to narrow down."""


@dataclass(frozen=True, slots=True)
class Bar:
    """From, to, how many, in words, and (level, y, height) of each part from the floor up, in a frame 100 high."""

    begin: int
    end: int
    count: int
    said: str
    parts: list[tuple[str, float, float]]


def bars(counted: Sequence[tuple[int, Mapping[str, int]]], end_ns: int) -> list[Bar]:
    most = max((sum(found.values()) for _, found in counted), default=0) or 1
    drawn = []
    ends = [begin for begin, _ in counted[1:]] + [end_ns]
    for (begin, found), end in zip(counted, ends, strict=True):
        floor, parts = 100.0, []
        for level in (*LEVELS, *(name for name in found if name not in LEVELS)):
            if found.get(level):
                height = found[level] / most * 100
                floor -= height
                name = level.lower() if level in LEVELS else "plain"
                parts.append((name, round(floor, 2), round(height, 2)))
        said = ", ".join(f"{n} {level.lower() or 'without level'}" for level, n in found.items() if n)
        drawn.append(Bar(begin, end, sum(found.values()), said, parts))
    return drawn


@dataclass(frozen=True, slots=True)
class Facet:
    """One field's most frequent values: (value, how many, the query with it, the query without it)."""

    field: str
    values: list[tuple[str, int, str, str]]
    others: int


def wanted() -> dict[str, aggs.Agg]:
    """What is asked of the store for the facets."""
    return {name: aggs.Terms(name, FACET_SIZE) for name in FACETS}


def facets(found: Mapping[str, Any], query: str) -> list[Facet]:
    """Those fields that tell events apart."""
    shown = []
    for name in FACETS:
        buckets = found[name].buckets
        if (
            not buckets
            or buckets[0].count * MOST_PARTED < sum(one.count for one in buckets) + found[name].other
        ):
            continue
        values = []
        for one in buckets:
            mine = clause(name, str(one.key))
            values.append((str(one.key), one.count, narrowed(query, mine), narrowed(query, mine, True)))
        shown.append(Facet(name, values, found[name].other))
    return shown
