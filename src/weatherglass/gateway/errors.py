"""Errors into answers: one table from our error tree to HTTP status, one form a protocol.

Ours: `{"error": code, "message", "where", "mend", "problems": […]}`. Prometheus': `{"status": "error",
"errorType", "error"}`. Which form a path speaks is a prefix table here; a protocol to come adds a row.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weatherglass.base.errors import (
    Conflict,
    Corrupt,
    Denied,
    Invalid,
    LimitExceeded,
    NotFound,
    Problem,
    TooLarge,
    Unauthenticated,
    Unavailable,
    WeatherglassError,
)

log = logging.getLogger(__name__)

STATUS: dict[type[WeatherglassError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    LimitExceeded: 429,
    Corrupt: 500,
    Unavailable: 503,
}


class WrongMethod(Invalid):
    """The path is there, the method is not."""

    code = "method"


class WrongType(Invalid):
    """A body of a type or encoding that is not spoken here."""

    code = "type"


class Unexecuted(Invalid):
    """A query that can be read, but not answered: a matching that is ambiguous, a bound that it passes."""

    code = "execution"


class TookTooLong(Unavailable):
    """The request was not answered within its bound."""

    code = "timeout"


STATUS |= {WrongMethod: 405, WrongType: 415, Unexecuted: 422, TookTooLong: 503}

Form = Callable[[WeatherglassError, int], Any]


def status_of(error: WeatherglassError) -> int:
    """The status of the nearest class in STATUS."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def ours(error: WeatherglassError, status: int) -> Any:
    def problem(one: Problem) -> dict[str, str]:
        return {"message": one.message, "where": one.where, "mend": one.mend}

    return {
        "error": error.code,
        "message": error.message,
        "where": error.where,
        "mend": error.mend,
        "problems": [problem(one) for one in error.problems],
    }


# Prometheus web/api/v1/api.go: errorTimeout, errorBadData, errorExec, errorUnavailable, errorNotFound …
_PROMETHEUS_TYPES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    422: "execution",
    500: "internal",
    503: "unavailable",
}


def prometheus(error: WeatherglassError, status: int) -> Any:
    kind = "timeout" if error.code == "timeout" else _PROMETHEUS_TYPES.get(status, "bad_data")
    said = "; ".join(
        f"{one.message} ({one.mend})" if one.mend else one.message for one in error.problems[:20]
    )
    return {"status": "error", "errorType": kind, "error": f"{error.where}: {said}" if error.where else said}


def gnocchi(error: WeatherglassError, status: int) -> Any:
    """What is refused before Gnocchi's own endpoint is reached (who asks, how much), as pecan would say it."""
    title = HTTPStatus(status).phrase
    return {"code": status, "title": title, "description": str(error.message)}


def elastic(error: WeatherglassError, status: int) -> Any:
    from weatherglass.gateway.elastic.faults import told  # it stands on this module

    return told(error, status)


FORMS: list[tuple[str, Form]] = [("/prometheus/", prometheus), ("/gnocchi/", gnocchi), ("/elastic", elastic)]
"""Path prefix → form; ours for every other path."""


def form_of(path: str) -> Form:
    return next((form for prefix, form in FORMS if path.startswith(prefix)), ours)


def answer(error: WeatherglassError, path: str) -> Response:
    """The response that tells `error` in the form that `path` speaks."""
    status = status_of(error)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="weatherglass"'
    if status in (429, 503):
        headers["Retry-After"] = "5"
    if status in (401, 413):
        headers["Connection"] = "close"  # what is left of the body is not read
    body = json.dumps(form_of(path)(error, status), ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, headers, media_type="application/json")


class Errors:
    """ASGI: whatever is raised inside, before the answer began, becomes an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except WeatherglassError as error:
            if begun:
                raise
            await answer(error, scope["path"])(scope, receive, send)
        except ClientDisconnect:
            log.debug("%s %s: the client went away", scope["method"], scope["path"])
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if begun:
                raise
            fault = WeatherglassError("something inside failed; the server's log says more")
            await answer(fault, scope["path"])(scope, receive, send)
