"""`/otlp/v1/logs`, `/otlp/v1/traces`: OTLP over HTTP → the logs room; protobuf or JSON, gzip or not.

A record's body is its line; attributes of resource, scope and record are fields beside it. A span is an event with
a duration. A record that cannot be taken is told in `partialSuccess`; the others are stored (OTLP 1.5 §Partial Success).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.elastic.serving import unpacked
from weatherglass.gateway.errors import WrongType, status_of
from weatherglass.gateway.limits import body_of, parse_json
from weatherglass.logs import documents
from weatherglass.logs.documents import Document

_MOST = 64 << 20
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_HOUSE = {"service.name": "service", "host.name": "host"}
_BYTES = ("traceId", "spanId", "parentSpanId")
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUS = {1: "ok", 2: "error"}
_MOST_DEEP = 16

# Severity numbers are in groups of four (OTLP logs data model §SeverityNumber).
_LEVELS = ("DEBUG", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Taken = tuple[list[Document], int, str]
"""(documents, how many could not be taken, why)."""


def value_of(given: Any, depth: int = 0) -> Any:
    """An AnyValue as JSON has it. Raises Invalid where it is nested too deeply."""
    if depth > _MOST_DEEP:
        raise Invalid(f"a value is nested deeper than {_MOST_DEEP}", where="value")
    kind = given.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(one, depth + 1) for one in given.array_value.values]
    if kind == "kvlist_value":
        return {one.key: value_of(one.value, depth + 1) for one in given.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(given.bytes_value).decode()
    return getattr(given, kind)


def attributes(given: Iterable[Any]) -> dict[str, Any]:
    found = ((one.key, value_of(one.value)) for one in given)
    return {name: value for name, value in found if name and value is not None}


def _labels(resource: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((label, str(resource[name])) for name, label in _HOUSE.items() if resource.get(name)))


def _time(value: int) -> int:
    return value if 0 < value < 1 << 62 else 0


def logs(request: Any, seen_ns: int) -> Taken:
    """The records of an export request as the store takes them."""
    found: list[Document] = []
    lost, why = 0, ""
    for resource_logs in request.resource_logs:
        try:
            resource = attributes(resource_logs.resource.attributes)
        except Invalid as error:
            lost, why = lost + sum(len(one.log_records) for one in resource_logs.scope_logs), error.message
            continue
        labels = _labels(resource)
        beside = {name: value for name, value in resource.items() if name not in _HOUSE}
        for scope_logs in resource_logs.scope_logs:
            scope = {"logger": scope_logs.scope.name} if scope_logs.scope.name else {}
            for record in scope_logs.log_records:
                try:
                    found.append(_record(record, labels, {**beside, **scope}, seen_ns))
                except Invalid as error:
                    lost, why = lost + 1, error.message
    return found, lost, why


def _record(record: Any, labels: Any, beside: Mapping[str, Any], seen_ns: int) -> Document:
    fields = {**beside, **attributes(record.attributes)}
    if record.severity_text:
        fields["level"] = record.severity_text
    elif 0 < record.severity_number <= 24:
        fields["level"] = _LEVELS[(record.severity_number - 1) // 4]
    for name, value in (("trace_id", record.trace_id), ("span_id", record.span_id)):
        if value:
            fields[name] = value.hex()
    if record.event_name:
        fields["event_name"] = record.event_name
    body = value_of(record.body)
    time_ns = _time(record.time_unix_nano) or _time(record.observed_time_unix_nano)
    if isinstance(body, Mapping):
        return Document(json.dumps(body, ensure_ascii=False), seen_ns, time_ns, labels, fields)
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body, ensure_ascii=False)
    return Document(text, seen_ns, time_ns, labels, fields, form=documents.LINE)


def spans(request: Any, seen_ns: int) -> Taken:
    """The spans of an export request as events with a duration."""
    found: list[Document] = []
    lost, why = 0, ""
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                try:
                    resource = attributes(resource_spans.resource.attributes)
                    found.append(_span(span, resource, scope_spans.scope.name, seen_ns))
                except Invalid as error:
                    lost, why = lost + 1, error.message
    return found, lost, why


def _span(span: Any, resource: Mapping[str, Any], scope: str, seen_ns: int) -> Document:
    if len(span.trace_id) != 16 or len(span.span_id) != 8:
        raise Invalid("a span has a trace id of 16 bytes and a span id of 8", where="span_id")
    own: dict[str, Any] = {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex(),
        "span_name": span.name,
        "kind": _KINDS.get(span.kind, ""),
        "status": _STATUS.get(span.status.code, ""),
    }
    fields = {name: value for name, value in own.items() if value}
    fields["duration_ns"] = max(0, min(span.end_time_unix_nano - span.start_time_unix_nano, (1 << 62) - 1))
    if span.status.code == 2:
        fields["level"] = "ERROR"
    if scope:
        fields["logger"] = scope
    beside = {name: value for name, value in resource.items() if name not in _HOUSE}
    told = {
        **fields,
        "message": span.status.message or span.name,
        "attributes": {**beside, **attributes(span.attributes)},
        "events": [
            {"time_ns": one.time_unix_nano, "name": one.name, **attributes(one.attributes)}
            for one in span.events
        ],
    }
    text = json.dumps(
        {name: value for name, value in told.items() if value not in ({}, [])}, ensure_ascii=False
    )
    return Document(
        text, seen_ns, _time(span.start_time_unix_nano), _labels(resource), fields, form=documents.SPAN_FORM
    )


def read(body: bytes, kind: str, made: Any) -> Any:
    """The request of a body's bytes. Raises Invalid, WrongType."""
    message = made()
    if kind == _PROTOBUF:
        try:
            message.ParseFromString(body)
        except DecodeError as error:
            raise Invalid(f"the body is no export request: {error}", where="body") from None
        return message
    if kind != _JSON:
        raise WrongType(f"{kind or 'no type'} is not spoken here", where="Content-Type", mend=_PROTOBUF)
    try:
        json_format.ParseDict(_hex_ids(parse_json(body)), message, ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise Invalid(f"the body is no export request: {str(error)[:200]}", where="body") from None
    return message


def _hex_ids(value: Any) -> Any:
    """OTLP's JSON writes ids in hex where protobuf's own has base64 (OTLP 1.5 §JSON Protobuf Encoding)."""
    if isinstance(value, list):
        return [_hex_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, one in value.items():
        plain = {"trace_id": "traceId", "span_id": "spanId", "parent_span_id": "parentSpanId"}.get(name, name)
        if plain in _BYTES and isinstance(one, str):
            try:
                made[plain] = base64.b64encode(bytes.fromhex(one)).decode()
            except ValueError:
                raise Invalid(f"{one[:40]!r} is no id in hex", where=name) from None
        else:
            made[name] = _hex_ids(one)
    return made


def routes(context: Context) -> Iterable[BaseRoute]:
    """OTLP's logs and traces."""
    rooms = context.rooms

    def service(request_of: Any, response_of: Any, taken: Callable[[Any, int], Taken], what: str) -> Any:
        async def export(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            try:
                _, tenant = allowed(request, "logs.write")
                body, encoding = await body_of(request), request.headers.get("content-encoding", "")

                def take() -> tuple[int, str]:
                    asked = read(unpacked(body, encoding, _MOST), kind, request_of)
                    found, lost, why = taken(asked, rooms.clock.now_ns())
                    if found:
                        rooms.logs.write_documents(tenant, found)
                    return lost, why

                lost, why = await context.writes.run(take)
            except WeatherglassError as error:
                return refused(error, kind)
            answer = response_of()
            if lost:
                setattr(answer.partial_success, f"rejected_{what}", lost)
                answer.partial_success.error_message = why
            return answered(answer, kind, 200)

        return export

    return [
        Route(
            "/otlp/v1/logs",
            service(ExportLogsServiceRequest, ExportLogsServiceResponse, logs, "log_records"),
            methods=["POST"],
        ),
        Route(
            "/otlp/v1/traces",
            service(ExportTraceServiceRequest, ExportTraceServiceResponse, spans, "spans"),
            methods=["POST"],
        ),
    ]


def answered(message: Any, kind: str, status: int) -> Response:
    """A message in the form that was spoken."""
    if kind == _PROTOBUF:
        return Response(message.SerializeToString(), status, media_type=_PROTOBUF)
    return Response(json_format.MessageToJson(message, indent=None), status, media_type=_JSON)


def refused(error: WeatherglassError, kind: str) -> Response:
    """google.rpc.Status; a sender tries again on 429 and 503 alone (OTLP 1.5 §Failures)."""
    status = status_of(error)
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    if kind == _PROTOBUF:
        text = error.message.encode()[:1000]
        # message Status { int32 code = 1; string message = 2; }
        body = b"\x12" + _varint(len(text)) + text
        return Response(body, status, headers, media_type=_PROTOBUF)
    return Response(json.dumps({"message": error.message}), status, headers, media_type=_JSON)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
