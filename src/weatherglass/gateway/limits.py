"""Bounds on what comes in: bodies before they are read, JSON before it is believed, time.

The bounds are a prefix table; a protocol to come adds a row. Pure but for the two ASGI wrappers.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weatherglass.base.errors import Invalid, TooLarge
from weatherglass.base.units import size
from weatherglass.gateway.errors import TookTooLong, WrongType

JSON_DEPTH = 32


class Bound(NamedTuple):
    """What a request under `prefix` may bring (bytes) and take (seconds until its answer begins)."""

    prefix: str
    body: int
    seconds: float


BOUNDS = [
    Bound("/prometheus/api/v1/write", 32 << 20, 30),
    Bound("/prometheus/", 1 << 20, 120),
    Bound("/gnocchi/", 32 << 20, 120),
    Bound("/api/v1/agent/events", 32 << 20, 30),
    Bound("/api/v1/agent/results", 8 << 20, 30),
    Bound("/api/v1/agent/heartbeat", 1 << 20, 10),
    Bound("/api/v1/check", 4 << 20, 60),
    Bound("/api/v1/plan", 4 << 20, 120),
    Bound("/api/v1/apply", 4 << 20, 120),
    Bound("/api/v1/faults", 1 << 16, 180),
    Bound("/api/v1/backup", 1 << 16, 600),
    Bound("/elastic", 100 << 20, 120),
    Bound("/loki/", 32 << 20, 60),
    Bound("/otlp/", 32 << 20, 30),
    Bound("/influx/", 32 << 20, 30),
    Bound("/login", 1 << 12, 10),
]
_OTHERWISE = Bound("", 1 << 20, 60)


def bound_of(path: str) -> Bound:
    return next((bound for bound in BOUNDS if path.startswith(bound.prefix)), _OTHERWISE)


class Limits:
    """ASGI: a body over its bound is refused by its declared length, or where its bytes pass it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bound = bound_of(scope["path"])
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value) > bound.body):
                raise _too_large(bound)
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > bound.body:
                raise _too_large(bound)
            return message

        begun = asyncio.Event()

        async def watched(message: Message) -> None:
            begun.set()
            deadline.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(bound.seconds) as deadline:
                await self._app(scope, counted, watched)
        except TimeoutError:
            if begun.is_set() or not deadline.expired():
                raise
            raise TookTooLong(
                f"not answered within {bound.seconds:g} s", mend="ask for less, or try again"
            ) from None


def _too_large(bound: Bound) -> TooLarge:
    return TooLarge(f"the body is over {size(bound.body)}", where="body", mend="send it in smaller parts")


async def body_of(request: Request) -> bytes:
    """The whole body (bounded by `Limits`)."""
    return await request.body()


def parse_json(body: bytes) -> Any:
    """The value of a JSON text: UTF-8, no NaN, no deeper than JSON_DEPTH. Raises Invalid."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(body.decode(), parse_constant=refuse)
    except RecursionError:
        raise Invalid("the JSON is nested too deeply", where="body") from None
    except ValueError as error:
        raise Invalid(f"the body is not JSON: {error}", where="body") from None
    if _deeper(value, JSON_DEPTH):
        raise Invalid(f"the JSON is nested deeper than {JSON_DEPTH}", where="body")
    if b"\\u" in body:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Invalid("the JSON has half of a surrogate pair", where="body") from None
    return value


def _deeper(value: Any, bound: int) -> bool:
    """Whether containers lie deeper than `bound`; level by level, so that depth costs no stack."""
    level = [value]
    for _ in range(bound + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return any(isinstance(child, (dict, list)) for child in level)


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object that a request brings. Raises WrongType, Invalid."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WrongType(f"{kind} is not spoken here", where="Content-Type", mend="send application/json")
    value = parse_json(await body_of(request))
    if not isinstance(value, dict):
        raise Invalid("the body is not a JSON object", where="body")
    return value
