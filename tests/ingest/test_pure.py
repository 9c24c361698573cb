"""The pure middle of the ways in: OTLP's names, InfluxDB's lines, statsd's tally, exemplars, what is new."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from weatherglass.base.errors import Invalid
from weatherglass.metrics.births import Births, worst
from weatherglass.metrics.exemplars import Exemplars
from weatherglass.metrics.formats import influx, otlp, statsd
from weatherglass.metrics.formats.taken import Exemplar
from weatherglass.metrics.scrape.statsd import read_address
from weatherglass.metrics.types import STALE_BITS, Matcher


@pytest.mark.parametrize(
    ("name", "unit", "kind", "monotonic", "made"),
    [
        ("http.server.duration", "s", "histogram", False, "http_server_duration_seconds"),
        ("system.io", "By/s", "gauge", False, "system_io_bytes_per_second"),
        ("system.cpu.utilization", "1", "gauge", False, "system_cpu_utilization_ratio"),
        ("requests", "1", "sum", True, "requests_total"),
        ("requests.total", "{request}", "sum", True, "requests_total"),
        ("memory.bytes", "By", "gauge", False, "memory_bytes"),
        ("2xx", "", "sum", True, "_2xx_total"),
        ("a--b__c", "%", "gauge", False, "a_b_c_percent"),
    ],
)
def test_names_of_otlp(name: str, unit: str, kind: str, monotonic: bool, made: str) -> None:
    assert otlp.name_of(name, unit, kind, monotonic=monotonic) == made


def test_labels_of_otlp() -> None:
    assert [otlp.label_of(one) for one in ("http.code", "2xx", "_own", "__name")] == [
        "http_code", "key_2xx", "key_own", "__name",
    ]  # fmt: skip


def test_attributes_of_every_kind_become_texts() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="g")
    point = metric.gauge.data_points.add(as_double=1.0)
    point.attributes.add(key="a.b").value.double_value = 1234567.25
    point.attributes.add(key="a-b").value.int_value = 7
    point.attributes.add(key="c").value.bool_value = True
    point.attributes.add(key="d").value.array_value.values.add(string_value="x")
    point.attributes.add(key="empty").value.string_value = ""
    (series,) = otlp.received(request, 0).series
    assert dict(series) == {
        "__name__": "g", "a_b": "7;1234567.25", "c": "true", "d": '{"arrayValue": {"values": [{"stringValue": "x"}]}}',
    }  # fmt: skip


def test_a_point_without_a_value_ends_its_series() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="g")
    metric.gauge.data_points.add(flags=1)
    metric.gauge.data_points.add()
    taken = otlp.received(request, 0)
    assert np.array(taken.values).view(np.uint64).tolist() == [STALE_BITS] and taken.rejected == 1


def exponential(scale: int, counts: list[int], offset: int) -> otlp.Received:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
    metric.exponential_histogram.aggregation_temporality = 2
    point = metric.exponential_histogram.data_points.add(
        time_unix_nano=10**9, scale=scale, count=sum(counts), sum=1
    )
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    return otlp.received(request, 1000)


@given(st.integers(9, 12), st.lists(st.integers(0, 5), max_size=40), st.integers(-100, 100))
def test_a_fine_histogram_is_brought_to_schema_8(scale: int, counts: list[int], offset: int) -> None:
    ((_, _, histogram),) = exponential(scale, counts, offset).native
    assert histogram.schema == 8 and histogram.positive.count.sum() == sum(counts)
    base, fine = 2 ** (2.0**-8), 2 ** (2.0**-scale)
    for place, count in enumerate(counts):
        if count:  # its upper bound lies in the bucket that it went to
            upper = fine ** (offset + place + 1)
            index = math.ceil(round(math.log(upper, base), 6))
            assert index in histogram.positive.index.tolist()


def test_a_coarse_histogram_and_one_that_does_not_add_up_are_rejected() -> None:
    assert exponential(-5, [1], 0).rejected == 1
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
    metric.histogram.aggregation_temporality = 2
    metric.histogram.data_points.add(explicit_bounds=[1, 2], bucket_counts=[1])
    metric.histogram.data_points.add(explicit_bounds=[2, 1], bucket_counts=[1, 1, 1])
    taken = otlp.received(request, 1)
    assert taken.rejected == 2 and not taken.series and len(taken.why) == 2


@given(st.binary(max_size=200))
def test_no_request_of_otlp_breaks_it(noise: bytes) -> None:
    from google.protobuf.message import DecodeError

    request = ExportMetricsServiceRequest()
    try:
        request.ParseFromString(noise)
    except DecodeError:
        return
    taken = otlp.received(request, 0)
    assert len(taken.series) == len(taken.values)


def test_lines_as_samples() -> None:
    taken, wrong = influx.received(
        b'# told\ncpu.x,a=b use=1,ok=t,s="t" 5\nno\nm value=2', 1_000_000, {"db": "d"}
    )
    assert list(zip(taken.series, taken.times_ms, taken.values, strict=True)) == [
        ((("__name__", "cpu_x_use"), ("a", "b"), ("db", "d")), 5, 1.0),
        ((("__name__", "cpu_x_ok"), ("a", "b"), ("db", "d")), 5, 1.0),
        ((("__name__", "m"), ("db", "d")), None, 2.0),
    ]
    assert wrong == ["unable to parse line 3: not of the line protocol"]


@given(st.binary(max_size=120))
def test_no_lines_break_it(noise: bytes) -> None:
    taken, wrong = influx.received(noise, 1, {})
    assert len(taken.series) + len(wrong) <= 1000


def test_statsd_counts_grow_sets_begin_anew_and_quiet_series_end() -> None:
    tally = statsd.Tally()

    def say(text: bytes, now: int) -> dict[str, float]:
        readings, wrong = statsd.parse(text)
        assert not wrong
        for one in readings:
            tally.add(one, now)
        taken = tally.flush(now)
        return {
            dict(series)["__name__"]: value for series, value in zip(taken.series, taken.values, strict=True)
        }

    assert say(b"c:2|c\nu:a|s\nu:b|s", 0) == {"c_total": 2.0, "u": 2.0}
    assert say(b"c:3|c", 10) == {"c_total": 5.0, "u": 0.0}
    ended = say(b"g:1|g", 400_000)
    assert math.isnan(ended["c_total"]) and ended["g"] == 1.0
    assert say(b"g:+2|g", 400_010) == {"g": 3.0}


@pytest.mark.parametrize("line", [b"a,x=y:1|c", b"a;x=y:1|c", b"a:1|c|#x:y", b"a:1|c|@1|#x:y|c:container"])
def test_tags_of_statsd(line: bytes) -> None:
    ((one,), wrong) = statsd.parse(line)
    assert (one.name, one.tags, wrong) == ("a", (("x", "y"),), 0)


@given(st.binary(max_size=100))
def test_no_datagram_breaks_it(noise: bytes) -> None:
    tally = statsd.Tally()
    for one in statsd.parse(noise)[0]:
        tally.add(one, 0)
    taken = tally.flush(0)
    assert all(dict(series)["__name__"] for series in taken.series)


@pytest.mark.parametrize("text", ["8125", "tls:1", "udp:99999", "udp:x", ""])
def test_where_statsd_cannot_be(text: str) -> None:
    with pytest.raises(Invalid):
        read_address(text)


def exemplar(series: str, at: int | None, value: float = 1.0) -> Exemplar:
    return Exemplar((("__name__", series),), (("t", str(value)),), value, at)


def test_exemplars_are_bounded_and_in_order() -> None:
    kept = Exemplars(most=3)
    assert (
        kept.add(
            [exemplar("a", 1), exemplar("a", 1), exemplar("b", 1), exemplar("a", 3), exemplar("a", 2)], 0
        )
        == 3
    )
    assert kept.add([exemplar("c", None)], 9) == 1 and kept.add([exemplar("c", None)], 10) == 0
    every = kept.find([[Matcher("__name__", "=~", ".+")]], 0, 100)
    assert [(dict(series)["__name__"], [one.time_ms for one in many]) for series, many in every] == [
        ("a", [3]), ("b", [1]), ("c", [9]),
    ]  # fmt: skip
    assert len(kept) == 3
    assert kept.find([[Matcher("__name__", "=", "a")]], 4, 9) == []
    long = Exemplar((("__name__", "a"),), (("t", "x" * 200),), 1.0, 50)
    assert kept.add([long], 0) == 0


def test_what_is_new_is_forgotten_after_an_hour() -> None:
    births = Births()
    births.note([5, 6], 0.0)
    births.note([7], 30.0)
    births.note([8], 100.0)
    assert births.since(200.0) == (5, 200.0)
    assert births.since(3650.0) == (8, 3550.0)
    assert births.since(9000.0) == (-1, 0.0)


def test_the_worst_label() -> None:
    many = [(("__name__", "a"), ("id", str(n)), ("zone", str(n % 2))) for n in range(9)]
    assert worst(many) == "most of them (9) are of a, and the label id has 9 values among them"
    assert worst([(("__name__", "a"),)]) == ""
