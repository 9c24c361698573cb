"""Map: what hangs on what, where trouble comes from and where it goes; now, or as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.ids import KINDS, kind_of
from weatherglass.base.time import SECOND_NS
from weatherglass.portal.fold import LAYERS, Folded, fold, tally
from weatherglass.portal.kit import Desk, Page, Visit, parse_instant
from weatherglass.portal.web import Web
from weatherglass.portal.words import GRAVITY, STATES

ROWS_AT_MOST = 50
WHOLE_AT_MOST = 40
SLIDER_NS = 24 * 3600 * SECOND_NS


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/map")
    def map_page(request: Request) -> Response:
        visit = desk.open(request)
        asked = request.query_params
        at_ns = min(parse_instant(asked.get("at", "")), visit.now_ns)
        web = visit.narrow(desk.web(at_ns)) if at_ns else visit.web
        records: Mapping[str, Any] = visit.rooms.inventory.states(at_ns) if at_ns else visit.states

        def state(id: str) -> str:
            return visit.state(id, records)

        text, kind, mood = asked.get("q", "").strip().lower(), asked.get("kind", ""), asked.get("state", "")
        focus, toward = asked.get("focus", ""), asked.get("toward", "both")
        focus = focus if focus in web.entities else ""
        ids = around(web, focus, toward) if focus else set(web.entities)
        filtered = [
            id
            for id in ids
            if (not text or text in id.lower())
            and (not kind or kind_of(id) == kind)
            and (not mood or state(id) == mood or (mood == "ill" and state(id) in ("sick", "dying", "dead")))
        ]
        rows = sorted(filtered, key=lambda id: (-GRAVITY[state(id)], kind_of(id) == "replica", id))
        chosen = filtered if text or kind or mood else ids
        folded = fold(
            web, chosen, state, whole=bool(focus and len(ids) <= WHOLE_AT_MOST) or kind == "replica"
        )
        page = max(1, int(asked.get("page", "1"))) if asked.get("page", "1").isdigit() else 1
        return visit.render(
            "map/page.html",
            current=PAGE.name,
            data=payload(visit, folded, focus),
            folded=folded,
            rows=[
                (id, state(id), len(web.depends_on(id)), len(web.dependants(id)), records.get(id))
                for id in rows[(page - 1) * ROWS_AT_MOST : page * ROWS_AT_MOST]
            ],
            count=len(rows),
            page=page,
            pages=-(-len(rows) // ROWS_AT_MOST),
            tally=tally(ids, state),
            states=STATES,
            kinds=[k for k in sorted(KINDS) if k in web.of_kind],
            asked={"q": asked.get("q", ""), "kind": kind, "state": mood, "toward": toward},
            focus=focus,
            at_ns=at_ns,
            slider=(visit.now_ns - SLIDER_NS, visit.now_ns, at_ns or visit.now_ns),
            incidents=[i for i in visit.rooms.inventory.incidents(limit=20) if visit.concerns(i)][:6],
            total=len(web.entities),
            live=() if at_ns else ("say", "map-data", "rows"),
        )

    return router


def around(web: Web, focus: str, toward: str) -> set[str]:
    """The focus with all it depends on (`down`), all that depends on it (`up`), or both."""
    found = {focus}
    if toward != "up":
        found |= web.reach(focus, up=False)
    if toward != "down":
        found |= web.reach(focus, up=True)
    return found


def payload(visit: Visit, folded: Folded, focus: str) -> str:
    """What `map.js` lays out and draws, as JSON: [id, label, kind, state, size, address] and [from, to]."""
    nodes = [
        [
            n.id,
            n.label,
            n.kind,
            n.state,
            n.size,
            visit.here(kind=n.kind, state=n.state, page="")
            if n.size > 1
            else visit.href(f"/e/{n.id}")
            if n.id == focus
            else visit.here(focus=n.id, q="", kind="", state="", page=""),
        ]
        for n in folded.nodes
    ]
    return json.dumps({"nodes": nodes, "flows": folded.flows, "focus": focus, "layers": LAYERS})


PAGE = Page(
    "Map",
    "/map",
    routes,
    icon="M8.2 6a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 0 1 4.4 0M20.2 8a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 0 1 4.4 0M13.2 18a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 0 1 4.4 0M8 6.4l8 1.2M7 8l3.2 8M17 10l-4.8 6.4",
    key="m",
    order=20,
)
