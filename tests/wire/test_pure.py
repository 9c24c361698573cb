"""The pure middle: dates, names, fields, and that no body of any kind does worse than be refused."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import WeatherglassError
from weatherglass.gateway.elastic import aggregations, dates, fields, hits, names, query, sorting
from weatherglass.gateway.elastic.aggregations import Reading
from weatherglass.gateway.elastic.aggregations.reading import KINDS as AGGREGATIONS
from weatherglass.gateway.elastic.asking import filtered
from weatherglass.gateway.elastic.faults import Fault
from weatherglass.gateway.elastic.fields import HOUSE, Field
from weatherglass.gateway.elastic.leaves import Scope, least
from weatherglass.gateway.elastic.names import Lenience
from weatherglass.gateway.elastic.query import KINDS
from weatherglass.gateway.elastic.serving import unpacked
from weatherglass.gateway.elastic.writing import read_bulk
from weatherglass.gateway.loki import logql, wire
from weatherglass.gateway.otlp_logs import logs, read, spans
from weatherglass.logs import filter as ask

NOW = dates.ms_of(datetime(2026, 11, 22, 14, 2, 11, 500_000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "up", "expected"),
    [
        ("now", False, "2026-11-22T14:02:11.500Z"),
        ("now-1h", False, "2026-11-22T13:02:11.500Z"),
        ("now/d", False, "2026-11-22T00:00:00.000Z"),
        ("now/d", True, "2026-11-22T23:59:59.999Z"),
        ("now-1M/M", True, "2026-10-31T23:59:59.999Z"),
        ("now/w", False, "2026-11-16T00:00:00.000Z"),
        ("now+1y-2d/h", False, "2027-11-20T14:00:00.000Z"),
        ("2026-01-31||+1M", False, "2026-02-28T00:00:00.000Z"),
        ("2026-02", True, "2026-02-28T23:59:59.999Z"),
        ("2026", False, "2026-01-01T00:00:00.000Z"),
        ("2026-02-03T04:05:06", True, "2026-02-03T04:05:06.999Z"),
        ("2026-02-03T04:05:06.7+02:00", False, "2026-02-03T02:05:06.700Z"),
        ("1795341600000", False, "2026-11-22T10:00:00.000Z"),
    ],
)
def test_date_math(text: str, up: bool, expected: str) -> None:
    assert dates.write(dates.instant(text, NOW, up=up)) == expected


def test_dates_in_zones_and_formats() -> None:
    berlin = dates.zone("Europe/Berlin")
    midnight = dates.instant("2026-07-01||/d", NOW, tz=berlin)
    assert dates.write(midnight) == "2026-06-30T22:00:00.000Z"
    assert dates.write(midnight, tz=berlin) == "2026-07-01T00:00:00.000+02:00"
    assert (
        dates.write(dates.read("22/Nov/2026:10:00:00 +0100", "dd/MMM/yyyy:HH:mm:ss Z"), "epoch_second")
        == "1795338000"
    )
    assert dates.write(NOW, "yyyy.MM.dd'T'HH") == "2026.11.22T14"
    assert dates.read("1795341600", "epoch_second") == 1_795_341_600_000
    for wrong in ("", "tomorrow", "2026-13-01", "2026-02-30", "now-", "now/x", "nowish", "2026-01-01||+1q"):
        with pytest.raises(Fault):
            dates.instant(wrong, NOW)


@given(
    st.integers(-62_000_000_000_000, 250_000_000_000_000),
    st.sampled_from(["", "epoch_millis", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"]),
)
def test_what_is_written_is_read(ms: int, format: str) -> None:
    if ms >= 0 or format == "epoch_millis":
        assert dates.read(dates.write(ms, format), format or dates.DEFAULT) == ms


@pytest.mark.parametrize(
    ("given_", "of", "expected"),
    [
        (2, 3, 2),
        (-1, 3, 2),
        ("75%", 4, 3),
        ("-25%", 4, 3),
        ("3<90%", 3, 3),
        ("2<-25% 9<-3", 10, 7),
        ("100%", 2, 2),
        (9, 2, 2),
        ("0", 2, 0),
    ],
)
def test_minimum_should_match(given_: Any, of: int, expected: int) -> None:
    assert least(given_, of) == expected


def test_names() -> None:
    known, aliases = {"a-1", "a-2", "b", ".hid"}, {"all-a": ["a-1", "a-2"]}

    def chosen(expression: str, **params: str) -> list[str]:
        return sorted(names.resolve(expression, known, aliases, Lenience(params), NOW))

    assert chosen("") == chosen("_all") == chosen("*") == ["a-1", "a-2", "b"]
    assert chosen("a-*,-a-2") == ["a-1"] and chosen("all-a") == ["a-1", "a-2"]
    assert chosen("*", expand_wildcards="all") == [".hid", "a-1", "a-2", "b"]
    assert names.with_dates("<logs-{now/d}>", NOW) == "logs-2026.11.22"
    assert names.with_dates("<logs-{now/M{yyyy-MM}}>", NOW) == "logs-2026-11"
    for wrong in ("", "A", "_a", "a b", "a,b", "..", "a*", "x" * 300, "a:b"):
        with pytest.raises(Fault):
            names.check(wrong)


def test_fields_follow_from_documents() -> None:
    seen = fields.derive(
        {}, {"a": 1, "b": {"c": "2026-01-01", "d": [{"e": True}]}, "f.g": 1.5, "h": None, "i": []}
    )
    flat = {name: field.type for name, field in fields.flat(seen).items()}
    assert flat == {
        "a": "long",
        "b": "object",
        "b.c": "date",
        "b.d": "object",
        "b.d.e": "boolean",
        "f": "object",
        "f.g": "float",
    }
    assert fields.derive(seen, {"a": "text", "b": {"c": 1}}) is seen
    assert fields.values({"a": [{"b": 1}, {"b": [2, 3]}], "a.b": 4}, "a.b") == [4, 1, 2, 3]


def test_filter_path() -> None:
    body = {"took": 1, "hits": {"total": 2, "hits": [{"_id": "a", "_source": {"x": 1}}, {"_id": "b"}]}}
    assert filtered(body, "hits.hits._id") == {"hits": {"hits": [{"_id": "a"}, {"_id": "b"}]}}
    assert filtered(body, "**._source") == {"hits": {"hits": [{"_source": {"x": 1}}]}}
    assert filtered(body, "-hits,-took") == {}
    assert filtered(body, "h*.tot*") == {"hits": {"total": 2}}


# --- bodies of any kind ----------------------------------------------------------------------------------

SCOPE = Scope(
    {**fields.flat(HOUSE), "n": Field("long", "n"), "t": Field("text", "t"), "ok": Field("boolean", "ok")},
    NOW,
)
_NAMES = ["n", "t", "ok", "@timestamp", "level", "field", "query", "value", "gte", "lt", "size", "order", "fields", "interval",
          "fixed_interval", "ranges", "from", "to", "sources", "filters", "_id", "_index", "default_field", "missing"]  # fmt: skip
_WORDS = [
    "asc",
    "1d",
    "now-1d/d",
    "n:[1 TO",
    "a AND (b",
    '"x',
    "*",
    "a~",
    "2026",
    "-1",
    "75%",
    "true",
    "",
    "é\ud800"[:1],
    "(",
    "\\",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.sampled_from(_WORDS)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(KINDS)), JSON)
def test_any_query_is_read_or_refused(kind: str, body: Any) -> None:
    for one in ({kind: body}, {kind: {"n": body}}, {kind: {"t": {"query": body}}}, {kind: {"query": body}}):
        with contextlib.suppress(WeatherglassError):
            assert isinstance(query.read(one, SCOPE), ask.Filter)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(AGGREGATIONS)), JSON, JSON)
def test_any_aggregation_is_read_or_refused(kind: str, body: Any, more: Any) -> None:
    reading = Reading(SCOPE, lambda result, how: {})
    for options in (
        body,
        {"field": "n", "interval": body, "size": more},
        {"field": "@timestamp", "fixed_interval": "1d", "ranges": body, "order": more},
    ):
        try:
            counted = aggregations.read({"a": {kind: options}}, reading)
            json.dumps(aggregations.told(counted, {}))
        except WeatherglassError:
            pass


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_part_of_a_search_is_read_or_refused(body: Any) -> None:
    for read_part in (
        lambda: sorting.read_sort(body, SCOPE),
        lambda: sorting.after_of(body, (sorting.Key("n", "n", False, "long"),)),
        lambda: hits.Sources(body).of({"a": {"b": 1}}),
        lambda: hits.wanted_fields(body, "fields"),
        lambda: (
            hits.Highlight(body, ask.Phrase("n", "x"), SCOPE).of({"n": "x"})
            if isinstance(body, dict)
            else None
        ),
        lambda: fields.check(body),
        lambda: dates.instant(body, NOW),
    ):
        with contextlib.suppress(WeatherglassError):
            read_part()


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.lists(JSON.map(lambda one: json.dumps(one).encode()), max_size=5).map(b"\n".join)
)
def test_any_bulk_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(WeatherglassError):
        read_bulk(body, "", {})


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from(["gzip", "deflate", "", "br"]),
    st.sampled_from(["application/json", "application/x-protobuf"]),
)
def test_any_push_is_read_or_refused(body: bytes, encoding: str, kind: str) -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for take in (
        lambda: unpacked(body, encoding, 1000),
        lambda: wire.from_protobuf(body),
        lambda: wire.from_json(body),
        lambda: logs(read(body, kind, ExportLogsServiceRequest), 1),
        lambda: spans(read(body, kind, ExportTraceServiceRequest), 1),
    ):
        with contextlib.suppress(WeatherglassError):
            take()


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_push_is_read_or_refused(value: Any) -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    for body in (
        {"streams": value}, {"streams": [{"stream": value, "values": [value]}]}, {"streams": [{"stream": {}, "values": [["1", "x", value]]}]},
        {"streams": [{"labels": "{}", "entries": [value]}]},
    ):  # fmt: skip
        with contextlib.suppress(WeatherglassError):
            wire.from_json(json.dumps(body).encode())
    for body in ({"resourceLogs": value}, {"resourceLogs": [{"scopeLogs": [{"logRecords": value}]}]}):
        with contextlib.suppress(WeatherglassError):
            logs(read(json.dumps(body).encode(), "application/json", ExportLogsServiceRequest), 1)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}()[]|=!~"abc,by sum rate5m\\`', max_size=40))
def test_any_logql_is_read_or_refused(text: str) -> None:
    for one in (text, f'{{a="b"}}{text}', f'sum by (a) (rate({{a="b"}}{text}[5m]))'):
        with contextlib.suppress(WeatherglassError):
            logql.read(one)
