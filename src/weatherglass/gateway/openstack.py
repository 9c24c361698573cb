"""`/api/v1/openstack`: the clouds that are watched; and what of OpenStack's own ids is which entity."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.gateway import openapi
from weatherglass.gateway.auth import allowed_on_site
from weatherglass.gateway.context import Context
from weatherglass.gateway.limits import body_of
from weatherglass.gateway.openapi import RESPONSES, answer


def routes(context: Context) -> APIRouter:
    room, pool = context.rooms.more["openstack"], context.pool
    router = APIRouter(prefix="/api/v1/openstack", responses=RESPONSES)

    @router.get("/clouds", summary="The clouds that are watched, and how they were last read.")
    async def clouds(request: Request) -> Response:
        allowed_on_site(request, "entities.read")
        return answer({"clouds": room.clouds()})

    @router.post(
        "/clouds",
        summary="Watch a cloud from now on; nothing is changed there.",
        openapi_extra=openapi.body(
            ("name", "entry"),
            name="string: what it is called here",
            entry="object: its entry in clouds.yaml",
            every_s="number: how often it is read, in seconds",
        ),
    )
    async def adopt(request: Request) -> Response:
        principal = allowed_on_site(request, "cloud.adopt")
        told = _read(await body_of(request))
        every = told.get("every_s", 60.0)
        if not isinstance(told.get("name"), str) or not isinstance(told.get("entry"), dict):
            raise Invalid(
                "a cloud has a name and an entry", where="name", mend='{"name": …, "entry": {"auth": …}}'
            )
        if isinstance(every, bool) or not isinstance(every, int | float):
            raise Invalid("how often it is read is a number of seconds", where="every_s")
        found = await pool.run(
            lambda: room.adopt(told["name"], told["entry"], every_s=float(every), who=principal.name)
        )
        return answer(found, 201)

    @router.delete("/clouds/{name}", summary="Watch a cloud no more.")
    async def forget(request: Request, name: str) -> Response:
        principal = allowed_on_site(request, "cloud.adopt")
        await pool.run(lambda: room.forget(name, who=principal.name))
        return answer({"forgotten": name})

    @router.get("/resources/{id}", summary="The entity of an id of OpenStack's or of a Gnocchi resource's.")
    async def resource(request: Request, id: str) -> Response:
        allowed_on_site(request, "entities.read")
        found = room.entity_of(id)
        if found is None:
            raise NotFound(f"nothing that is watched has the id {id[:80]!r}")
        return answer({"id": id, "entity": found})

    return router


def _read(body: bytes) -> dict[str, Any]:
    import json

    try:
        told = json.loads(body)
    except ValueError:
        raise Invalid("the body is not JSON", mend='{"name": …, "entry": {"auth": …}}') from None
    if not isinstance(told, dict):
        raise Invalid("the body is no object", mend='{"name": …, "entry": {"auth": …}}')
    return told
