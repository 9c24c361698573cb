"""Answers that stay open: the one watcher of `stopping`, server-sent events, lines; each ends within a second."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import StreamingResponse

from weatherglass.gateway.shapes import wire

_GLANCE_S = 0.1  # how often the house's stopping event is looked at


class Closing:
    """The house's `stopping` (a threading.Event) as something the event loop can wait for."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    @property
    def now(self) -> bool:
        return self._stopping.is_set()

    async def within(self, seconds: float) -> bool:
        """Wait `seconds`, or less when the house stops; whether it stops."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.now:
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, _GLANCE_S))
        return True

    async def get(self, queue: asyncio.Queue[Any], seconds: float) -> Any | None:
        """The queue's next item, or None after `seconds` or when the house stops."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.now:
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            try:
                return await asyncio.wait_for(queue.get(), min(left, 5 * _GLANCE_S))
            except TimeoutError:
                continue
        return None


def event(kind: str, body: Mapping[str, Any], id: str = "") -> bytes:
    """One server-sent event. (HTML Living Standard §9.2)"""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(wire(body), ensure_ascii=False)}\n\n".encode()


KEEP_ALIVE = b": still here\n\n"
KEEP_ALIVE_S = 5.0


def sse(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    )


def ndjson(body: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> StreamingResponse:
    return StreamingResponse(body, media_type="application/x-ndjson", headers=dict(headers or {}))


def line(value: Any) -> bytes:
    return json.dumps(wire(value), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
