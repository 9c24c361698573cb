"""Events: what the cloud wrote. Ask in words or in the language, see when and how much, follow, keep, take away."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import name_of
from weatherglass.base.time import iso
from weatherglass.portal.events import completing, download, saved, tailing
from weatherglass.portal.events.bars import BUCKETS, Bar, bars, facets, wanted
from weatherglass.portal.events.detail import detail, headline, value_of
from weatherglass.portal.events.question import LASTING, LEVELS, Question, narrowed, question
from weatherglass.portal.kit import Desk, Page, Visit

PER_PAGE = 100
AROUND = 20
NEAR = 4


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/events")
    def events(request: Request) -> Response:
        visit = desk.open(request)
        asked = question(visit, request.query_params)
        return visit.render(
            "events/page.html", current=PAGE.name, **found(visit, asked, request.query_params)
        )

    @router.get("/events/one")
    def one(request: Request) -> Response:
        """One event with all that is known of it; as a part of the list, or as a page to send to others."""
        visit = desk.open(request)
        part = bool(request.query_params.get("part"))
        shown = detail(visit, request.query_params.get("at", ""), NEAR if part else AROUND)
        values: dict[str, Any] = {"d": shown, "headline": headline, "q": request.query_params.get("q", "")}
        if not part:
            return visit.render("events/one.html", current=PAGE.name, narrowed=narrowed, **values)
        text = desk.templates.get_template("events/part.html").render(
            visit=visit, lens=visit.lens, href=visit.href, now_ns=visit.now_ns, narrowed=narrowed, **values
        )
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    @router.get("/events/words")
    def words(request: Request) -> Response:
        """What may stand at the end of a query: fields, operators, and the values that there are."""
        visit = desk.open(request)
        return JSONResponse(completing.complete(visit, request.query_params.get("q", "")[-500:]))

    download.add(router, desk)
    saved.add(router, desk)
    tailing.add(router, desk)
    return router


def found(visit: Visit, asked: Question, params: Any) -> dict[str, Any]:
    """What the page shows of a question."""
    logs, partition, span = visit.rooms.logs, visit.lens.partition, (asked.start_ns, asked.end_ns)
    following = bool(params.get("follow")) and not asked.around_ns
    problem: WeatherglassError | None = None
    page: Any = None
    drawn: list[Bar] = []
    shown: list[Any] = []
    by_level: dict[str, int] = {}
    total = 0
    try:
        page = logs.search(
            partition,
            start_ns=span[0],
            end_ns=span[1],
            limit=PER_PAGE,
            before=params.get("before", ""),
            **asked.filters,
        )
        counted = logs.histogram(
            partition, start_ns=span[0], end_ns=span[1], buckets=BUCKETS, **asked.filters
        )
        drawn = bars(counted, span[1])
        by_level = {level: sum(of.get(level, 0) for _, of in counted) for level in LEVELS}
        total = sum(bar.count for bar in drawn)
        shown = facets(
            logs.aggregate(partition, asked.filter(visit.now_ns), wanted(), start_ns=span[0], end_ns=span[1]),
            asked.given["q"],
        )
    except WeatherglassError as error:
        problem = error
    return {
        "asked": asked.given,
        "question": asked,
        "lasting": {name: asked.given[name] for name in LASTING if asked.given[name]},
        "range": asked.range,
        "span": span,
        "around": asked.around_ns,
        "page": page,
        "problem": problem,
        "caret": caret(problem, asked.given["q"]),
        "bars": drawn,
        "levels": LEVELS,
        "by_level": by_level,
        "total": total,
        "facets": shown,
        "filtered": asked.filtered,
        "following": following,
        "columns": asked.columns,
        "value_of": value_of,
        "headline": headline,
        "saved": saved.listed(visit),
        "services": [name_of(id) for id in visit.web.of_kind.get("service", ())],
        "iso": iso,
    }


def caret(error: WeatherglassError | None, query: str) -> str:
    """A line of spaces with a caret under the place that is wrong, where the error names one."""
    for one in error.problems if error is not None else ():
        name, _, place = one.where.rpartition(":")
        if name == "query" and place.isdigit() and 0 < int(place) <= len(query) + 1:
            return " " * (int(place) - 1) + "^"
    return ""


PAGE = Page("Events", "/events", routes, icon="M5 6h14M5 10h14M5 14h9M5 18h6", key="e", order=40)
