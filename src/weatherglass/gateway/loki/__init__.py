"""`/loki/api/v1/…`: Loki's push, and its queries as log panels use them, over the logs room.

A stream's labels are the events' labels; a line is read as an agent's line would be, its structured metadata are
fields beside it. `X-Scope-OrgID` names the tenant, among those of the token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Denied, Invalid
from weatherglass.base.time import SECOND_NS
from weatherglass.base.units import parse_duration
from weatherglass.gateway.auth import principal_of, tenant_of
from weatherglass.gateway.context import Context
from weatherglass.gateway.elastic.serving import unpacked
from weatherglass.gateway.errors import WrongType
from weatherglass.gateway.limits import body_of
from weatherglass.gateway.loki import answers, logql, wire
from weatherglass.gateway.prometheus_json import fields as form_fields
from weatherglass.identity import allow
from weatherglass.logs import documents
from weatherglass.logs.documents import Document

PREFIX = "/loki/api/v1"
_HOUR_NS = 3600 * SECOND_NS
_MOST_POINTS = 11_000
_MOST_LINES = 5_000
_SERVICE = ("service", "service_name", "app", "application", "job", "container")
_LEVEL = ("level", "severity", "detected_level")


def tenant(request: Request, action: str) -> str:
    """The tenant that a request is about, once `action` is allowed there. Raises Denied."""
    principal = principal_of(request)
    asked = request.headers.get("x-scope-orgid")
    if asked is not None and asked != "fake" and not principal.may_see(asked):
        raise Denied(f"{principal.name} may not see tenant {asked[:80]!r}", where="X-Scope-OrgID")
    chosen = asked if asked and asked != "fake" else tenant_of(principal, request.headers)
    allow(principal, action, chosen)
    return chosen


def as_documents(streams: Iterable[wire.Stream], seen_ns: int) -> list[Document]:
    """The lines of streams as the store takes them."""
    found = []
    for stream in streams:
        labels = {name: value for name, value in stream.labels.items() if value}
        service = next((labels[name] for name in _SERVICE if name in labels), "")
        level = next((labels[name] for name in _LEVEL if name in labels), "")
        house = {**labels, "service": service} if service else labels
        given = tuple(sorted(house.items()))
        for entry in stream.entries:
            more: dict[str, Any] = dict(entry.metadata)
            if level:
                more.setdefault("level", level)
            found.append(
                Document(entry.line, seen_ns, entry.time_ns, labels=given, fields=more, form=documents.LINE)
            )
    return found


def routes(context: Context) -> Iterable[BaseRoute]:
    """Loki's API; every question by GET or by a posted form."""
    rooms, pool = context.rooms, context.pool

    async def push(request: Request) -> Response:
        owner = tenant(request, "logs.write")
        kind = request.headers.get("content-type", "application/x-protobuf").partition(";")[0].strip().lower()
        body, encoding = await body_of(request), request.headers.get("content-encoding", "")

        def take() -> None:
            if kind == "application/json":
                streams = wire.from_json(unpacked(body, encoding))
            elif kind == "application/x-protobuf":
                streams = wire.from_protobuf(body)
            else:
                raise WrongType(f"{kind} is not spoken here", where="Content-Type", mend="application/json")
            lines = as_documents(streams, rooms.clock.now_ns())
            if lines:
                rooms.logs.write_documents(owner, lines)

        await context.writes.run(take)
        return Response(status_code=204)

    def asks(answer: Callable[[str, Mapping[str, str]], Any]) -> Callable[[Request], Any]:
        async def asked(request: Request) -> Response:
            owner = tenant(request, "logs.read")
            params = dict(request.query_params)
            body = await body_of(request) if request.method == "POST" else b""
            params.update(dict(form_fields(body)) if body else {})
            params["name"] = request.path_params.get("name", "")
            found = await pool.run(answer, owner, params)
            return JSONResponse({"status": "success", "data": found})

        return asked

    def span(params: Mapping[str, str]) -> tuple[int, int]:
        end = _instant(params.get("end"), rooms.clock.now_ns())
        since = params.get("since")
        start = _instant(params.get("start"), end - (int(_seconds(since) * SECOND_NS) if since else _HOUR_NS))
        if end < start:
            raise Invalid("the end lies before the start", where="end")
        return start, end

    def query_range(owner: str, params: Mapping[str, str]) -> Any:
        asked = logql.read(_needed(params, "query"))
        start, end = span(params)
        if not asked.over:
            return answers.streams(
                rooms.logs, owner, asked.holds, start, end, _limit(params), params.get("direction", "")
            )
        step = _step(params.get("step"), start, end)
        if (end - start) // step > _MOST_POINTS:
            raise Invalid("too many points; a larger step, or a shorter span", where="step")
        return answers.matrix(rooms.logs, owner, asked, start, end, step)

    def query(owner: str, params: Mapping[str, str]) -> Any:
        asked = logql.read(_needed(params, "query"))
        at = _instant(params.get("time"), rooms.clock.now_ns())
        if not asked.over:
            return answers.streams(
                rooms.logs, owner, asked.holds, at - _HOUR_NS, at, _limit(params), params.get("direction", "")
            )
        return answers.vector(rooms.logs, owner, asked, at)

    def labels(owner: str, params: Mapping[str, str]) -> Any:
        return answers.labels(rooms.logs, owner, *span(params))

    def values(owner: str, params: Mapping[str, str]) -> Any:
        return answers.values(rooms.logs, owner, params["name"], *span(params))

    def series(owner: str, params: Mapping[str, str]) -> Any:
        matchers = [value for name, value in params.items() if name in ("match[]", "match")]
        parts = [logql.read(one).holds for one in matchers]
        return answers.series(rooms.logs, owner, parts, *span(params))

    async def ready(request: Request) -> Response:
        return Response("ready\n", media_type="text/plain")

    both = ["GET", "POST"]
    return [
        Route(f"{PREFIX}/push", push, methods=["POST"]),
        Route(f"{PREFIX}/query", asks(query), methods=both),
        Route(f"{PREFIX}/query_range", asks(query_range), methods=both),
        Route(f"{PREFIX}/labels", asks(labels), methods=both),
        Route(f"{PREFIX}/label", asks(labels), methods=both),
        Route(f"{PREFIX}/label/{{name}}/values", asks(values), methods=["GET"]),
        Route(f"{PREFIX}/series", asks(series), methods=both),
        Route("/loki/ready", ready, methods=["GET"]),
    ]


