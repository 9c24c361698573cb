"""Loki's and OTLP's ways in, and LogQL's way out; the bodies made by the protocols' own messages."""

from __future__ import annotations

import gzip
import json

import cramjam
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from weatherglass.base.errors import Invalid
from weatherglass.gateway.loki import logql
from weatherglass.gateway.loki.wire import PUSH, from_protobuf
from wire.conftest import Wire

AT = 1_795_341_600_000_000_000  # 2026-11-22T10:00:00Z
PROTOBUF = {"content-type": "application/x-protobuf"}


def pushed(wire: Wire, streams: list[tuple[str, list[tuple[int, str, dict[str, str]]]]]) -> None:
    push = PUSH()
    for labels, entries in streams:
        stream = push.streams.add(labels=labels)
        for time_ns, line, metadata in entries:
            entry = stream.entries.add(line=line.encode())
            entry.timestamp.seconds, entry.timestamp.nanos = divmod(time_ns, 1_000_000_000)
            for name, value in metadata.items():
                entry.metadata.add(name=name, value=value)
    body = bytes(cramjam.snappy.compress_raw(push.SerializeToString()))
    answer = wire.http.post("/loki/api/v1/push", content=body, headers=PROTOBUF)
    assert answer.status_code == 204, answer.text


def ask(wire: Wire, query: str, path: str = "query_range", **more: str) -> list[dict[str, object]]:
    span = {"start": str(AT - 10**9), "end": str(AT + 600 * 10**9), **more}
    answer = wire.http.get(f"/loki/api/v1/{path}", params={"query": query, **span})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["result"])


def test_loki(wire: Wire) -> None:
    lines = [
        (AT + n * 60 * 10**9, f"line {n} of {'x' if n % 2 else 'y'}", {"trace_id": f"t{n}"}) for n in range(6)
    ]
    pushed(
        wire,
        [
            ('{app="shop", zone="a", quoted="with \\"quotes\\""}', lines[:4]),
            ('{app="shop", zone="b"}', lines[4:]),
        ],
    )
    body = {
        "streams": [
            {
                "stream": {"app": "json"},
                "values": [[str(AT), '{"status": 500, "path": "/x"}'], [str(AT + 1), '{"status": 200}']],
            }
        ]
    }
    assert wire.http.post("/loki/api/v1/push", json=body).status_code == 204

    found = ask(wire, '{app="shop"} |= "of x"')
    assert sorted(value[1] for stream in found for value in stream["values"]) == [
        "line 1 of x",
        "line 3 of x",
        "line 5 of x",
    ]  # type: ignore[attr-defined]
    (stream,) = ask(wire, '{app="shop", zone!="b"} != "of x" !~ "line [2-9]"')
    assert stream["values"] == [[str(AT), "line 0 of y"]]
    assert stream["stream"]["quoted"] == 'with "quotes"'  # type: ignore[index]
    (stream,) = ask(wire, '{app=~"js.*"} | json | status >= 400')
    assert stream["values"][0][1] == '{"status": 500, "path": "/x"}'  # type: ignore[index]
    (one,) = ask(wire, 'sum(count_over_time({app="shop"}[2m]))', step="120")
    assert [value for _, value in one["values"]] == ["2", "2", "2"]  # type: ignore[attr-defined]
    by = {
        one["metric"]["zone"]: one["value"][1]
        for one in ask(
            wire, 'sum by (zone) (count_over_time({app="shop"}[10m]))', "query", time=str(AT + 600 * 10**9)
        )
    }  # type: ignore[index]
    assert by == {"a": "4", "b": "2"}
    params = {"start": str(AT), "end": str(AT + 600 * 10**9)}
    assert {"app", "zone", "service"} <= set(
        wire.http.get("/loki/api/v1/labels", params=params).json()["data"]
    )
    assert wire.http.get("/loki/api/v1/label/zone/values", params=params).json()["data"] == ["a", "b"]
    series = wire.http.get("/loki/api/v1/series", params={**params, "match[]": '{zone="b"}'}).json()["data"]
    assert [one["app"] for one in series] == ["shop"]
    assert (
        wire.search("weatherglass-shop", {"query": {"term": {"trace_id": "t3"}}})["hits"]["total"]["value"]
        == 1
    )


@pytest.mark.parametrize(
    "text",
    ["", "{", "up", '{a="b"} | line_format "x"', '{a=~"("}', 'topk(3, rate({a="b"}[5m]))', 'rate({a="b"})'],
)
def test_logql_that_is_not_spoken_says_so(text: str) -> None:
    with pytest.raises(Invalid):
        logql.read(text)


