"""Search everything: entities, incidents, metrics, pages; as a page, and as the short list under the search field."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import kind_of, name_of
from weatherglass.base.time import SECOND_NS
from weatherglass.portal.events.detail import of_template
from weatherglass.portal.evidence import tenant_incident_sentence
from weatherglass.portal.kit import Desk, Page, Visit
from weatherglass.portal.words import plain

QUICK = 9
DAY_NS = 86_400 * SECOND_NS
_REQUEST = re.compile(r"req-[0-9a-f-]{4,40}|[0-9a-f]{32}")
WHOLE = 120
KIND_ORDER = ("service", "tenant", "host", "volume", "replica")


@dataclass(frozen=True)
class Hit:
    """One thing found: where it is, what it is, how it is."""

    href: str
    text: str
    kind: str
    state: str = ""


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/search")
    def search(request: Request) -> Response:
        visit = desk.open(request)
        text = request.query_params.get("q", "").strip()[:200]
        return visit.render("search/page.html", q=text, hits=hits(visit, text, WHOLE) if text else [])

    @router.get("/search/quick")
    def quick(request: Request) -> Response:
        visit = desk.open(request)
        text = request.query_params.get("q", "").strip()[:200]
        found = hits(visit, text, QUICK) if text else []
        rendered = desk.templates.get_template("search/quick.html").render(
            hits=found, q=text, visit=visit, href=visit.href, here=visit.here, now_ns=visit.now_ns
        )
        return HTMLResponse(rendered, headers={"cache-control": "no-store"})

    return router


def hits(visit: Visit, text: str, most: int) -> list[Hit]:
    """What matches, names that begin with the text before those that hold it, services before replicas."""
    wanted = text.lower()
    found = [
        Hit(visit.href(page.path), page.name, "page")
        for page in visit.desk.pages
        if page.icon and wanted in page.name.lower() and (visit.lens.operator or not page.operator_only)
    ]
    if _REQUEST.fullmatch(wanted):
        found.append(Hit(visit.href(f"/request/{wanted}"), wanted, "request"))
    entities = [id for id in visit.web.entities if wanted in id.lower()]
    entities.sort(key=lambda id: (not name_of(id).startswith(wanted), _rank(kind_of(id)), len(id), id))
    found += [
        Hit(visit.href(f"/e/{id}"), name_of(id), kind_of(id), visit.state(id)) for id in entities[:most]
    ]
    for incident in visit.rooms.inventory.incidents(limit=200):
        if visit.concerns(incident):
            said = (
                incident.sentence if visit.lens.operator else plain(tenant_incident_sentence(visit, incident))
            )
            if wanted in f"incident {incident.id} {said}".lower():
                found.append(Hit(visit.href(f"/i/{incident.id}"), f"{incident.id}: {said}", "incident"))
    if len(wanted) >= 2:
        try:
            names = visit.rooms.metrics.label_values(visit.lens.partition, "__name__")
        except WeatherglassError:
            names = []
        found += [
            Hit(visit.href("/explore", q=n), n, "metric") for n in sorted(names) if wanted in n.lower()
        ][:40]
    if most > QUICK and len(wanted) >= 3:
        found += [
            Hit(visit.href("/events", q=of_template(t), range="24h"), t, "template")
            for t in templates(visit, wanted)
        ]
    return found[:most]


def templates(visit: Visit, text: str) -> list[str]:
    """Templates of the last day that hold the text."""
    try:
        known = visit.rooms.logs.trends(
            visit.lens.partition, start_ns=visit.now_ns - DAY_NS, end_ns=visit.now_ns + 1, buckets=1
        )
    except WeatherglassError:
        return []
    return list(dict.fromkeys(one.text for one in known if text in one.text.lower()))[:20]


def _rank(kind: str) -> int:
    return KIND_ORDER.index(kind) if kind in KIND_ORDER else len(KIND_ORDER) - 1


PAGE = Page("Search", "/search", routes, order=210)
