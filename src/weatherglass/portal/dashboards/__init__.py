"""Dashboards: files beside the declaration, drawn through whoever looks' lens, shared by their addresses."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.base.time import SECOND_NS
from weatherglass.metrics.dashboards import ALL, Dashboard, Dashboards, Shelved
from weatherglass.portal.dashboards.showing import Showing
from weatherglass.portal.kit import Desk, Page, Visit, parse_instant, parse_span
from weatherglass.portal.live import paced

ROOM = "dashboards"
PACES = (
    ("", "as the file says"),
    ("0", "never"),
    ("10", "every 10 s"),
    ("30", "every 30 s"),
    ("300", "every 5 min"),
)
_FIRST = """# dashboards/hosts.yaml
title: Hosts
variables: {host: {query: "label_values(node_load1, host)", multi: true, all: true}}
rows:
  - panels:
      - {title: Load, query: 'node_load1{host=~"$host"}', legend: "{{host}}"}"""


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/dashboards")
    def listed(request: Request) -> Response:
        visit = desk.open(request)
        room = _room(visit)
        found = [one for one in (room.all() if room else []) if _seen(visit, one)]
        folders = [str(one) for one in room.folders] if room and visit.lens.operator else []
        return visit.render(
            "dashboards/list.html", current=PAGE.name, found=found, folders=folders, first=_FIRST
        )

    @router.get("/dashboards/{slug}")
    def shown(request: Request, slug: str) -> Response:
        visit = desk.open(request)
        room = _room(visit)
        one = room.get(slug) if room else None
        if one is None or not _seen(visit, one):
            raise NotFound(f"there is no dashboard {slug}", mend="see /dashboards for those that there are")
        if one.dashboard is None:
            problem = one.problem
            raise problem if problem is not None else Invalid("the file cannot be read")
        return _page(visit, one, one.dashboard)

    return router


def _room(visit: Visit) -> Dashboards | None:
    found = visit.rooms.more.get(ROOM)
    return found if isinstance(found, Dashboards) else None


def _seen(visit: Visit, one: Shelved) -> bool:
    """Operators see every file; a tenant those that are for it."""
    if visit.lens.operator:
        return True
    return one.dashboard is not None and bool({"*", visit.lens.tenant} & set(one.dashboard.tenants))


def _page(visit: Visit, one: Shelved, dashboard: Dashboard) -> Response:
    asked = visit.request.query_params
    range_text = asked.get("range", "") or dashboard.range
    end = min(parse_instant(asked.get("end", "")) or visit.now_ns, visit.now_ns)
    start = parse_instant(asked.get("start", ""))
    by_ends = 0 < start < end
    if not by_ends:
        start = end - int(parse_span(range_text, 3600) * SECOND_NS)
    chosen = {name[4:]: asked.getlist(name) for name in asked if name.startswith("var-")}
    showing = Showing(visit, dashboard, start, end, chosen)
    opened = set(asked.getlist("open"))
    rows = [
        (
            str(i),
            row,
            [] if row.folded and str(i) not in opened else [showing.show(panel) for panel in row.panels],
        )
        for i, row in enumerate(dashboard.rows)
    ]
    pace = paced(asked["every"]) if asked.get("every") else dashboard.refresh_s

    def address(**change: Any) -> str:
        return _address(visit, one.slug, change)

    return visit.render(
        "dashboards/page.html",
        current=PAGE.name,
        shelved=one,
        dashboard=dashboard,
        showing=showing,
        rows=rows,
        opened=opened,
        range="" if by_ends else range_text,
        span=(start, end),
        pace=0 if by_ends else pace,
        paces=PACES,
        every=asked.get("every", ""),
        all_of=ALL,
        address=address,
        renewed=address(),
        live=() if by_ends or not pace else ("panels",),
    )


def _address(visit: Visit, slug: str, change: dict[str, Any]) -> str:
    """The page as it was asked for, with some of it changed; several values of one name stay."""
    pairs = [
        (name, text) for name, text in visit.request.query_params.multi_items() if name not in change and text
    ]
    for name, value in change.items():
        values = list(value) if isinstance(value, list | tuple | set) else [value]
        pairs += [(name, str(text)) for text in sorted(map(str, values)) if text]
    return f"/dashboards/{quote(slug)}" + (f"?{urlencode(pairs)}" if pairs else "")


PAGE = Page(
    "Dashboards",
    "/dashboards",
    routes,
    icon="M4 5h7v6H4zM13 5h7v4h-7zM4 13h7v6H4zM13 11h7v8h-7z",
    key="b",
    order=32,
)
