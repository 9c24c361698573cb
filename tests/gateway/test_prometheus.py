"""Prometheus' API: forms, codes, tenants; the room behind is a fake."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fakes import Broken, result
from weatherglass.base.errors import Corrupt, Invalid, LimitExceeded, Unavailable, WeatherglassError
from weatherglass.gateway import prometheus_json as form
from weatherglass.gateway.limits import Bound

PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
API = "/prometheus/api/v1"


def test_a_write_reaches_the_tenants_partition_and_tells_the_counts(http: Any) -> None:
    answer = http("POST", f"{API}/write", "member", content=b"snappy body", headers=PROTOBUF)
    assert answer.status_code == 204
    assert http.rooms.metrics.written == [("genomics", b"snappy body")]
    assert answer.headers["x-prometheus-remote-write-samples-written"] == "3"
    assert answer.headers["x-weatherglass-duplicates"] == "1"
    chosen = PROTOBUF | {"X-Weatherglass-Tenant": "genomics"}
    assert http("POST", f"{API}/write", "agent", content=b"snappy", headers=chosen).status_code == 204
    assert [tenant for tenant, _ in http.rooms.metrics.written] == ["genomics", "genomics"]
    assert (
        http(
            "POST",
            f"{API}/write",
            "member",
            content=b"snappy",
            headers=PROTOBUF | {"X-Weatherglass-Tenant": "site"},
        ).status_code
        == 403
    )
    assert http("POST", f"{API}/write", "viewer", content=b"snappy", headers=PROTOBUF).status_code == 403


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"snappy", 415),
        ({}, b"snappy", 415),
        (PROTOBUF | {"Content-Encoding": "gzip"}, b"snappy", 415),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, b"snappy", 204),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}, b"snappy", 415),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, b"cut", 400),
        ({"Content-Type": "application/x-protobuf;proto=prometheus.WriteRequest"}, b"snappy", 204),
        (PROTOBUF, b"", 400),
        (PROTOBUF, b"truncated", 400),
        (PROTOBUF, b"snappy bomb", 413),
    ],
)
def test_a_write_that_is_none_is_refused(
    http: Any, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = http("POST", f"{API}/write", content=body, headers=headers)
    assert answer.status_code == status
    if status != 204:
        assert answer.json()["status"] == "error" and answer.json()["errorType"] == "bad_data"
        assert http.rooms.metrics.written == []


def test_a_partial_write_of_2_0_is_refused_and_says_what_was_written(http: Any) -> None:
    second = PROTOBUF | {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
    answer = http("POST", f"{API}/write", content=b"snappy partial", headers=second)
    counts = {
        name: answer.headers[f"x-prometheus-remote-write-{name}-written"]
        for name in ("samples", "histograms", "exemplars")
    }
    assert answer.status_code == 400 and "without a name" in answer.json()["error"]
    assert counts == {"samples": "2", "histograms": "1", "exemplars": "2"}
    answer = http("POST", f"{API}/write", content=b"cut", headers=second)
    assert answer.status_code == 400 and answer.headers["x-prometheus-remote-write-samples-written"] == "0"


def test_a_body_over_its_bound_is_refused_before_it_is_read(
    http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = "weatherglass.gateway.limits.BOUNDS"
    monkeypatch.setattr(bound, [Bound("/prometheus/", 100, 5)])
    assert http("POST", f"{API}/write", content=b"snappy" * 20, headers=PROTOBUF).status_code == 413

    def chunks() -> Any:  # no declared length
        yield from [b"snappy"] * 20

    answer = http("POST", f"{API}/write", content=chunks(), headers=PROTOBUF)
    assert answer.status_code == 413 and answer.json()["status"] == "error"
    assert http.rooms.metrics.written == []


def test_an_answer_that_takes_too_long_is_given_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def query(self, *_: Any) -> None:
            time.sleep(0.6)

    monkeypatch.setattr("weatherglass.gateway.limits.BOUNDS", [Bound("/prometheus/", 1000, 0.1)])
    begin = time.monotonic()
    answer = serve(metrics=Slow())("GET", f"{API}/query", params={"query": "up"})
    assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")
    assert time.monotonic() - begin < 0.6


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Invalid("many-to-many matching", where="1:3"), 422, "execution"),
        (LimitExceeded("too many series"), 422, "execution"),
        (Unavailable("disk full"), 503, "unavailable"),
        (Corrupt("block 3"), 500, "internal"),
        (WeatherglassError("other"), 500, "internal"),
        (RuntimeError("secret inside"), 500, "internal"),
    ],
)
def test_a_rooms_error_is_told_in_prometheus_form(
    serve: Any, error: Exception, status: int, kind: str
) -> None:
    http = serve(metrics=Broken(error))
    answer = http("GET", f"{API}/query", params={"query": "up"})
    assert (answer.status_code, answer.json()["errorType"]) == (status, kind)
    assert "secret inside" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_questions_by_get_and_by_form(http: Any, method: str) -> None:
    def ask(path: str, **fields: Any) -> Any:
        return http(method, f"{API}/{path}", "member", **{"params" if method == "GET" else "data": fields})

    assert ask("query", query="up", time="1435781451.781").json() == {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [{"metric": {"__name__": "up"}, "value": [1435781451.781, "1"]}],
        },
    }
    assert http.rooms.metrics.asked[-1] == ("genomics", "up", 1435781451781)
    ask("query_range", query="up", start="2015-07-01T20:10:30Z", end="1435781460", step="15s")
    assert http.rooms.metrics.asked[-1] == ("genomics", "up", 1435781430000, 1435781460000, 15000)
    assert ask("series", **{"match[]": 'up{job="x"}'}).json()["data"] == [{"__name__": "up", "job": "x"}]
    [[matcher, other]] = http.rooms.metrics.asked[-1][1]
    assert {matcher.name, other.name} == {"__name__", "job"}
    assert ask("labels").json()["data"] == ["__name__", "job"]
    assert ask("labels", limit="1").json()["data"] == ["__name__"]


def test_questions_by_get_alone(http: Any) -> None:
    assert http("GET", f"{API}/label/job/values").json()["data"] == ["x", "y"]
    assert http("GET", f"{API}/metadata").json()["data"]["up"] == [
        {"type": "gauge", "help": "Whether it is up.", "unit": ""}
    ]
    assert http("GET", f"{API}/metadata", params={"metric": "other"}).json()["data"] == {}
    told = http("GET", f"{API}/status/buildinfo").json()["data"]
    assert "features" not in told and told["version"]
    assert http("POST", f"{API}/metadata").status_code == 405  # Grafana then asks by GET


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("query", {}),
        ("query", {"query": " "}),
        ("query", {"query": "up", "time": "soon"}),
        ("query", {"query": "up", "time": "NaN"}),
        ("query", {"query": "up", "time": "1e300"}),
        ("query_range", {"query": "up", "start": "0", "end": "10"}),
        ("query_range", {"query": "up", "start": "10", "end": "0", "step": "1"}),
        ("query_range", {"query": "up", "start": "0", "end": "10", "step": "0"}),
        ("query_range", {"query": "up", "start": "0", "end": "10", "step": "-1"}),
        ("query_range", {"query": "up", "start": "0", "end": "10", "step": "x"}),
        ("query_range", {"query": "up", "start": "0", "end": "1000000", "step": "1"}),
        ("series", {}),
        ("series", {"match[]": "up{"}),
        ("series", {"match[]": "rate(up[5m])"}),
        ("series", {"match[]": "up[5m]"}),
        ("labels", {"limit": "-1"}),
        ("labels", {"start": "9", "end": "1"}),
        ("label/U__/values", {}),
        ("label/U__a_d800_/values", {}),
    ],
)
def test_what_cannot_be_asked_is_bad_data(http: Any, path: str, fields: dict[str, str]) -> None:
    answer = http("GET", f"{API}/{path}", params=fields)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    assert http.rooms.metrics.asked == []


def test_a_range_has_each_present_cell_and_no_other() -> None:
    nan, inf = math.nan, math.inf
    found = result(
        "matrix",
        [(("a", 'q"uote'),), (("b", "é"),), (("c", "none"),)],
        [0, 1500, -2000],
        [[1.5, nan, inf], [-inf, 0.0, 1e-7], [1, 2, 3]],
        [[1, 1, 1], [0, 1, 1], [0, 0, 0]],
    )
    assert json.loads(form.result(found))["data"] == {
        "resultType": "matrix",
        "result": [
            {"metric": {"a": 'q"uote'}, "values": [[0, "1.5"], [1.5, "NaN"], [-2, "+Inf"]]},
            {"metric": {"b": "é"}, "values": [[1.5, "0"], [-2, "0.0000001"]]},
        ],
    }


def test_scalars_strings_and_warnings() -> None:
    scalar = form.result(result("scalar", [()], [1000], [[2.5]]))
    assert json.loads(scalar)["data"] == {"resultType": "scalar", "result": [1, "2.5"]}
    found = result("string", [], [1000], np.empty((0, 1)))
    text = type(found)(
        **{name: getattr(found, name) for name in ("type", "series", "times_ms", "values", "present")},
        text='a"b',
        warnings=["w"],
    )
    answer = json.loads(form.result(text))
    assert answer["data"] == {"resultType": "string", "result": [1, 'a"b']} and answer["warnings"] == ["w"]


@given(st.floats())
def test_a_number_reads_back_as_it_was_and_has_no_exponent(value: float) -> None:
    text = form.number(value)
    assert "e" not in text
    assert math.isnan(float(text)) if math.isnan(value) else float(text) == value


@given(st.lists(st.tuples(st.floats(), st.booleans()), min_size=1, max_size=8))
def test_cells_are_the_numbers_of_what_is_present(drawn: list[tuple[float, bool]]) -> None:
    found = result(
        "matrix",
        [()],
        list(range(0, 1000 * len(drawn), 1000)),
        [[v for v, _ in drawn]],
        [[p for _, p in drawn]],
    )
    wanted = [[k, form.number(value)] for k, (value, there) in enumerate(drawn) if there]
    data = json.loads(form.result(found))["data"]["result"]
    assert data == ([{"metric": {}, "values": wanted}] if wanted else [])


@given(st.integers(-(10**15), 10**15))
def test_seconds_read_back_to_the_millisecond(ms: int) -> None:
    assert round(float(form.seconds(ms)) * 1000) == ms
