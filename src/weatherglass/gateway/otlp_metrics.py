"""`/otlp/v1/metrics`: OTLP over HTTP → the metrics room; protobuf or JSON, gzip or not.

What could not be taken is told in `partialSuccess`, the rest is stored (OTLP 1.5 §Partial Success).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.elastic.serving import unpacked
from weatherglass.gateway.limits import body_of
from weatherglass.gateway.otlp_logs import answered, read, refused

_MOST = 64 << 20


def routes(context: Context) -> Iterable[BaseRoute]:
    """OTLP's metrics."""
    rooms = context.rooms

    async def export(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            _, tenant = allowed(request, "metrics.write")
            body, encoding = await body_of(request), request.headers.get("content-encoding", "")

            def take() -> Any:
                from weatherglass.metrics.formats import otlp  # brings numpy: only who asks waits for it

                asked = read(unpacked(body, encoding, _MOST), kind, ExportMetricsServiceRequest)
                now_ms = rooms.clock.now_ns() // MS_NS
                found = otlp.received(asked, now_ms)
                rooms.metrics.receive(tenant, found, now_ms)
                return found

            found = await context.writes.run(take)
        except WeatherglassError as error:
            return refused(error, kind)
        answer = ExportMetricsServiceResponse()
        if found.rejected:
            answer.partial_success.rejected_data_points = found.rejected
            answer.partial_success.error_message = "; ".join(found.why)
        return answered(answer, kind, 200)

    return [Route("/otlp/v1/metrics", export, methods=["POST"])]
