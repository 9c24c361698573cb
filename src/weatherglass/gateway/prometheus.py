"""`/prometheus/api/v1/…`: Prometheus' HTTP API over the metrics room: remote write 1.0 and the query side.

Forms and codes are Prometheus' own (web/api/v1/api.go; Remote-Write 1.0 specification), so that its clients
(Grafana, promtool, Prometheus itself as a sender) need nothing new. Forming of results is in `prometheus_json`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MultiDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from weatherglass import __version__
from weatherglass.base.errors import Invalid
from weatherglass.base.time import MS_NS, parse_iso
from weatherglass.base.units import parse_duration
from weatherglass.gateway import prometheus_json as form
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.errors import WrongType
from weatherglass.gateway.limits import body_of

MAX_POINTS = 11_000  # a series' points in one answer, as Prometheus bounds them
_INT64_S = 9.2e15
_PREFIX = "/prometheus/api/v1"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_FAR_MS = 1 << 53


class RemoteWrite:
    """A raw ASGI endpoint: body in, room called, counts out; nothing in between."""

    def __init__(self, context: Context) -> None:
        self._metrics, self._pool = context.rooms.metrics, context.writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        _, tenant = allowed(request, "metrics.write")
        check_write(request.headers)
        written = await self._pool.run(self._metrics.write, tenant, await body_of(request), "snappy")
        headers = {
            # the names of Remote-Write 2.0 §Response; a 1.0 sender passes over them
            "X-Prometheus-Remote-Write-Samples-Written": str(written.stored),
            "X-Weatherglass-Duplicates": str(written.duplicates),
            "X-Weatherglass-Out-Of-Order": str(written.out_of_order),
            "X-Weatherglass-Too-Old": str(written.too_old),
        }
        if written.note:
            headers["X-Weatherglass-Note"] = written.note.encode("ascii", "replace").decode()
        await Response(status_code=204, headers=headers)(scope, receive, send)


def check_write(headers: Headers) -> None:
    """What Remote-Write 1.0 asks of a request's headers. Raises WrongType (415)."""
    kind, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    if kind != "application/x-protobuf":
        raise WrongType(
            f"{kind or 'no type'} is not spoken here", where="Content-Type", mend="application/x-protobuf"
        )
    if any(part.startswith("proto=") and part != "proto=prometheus.writerequest" for part in parameters):
        raise WrongType(
            "only Remote-Write 1.0 is spoken", where="Content-Type", mend="proto=prometheus.WriteRequest"
        )
    encoding = headers.get("content-encoding", "snappy").strip().lower()
    if encoding != "snappy":
        raise WrongType(f"{encoding} is not spoken here", where="Content-Encoding", mend="snappy")


