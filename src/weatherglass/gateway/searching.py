"""`/api/v1/logs`: search and histogram of events."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid
from weatherglass.gateway import asked, openapi
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.openapi import RESPONSES, answer

_FILTERS = {
    "start": "from (an hour ago where not said): 2026-11-22T14:02:11Z, Unix seconds, or -15m",
    "end": "until (now where not said)",
    "words": "words that an event must hold",
    "entity": "service/keystone, host/ctl-1 …",
    "level": "DEBUG, INFO, WARNING, ERROR, CRITICAL",
    "field": "name:value, any number of times",
}


def routes(context: Context) -> APIRouter:
    """Events of one tenant."""
    rooms, pool = context.rooms, context.pool
    router = APIRouter(prefix="/api/v1/logs", responses=RESPONSES)

    def filters(params: QueryParams) -> dict[str, Any]:
        start, end = asked.span_ns(params, rooms.clock.now_ns())
        fields: dict[str, str] = {}
        for pair in params.getlist("field"):
            name, colon, value = pair.partition(":")
            if not (name and colon):
                raise Invalid(
                    f"{pair[:80]!r} is not name:value", where="field", mend="field=request_id:req-1"
                )
            fields[name] = value
        return {
            "start_ns": start,
            "end_ns": end,
            "words": params.get("words", ""),
            "entity": params.get("entity", ""),
            "level": params.get("level", "").upper(),
            "fields": fields,
        }

    @router.get(
        "/search",
        summary="Events, newest first, by page.",
        openapi_extra=openapi.query(
            **_FILTERS, limit="at most (100; 1000)", before="the `next` of the page before"
        ),
    )
    async def search(request: Request) -> Response:
        _, tenant = allowed(request, "logs.read")
        params = request.query_params
        wanted: dict[str, Any] = filters(params)
        wanted["limit"] = asked.whole(params, "limit", 100, asked.PAGE_MOST)
        if params.get("before"):
            wanted["before"] = params["before"]
        return answer(await pool.run(lambda: rooms.logs.search(tenant, **wanted)))

    @router.get(
        "/histogram",
        summary="How many events of each level, over time.",
        openapi_extra=openapi.query(**_FILTERS, buckets="how many spans (60; 500)"),
    )
    async def histogram(request: Request) -> Response:
        _, tenant = allowed(request, "logs.read")
        params = request.query_params
        wanted = filters(params)
        wanted["buckets"] = asked.whole(params, "buckets", 60, 500)
        found = await pool.run(lambda: rooms.logs.histogram(tenant, **wanted))
        return answer({"buckets": [{"start_ns": start, "counts": counts} for start, counts in found]})

    return router
