"""Explore: ask the metrics in PromQL, see the answer drawn and as a table, share it by its address."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from weatherglass.portal import signals
from weatherglass.portal.explore import asking
from weatherglass.portal.explore.answering import answer, marked, unit_of
from weatherglass.portal.explore.asking import Question
from weatherglass.portal.explore.completing import complete, metadata, names, reference
from weatherglass.portal.kit import Desk, Page, Visit

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
        question = asking.read(asked, asked.getlist("q"), visit.now_ns)
        found = None
        if question.queries:
            found = answer(visit, question)
            first = signals.first_ns(visit, found.chart)
            if question.range and question.start_ns < first < question.end_ns:
                question = question._replace(start_ns=first)
                found = answer(visit, question)
        boxes = [*question.queries, ""] if asked.get("more") or not question.queries else question.queries
        return visit.render(
            "explore/page.html",
            current=PAGE.name,
            asked=question,
            boxes=boxes[: asking.QUERIES_AT_MOST],
            found=found,
            rows=found.rows[:ROWS_AT_MOST] if found else [],
            more=len(found.rows) - ROWS_AT_MOST if found else 0,
            names=[] if found else names(visit)[:NAMES_AT_MOST],
            metadata={} if found else metadata(visit),
            reference=[] if found else reference(),
            starts=STARTS,
            choices=asking,
            ranged=lambda span: address(visit, question, range=span),
            shared=address(visit, question),
        )

    @router.get("/explore/names")
    def completion(request: Request) -> Response:
        """What may stand at the caret, [word, kind, help]."""
        return JSONResponse(complete(desk.open(request), request.query_params))

    return router


def address(visit: Visit, question: Question, *, range: str = "") -> str:
    """The page's address for a question; with another range where one is given."""
    pairs = [("q", expr) for expr in question.queries]
    if range or question.range:
        pairs.append(("range", range or question.range))
    else:
        pairs += [("start", str(question.start_ns)), ("end", str(question.end_ns))]
    if question.step_s:
        pairs.append(("step", f"{question.step_s}s"))
    pairs += [(name, text) for name, text in (("unit", question.unit), ("beside", question.beside)) if text]
    if question.plan:
        pairs.append(("plan", "1"))
    if lens := visit.request.query_params.get("lens", ""):
        pairs.append(("lens", lens))
    return f"/explore?{urlencode(pairs)}"


PAGE = Page("Explore", "/explore", routes, icon="M4 19V5M4 19h16M7 15l4-5 3 3 5-7", key="x", order=30)

__all__ = ["PAGE", "marked", "unit_of"]
