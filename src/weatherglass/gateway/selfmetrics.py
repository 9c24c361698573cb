"""`/-/…`: whether the house is well, and what it counts of itself, as Prometheus text.

Requests are counted by route template, never by path (a path is the client's to choose, and would grow without
bound). Rooms' own figures come from their `stats()`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weatherglass import __version__
from weatherglass.base.errors import Unavailable
from weatherglass.gateway.auth import allowed_on_site
from weatherglass.gateway.context import Context

BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LAG_EVERY_S = 0.5


class Counts:
    """What was asked of this process; kept on the event loop alone."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self.seconds: dict[str, list[float]] = {}  # route → counts by bucket (last: all), then the sum
        self.paths: dict[
            Any, str
        ] = {}  # endpoint of a plain route (which leaves no `route` behind) → template
        self.open = 0
        self.lag_s = 0.0
        self.started = time.time()

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests[route, method, status] += 1
        row = self.seconds.setdefault(route, [0.0] * (len(BUCKETS_S) + 2))
        for at, bound in enumerate(BUCKETS_S):
            row[at] += seconds <= bound
        row[-2] += 1
        row[-1] += seconds

    async def watch_lag(self) -> None:
        """How late the loop wakes who sleeps on it: the worst of the last while, fading."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self.lag_s = max(loop.time() - due, self.lag_s * 0.8)


class Counted:
    """ASGI: counts every request; outermost, so that refusals count too."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._counts.open += 1
        try:
            await self._app(scope, receive, watched)
        finally:
            self._counts.open -= 1
            route = getattr(scope.get("route"), "path", "") or self._counts.paths.get(
                scope.get("endpoint"), "other"
            )
            method = (
                scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "DELETE", "PUT") else "other"
            )
            self._counts.count(route, method, status, time.perf_counter() - begin)


def routes(context: Context, counts: Counts) -> Iterable[BaseRoute]:
    rooms = context.rooms

    async def healthy(request: Request) -> Response:
        return JSONResponse({"status": "healthy", "version": __version__})

    async def ready(request: Request) -> Response:
        awaited = "the house is stopping" if context.closing.now else rooms.ready()
        if awaited:
            raise Unavailable(f"not ready: {awaited}")
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        allowed_on_site(request, "house.metrics")
        told = await context.pool.run(_of_rooms, {"metrics": rooms.metrics, "logs": rooms.logs})
        text = "".join((*_own(counts, context), *_process(), *told))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return [
        Route("/-/healthy", healthy, methods=["GET"]),
        Route("/-/ready", ready, methods=["GET"]),
        Route("/-/metrics", metrics, methods=["GET"]),
    ]


def _own(counts: Counts, context: Context) -> Iterator[str]:
    name = "weatherglass_http_requests_total"
    yield _head(name, "counter", "Requests answered.")
    for (route, method, status), number in sorted(counts.requests.items()):
        yield _sample(name, number, route=route, method=method, code=str(status))
    name = "weatherglass_http_request_seconds"
    yield _head(name, "histogram", "Time until a request's answer ended.")
    for route, row in sorted(counts.seconds.items()):
        for at, bound in enumerate((*map(str, BUCKETS_S), "+Inf")):
            yield _sample(f"{name}_bucket", row[at], route=route, le=bound)
        yield _sample(f"{name}_sum", row[-1], route=route)
        yield _sample(f"{name}_count", row[-2], route=route)
    pools = {"calls": context.pool, "streams": context.streams, "writes": context.writes}
    name = "weatherglass_http_pool_busy"
    yield _head(name, "gauge", "Threads of a pool that are in a room.")
    for pool, of in pools.items():
        yield _sample(name, of.stats()["busy"], pool=pool)
    for name, value, doc in (
        ("weatherglass_http_requests_open", counts.open, "Requests being answered, streams among them."),
        ("weatherglass_event_loop_lag_seconds", counts.lag_s, "How late the event loop wakes a sleeper."),
    ):
        yield _head(name, "gauge", doc) + _sample(name, value)
    name = "weatherglass_build_info"
    yield _head(name, "gauge", "The version that runs.") + _sample(name, 1, version=__version__)


def _process() -> Iterator[str]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    for name, kind, value, doc in (
        ("process_cpu_seconds_total", "counter", used.ru_utime + used.ru_stime, "CPU time of this process."),
        ("process_resident_memory_bytes", "gauge", pages * os.sysconf("SC_PAGE_SIZE"), "Resident memory."),
        ("process_open_fds", "gauge", len(list(Path("/proc/self/fd").iterdir())), "Open file descriptors."),
    ):
        yield _head(name, kind, doc) + _sample(name, value)


def _of_rooms(rooms: Mapping[str, Any]) -> list[str]:
    """Every number in a room's `stats()` as a gauge `weatherglass_<room>_<name>`."""
    said: list[str] = []
    rows: dict[str, list[tuple[str, float]]] = {}
    for room, of in rooms.items():
        try:
            stats: Callable[[], Mapping[str, Any]] = of.stats  # a room that is absent refuses already here
            figures = stats()
        except Unavailable:
            continue
        for key, value in sorted(figures.items()):
            name = f"weatherglass_{room}_{key}"
            head = _head(name, "gauge", f"`{key}` as the {room} room counts it.")
            if _is_number(value):
                said.append(head + _sample(name, value))
        tenants = figures.get("tenants")
        for tenant, of_tenant in sorted(tenants.items()) if isinstance(tenants, Mapping) else ():
            for key, value in sorted(of_tenant.items()):
                if _is_number(value):
                    rows.setdefault(f"weatherglass_{room}_tenant_{key}", []).append((tenant, value))
    for name, samples in rows.items():
        said.append(_head(name, "gauge", "As the room counts it, by tenant."))
        said.extend(_sample(name, value, tenant=tenant) for tenant, value in samples)
    return said


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _head(name: str, kind: str, doc: str) -> str:
    return f"# HELP {name} {doc}\n# TYPE {name} {kind}\n"


def _sample(name: str, value: float, **labels: str) -> str:
    pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value}\n" if pairs else f"{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