def test_loki_refuses_what_is_none(wire: Wire) -> None:
    for body in (b"", b"\xff\xff\xff\xff\x7f", b"snappy"):
        with pytest.raises(Invalid):
            from_protobuf(body)
    assert wire.http.post("/loki/api/v1/push", content=b"\x05xx", headers=PROTOBUF).status_code == 400
    assert (
        wire.http.post(
            "/loki/api/v1/push", json={"streams": [{"stream": {}, "values": [["x", "y"]]}]}
        ).status_code
        == 400
    )


LOGS = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "otshop"}}, {"key": "host.name", "value": {"stringValue": "c1"}}]},
            "scopeLogs": [
                {
                    "scope": {"name": "shop.cart"},
                    "logRecords": [
                        {"timeUnixNano": str(AT), "severityNumber": 17, "body": {"stringValue": "cart is gone"},
                         "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
                         "attributes": [{"key": "items", "value": {"intValue": "3"}}]},
                        {"timeUnixNano": str(AT + 1), "severityText": "info",
                         "body": {"kvlistValue": {"values": [{"key": "message", "value": {"stringValue": "by key"}}]}}},
                    ],
                }
            ],
        }
    ]
}  # fmt: skip


def test_otlp_logs(wire: Wire) -> None:
    answer = wire.http.post(
        "/otlp/v1/logs",
        content=gzip.compress(json.dumps(LOGS).encode()),
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )
    assert answer.status_code == 200 and answer.json() == {}
    found = wire.sources("weatherglass-otshop")
    assert [one["message"] for one in found] == ["cart is gone", "by key"]
    assert [one["level"] for one in found] == ["ERROR", "INFO"]
    assert found[0]["logger"] == "shop.cart" and found[0]["host"] == "c1"
    assert (
        wire.search("weatherglass-otshop", {"query": {"term": {"items": 3}}})["hits"]["total"]["value"] == 1
    )
    trace = {"term": {"trace_id": "5b8efff798038103d269b633813fc60c"}}
    assert wire.search("weatherglass-otshop", {"query": trace})["hits"]["total"]["value"] == 1
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=AT)
    record.body.string_value = "without a service"
    deep = request.resource_logs[0].scope_logs[0].log_records.add().body
    for _ in range(20):
        deep = deep.array_value.values.add()
    deep.int_value = 1
    answer = wire.http.post("/otlp/v1/logs", content=request.SerializeToString(), headers=PROTOBUF)
    told = ExportLogsServiceResponse.FromString(answer.content)
    assert answer.status_code == 200 and told.partial_success.rejected_log_records == 1
    assert [
        one["message"] for one in wire.sources("weatherglass-logs", {"match": {"message": "without"}})
    ] == ["without a service"]


def test_otlp_traces(wire: Wire) -> None:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "otspan"
    spans = resource.scope_spans.add().spans
    span = spans.add(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name="GET /cart",
        kind=2,
        start_time_unix_nano=AT,
        end_time_unix_nano=AT + 2_500_000,
    )
    span.status.code = 2
    span.attributes.add(key="http.status").value.int_value = 500
    spans.add(trace_id=b"short", span_id=b"s" * 8)
    body = gzip.compress(request.SerializeToString())
    answer = wire.http.post("/otlp/v1/traces", content=body, headers={**PROTOBUF, "content-encoding": "gzip"})
    assert ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans == 1
    (found,) = wire.sources("weatherglass-otspan")
    assert found["span_name"] == "GET /cart" and found["status"] == "error" and found["level"] == "ERROR"
    slow = {"range": {"duration_ns": {"gte": 2_000_000}}}
    assert wire.search("weatherglass-otspan", {"query": slow})["hits"]["total"]["value"] == 1
    as_json = json_format.MessageToDict(request)
    as_json["resourceSpans"][0]["scopeSpans"][0]["spans"] = [
        {
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "name": "json",
            "startTimeUnixNano": str(AT),
        }
    ]
    assert wire.http.post("/otlp/v1/traces", json=as_json).json() == {}
    assert wire.http.post("/otlp/v1/traces", content=b"\xff", headers=PROTOBUF).status_code == 400
    assert (
        wire.http.post("/otlp/v1/logs", content=b"x", headers={"content-type": "text/plain"}).status_code
        == 415
    )
