"""Liveness: one stream of hints at `/live`. Says that something changed, never what; pages fetch their parts again.

One thread listens to the bus for the whole process; each browser's stream is a waiting coroutine, not a thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from weatherglass.engine.protocols import Bus
from weatherglass.portal.kit import Desk

TOPICS = ("state", "incident", "ledger", "deploy", "inventory")
COALESCE_S = 0.7
KEEPALIVE_S = 10.0
GLANCE_S = 0.25
"""How often a quiet stream looks whether the house stops; well within the server's grace."""
OFTEN_S = 5
"""The shortest pace at which a page of charts may renew itself."""
STREAMS_AT_MOST = 200


class Hub:
    """Fans the bus out to streams. Starts listening with the first stream and stops with the last."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._lock = bus, threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._thread: threading.Thread | None = None
        self.version = 0

    def join(self) -> asyncio.Event:
        """A flag that is set whenever something changed."""
        flag = asyncio.Event()
        with self._lock:
            self._waiting[flag] = asyncio.get_running_loop()
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="portal-live", daemon=True)
                self._thread.start()
        return flag

    def leave(self, flag: asyncio.Event) -> None:
        with self._lock:
            self._waiting.pop(flag, None)

    @property
    def full(self) -> bool:
        return len(self._waiting) >= STREAMS_AT_MOST

    def _listen(self) -> None:
        subscription = self._bus.subscribe(*TOPICS)
        try:
            while True:
                message = subscription.get(timeout_s=1.0)
                with self._lock:
                    if not self._waiting:
                        self._thread = None
                        return
                if message is None:
                    continue
                time.sleep(COALESCE_S)
                while subscription.get(timeout_s=0) is not None:
                    pass
                self._wake()
        finally:
            subscription.close()

    def _wake(self) -> None:
        with self._lock:
            self.version += 1
            for flag, loop in list(self._waiting.items()):
                if loop.is_closed():
                    del self._waiting[flag]
                else:
                    loop.call_soon_threadsafe(flag.set)


def paced(text: str) -> int:
    """The pace that a page asks for, s; 0 for none."""
    return (
        max(OFTEN_S, int(text)) if text.isdecimal() and text.isascii() and 0 < int(text[:9]) <= 86_400 else 0
    )


def routes(desk: Desk) -> APIRouter:
    """`GET /live`: server-sent events named `changed`, with `?every=30` also `paced` at that pace (s), and a comment
    each 10 s."""
    router, hub = desk.routed(), Hub(desk.rooms.bus)

    @router.get("/live")
    async def live(request: Request) -> Response:
        desk.open(request)
        if hub.full:
            return Response("too many streams", 503, headers={"retry-after": "30"})
        flag = hub.join()
        every = paced(request.query_params.get("every", ""))

        async def stream() -> AsyncIterator[str]:
            try:
                yield "retry: 3000\nevent: hello\ndata: live\n\n"
                quiet, since = 0.0, time.monotonic()
                while not (desk.rooms.stopping.is_set() or await request.is_disconnected()):
                    if every and time.monotonic() - since >= every:
                        since = time.monotonic()
                        yield "event: paced\ndata: now\n\n"
                    try:
                        await asyncio.wait_for(flag.wait(), GLANCE_S)
                    except TimeoutError:
                        quiet += GLANCE_S
                        if quiet >= KEEPALIVE_S:
                            quiet = 0.0
                            yield ": still here\n\n"
                        continue
                    flag.clear()
                    yield f"id: {hub.version}\nevent: changed\ndata: {hub.version}\n\n"
            finally:
                hub.leave(flag)

        return StreamingResponse(
            stream(),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return router
