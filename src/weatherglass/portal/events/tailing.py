"""Live tail: the events of a question as they come, as server-sent events that the page puts on top."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from weatherglass.logs.query import make_filter
from weatherglass.portal.events.detail import headline, value_of
from weatherglass.portal.events.question import COLUMNS, COLUMNS_AT_MOST, chosen
from weatherglass.portal.kit import Desk

GLANCE_S = 0.4
KEEPALIVE_S = 10.0
TAILS_AT_MOST = 32
LINES_AT_ONCE = 50
"""A page that is flooded shows how much it left out rather than stop answering."""


def add(router: APIRouter, desk: Desk) -> None:
    open_tails: set[int] = set()

    @router.get("/events/tail")
    async def tail(request: Request) -> Response:
        visit = await asyncio.to_thread(desk.open, request)
        if len(open_tails) >= TAILS_AT_MOST:
            return Response("too many streams", 503, headers={"retry-after": "30"})
        params = request.query_params
        filters = chosen(params)
        wanted = make_filter(now_ns=visit.now_ns, **filters)
        columns = tuple(filter(None, params.get("columns", "").split(",")))[:COLUMNS_AT_MOST] or COLUMNS
        template = desk.templates.get_template("events/line.html")

        def shown(hits: Any) -> str:
            return "".join(
                template.render(
                    e=hit.event, cursor=hit.cursor, columns=columns, value_of=value_of, headline=headline,
                    open=False, here=False, visit=visit, lens=visit.lens, href=visit.href, now_ns=visit.now_ns,
                    q=filters["query"],
                )
                for hit in reversed(hits)
            )  # fmt: skip

        async def stream() -> AsyncIterator[str]:
            follower = await asyncio.to_thread(visit.rooms.logs.tail, visit.lens.partition, wanted)
            open_tails.add(id(follower))
            quiet = 0.0
            try:
                yield "retry: 3000\nevent: hello\ndata: following\n\n"
                while not (desk.rooms.stopping.is_set() or await request.is_disconnected()):
                    hits = await asyncio.to_thread(follower.get, 0)
                    if hits:
                        left_out = len(hits) - LINES_AT_ONCE
                        yield _event("line", await asyncio.to_thread(shown, hits[-LINES_AT_ONCE:]))
                        if left_out > 0:
                            yield _event("missed", f"{left_out} more came at once; narrow the question down")
                    await asyncio.sleep(GLANCE_S)
                    quiet = 0.0 if hits else quiet + GLANCE_S
                    if quiet >= KEEPALIVE_S:
                        quiet = 0.0
                        yield ": still here\n\n"
            finally:
                open_tails.discard(id(follower))
                follower.close()

        return StreamingResponse(
            stream(),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )


def _event(kind: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.replace("\r", "").split("\n"))
    return f"event: {kind}\n{lines}\n"
