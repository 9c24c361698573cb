"""Cardinality: how many series there are, what they differ by, and who makes new ones."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.portal.kit import Desk, Page

_TOP = 20


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/cardinality")
    def cardinality(request: Request) -> Response:
        visit = desk.open(request)
        visit.allow("metrics.read")
        found = visit.rooms.metrics.cardinality(visit.lens.partition, _TOP)
        tables = (
            ("Series by metric", "Metric", "Series", "metric", found.by_metric),
            ("Values by label", "Label", "Values", "", found.by_label),
            ("Series by label and value", "Label and value", "Series", "pair", found.by_pair),
            ("New series by metric", "Metric", "New series", "metric", found.new_by_metric),
            ("New values by label", "Label", "Values", "", found.new_by_label),
        )
        return visit.render(
            "cardinality/page.html",
            current=PAGE.name,
            found=found,
            share=found.series / found.limit if found.limit else 0.0,
            tables=[one for one in tables if one[4]],
            minutes=round(found.new_s / 60),
            selector=selector,
        )

    return router


def selector(kind: str, name: str) -> str:
    """The query that shows what a row counts; nothing where there is none."""
    if kind == "metric":
        return f"count({{__name__={_quoted(name)}}})"
    if kind == "pair":
        label, _, value = name.partition("=")
        return f"count by (__name__) ({{{label}={_quoted(value)}}})" if label.isidentifier() else ""
    return ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


PAGE = Page(
    "Cardinality", "/cardinality", routes, icon="M5 19v-4M10 19v-7M15 19V9M20 19V5", key="c", order=44
)
