"""`/api/v1`: what is there and how it is: status, entities, graph, states, incidents, ledger, settings, tokens."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from weatherglass import __version__
from weatherglass.base.errors import NotFound
from weatherglass.base.ids import SITE_TENANT
from weatherglass.base.time import SECOND_NS
from weatherglass.gateway import asked, openapi
from weatherglass.gateway.auth import allowed, allowed_on_site, principal_of
from weatherglass.gateway.context import Context
from weatherglass.gateway.lens import Lens, lens
from weatherglass.gateway.limits import json_body
from weatherglass.gateway.openapi import RESPONSES, answer
from weatherglass.identity import allow

_DAY_NS = 86_400 * SECOND_NS


def routes(context: Context) -> APIRouter:
    """Reads of the cloud, and the settings."""
    rooms, pool = context.rooms, context.pool
    router = APIRouter(prefix="/api/v1", responses=RESPONSES)

    def looking(request: Request, action: str) -> Lens:
        principal = principal_of(request)
        allow(principal, action, principal.tenants[0] if principal.tenants[0] != "*" else SITE_TENANT)
        return lens(principal, rooms.inventory.graph())

    @router.get("/status", summary="How the cloud is, in a sentence and in numbers.")
    async def status(request: Request) -> Response:
        view = looking(request, "status.read")
        return answer(await pool.run(_status, context, view))

    @router.get(
        "/entities",
        summary="What is there, with its state; by page.",
        openapi_extra=openapi.query(
            kind="host, service, replica, tenant …",
            state="healthy, sick, dying, dead, unknown",
            q="words to search for",
            limit="at most this many (200; 1000)",
            after="the `next` of the page before",
        ),
    )
    async def entities(request: Request) -> Response:
        view, params = looking(request, "entities.read"), request.query_params
        rows = await pool.run(_entities, context, view, dict(params))
        kept, following = asked.page(rows, params)
        return answer({"entities": kept, "next": following})

    @router.get("/entities/{id:path}", summary="One entity: its state with evidence, neighbours, last day.")
    async def entity(request: Request, id: str) -> Response:
        view = looking(request, "entities.read")
        if not view.sees(id):
            raise NotFound(f"there is no entity {id[:200]}", where=id[:200])
        return answer(await pool.run(_entity, context, view, id))

    @router.get(
        "/graph",
        summary="What hangs on what, now or as it was.",
        openapi_extra=openapi.query(at="an instant; now where not said"),
    )
    async def graph(request: Request) -> Response:
        view = looking(request, "entities.read")
        at = request.query_params.get("at")
        at_ns = asked.instant_ns(at, "at", rooms.clock.now_ns()) if at else None
        found = view.graph(await pool.run(rooms.inventory.graph, at_ns))
        return answer({"at_ns": at_ns, "entities": list(found.entities.values()), "edges": found.edges})

    @router.get(
        "/states",
        summary="The state of everything, now or as it was, by page.",
        openapi_extra=openapi.query(at="an instant", limit="at most", after="the `next` of the page before"),
    )
    async def states(request: Request) -> Response:
        view, params = looking(request, "entities.read"), request.query_params
        at = params.get("at")
        at_ns = asked.instant_ns(at, "at", rooms.clock.now_ns()) if at else None
        found = await pool.run(rooms.inventory.states, at_ns)
        rows = sorted((str(id), view.state(one)) for id, one in found.items() if view.sees(id))
        kept, following = asked.page(rows, params)
        return answer({"states": kept, "next": following})

    @router.get(
        "/incidents",
        summary="What went wrong, newest first.",
        openapi_extra=openapi.query(open="1: those not closed alone", limit="at most this many (100; 1000)"),
    )
    async def incidents(request: Request) -> Response:
        view, params = looking(request, "incidents.read"), request.query_params
        open_only = params.get("open", "") in ("1", "true")
        limit = asked.whole(params, "limit", 100, asked.PAGE_MOST)
        found = await pool.run(rooms.inventory.incidents, open_only, limit)
        return answer({"incidents": [shown for one in found if (shown := view.incident(one)) is not None]})

    @router.get("/incidents/{id}", summary="One incident: its story, cause, evidence, remedies.")
    async def incident(request: Request, id: str) -> Response:
        view = looking(request, "incidents.read")
        number = asked.whole({"id": id}, "id", 0, 1 << 53, 0)
        shown = view.incident(await pool.run(rooms.inventory.incident, number))
        if shown is None:
            raise NotFound(f"there is no incident {number}")
        return answer(shown)

    @router.get(
        "/ledger",
        summary="Every change made by anyone, newest first.",
        openapi_extra=openapi.query(
            entity="of this entity alone", start="from", end="until", limit="at most"
        ),
    )
    async def ledger(request: Request) -> Response:
        allowed_on_site(request, "ledger.read")
        params = request.query_params
        start, end = asked.span_ns(params, rooms.clock.now_ns(), otherwise="0")
        found = await pool.run(
            lambda: rooms.ledger.read(
                entity=params.get("entity", ""),
                start_ns=start,
                end_ns=end + 1,
                limit=asked.whole(params, "limit", asked.PAGE, asked.PAGE_MOST),
            )
        )
        return answer({"entries": found})

    @router.get("/probes", summary="The latest answer to every probe, from each vantage point.")
    async def probes(request: Request) -> Response:
        view = looking(request, "status.read")
        found = await pool.run(rooms.probes)
        return answer({"probes": [one for one in found if view.sees(one.entity)]})

    @router.get("/settings", summary="Tenants, their limits and seats, as declared.")
    async def settings(request: Request) -> Response:
        principal, _ = allowed(request, "settings.read")
        site = rooms.site()
        tenants = site.tenants if site is not None else {}
        return answer(
            {
                "site": site.name if site is not None else "",
                "version": __version__,
                "tenants": {name: one for name, one in tenants.items() if principal.may_see(name)},
            }
        )

    @router.get("/settings/cost", summary="What the house itself costs.")
    async def cost(request: Request) -> Response:
        allowed_on_site(request, "settings.read")
        return answer(await pool.run(rooms.costs))

    @router.get("/me", summary="Who this token is.")
    async def me(request: Request) -> Response:
        return answer(principal_of(request))

    @router.get("/tokens", summary="Tokens in force.", openapi_extra=openapi.query(all="1: ended ones too"))
    async def tokens(request: Request) -> Response:
        allowed_on_site(request, "token.list")
        whole = request.query_params.get("all", "") in ("1", "true")
        return answer({"tokens": await pool.run(rooms.identity.list, all=whole)})

    @router.post(
        "/tokens",
        summary="A new token, told once.",
        openapi_extra=openapi.body(
            ("name", "role", "tenants"),
            name="string: unique among those in force",
            role="string: viewer, member, operator, admin, agent",
            tenants="texts: which it may see; * for every one",
            ttl="string: 8h, 30d; without it the token stays",
            host="string: an agent's host",
            why="string: for the ledger",
        ),
    )
    async def create_token(request: Request) -> Response:
        principal = allowed_on_site(request, "token.create")
        body = await json_body(request)
        made = await pool.run(
            rooms.identity.create,
            asked.text(body, "name"),
            asked.text(body, "role"),
            asked.texts(body, "tenants"),
            asked.seconds(body, "ttl"),
            asked.text(body, "host", ""),
            who=principal.name,
            why=asked.text(body, "why", ""),
        )
        return answer({"id": made[0], "token": made[1]}, 201)

    @router.post(
        "/tokens/seats",
        summary="Tokens for a course's seats that have none yet.",
        openapi_extra=openapi.body(("tenant",), tenant="string: a declared tenant with seats"),
    )
    async def seats(request: Request) -> Response:
        principal = allowed_on_site(request, "token.create")
        body = await json_body(request)
        made = await pool.run(rooms.identity.issue_seats, asked.text(body, "tenant"), who=principal.name)
        return answer(
            {"seats": [{"name": name, "id": id, "token": token} for name, (id, token) in made]}, 201
        )

    @router.delete("/tokens/{id}", summary="End a token, by its id or name, and its sessions.")
    async def revoke_token(request: Request, id: str) -> Response:
        principal = allowed_on_site(request, "token.revoke")
        return answer(await pool.run(rooms.identity.revoke, id, who=principal.name))

    @router.post("/login-ticket", summary="A one-time login address for who asks; good for ten minutes.")
    async def login_ticket(request: Request) -> Response:
        principal = principal_of(request)
        allow(principal, "login.ticket", principal.tenants[0] if principal.tenants[0] != "*" else SITE_TENANT)
        ticket = await pool.run(rooms.identity.login_ticket, principal)
        return answer({"path": f"/login?ticket={ticket}", "expires_s": 600}, 201)

    @router.get("/backup", summary="The whole state in one file, as of one moment.")
    async def backup(request: Request) -> Response:
        allowed_on_site(request, "backup")
        # beside the state, not in it (a copy would hold itself), on a disk that is as large
        writable = os.access(rooms.state.parent, os.W_OK)
        folder = Path(tempfile.mkdtemp(".backup", ".weatherglass-", rooms.state.parent if writable else None))
        try:
            await pool.run(rooms.backup, folder / "weatherglass.backup")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return FileResponse(
            folder / "weatherglass.backup",
            media_type="application/octet-stream",
            filename="weatherglass.backup",
            background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
        )

    return router


def _status(context: Context, view: Lens) -> dict[str, Any]:
    rooms = context.rooms
    states = {id: one for id, one in rooms.inventory.states().items() if view.sees(id)}
    opened = [
        shown for one in rooms.inventory.incidents(True, 20) if (shown := view.incident(one)) is not None
    ]
    site = rooms.site()
    parts = list(rooms.health.sentence()) if view.seen is None else _own_sentence(states)
    return {
        "site": site.name if site is not None else "",
        "version": __version__,
        "at_ns": rooms.clock.now_ns(),
        "parts": parts,
        "sentence": "".join(part if isinstance(part, str) else part[1] for part in parts),
        "states": dict(Counter(str(one.state) for one in states.values())),
        "unwell": [
            view.state(one) for one in states.values() if str(one.state) not in ("healthy", "unknown")
        ],
        "incidents": opened,
        "blind": rooms.health.blind() if view.seen is None else None,
    }


def _own_sentence(states: Any) -> list[Any]:
    unwell = [id for id, one in sorted(states.items()) if str(one.state) not in ("healthy", "unknown")]
    if not unwell:
        return ["All that you use is well."]
    return ["Not well: ", *[piece for id in unwell for piece in ((id, id.partition("/")[2]), ", ")][:-1], "."]


def _entities(context: Context, view: Lens, params: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    inventory = context.rooms.inventory
    if params.get("q"):
        found = inventory.search(params["q"], asked.PAGE_MOST)
    else:
        found = inventory.graph().entities.values()
    states, kind, wanted = inventory.states(), params.get("kind"), params.get("state")
    rows = []
    for one in found:
        record = states.get(one.id)
        word = str(record.state) if record is not None else "unknown"
        if view.sees(one.id) and kind in (None, "", one.kind) and wanted in (None, "", word):
            rows.append(
                (str(one.id), {**_plain(one), "state": word, "since_ns": record.since_ns if record else 0})
            )
    return sorted(rows, key=lambda row: row[0])


def _plain(entity: Any) -> dict[str, Any]:
    return {
        "id": entity.id,
        "kind": entity.kind,
        "name": entity.name,
        "labels": entity.labels,
        "attributes": entity.attributes,
    }


def _entity(context: Context, view: Lens, id: str) -> dict[str, Any]:
    inventory, now = context.rooms.inventory, context.rooms.clock.now_ns()
    one, graph = inventory.entity(id), inventory.graph()
    incidents = [
        shown for each in inventory.incidents(False, 100) if (shown := view.incident(each)) is not None
    ]
    return {
        **_plain(one),
        "state": view.state(inventory.state(id)),
        "history": [view.state(record) for record in inventory.state_history(id, now - _DAY_NS, now)],
        "depends_on": view.entities(graph.parents(one.id)),
        "dependants": view.entities(graph.children(one.id)),
        "incidents": [
            {"id": each.id, "sentence": each.sentence, "opened_ns": each.opened_ns, "state": each.state}
            for each in incidents
            if id == each.cause or id in each.affected or id in each.tenants
        ],
        "ledger": context.rooms.ledger.read(entity=id, limit=50) if view.seen is None else [],
    }
