"""`/api/v1/logs`: events searched, counted, followed; their templates; one request through all services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid, LimitExceeded, NotFound
from weatherglass.base.time import SECOND_NS
from weatherglass.gateway import asked, openapi
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.openapi import RESPONSES, answer
from weatherglass.gateway.streams import KEEP_ALIVE, KEEP_ALIVE_S, event, sse
from weatherglass.logs.aggs import Agg, DateHistogram, Terms, of_text
from weatherglass.logs.filter import Filter
from weatherglass.logs.parts import by_service, parts_of
from weatherglass.logs.query import make_filter

_FILTERS = {
    "start": "from (an hour ago where not said): 2026-11-22T14:02:11Z, Unix seconds, or -15m",
    "end": "until (now where not said)",
    "words": "words that an event must hold",
    "entity": "service/keystone, host/ctl-1 …",
    "level": "DEBUG, INFO, WARNING, ERROR, CRITICAL",
    "field": "name:value, any number of times",
    "query": 'in the language of docs/logs.md: level:ERROR AND "connection refused"',
}
_FOLLOW_S = 0.5
_TAILS = 64


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
            "query": params.get("query", ""),
        }

    def asked_for(params: QueryParams) -> tuple[Filter, dict[str, int]]:
        """The filter as a tree, and the span as the store takes it."""
        wanted = filters(params)
        span = {"start_ns": wanted.pop("start_ns"), "end_ns": wanted.pop("end_ns")}
        return make_filter(now_ns=rooms.clock.now_ns(), **wanted), span

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

    @router.get(
        "/templates",
        summary="Templates that occur, the most frequent first; or those that are new.",
        openapi_extra=openapi.query(
            **_FILTERS,
            since="those alone that never occurred before this instant",
            most="those alone that occur at most so often",
            limit="at most (100; 1000)",
        ),
    )
    async def templates(request: Request) -> Response:
        _, tenant = allowed(request, "logs.read")
        params = request.query_params
        filter, span = asked_for(params)
        limit = asked.whole(params, "limit", 100, asked.PAGE_MOST)
        most = asked.whole(params, "most", 1 << 60, 1 << 60)
        since = params.get("since", "")

        def found() -> list[Any]:
            if since:
                at = asked.instant_ns(since, "since", rooms.clock.now_ns())
                return list(rooms.logs.new_templates(tenant, at, end_ns=span["end_ns"], filter=filter))
            return list(rooms.logs.templates(tenant, filter=filter, **span))

        known = [one for one in await pool.run(found) if one.count <= most]
        return answer({"templates": known[:limit], "total": len(known)})

    @router.get("/request/{id:path}", summary="One request through all services: its events and its parts.")
    async def one_request(request: Request, id: str) -> Response:
        _, tenant = allowed(request, "logs.read")
        found = await pool.run(lambda: rooms.logs.request(tenant, id))
        if not found.rows:
            raise NotFound(f"no event is of {id[:80]}", where="id", mend="a request id, global or trace id")
        parts = parts_of(found)
        services = [
            {"service": name, "own_ns": own, "parts": count, "errors": errors}
            for name, own, count, errors in by_service(parts)
        ]
        return answer(
            {
                "ids": found.ids, "start_ns": found.start_ns, "end_ns": found.end_ns, "errors": found.errors,
                "truncated": found.truncated, "services": services, "parts": parts, "events": found.rows,
            }
        )  # fmt: skip

    @router.get(
        "/aggregate",
        summary="Events counted by fields and over time.",
        openapi_extra=openapi.query(
            **_FILTERS,
            by="a field; several times: one in another",
            size="how many values of each field (10; 1000)",
            every="a span, like 5m: within each group, over time",
            stat="avg:took, p95:took, cardinality:request_id … any number of times",
        ),
    )
    async def aggregate(request: Request) -> Response:
        _, tenant = allowed(request, "logs.read")
        params = request.query_params
        filter, span = asked_for(params)
        size = asked.whole(params, "size", 10, asked.PAGE_MOST)
        subs: dict[str, Agg] = {text: of_text(text) for text in params.getlist("stat")[:20]}
        if params.get("every"):
            width = int(asked.seconds({"every": params["every"]}, "every") * SECOND_NS)
            if width <= 0:
                raise Invalid("every is not a span of time", where="every", mend="5m")
            subs = {"over_time": DateHistogram(fixed_ns=width, subs=subs)}
        for name in reversed([*dict.fromkeys(params.getlist("by"))][:4]):
            subs = {f"by {name}": Terms(name, size, subs=subs)}

        def counted() -> dict[str, Any]:
            return {
                "total": rooms.logs.count(tenant, filter, **span),
                "found": rooms.logs.aggregate(tenant, filter, subs, **span) if subs else {},
            }

        return answer(await pool.run(counted))

    @router.get(
        "/fields",
        summary="The fields that events have, and the types of their values.",
        openapi_extra=openapi.query(start=_FILTERS["start"], end=_FILTERS["end"]),
    )
    async def fields(request: Request) -> Response:
        _, tenant = allowed(request, "logs.read")
        start, end = asked.span_ns(request.query_params, rooms.clock.now_ns(), "-1d")
        found = await pool.run(lambda: rooms.logs.fields(tenant, start_ns=start, end_ns=end))
        return answer({"fields": {name: sorted(found[name]) for name in sorted(found)}})

    @router.get("/event/{cursor}", summary="One event, taken apart: template, variables, fields.")
    async def one_event(request: Request, cursor: str) -> Response:
        _, tenant = allowed(request, "logs.read")
        return answer(await pool.run(lambda: rooms.logs.anatomy(tenant, cursor)))

    tails: set[int] = set()

    @router.get(
        "/tail",
        summary="What comes, as it comes (server-sent events: `event`, and `missed` where it came too fast).",
        openapi_extra=openapi.query(**{k: v for k, v in _FILTERS.items() if k not in ("start", "end")}),
    )
    async def tail(request: Request) -> Response:
        _, tenant = allowed(request, "logs.read")
        filter, _ = asked_for(request.query_params)
        if len(tails) >= _TAILS:
            raise LimitExceeded(f"{_TAILS} tails are open already")
        follower = await pool.run(lambda: rooms.logs.tail(tenant, filter))

        async def lines() -> AsyncIterator[bytes]:
            tails.add(id(follower))
            quiet, missed = 0.0, 0
            try:
                yield event("hello", {"at_ns": rooms.clock.now_ns()})
                while not context.closing.now:
                    hits = await context.streams.run(lambda: follower.get(_FOLLOW_S))
                    for hit in hits:
                        yield event("event", {"event": hit.event, "cursor": hit.cursor}, hit.cursor)
                    if follower.missed > missed:
                        missed = follower.missed
                        yield event("missed", {"events": missed})
                    quiet = 0.0 if hits else quiet + _FOLLOW_S
                    if quiet >= KEEP_ALIVE_S:
                        quiet = 0.0
                        yield KEEP_ALIVE
            finally:
                tails.discard(id(follower))
                follower.close()

        return sse(lines())

    return router
