"""The application: protocol modules in a table, wrapped in what holds for every request.

From outside in: counting, headers, errors, bounds, who asks, then the routes. `house/` includes the portal's
router after; a room to come adds `gateway/<room>.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass import __version__
from weatherglass.base.errors import Invalid, NotFound, Problem, WeatherglassError
from weatherglass.gateway import (
    aetos,
    agent,
    auth,
    cardinality,
    deploying,
    elastic,
    influx,
    live,
    loki,
    otlp_logs,
    otlp_metrics,
    ours,
    prometheus,
    searching,
    selfmetrics,
)
from weatherglass.gateway.context import Context
from weatherglass.gateway.errors import Errors, WrongMethod, answer
from weatherglass.gateway.headers import SecurityHeaders
from weatherglass.gateway.limits import Limits
from weatherglass.gateway.logins import logins_of
from weatherglass.gateway.rooms import Rooms

Protocol = Callable[[Context], Iterable[BaseRoute] | APIRouter]

PROTOCOLS: list[Protocol] = [
    prometheus.routes,
    aetos.routes,
    agent.routes,
    ours.routes,
    deploying.routes,
    searching.routes,
    elastic.routes,
    loki.routes,
    otlp_logs.routes,
    otlp_metrics.routes,
    influx.routes,
    cardinality.routes,
]
"""One function a protocol: a context in, its routes out."""


def create_app(rooms: Rooms) -> FastAPI:
    """Every protocol over `rooms`. The app's `state.context` is what a router mounted later may use."""
    context, counts = Context.of(rooms), selfmetrics.Counts()
    hub = live.Hub(context)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        lag = asyncio.create_task(counts.watch_lag())
        try:
            async with hub:
                yield
        finally:
            lag.cancel()
            with suppress(asyncio.CancelledError):
                await lag

    app = FastAPI(
        title="Weatherglass",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_exception, RequestValidationError: _validation},
    )
    app.state.context = context
    app.router.redirect_slashes = False
    app.router.routes.extend(selfmetrics.routes(context, counts))
    app.router.routes.extend(auth.routes(rooms.identity, context.pool))
    app.include_router(live.routes(context, hub))
    for protocol in (*PROTOCOLS, *_plugged_in(rooms)):
        made = protocol(context)
        if isinstance(made, APIRouter):
            app.include_router(made)
        else:
            app.router.routes.extend(made)
    counts.paths = {route.endpoint: route.path for route in app.router.routes if isinstance(route, Route)}
    app.add_middleware(
        auth.Auth,
        identity=rooms.identity,
        pool=context.pool,
        anyone=rooms.anyone,
        logins=logins_of(rooms),
    )
    app.add_middleware(Limits)
    app.add_middleware(Errors)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(selfmetrics.Counted, counts=counts)
    return app


def _plugged_in(rooms: Rooms) -> Iterable[Protocol]:
    """The protocols of rooms that plugged themselves in: `routes` of `gateway/<room>.py`, where there is one."""
    for name in rooms.more:
        module = f"weatherglass.gateway.{name}"
        if find_spec(module):
            yield import_module(module).routes


async def _http_exception(request: Request, raised: Exception) -> Response:
    """What the router itself refuses: no such path, no such method."""
    status = getattr(raised, "status_code", 500)
    error: WeatherglassError
    if status == 404:
        error = NotFound(f"there is nothing at {request.url.path}", where=request.url.path)
        lost = getattr(request.app.state, "lost", None)  # the portal's page, where one is mounted
        if lost is not None and auth.wants_page(request.headers, request.method, request.url.path):
            context: Context = request.app.state.context
            return cast(Response, await context.pool.run(lost, request, error))
    elif status == 405:
        error = WrongMethod(f"{request.method} is not spoken at {request.url.path}")
    else:
        error = Invalid(str(getattr(raised, "detail", "the request cannot be read")))
    response = answer(error, request.url.path)
    for name, value in (getattr(raised, "headers", None) or {}).items():
        response.headers[name] = value
    return response


async def _validation(request: Request, raised: Exception) -> Response:
    """Parameters that FastAPI could not read, as problems with their paths."""
    found = raised.errors() if isinstance(raised, RequestValidationError) else []
    problems = [Problem(str(one["msg"]), ".".join(str(part) for part in one["loc"])) for one in found] or [
        Problem("the request cannot be read")
    ]
    first = problems[0]
    return answer(Invalid(first.message, where=first.where, problems=problems), request.url.path)
