"""opentelemetry-sdk: two services, one trace, over OTLP/HTTP; prints the trace's id."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode


def tracer(service: str) -> trace.Tracer:
    exporter = OTLPSpanExporter(
        endpoint=os.environ["URL"] + "/otlp/v1/traces",
        headers={"Authorization": "Bearer " + os.environ["TOKEN"]},
    )
    provider = TracerProvider(resource=Resource({"service.name": service, "host.name": "ctl-1"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("wire")


api, store = tracer("shop-api"), tracer("shop-store")
with api.start_as_current_span(
    "POST /orders", kind=SpanKind.SERVER, attributes={"http.status_code": 500}
) as outer:
    with store.start_as_current_span("reserve", kind=SpanKind.CLIENT) as inner:
        inner.set_status(Status(StatusCode.ERROR, "no stock"))
        inner.record_exception(ValueError("no stock of 7"))
    with store.start_as_current_span("release"):
        pass
print(format(outer.get_span_context().trace_id, "032x"))
