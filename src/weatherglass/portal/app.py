"""Puts the pages together: finds them by listing this package, gives each its routes, serves the static files."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from weatherglass.portal import live
from weatherglass.portal.kit import HERE, Desk, Page, refuse
from weatherglass.portal.rooms import Rooms

_FOR_EVER = "public, max-age=31536000, immutable"


def pages() -> dict[str, Page]:
    """Every page by its package's name, in the navigation's order."""
    found: dict[str, Page] = {}
    for module in pkgutil.iter_modules([str(HERE)]):
        if module.ispkg:
            page = getattr(importlib.import_module(f"weatherglass.portal.{module.name}"), "PAGE", None)
            if isinstance(page, Page):
                found[module.name] = page
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def desk_of(rooms: Rooms) -> Desk:
    """What the pages share."""
    found = pages()
    return Desk(rooms, tuple(found.values()), {name: HERE / name / "templates" for name in found})


def router(desk: Desk) -> APIRouter:
    """All pages, their parts, the stream of hints and the static files, as one router."""
    whole = APIRouter(include_in_schema=False)
    for page in desk.pages:
        whole.include_router(page.routes(desk))
    whole.include_router(live.routes(desk))
    files = StaticFiles(directory=HERE / "static")

    @whole.get("/static/{path:path}")
    async def static(path: str, request: Request) -> Response:
        try:
            response = await files.get_response(path, request.scope)
        except HTTPException as error:
            return Response(status_code=error.status_code)
        response.headers["cache-control"] = _FOR_EVER if "v" in request.query_params else "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        return response

    return whole


def mount(app: FastAPI, rooms: Rooms) -> None:
    """Adds the portal to an application. Routes of other prefixes that come first win."""
    desk = desk_of(rooms)
    app.include_router(router(desk))
    app.state.lost = functools.partial(refuse, desk)  # what a browser gets where there is nothing
