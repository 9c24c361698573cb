"""`/api/v1/live`: what the bus says, to every browser that listens, as server-sent events.

One thread reads the bus for all of them; each listener has a bounded queue and is told when it lost messages.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import StreamingResponse

from weatherglass.base.errors import LimitExceeded
from weatherglass.gateway import openapi
from weatherglass.gateway.auth import principal_of
from weatherglass.gateway.context import Context
from weatherglass.gateway.lens import Lens, lens
from weatherglass.gateway.openapi import RESPONSES
from weatherglass.gateway.streams import KEEP_ALIVE, KEEP_ALIVE_S, event, sse

DEPTH = 256
LISTENERS = 500
_TURN_S = 0.5
Message = tuple[str, Mapping[str, Any]]


class Listener:
    """One open stream's queue; on the event loop alone."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue(DEPTH)
        self.lost = 0

    def offer(self, message: Message) -> None:
        if self.queue.full():
            self.queue.get_nowait()
            self.lost += 1
        self.queue.put_nowait(message)


class Hub:
    """Takes the bus' messages off its thread and hands each to every listener."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._listeners: set[Listener] = set()
        self._ended = threading.Event()

    async def __aenter__(self) -> Hub:
        self._loop = asyncio.get_running_loop()
        self._subscription = self._context.rooms.bus.subscribe()
        self._thread = threading.Thread(target=self._pump, name="gateway-live", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        self._subscription.close()

    def _pump(self) -> None:
        while not self._ended.is_set():
            message = self._subscription.get(_TURN_S)
            if message is None:
                continue
            try:
                self._loop.call_soon_threadsafe(self._spread, message)
            except RuntimeError:
                return  # the loop has closed: nobody listens any more

    def _spread(self, message: Message) -> None:
        for listener in self._listeners:
            listener.offer(message)

    async def listen(self, topics: frozenset[str], view: Lens) -> AsyncIterator[bytes]:
        """Events until the house stops or the listener goes."""
        listener, closing = Listener(), self._context.closing
        self._listeners.add(listener)
        try:
            yield event("hello", {"at_ns": self._context.rooms.clock.now_ns()})
            while not closing.now:
                message = await closing.get(listener.queue, KEEP_ALIVE_S)
                if message is None:
                    yield event("bye", {"reason": "the house stops"}) if closing.now else KEEP_ALIVE
                    continue
                if listener.lost:
                    yield event("lost", {"messages": listener.lost})
                    listener.lost = 0
                topic, body = message
                if (not topics or topic in topics) and view.message(body):
                    yield event(topic, body)
        finally:
            self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        return len(self._listeners)


def routes(context: Context, hub: Hub) -> APIRouter:
    """The live stream."""
    router = APIRouter(prefix="/api/v1", responses=RESPONSES)

    @router.get(
        "/live",
        summary="What changes, as it changes (server-sent events).",
        openapi_extra=openapi.query(topics="state,incident,ledger,deploy,inventory,log; all where not said"),
    )
    async def live(request: Request) -> StreamingResponse:
        principal = principal_of(request)
        if hub.listeners >= LISTENERS:
            raise LimitExceeded(f"{LISTENERS} live streams are open already")
        view = lens(principal, context.rooms.inventory.graph())
        topics = frozenset(filter(None, request.query_params.get("topics", "").split(",")))
        return sse(hub.listen(topics, view))

    return router
