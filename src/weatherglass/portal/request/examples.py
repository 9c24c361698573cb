"""Exemplars of what a PromQL query selects: single requests behind a number, each a link to its waterfall."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS
from weatherglass.metrics.promql import parse
from weatherglass.metrics.promql.ast import selectors
from weatherglass.portal.explore import asking
from weatherglass.portal.kit import Desk, Visit
from weatherglass.portal.signals import series_name

IDS = ("trace_id", "traceID", "traceId", "request_id", "global_request_id")
AT_MOST = 50


class Example(NamedTuple):
    time_ns: int
    value: float
    series: str
    id: str
    labels: str


def add(router: APIRouter, desk: Desk) -> None:
    @router.get("/request/examples")
    def examples(request: Request) -> Response:
        visit = desk.open(request)
        asked = request.query_params
        question = asking.read(asked, asked.getlist("q"), visit.now_ns)
        found = exemplars(visit, question.queries, question.start_ns, question.end_ns)
        values: dict[str, Any] = {"examples": found[:AT_MOST], "queries": question.queries}
        if not asked.get("part"):
            return visit.render("request/examples.html", current="Explore", **values)
        text = desk.templates.get_template("request/examples_part.html").render(
            visit=visit, lens=visit.lens, href=visit.href, here=visit.here, now_ns=visit.now_ns, **values
        )
        return HTMLResponse(text, headers={"cache-control": "no-store"})


def exemplars(visit: Visit, queries: Any, start_ns: int, end_ns: int) -> list[Example]:
    """Those that name a request or a trace, the greatest value first; of a query that cannot be read none."""
    found: dict[tuple[str, int, float], Example] = {}
    for expr in queries:
        try:
            wanted = [one.matchers for one in selectors(parse(expr))]
            told = visit.rooms.metrics.exemplars(
                visit.lens.partition, wanted, start_ns // MS_NS, end_ns // MS_NS
            )
        except WeatherglassError:
            continue
        for series, examples in told:
            for one in examples:
                labels = dict(one.labels)
                id = next((labels[name] for name in IDS if labels.get(name)), "")
                if id:
                    ns = (one.time_ms or 0) * MS_NS
                    found[id, ns, one.value] = Example(
                        ns, one.value, series_name(dict(series)), id, series_name(labels)
                    )
    return sorted(found.values(), key=lambda one: -one.value)
