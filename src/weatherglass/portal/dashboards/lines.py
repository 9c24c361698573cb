"""A `logs` panel: the events that a query in the language of logs finds, over time by level, and the newest of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from weatherglass.base.time import SECOND_NS
from weatherglass.portal.charts import Chart, Line
from weatherglass.portal.kit import Visit

NEWEST = 8
BUCKETS = 60


class Lines(NamedTuple):
    """How many of each level when, and the newest events with their cursors."""

    chart: Chart
    events: list[tuple[Any, str]]
    total: int


def lines(visit: Visit, title: str, query: str, start_ns: int, end_ns: int) -> Lines:
    """Raises Invalid, Corrupt."""
    logs, partition = visit.rooms.logs, visit.lens.partition
    span: dict[str, Any] = {"start_ns": start_ns, "end_ns": end_ns, "query": query}
    counted = logs.histogram(partition, buckets=BUCKETS, **span)
    page = logs.search(partition, limit=NEWEST, **span)

    levels = [
        level
        for level in ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "")
        if any(level in of for _, of in counted)
    ]
    chart = Chart(
        title,
        "",
        tuple(begin / SECOND_NS for begin, _ in counted),
        tuple(
            Line(level.lower() or "no level", tuple(float(of.get(level, 0)) for _, of in counted))
            for level in levels
        ),
        start=start_ns / SECOND_NS,
        end=end_ns / SECOND_NS,
    )
    events = list(zip(page.events, page.cursors, strict=True))
    return Lines(chart, events, sum(sum(of.values()) for _, of in counted))
