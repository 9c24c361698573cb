"""`/api/v1`: what changes the cloud: check, plan, apply, runs with their progress, rollback, restart, remedies approved, faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from weatherglass.base.errors import Conflict, Invalid
from weatherglass.base.ids import entity
from weatherglass.engine.protocols import Request as Action
from weatherglass.gateway import asked, openapi
from weatherglass.gateway.auth import allowed, allowed_on_site
from weatherglass.gateway.context import Context
from weatherglass.gateway.limits import body_of, json_body
from weatherglass.gateway.openapi import RESPONSES, answer
from weatherglass.gateway.shapes import wire
from weatherglass.gateway.streams import KEEP_ALIVE, KEEP_ALIVE_S, event, sse
from weatherglass.site import parse

FAULT_WAIT_S = 120.0
_RUN_GLANCE_S = 0.25
_UNDER_WAY = frozenset({"running"})
_PATH = "string: a declaration on the server's machine; the one it was started with where not said"
_SOURCE = "string: the main file's text, in place of a path"


def routes(context: Context) -> APIRouter:
    """Everything goes through `deploy`, the action registry or the work queue, and so into the ledger."""
    rooms, pool = context.rooms, context.pool
    router = APIRouter(prefix="/api/v1", responses=RESPONSES)

    @router.post(
        "/check",
        summary="Everything that apply would refuse in a declaration, at once. Takes YAML, or JSON of many files.",
        openapi_extra=openapi.body(
            (), main="string: the main file's name", sources="object: every file's text by its name"
        ),
    )
    async def check(request: Request) -> Response:
        allowed(request, "deploy.check")
        files = await _files(request)

        def checked() -> dict[str, Any]:
            try:
                site = rooms.deploy.check(files) if isinstance(files, str) else parse(*files)
            except Invalid as error:
                return {"ok": False, "site": "", "problems": error.problems}
            return {"ok": True, "site": site.name, "problems": []}

        return answer(await pool.run(checked))

    @router.post(
        "/plan",
        summary="What apply would change, and why.",
        openapi_extra=openapi.body(path=_PATH, source=_SOURCE),
    )
    async def plan(request: Request) -> Response:
        allowed_on_site(request, "deploy.plan")
        return answer(await pool.run(rooms.deploy.plan, _source(await json_body(request))))

    @router.post(
        "/apply",
        summary="Make it so. Answers with the run to follow.",
        openapi_extra=openapi.body(
            path=_PATH,
            source=_SOURCE,
            why="string: for the ledger",
            expect="object: a plan; refused when it is no longer what would be done",
        ),
    )
    async def apply(request: Request) -> Response:
        principal = allowed_on_site(request, "deploy.apply")
        body = await json_body(request)
        why, expect = asked.text(body, "why", ""), body.get("expect")
        if expect is not None and not isinstance(expect, dict):
            raise Invalid("expect is not a plan", where="expect")
        source = _source(body)
        run = await pool.run(rooms.deploy.apply, source, who=principal.name, why=why, expect=expect)
        return answer({"run": run}, 202)

    @router.get("/deploy", summary="The generation that is live, the run under way, what is quarantined.")
    async def status(request: Request) -> Response:
        allowed_on_site(request, "deploy.read")
        return answer(await pool.run(rooms.deploy.status))

    @router.post(
        "/deploy/pause",
        summary="Let the house change nothing by itself for a while.",
        openapi_extra=openapi.body(why="string: for the ledger"),
    )
    async def pause(request: Request) -> Response:
        principal = allowed_on_site(request, "deploy.apply")
        await pool.run(rooms.deploy.pause, principal.name, asked.text(await json_body(request), "why", ""))
        return answer(await pool.run(rooms.deploy.status))

    @router.post(
        "/deploy/resume",
        summary="Let the house heal drift again.",
        openapi_extra=openapi.body(why="string: for the ledger"),
    )
    async def resume(request: Request) -> Response:
        principal = allowed_on_site(request, "deploy.apply")
        await pool.run(rooms.deploy.resume, principal.name, asked.text(await json_body(request), "why", ""))
        return answer(await pool.run(rooms.deploy.status))

    @router.get(
        "/runs", summary="Runs, newest first.", openapi_extra=openapi.query(limit="at most (50; 1000)")
    )
    async def runs(request: Request) -> Response:
        allowed_on_site(request, "deploy.read")
        limit = asked.whole(request.query_params, "limit", 50, asked.PAGE_MOST)
        return answer({"runs": await pool.run(rooms.deploy.runs, limit)})

    @router.get("/runs/{id}", summary="How far a run is; as server-sent events where these are accepted.")
    async def run(request: Request, id: str) -> Response:
        allowed_on_site(request, "deploy.read")
        number = _number(id)
        first = await pool.run(rooms.deploy.run, number)
        if "text/event-stream" in request.headers.get("accept", ""):
            return _followed(context, number, first)
        return answer(first)

    @router.get("/runs/{id}/events", summary="A run's progress as server-sent events, until it is over.")
    async def run_events(request: Request, id: str) -> Response:
        allowed_on_site(request, "deploy.read")
        number = _number(id)
        return _followed(context, number, await pool.run(rooms.deploy.run, number))

    @router.post(
        "/rollback",
        summary="Back to the generation before, or to the one named.",
        openapi_extra=openapi.body(to="integer: the number of a generation", why="string: for the ledger"),
    )
    async def rollback(request: Request) -> Response:
        principal = allowed_on_site(request, "deploy.rollback")
        body = await json_body(request)
        to = body.get("to")
        if to is not None and (isinstance(to, bool) or not isinstance(to, int) or not 0 <= to < 1 << 53):
            raise Invalid("to is not the number of a generation", where="to", mend="see /api/v1/generations")
        why = asked.text(body, "why", "")
        run = await pool.run(rooms.deploy.rollback, who=principal.name, why=why, to=to)
        return answer({"run": run}, 202)

    @router.get("/generations", summary="Every deployment there was, newest first.")
    async def generations(request: Request) -> Response:
        allowed_on_site(request, "deploy.read")
        return answer({"generations": await pool.run(rooms.deploy.generations)})

    @router.get("/drift", summary="In what the cloud differs from what was applied.")
    async def drift(request: Request) -> Response:
        allowed_on_site(request, "deploy.read")
        return answer(await pool.run(rooms.deploy.drift))

    @router.post(
        "/restart",
        summary="Restart one replica.",
        openapi_extra=openapi.body(
            ("replica", "why"), replica="string: keystone.1@ctl-1", why="string: the reason"
        ),
    )
    async def restart(request: Request) -> Response:
        principal = allowed_on_site(request, "deploy.restart")
        body = await json_body(request)
        name = asked.text(body, "replica").removeprefix("replica/")
        action = Action("deploy.restart", entity("replica", name), principal.name, asked.text(body, "why"))
        outcome = await pool.run(rooms.actions.ask, action)
        if not outcome.accepted:
            raise Conflict(outcome.reason or "the restart was refused", where=action.entity)
        return answer(outcome, 202)

    @router.post(
        "/incidents/{id}/approve",
        summary="A person's yes to a remedy that an incident proposes.",
        openapi_extra=openapi.body(
            ("action",), action="string: the remedy, as the incident's `remedies` name it (restart, grow …)"
        ),
    )
    async def approve(request: Request, id: str) -> Response:
        principal = allowed_on_site(request, "remedy.approve")
        number = asked.whole({"id": id}, "id", 0, 1 << 53, 0)
        action = asked.text(await json_body(request), "action")
        outcome = await pool.run(rooms.health.approve, number, action, principal.name)
        if not outcome.accepted:
            raise Conflict(outcome.reason or f"{action} was refused", where=f"incident {number}")
        return answer(outcome, 202)

    @router.post(
        "/faults",
        summary="Inject a fault on a host, for a drill. Answers when the agent has.",
        openapi_extra=openapi.body(
            ("host", "fault"),
            host="string: the host's name",
            fault="string: kill, stop, cont, fill, unfill; what else it needs stands beside (replica, volume)",
        ),
    )
    async def fault(request: Request) -> Response:
        allowed_on_site(request, "fault.inject")
        body = await json_body(request)
        host = asked.text(body, "host").removeprefix("host/")
        asked.text(body, "fault")
        given = {name: value for name, value in body.items() if name != "host"}
        work = await pool.run(rooms.work.send, host, "fault", given)
        result = await context.streams.run(rooms.work.wait, host, work, FAULT_WAIT_S)
        return answer({"host": host, **wire(result)})

    return router


async def _files(request: Request) -> tuple[dict[str, str], str] | str:
    """A posted declaration: (files by name, the main one), or the text of the main file alone."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = await json_body(request)
        main, sources = asked.text(body, "main", "site.yaml"), body.get("sources")
        if not isinstance(sources, dict) or not all(isinstance(one, str) for one in sources.values()):
            raise Invalid("sources is not an object of texts", where="sources")
        if main not in sources:
            raise Invalid(f"{main!r} is not among the sources", where="main")
        return sources, main
    try:
        return (await body_of(request)).decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"the declaration is not UTF-8: {error.reason}", where=f"byte {error.start}") from None


