"""Resources: what Gnocchi's model knows, found by type and by search; one's attributes, history and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.errors import Denied, NotFound, WeatherglassError
from weatherglass.base.time import SECOND_NS
from weatherglass.metrics.gnocchi import METHODS, Caller, Gnocchi, Resource
from weatherglass.metrics.gnocchi import Page as Part
from weatherglass.portal.kit import Desk, Page, Visit, parse_span
from weatherglass.portal.resources.looking import caller, changes, chart_of, filter_of

ROOM = "gnocchi"
PART = 100
CHARTS_AT_MOST = 24
HISTORY_AT_MOST = 200
_ORDER = ("started_at:desc", "id:asc")
EXAMPLES = ('display_name like "web%"', 'host = "cmp-1" and ended_at = null', "started_at > 2026-11-01")


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/resources")
    def listed(request: Request) -> Response:
        visit = desk.open(request)
        room, asked = _room(visit), request.query_params
        if room is None:
            return visit.render("resources/list.html", current=PAGE.name, types=None)
        who = caller(visit, room)
        types = {one.name: one for one in room.types.all(who)}
        kind, text = asked.get("type", "") or "generic", asked.get("q", "")
        if kind not in types:
            raise NotFound(
                f"there is no type of resources {kind}", mend="see /resources for those that there are"
            )
        found, problem = [], None
        try:
            tree = filter_of(text, list(types[kind].attributes), who.creator)
            part = Part(PART, asked.get("after") or None, _ORDER)
            found = room.resources.listed(
                who, kind, part, rule="search resource" if tree else "list resource", tree=tree, details=True
            )
        except WeatherglassError as error:
            problem = error
        return visit.render(
            "resources/list.html",
            current=PAGE.name,
            types=types,
            kind=kind,
            q=text,
            found=found,
            problem=problem,
            extra=list(types[kind].attributes)[:3],
            after=found[-1].id if len(found) == PART else "",
            examples=EXAMPLES,
        )

    @router.get("/resources/policies")
    def policies(request: Request) -> Response:
        visit = desk.open(request)
        room = _needed(visit)
        who = caller(visit, room)
        return visit.render(
            "resources/policies.html",
            current=PAGE.name,
            policies=room.policies.all(who),
            rules=room.rules.all(who) if visit.lens.operator else [],
        )

    @router.get("/resources/{kind}/{identity}")
    def one(request: Request, kind: str, identity: str) -> Response:
        visit = desk.open(request)
        room = _needed(visit)
        who, asked = caller(visit, room), request.query_params
        resource = _found(room, who, kind, identity)
        span = parse_span(asked.get("range", ""), 86_400)
        start_ns = visit.now_ns - int(span * SECOND_NS)
        method = asked.get("method", "")
        metrics = sorted(room.resources.metrics_of(who, kind, resource.id), key=lambda m: m.name or m.id)
        revisions = room.resources.history(
            who, kind, resource.id, Part(HISTORY_AT_MOST, None, ("revision_start:desc",)), details=True
        )
        return visit.render(
            "resources/one.html",
            current=PAGE.name,
            kind=kind,
            resource=resource,
            shown={name: value for name, value in resource.shown().items() if name != "metrics"},
            metrics=metrics,
            charts=[
                (metric, chart_of(room, who, metric, resource, method, start_ns, visit.now_ns))
                for metric in metrics[:CHARTS_AT_MOST]
            ],
            changes=changes(revisions),
            range=asked.get("range", "") or "24h",
            method=method,
            methods=sorted(
                {name for metric in metrics if metric.policy for name in metric.policy.methods} & METHODS
            ),
        )

    return router


def _found(room: Gnocchi, who: Caller, kind: str, identity: str) -> Resource:
    """Raises NotFound, also where it is not theirs to see: that it is there is nobody else's business."""
    try:
        return room.resources.get(who, kind, room.resources.identity(who, identity))
    except (NotFound, Denied):
        raise NotFound(
            f"there is no resource {identity} of the type {kind}", mend="search for it in /resources"
        ) from None


def _room(visit: Visit) -> Gnocchi | None:
    found = visit.rooms.more.get(ROOM)
    return found if isinstance(found, Gnocchi) else None


def _needed(visit: Visit) -> Gnocchi:
    room = _room(visit)
    if room is None:
        raise NotFound("Gnocchi's model does not run here", mend="see `weatherglass up --only`")
    return room


PAGE = Page(
    "Resources",
    "/resources",
    routes,
    icon="M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
    key="r",
    order=34,
)
