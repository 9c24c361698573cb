"""`/prometheus/…`: Prometheus' HTTP API over the metrics room. Here: remote write 1.0, and where the rest lies.

Forms and codes are Prometheus' own (web/api/v1/api.go; Remote-Write 1.0 specification), so that its clients
(Grafana, promtool, Prometheus itself as a sender and a reader) need nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from weatherglass.gateway import prometheus_query, prometheus_read, prometheus_series, prometheus_status
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.errors import WrongType
from weatherglass.gateway.limits import body_of

PREFIX = "/prometheus/api/v1"


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
    return [
        Route(f"{PREFIX}/write", RemoteWrite(context), methods=["POST"]),
        *prometheus_query.routes(context, PREFIX),
        *prometheus_series.routes(context, PREFIX),
        *prometheus_read.routes(context, PREFIX),
        *prometheus_status.routes(context, PREFIX),
    ]