def _needed(params: Mapping[str, str], name: str) -> str:
    value = params.get(name, "")
    if not value.strip():
        raise Invalid(f"the parameter {name} is missing", where=name)
    return value


def _limit(params: Mapping[str, str]) -> int:
    text = params.get("limit", "100")
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
        raise Invalid(f"{text[:40]!r} is not a limit", where="limit")
    if int(text) > _MOST_LINES:
        raise Invalid(
            f"max entries limit per query exceeded, limit > max_entries_limit ({text} > {_MOST_LINES})"
        )
    return int(text)


def _instant(text: str | None, otherwise: int) -> int:
    """Nanoseconds of ns, seconds with a fraction, or RFC 3339. Raises Invalid."""
    from weatherglass.base.time import parse_iso

    if not text:
        return otherwise
    try:
        if text.isdigit():
            value = int(text)
            return value if value >= 10_000_000_000 else value * SECOND_NS
        try:
            seconds = float(text)
        except ValueError:
            return parse_iso(text)
        if not math.isfinite(seconds) or abs(seconds) > 4e9:
            raise ValueError
        return int(seconds * SECOND_NS)
    except (ValueError, OverflowError):
        raise Invalid(f"{text[:80]!r} is no instant", where="time", mend="nanoseconds or RFC 3339") from None


def _seconds(text: str) -> float:
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    except ValueError as error:
        raise Invalid(str(error), where="step") from None


def _step(text: str | None, start: int, end: int) -> int:
    if not text:
        return max(SECOND_NS, (end - start) // 250 // SECOND_NS * SECOND_NS)
    step = int(_seconds(text) * SECOND_NS)
    if step <= 0:
        raise Invalid("a step is longer than nothing", where="step")
    return step