def _source(body: dict[str, Any]) -> Path | str | None:
    """The declaration that is meant: a path on the server's machine, a text, or None for the server's own."""
    if body.get("source") is not None:
        return asked.text(body, "source", most=4 << 20)
    name = asked.text(body, "path", "")
    if not name:
        return None
    path = Path(name)
    if "\0" in name or not path.is_absolute() or path.suffix not in (".yaml", ".yml"):
        raise Invalid("path is not the absolute path of a .yaml file", where="path")
    return path


def _number(text: str) -> int:
    return asked.whole({"run": text}, "run", 0, 1 << 53, 0)


def _followed(context: Context, number: int, first: Any) -> StreamingResponse:
    async def told() -> AsyncIterator[bytes]:
        view, shown, quiet = first, None, 0.0
        while True:
            now = wire(view)
            if now != shown:
                shown, quiet = now, 0.0
                yield event("run", now)
            if now["state"] not in _UNDER_WAY:
                yield event("end", {"state": now["state"]})
                return
            quiet += _RUN_GLANCE_S
            if quiet >= KEEP_ALIVE_S:
                quiet = 0.0
                yield KEEP_ALIVE
            if await context.closing.within(_RUN_GLANCE_S):
                yield event("bye", {"reason": "the house stops"})
                return
            view = await context.pool.run(context.rooms.deploy.run, number)

    return sse(told())
