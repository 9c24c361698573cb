"""Request: one request through all services, lines and spans in one waterfall; which part took how long, what failed."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.logs.parts import Part, by_service, failed_first, parts_of
from weatherglass.portal.events.detail import headline
from weatherglass.portal.kit import Desk, Page
from weatherglass.portal.request import examples

WIDTH = 1000
LINES = 500
GRID = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One part as it is drawn: x and width of WIDTH; its ticks as (x, level)."""

    part: Part
    x: float
    width: float
    ticks: list[tuple[float, str]]


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/request")
    def ask(request: Request) -> Response:
        visit = desk.open(request)
        id = request.query_params.get("id", "").strip()
        if id:
            return visit.redirect(f"/request/{id[:200]}")
        return visit.render("request/ask.html", current="Events")

    examples.add(router, desk)

    @router.get("/request/{id:path}")
    def one(request: Request, id: str) -> Response:
        visit = desk.open(request)
        found = visit.rooms.logs.request(visit.lens.partition, id[:200])
        parts = parts_of(found)
        length = max(1, found.end_ns - found.start_ns)
        return visit.render(
            "request/page.html",
            current="Events",
            id=id,
            found=found,
            bars=[bar(one, length) for one in parts],
            length=length,
            services=by_service(parts),
            grid=[(WIDTH * k / GRID, length * k // GRID) for k in range(GRID + 1)],
            failed=failed_first(parts),
            lines=found.rows[:LINES],
            more=max(0, len(found.rows) - LINES),
            headline=headline,
            others=[other for other in found.ids if other != id],
        )

    return router


def bar(part: Part, length_ns: int) -> Bar:
    """A part in a frame WIDTH wide: nothing is so short that it is not seen."""

    def x(ns: int) -> float:
        return round(min(WIDTH, max(0, ns / length_ns * WIDTH)), 1)

    width = max(3.0, round(part.duration_ns / length_ns * WIDTH, 1))
    return Bar(
        part, min(x(part.offset_ns), WIDTH - width), width, [(x(ns), level) for ns, level in part.ticks]
    )


PAGE = Page("Request", "/request", routes, order=205)
