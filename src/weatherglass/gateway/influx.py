"""`/influx/…`: what writers for InfluxDB 1 and 2 ask: ping, `create database`, write. Questions are asked in PromQL.

Lines that cannot be read are told as InfluxDB tells them (a partial write, 400); the others are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.time import MS_NS
from weatherglass.gateway.auth import allowed, principal_of
from weatherglass.gateway.context import Context
from weatherglass.gateway.elastic.serving import unpacked
from weatherglass.gateway.errors import status_of
from weatherglass.gateway.limits import body_of

_MOST = 64 << 20
_VERSION = {"X-Influxdb-Version": "1.8.10", "X-Influxdb-Build": "OSS"}


def routes(context: Context) -> Iterable[BaseRoute]:
    rooms = context.rooms

    def writer(database: str) -> Any:
        async def write(request: Request) -> Response:
            try:
                _, tenant = allowed(request, "metrics.write")
                asked = request.query_params
                body, encoding = await body_of(request), request.headers.get("content-encoding", "")
                unit, name = asked.get("precision", ""), asked.get(database, "")

                def take() -> list[str]:
                    from weatherglass.metrics.formats import influx

                    if unit not in influx.PRECISIONS:
                        raise Invalid(
                            f"{unit[:20]!r} is no precision", where="precision", mend="ns, us, ms, s"
                        )
                    now_ms = rooms.clock.now_ns() // MS_NS
                    more = {"db": name} if name else {}
                    taken, wrong = influx.received(
                        unpacked(body, encoding, _MOST), influx.PRECISIONS[unit], more
                    )
                    rooms.metrics.receive(tenant, taken, now_ms)
                    return wrong

                wrong = await context.writes.run(take)
            except WeatherglassError as error:
                return _refused(status_of(error), str(error.message), database)
            if wrong:
                many = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
                return _refused(400, f"partial write: {'; '.join(wrong[:3])}{many}", database)
            return Response(status_code=204, headers=_VERSION)

        return write

    async def ping(request: Request) -> Response:
        principal_of(request)
        return Response(status_code=204, headers=_VERSION)

    async def health(request: Request) -> Response:
        principal_of(request)
        told = {"name": "influxdb", "message": "ready for queries and writes", "status": "pass", "checks": []}
        return Response(json.dumps(told), media_type="application/json", headers=_VERSION)

    async def query(request: Request) -> Response:
        """`CREATE DATABASE`, which writers send at their start, is done already; everything else is refused."""
        from weatherglass.metrics.formats import influx

        principal_of(request)
        text = request.query_params.get("q", "")
        if not text and request.method == "POST":
            async with request.form() as form:
                text = str(form.get("q", ""))
        if influx.database(text) is None:
            return _refused(400, "only CREATE DATABASE is understood; ask in PromQL under /prometheus", "db")
        body = json.dumps({"results": [{"statement_id": 0}]})
        return Response(body, media_type="application/json", headers=_VERSION)

    return [
        Route("/influx/ping", ping, methods=["GET", "HEAD"]),
        Route("/influx/health", health, methods=["GET"]),
        Route("/influx/query", query, methods=["GET", "POST"]),
        Route("/influx/write", writer("db"), methods=["POST"]),
        Route("/influx/api/v2/write", writer("bucket"), methods=["POST"]),
    ]


def _refused(status: int, message: str, database: str) -> Response:
    """In InfluxDB 1's words, or in those of 2 (whose databases are buckets)."""
    told = (
        {"error": message}
        if database == "db"
        else {"code": _CODES.get(status, "internal error"), "message": message}
    )
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    return Response(json.dumps(told), status, {**_VERSION, **headers}, media_type="application/json")


_CODES = {
    400: "invalid", 401: "unauthorized", 403: "forbidden", 413: "request too large", 429: "too many requests",
    503: "unavailable",
}  # fmt: skip
