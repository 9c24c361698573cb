"""`/prometheus/…`: Prometheus' HTTP API over the metrics room. Here: remote write 1.0 and 2.0, and where the rest lies.

Forms and codes are Prometheus' own (web/api/v1/api.go; Remote-Write 1.0 and 2.0 specifications), so that its clients
(Grafana, promtool, Prometheus itself as a sender and a reader) need nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.engine.protocols import Written
from weatherglass.gateway import prometheus_query, prometheus_read, prometheus_series, prometheus_status
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.errors import WrongType, answer
from weatherglass.gateway.limits import body_of

PREFIX = "/prometheus/api/v1"


class RemoteWrite:
    """A raw ASGI endpoint: body in, room called, counts out; nothing in between."""

    def __init__(self, context: Context) -> None:
        self._metrics, self._pool = context.rooms.metrics, context.writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        _, tenant = allowed(request, "metrics.write")
        second = check_write(request.headers)
        write = self._metrics.write2 if second else self._metrics.write
        try:
            written = await self._pool.run(write, tenant, await body_of(request), "snappy")
        except WeatherglassError as error:
            if not second:
                raise
            response = answer(error, scope["path"])
            response.headers.update(_counts(Written(0)))  # 2.0: told in every answer
            await response(scope, receive, send)
            return
        headers = {
            **_counts(written),
            "X-Weatherglass-Duplicates": str(written.duplicates),
            "X-Weatherglass-Out-Of-Order": str(written.out_of_order),
            "X-Weatherglass-Too-Old": str(written.too_old),
        }
        if written.note:
            headers["X-Weatherglass-Note"] = written.note.encode("ascii", "replace").decode()
        if second and (written.left_out or written.too_old):
            # A partial write: what is left out stays out however often it is sent (2.0 §Partial Write).
            why = [written.note] if written.note else []
            why += [f"{written.too_old} samples are older than what is kept"] if written.too_old else []
            partial = answer(
                Invalid("; ".join(why), mend="the rest of the request is stored; do not send it again"),
                scope["path"],
            )
            partial.headers.update(headers)
            await partial(scope, receive, send)
            return
        await Response(status_code=204, headers=headers)(scope, receive, send)


def _counts(written: Written) -> dict[str, str]:
    """Remote-Write 2.0 §Required Written Response Headers; a 1.0 sender passes over them."""
    name = "X-Prometheus-Remote-Write-{}-Written"
    return {
        name.format("Samples"): str(written.stored - written.histograms),
        name.format("Histograms"): str(written.histograms),
        name.format("Exemplars"): str(written.exemplars),
    }


PROTOCOLS = {"prometheus.writerequest": False, "io.prometheus.write.v2.request": True}
"""proto= of the content type → whether it is 2.0."""


def check_write(headers: Headers) -> bool:
    """Whether a request is Remote-Write 2.0 (else it is 1.0), by its headers. Raises WrongType (415)."""
    kind, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    if kind != "application/x-protobuf":
        raise WrongType(
            f"{kind or 'no type'} is not spoken here", where="Content-Type", mend="application/x-protobuf"
        )
    asked = [part.removeprefix("proto=").strip('"') for part in parameters if part.startswith("proto=")]
    if any(one not in PROTOCOLS for one in asked):
        raise WrongType(
            "only Remote-Write 1.0 and 2.0 are spoken",
            where="Content-Type",
            mend="proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request",
        )
    encoding = headers.get("content-encoding", "snappy").strip().lower()
    if encoding != "snappy":
        raise WrongType(f"{encoding} is not spoken here", where="Content-Encoding", mend="snappy")
    return bool(asked) and PROTOCOLS[asked[0]]


def routes(context: Context) -> Iterable[BaseRoute]:
    """Prometheus' API; every question by GET or by a posted form."""
    return [
        Route(f"{PREFIX}/write", RemoteWrite(context), methods=["POST"]),
        *prometheus_query.routes(context, PREFIX),
        *prometheus_series.routes(context, PREFIX),
        *prometheus_read.routes(context, PREFIX),
        *prometheus_status.routes(context, PREFIX),
    ]