def routes(context: Context) -> Iterable[BaseRoute]:
    """Prometheus' API; every question by GET or by a posted form."""
    rooms, pool = context.rooms, context.pool

    async def query(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await _asked(request)
        at_ms = instant(asked, "time", rooms.clock.now_ns() // MS_NS)
        expr = _needed(asked, "query")
        return _json(await pool.run(lambda: form.result(rooms.metrics.query(tenant, expr, at_ms))))

    async def query_range(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await _asked(request)
        expr = _needed(asked, "query")
        start, end, step = span(asked)
        return _json(
            await pool.run(lambda: form.result(rooms.metrics.query_range(tenant, expr, start, end, step)))
        )

    async def series(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await _asked(request)
        selectors = _selectors(asked)
        if not selectors:
            raise Invalid("no match[] parameter provided", where="match[]", mend='match[]=up{job="x"}')
        start, end = bounds(asked)
        found = await pool.run(rooms.metrics.series, tenant, selectors, start, end)
        return _json(form.success(_limited([dict(one) for one in found], asked)))

    async def labels(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await _asked(request)
        start, end = bounds(asked)
        found = await pool.run(rooms.metrics.label_names, tenant, _selectors(asked), start, end)
        return _json(form.success(_limited(list(found), asked)))

    async def values(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked, name = await _asked(request), request.path_params["name"]
        if not _LABEL.fullmatch(name):
            raise Invalid(f"invalid label name: {name[:80]!r}", where="label")
        start, end = bounds(asked)
        found = await pool.run(rooms.metrics.label_values, tenant, name, _selectors(asked), start, end)
        return _json(form.success(_limited(list(found), asked)))

    async def metadata(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await _asked(request)
        found = await pool.run(rooms.metrics.metadata, tenant)
        metric = asked.get("metric", "")
        kept = {name: about for name, about in found.items() if not metric or name == metric}
        return _json(form.success({name: form.metadata(about) for name, about in kept.items()}))

    async def buildinfo(request: Request) -> Response:
        allowed(request, "metrics.read")
        # no `features`: with them Grafana would take this for Mimir
        told = {"version": "3.0.0", "revision": f"weatherglass-{__version__}", "branch": "", "buildUser": ""}
        return _json(form.success({**told, "buildDate": "", "goVersion": ""}))

    both = ["GET", "POST"]
    return [
        Route(f"{_PREFIX}/write", RemoteWrite(context), methods=["POST"]),
        Route(f"{_PREFIX}/query", query, methods=both),
        Route(f"{_PREFIX}/query_range", query_range, methods=both),
        Route(f"{_PREFIX}/series", series, methods=both),
        Route(f"{_PREFIX}/labels", labels, methods=both),
        Route(f"{_PREFIX}/label/{{name}}/values", values, methods=["GET"]),
        Route(f"{_PREFIX}/metadata", metadata, methods=["GET"]),
        Route(f"{_PREFIX}/status/buildinfo", buildinfo, methods=["GET"]),
    ]


async def _asked(request: Request) -> MultiDict:
    """Parameters of the address and of a posted form together."""
    asked = MultiDict(request.query_params.multi_items())
    body = await body_of(request) if request.method == "POST" else b""
    if body:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise WrongType(
                f"{kind or 'no type'} is not spoken here",
                where="Content-Type",
                mend="application/x-www-form-urlencoded",
            )
        for name, value in form.fields(body):
            asked.append(name, value)
    return asked


def _needed(asked: MultiDict, name: str) -> str:
    value = asked.get(name, "")
    if not value.strip():
        raise Invalid(f"the parameter {name} is missing", where=name)
    return str(value)


def instant(asked: MultiDict, name: str, otherwise: int) -> int:
    """Milliseconds of Unix seconds (with a fraction) or RFC 3339. Raises Invalid."""
    text = asked.get(name, "")
    if not text:
        return otherwise
    try:
        seconds = float(text)
    except ValueError:
        try:
            return parse_iso(text) // MS_NS
        except (ValueError, OverflowError):
            raise Invalid(
                f"cannot parse {text[:80]!r} to a valid timestamp",
                where=name,
                mend="Unix seconds or RFC 3339",
            ) from None
    if not math.isfinite(seconds) or abs(seconds) > _INT64_S / 1000:
        raise Invalid(f"{text[:80]!r} is out of range", where=name)
    return round(seconds * 1000)


def span(asked: MultiDict) -> tuple[int, int, int]:
    """(start, end, step) in ms of a range query. Raises Invalid."""
    for name in ("start", "end", "step"):
        _needed(asked, name)
    start, end = instant(asked, "start", 0), instant(asked, "end", 0)
    if end < start:
        raise Invalid("end timestamp must not be before start time", where="end")
    step = round(_seconds(asked["step"], "step") * 1000)
    if step <= 0:
        raise Invalid("zero or negative query resolution step widths are not accepted", where="step")
    if (end - start) // step > MAX_POINTS:
        raise Invalid(
            f"exceeded maximum resolution of {MAX_POINTS} points per timeseries",
            where="step",
            mend="a larger step, or a shorter span",
        )
    return start, end, step


def bounds(asked: MultiDict) -> tuple[int, int]:
    """(start, end) in ms of a question about series; all of time where not said. Raises Invalid."""
    start, end = instant(asked, "start", -_FAR_MS), instant(asked, "end", _FAR_MS)
    if end < start:
        raise Invalid("end timestamp must not be before start time", where="end")
    return start, end


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            raise Invalid(str(error), where=where) from None
    if not math.isfinite(seconds) or abs(seconds) > _INT64_S / 1000:
        raise Invalid(f"{text[:80]!r} is out of range", where=where)
    return seconds


def _selectors(asked: MultiDict) -> list[Any]:
    """The matchers of every `match[]`, each a series selector. Raises Invalid."""
    from weatherglass.metrics.promql import parse  # brings the evaluator: only who asks waits for it
    from weatherglass.metrics.promql.ast import Selector

    found: list[Any] = []
    for text in asked.getlist("match[]"):
        tree = parse(text)
        if not isinstance(tree, Selector) or tree.range_s:
            raise Invalid(f"{text[:80]!r} is not a series selector", where="match[]", mend='up{job="x"}')
        found.append(tree.matchers)
    return found


def _limited(found: list[Any], asked: MultiDict) -> list[Any]:
    text = asked.get("limit", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid(f"{text[:40]!r} is not a limit", where="limit", mend="a whole number; 0 for all")
    return found[: int(text)] if int(text) else found


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
