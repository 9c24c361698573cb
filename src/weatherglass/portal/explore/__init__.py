"""Explore: ask the metrics in PromQL, see the answer drawn and as a table, share it by its address."""

from __future__ import annotations

import importlib
import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS, SECOND_NS
from weatherglass.portal import signals
from weatherglass.portal.charts import Chart
from weatherglass.portal.kit import Desk, Page, Visit, parse_instant, parse_span

NAMES_AT_MOST = 400
ROWS_AT_MOST = 200

STARTS = (
    ("How long do probes take?", "max by (service) (weatherglass_probe_seconds)"),
    ("How much memory does each replica hold?", "weatherglass_replica_memory_bytes"),
    ("Which hosts are busy?", 'sum by (host) (rate(node_cpu_seconds_total{mode!="idle"}[1m]))'),
    ("How full is each volume?", "weatherglass_volume_used_share"),
)
"""Questions to begin with."""


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/explore")
    def explore(request: Request) -> Response:
        visit = desk.open(request)
        asked = request.query_params
        expr, range_text = asked.get("q", "").strip(), asked.get("range", "1h")
        end = min(parse_instant(asked.get("end", "")) or visit.now_ns, visit.now_ns)
        start = parse_instant(asked.get("start", ""))
        if not 0 < start < end:
            start = end - int(parse_span(range_text, 3600) * SECOND_NS)
        problem, chart, rows = None, None, []
        if expr:
            problem = refused(visit, expr, end)
            if problem is None:
                chart = answered(visit, expr, start, end)
                first = signals.first_ns(visit, chart)
                if not asked.get("start") and start < first < end:
                    start, chart = first, answered(visit, expr, first, end)
                rows = table(chart)
        return visit.render(
            "explore/page.html",
            current=PAGE.name,
            q=expr,
            range="" if asked.get("start") else range_text,
            span=(start, end),
            problem=problem,
            caret=caret(problem, expr) if problem is not None else "",
            chart=chart,
            unit=chart.unit if chart is not None else "",
            rows=rows[:ROWS_AT_MOST],
            more=len(rows) - ROWS_AT_MOST,
            names=[] if expr else names(visit)[:NAMES_AT_MOST],
            metadata=metadata(visit) if not expr else {},
            starts=STARTS,
        )

    @router.get("/explore/names")
    def completion(request: Request) -> Response:
        """What may stand at the caret: metric names and functions, [word, kind, help]."""
        visit = desk.open(request)
        prefix = request.query_params.get("prefix", "").lower()
        about = metadata(visit)
        found = [[n, "metric", about.get(n, ("", ""))[1]] for n in names(visit) if prefix in n.lower()]
        found += [[n, "function", doc] for n, doc in functions().items() if n.startswith(prefix)]
        found.sort(key=lambda row: (not row[0].lower().startswith(prefix), row[0]))
        return JSONResponse(found[:30])

    return router


def answered(visit: Visit, expr: str, start_ns: int, end_ns: int) -> Chart:
    """The answer to a question over a span."""
    return signals.chart(
        visit, expr, unit_of(expr), expr, start_ns, end_ns, points=240, partition=visit.lens.partition
    )


def unit_of(expr: str) -> str:
    """The unit that the one metric of a plain query has by its name; none where a function may have changed it."""
    if re.search(
        r"\b(rate|irate|increase|delta|deriv|count|stddev|absent)\b|[-*/^]|[<>=]=?\s*bool",
        re.sub(r"\{[^}]*\}", "", expr),
    ):
        return ""
    for ending, unit in (("_seconds", "s"), ("_bytes", "B"), ("_share", "share"), ("_ratio", "share")):
        if re.search(rf"{ending}\b", expr):
            return unit
    return ""


def refused(visit: Visit, expr: str, at_ns: int) -> WeatherglassError | None:
    """What is wrong with a query, or None."""
    try:
        visit.rooms.metrics.query(visit.lens.partition, expr, at_ns // MS_NS)
    except WeatherglassError as error:
        return error
    return None


def caret(error: WeatherglassError, expr: str) -> str:
    """A line of spaces with a caret under the place that is wrong, where the error names one."""
    _, _, place = error.where.rpartition(":")
    if not place.isdigit() or int(place) > len(expr):
        return ""
    return " " * int(place) + "^"


def table(chart: Chart) -> list[tuple[int, str, float | None, float | None, float | None]]:
    """(number, series, last, least, most) of each line, the greatest last value first."""
    rows = []
    for i, line in enumerate(chart.lines):
        known = [v for v in line.values if v is not None]
        rows.append(
            (i, line.label, known[-1], min(known), max(known)) if known else (i, line.label, None, None, None)
        )
    return sorted(rows, key=lambda row: -(row[2] if row[2] is not None else float("-inf")))


def names(visit: Visit) -> list[str]:
    try:
        return sorted(visit.rooms.metrics.label_values(visit.lens.partition, "__name__"))
    except WeatherglassError:
        return []


def metadata(visit: Visit) -> dict[str, tuple[str, str]]:
    """Metric → (type, help), in either of the shapes it is told in."""
    found = {}
    for name, told in visit.rooms.metrics.metadata(visit.lens.partition).items():
        one: Any = told[0] if isinstance(told, list) and told else told
        if isinstance(one, dict):
            found[name] = (str(one.get("type", "")), str(one.get("help", "")))
    return found


def functions() -> dict[str, str]:
    """PromQL's functions and what each says, from the table that the parser reads."""
    known = getattr(importlib.import_module("weatherglass.metrics.promql"), "FUNCTIONS", {})
    return {name: str(getattr(function, "doc", "")) for name, function in known.items()}


PAGE = Page("Explore", "/explore", routes, icon="M4 19V5M4 19h16M7 15l4-5 3 3 5-7", key="x", order=30)
