"""`/api/v1/agent/…`: what agents push (heartbeats, events, results) and the work stream they open.

An agent's token is bound to one host; what it says of another is refused. Samples come by remote write.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import zstandard
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Denied, Invalid, NotFound, TooLarge, Unavailable
from weatherglass.base.ids import name_of
from weatherglass.base.units import size
from weatherglass.engine.protocols import Heartbeat, Labels, Principal, RawEvent, Role, WorkResult
from weatherglass.gateway import shapes
from weatherglass.gateway.auth import allowed, principal_of
from weatherglass.gateway.context import Context
from weatherglass.gateway.limits import body_of, json_body
from weatherglass.gateway.streams import line, ndjson
from weatherglass.identity import allow

EVENTS_BYTES = 128 << 20  # decompressed
EVENTS_COUNT = 200_000
LABELS_COUNT = 64
WORK_KEEP_ALIVE_S = 5.0
_WORK_WAIT_S = 0.5
STREAM_VERSION = "1"


def routes(context: Context) -> Iterable[BaseRoute]:
    """The agent's protocol."""
    rooms, pool = context.rooms, context.pool

    async def heartbeat(request: Request) -> Response:
        principal = _agent(request, "agent.heartbeat")
        received = rooms.clock.now_ns()
        beat = shapes.read(Heartbeat, await json_body(request))
        _of_its_host(principal, beat.host)
        await pool.run(rooms.health.heartbeat, beat, received)
        return JSONResponse({"received_ns": received})

    async def events(request: Request) -> Response:
        principal, tenant = allowed(request, "logs.write")
        encoding = request.headers.get("content-encoding", "zstd")
        body = await body_of(request)
        parsed = await pool.run(parse_events, body, encoding)
        if principal.role is Role.AGENT:
            for event in parsed:
                _of_its_host(principal, dict(event.labels).get("host", ""))
        stored = await pool.run(rooms.logs.write_raw, tenant, parsed)
        return JSONResponse({"stored": stored})

    async def work(request: Request) -> Response:
        principal = _agent(request, "agent.work")
        start = _whole(request.query_params.get("from", "0"), "from")
        return ndjson(
            _work(context, name_of(principal.host), start), {"X-Weatherglass-Stream": STREAM_VERSION}
        )

    async def results(request: Request) -> Response:
        principal = _agent(request, "agent.work")
        body = await json_body(request)
        given = body.get("results", [body])
        if not isinstance(given, list):
            raise Invalid("results is not a list", where="results")
        parsed = [shapes.read(WorkResult, one, f"results[{at}]") for at, one in enumerate(given)]
        for result in parsed:
            await pool.run(rooms.work.result, name_of(principal.host), result)
        return JSONResponse({"received": len(parsed)})

    async def secret(request: Request) -> Response:
        principal = _agent(request, "agent.secrets")
        name, host = request.path_params["name"], name_of(principal.host)
        if name not in await pool.run(rooms.deploy.secrets_of, host):
            raise NotFound(f"nothing on {host} uses a secret named {name!r}", where=name)
        return JSONResponse({"value": await pool.run(rooms.secret, name)})

    return [
        Route("/api/v1/agent/heartbeat", heartbeat, methods=["POST"]),
        Route("/api/v1/agent/events", events, methods=["POST"]),
        Route("/api/v1/agent/work", work, methods=["GET"]),
        Route("/api/v1/agent/results", results, methods=["POST"]),
        Route("/api/v1/agent/secrets/{name}", secret, methods=["GET"]),
    ]


async def _work(context: Context, host: str, start: int) -> AsyncIterator[bytes]:
    """Work as it comes, `{}` when nothing came for WORK_KEEP_ALIVE_S. Resumes at any offset."""
    queue, said = context.rooms.work, time.monotonic()
    yield b"{}\n"  # the stream is open: said at once, so that an agent knows it from a silent peer
    try:
        items = iter(queue.stream(host, start, _WORK_WAIT_S))
        while not context.closing.now:
            item = await context.streams.run(next, items, None)
            if item is not None:
                start, said = item.offset + 1, time.monotonic()
                yield line(item)
                continue
            if time.monotonic() - said >= WORK_KEEP_ALIVE_S:
                said = time.monotonic()
                yield b"{}\n"
            items = iter(queue.stream(host, start, _WORK_WAIT_S))
    except Unavailable:
        return  # the queue has closed: the house stops, and the agent comes again


def _agent(request: Request, action: str) -> Principal:
    principal = principal_of(request)
    allow(principal, action, principal.tenants[0])
    return principal


def _of_its_host(principal: Principal, host: str) -> None:
    if f"host/{host}" != principal.host:
        raise Denied(
            f"the token is bound to {principal.host}, not to host/{host}",
            where="host",
            mend=f"make a token for it: weatherglass token create --role agent --host {host or 'NAME'}",
        )


def _whole(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"{text[:40]!r} is not a whole number", where=where)
    return int(text)


def parse_events(body: bytes, encoding: str) -> list[RawEvent]:
    """Framed events of `zstd(NDJSON of [seen_ns, {labels}, text])`. Raises Invalid, TooLarge. Pure."""
    if encoding not in ("zstd", "identity"):
        raise Invalid(f"{encoding[:40]!r} is not spoken here", where="Content-Encoding", mend="zstd")
    text = _inflated(body) if encoding == "zstd" else body
    events: list[RawEvent] = []
    known: dict[str, Labels] = {}  # a batch repeats few label sets
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        if len(events) >= EVENTS_COUNT:
            raise TooLarge(f"more than {EVENTS_COUNT} events in one body", mend="send it in smaller parts")
        events.append(_event(row, f"line {number}", known))
    return events


def _inflated(body: bytes) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(io.BytesIO(body)) as reader:
            text = reader.read(EVENTS_BYTES + 1)
    except zstandard.ZstdError as error:
        raise Invalid(f"the body is not zstd: {error}", where="body") from None
    if len(text) > EVENTS_BYTES:
        raise TooLarge(f"the body holds more than {size(EVENTS_BYTES)}", mend="send it in smaller parts")
    return text


def _event(row: bytes, where: str, known: dict[str, Labels]) -> RawEvent:
    try:
        seen_ns, labels, text = json.loads(row)
        key = json.dumps(labels)
        if key not in known:
            known[key] = _labels(labels)
        whole = isinstance(seen_ns, int) and not isinstance(seen_ns, bool) and 0 <= seen_ns < 1 << 63
        if not whole or not isinstance(text, str):
            raise ValueError("of another type")
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(
            f"this is not an event: {error}", where=where, mend="[seen_ns, {labels}, text], one a line"
        ) from None
    return RawEvent(seen_ns, known[key], text)


def _labels(labels: Any) -> Labels:
    if not isinstance(labels, Mapping) or len(labels) > LABELS_COUNT:
        raise ValueError(f"labels are an object of at most {LABELS_COUNT}")
    for name, value in labels.items():
        if not isinstance(value, str):
            raise TypeError("a label's value is a text")
        name.encode(), value.encode()
    return tuple(sorted((name, value) for name, value in labels.items() if value))
