"""The served API with Prometheus' own programs: promtool asks it, Debian's Prometheus writes to it and reads from it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import cramjam
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.protobuf import request

from peers import program
from promql import peer
from weatherglass.base.errors import Invalid, TooLarge
from weatherglass.gateway.prometheus_read import _message, _string, native, queries, samples
from weatherglass.metrics.histogram import CUSTOM, Histogram, side

SNAPPY = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
NOW_S = 1_700_000_000


class Server:
    """`weatherglass metrics serve` on a free port."""

    def __init__(self, state, *more):
        words = ["metrics", "serve", "--state", str(state), "--port", "0", "--no-auth", "--bare", *more]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "weatherglass.cli.main", *words], stdout=subprocess.PIPE, text=True
        )
        said = self.process.stdout.readline()
        self.url = re.fullmatch(r"READY (http://\S+)\n", said)[1] + "/prometheus"
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", trust_env=False, timeout=20)

    def stop(self):
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0

    def write(self, body):
        answer = self.http.post("/write", content=bytes(cramjam.snappy.compress_raw(body)), headers=SNAPPY)
        assert answer.status_code in (200, 204), answer.text

    def ask(self, path, **fields):
        answer = self.http.get(path, params=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = Server(tmp_path_factory.mktemp("served"), "--promql-experimental")
    series = [
        ((("__name__", "up"), ("instance", f"h{k}"), ("job", "x")), [((NOW_S + 15 * i) * 1000, float(i * (k + 1))) for i in range(40)])
        for k in range(3)
    ]  # fmt: skip
    series.append(((("__name__", "a.metric"), ("my.label", "ü")), [(NOW_S * 1000, 1.5)]))
    series.append(((("__name__", "early"),), [(0, 1.0), (-60_000, 2.0)]))
    one.write(request(series))
    yield one
    one.stop()


def native_request(name, samples):
    """A WriteRequest of one series of histograms: [(ms, Histogram)]."""
    parts = [_message(1, _string(1, "__name__") + _string(2, name))]
    parts += [_message(4, native(one, at)) for at, one in samples]
    return _message(1, b"".join(parts))


def promtool(server, *words):
    done = subprocess.run(
        [program("promtool"), "query", *words], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_promtool_asks(server):
    url, at = server.url, f"--time={NOW_S + 60}"
    assert promtool(server, "instant", at, url, "sum(up)").startswith("{} => 24 @")
    told = promtool(server, "range", f"--start={NOW_S}", f"--end={NOW_S + 60}", "--step=30s", url, "max(up)")
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["0", "6", "12"]
    assert promtool(server, "labels", f"--start={NOW_S}", f"--end={NOW_S + 60}", url, "instance").split() == [
        "h0",
        "h1",
        "h2",
    ]
    assert 'instance="h2"' in promtool(
        server, "series", f"--start={NOW_S}", f"--end={NOW_S + 60}", "--match=up", url
    )


def test_times_before_the_epoch(server):
    assert server.ask("/query", query="early", time="-30")["result"][0]["value"] == [-30, "2"]
    assert server.ask("/query", query="early", time="0")["result"][0]["value"] == [0, "1"]


def test_names_of_any_letters(server):
    assert server.ask("/label/U__my_2e_label/values") == ["ü"]
    found = server.ask("/query", query='{"a.metric", "my.label"="ü"}', time=str(NOW_S))["result"]
    assert found[0]["metric"] == {"__name__": "a.metric", "my.label": "ü"}


def test_what_can_be_read_but_not_answered_is_422(server):
    bad = server.http.get("/query", params={"query": "up + on(job) up", "time": str(NOW_S)})
    assert (bad.status_code, bad.json()["errorType"]) == (422, "execution")
    assert "many-to-many matching not allowed" in bad.json()["error"]
    bad = server.http.get("/query", params={"query": "sum(up"})
    assert (bad.status_code, bad.json()["errorType"]) == (400, "bad_data")
    assert bad.json()["error"].startswith('invalid parameter "query": 1:7: parse error: ')
    slow = server.http.get("/query", params={"query": "up", "timeout": "0s"})
    assert (slow.status_code, slow.json()["errorType"]) == (503, "timeout")


def test_lookback_limit_stats_and_plan(server):
    at = str(NOW_S + 700)
    assert len(server.ask("/query", query="up", time=at)["result"]) == 3
    assert not server.ask("/query", query="up", time=at, lookback_delta="1m")["result"]
    cut = server.http.get("/query", params={"query": "up", "time": at, "limit": "1", "stats": "all"}).json()
    assert len(cut["data"]["result"]) == 1 and cut["warnings"] == ["results truncated due to limit"]
    assert cut["data"]["stats"]["samples"]["totalQueryableSamples"] == 3
    plan = server.ask("/explain", query="sum(rate(up[1m]))", start=str(NOW_S), end=at, step="60")
    assert plan["plan"][0]["inner"][0]["expr"] == "rate(up[1m])" and plan["samples"] > 0


def test_answers_are_packed_for_who_can_unpack(server):
    fields = {"query": "up", "start": str(NOW_S), "end": str(NOW_S + 600), "step": "1"}
    packed = server.http.get("/query_range", params=fields, headers={"Accept-Encoding": "gzip"})
    plain = server.http.get("/query_range", params=fields, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and packed.json() == plain.json()


def test_the_language_is_laid_out_and_taken_apart(server):
    assert server.ask("/format_query", query="sum(up)by(job)") == "sum by (job) (up)"
    tree = server.ask("/parse_query", query="up{job='x'}[5m] offset 1m")
    assert (tree["type"], tree["range"], tree["offset"]) == ("matrixSelector", 300_000, 60_000)


def test_status_and_empty_rooms(server):
    assert server.ask("/status/tsdb")["headStats"]["numSeries"] >= 5
    assert server.ask("/targets")["activeTargets"] == [] and server.ask("/rules") == {"groups": []}
    assert server.ask("/query_exemplars", query="up", start="0", end="1") == []
    for path in ("buildinfo", "runtimeinfo", "config", "flags", "walreplay"):
        assert server.ask(f"/status/{path}")


def test_series_are_deleted_by_who_may(server):
    server.write(request([((("__name__", "doomed"),), [(NOW_S * 1000, 1.0)])]))
    assert server.http.post("/admin/tsdb/delete_series", params={"match[]": "doomed"}).status_code == 204
    assert not server.ask("/query", query="doomed", time=str(NOW_S))["result"]
    assert server.http.post("/admin/tsdb/clean_tombstones").status_code == 204
    made = server.http.post("/admin/tsdb/snapshot").json()
    assert made["status"] == "success" and made["data"]["name"]


def test_federation_tells_the_last_samples():
    from weatherglass.gateway.prometheus_series import exposition

    lines = {"b": ['b{x="1"} 2 5\n'], "a": ["a 1 5\n"]}
    assert (
        exposition(lines, {"a": {"type": "counter"}})
        == b'# TYPE a counter\na 1 5\n# TYPE b untyped\nb{x="1"} 2 5\n'
    )


def test_native_histograms_are_written_and_asked_for(server):
    def custom(k):
        return Histogram(
            CUSTOM, count=4.0 * k, sum=6.0 * k, positive=side([0, 1], [3 * k, k]), custom_values=(1.0, 2.0)
        )

    at = [((NOW_S + 15 * k) * 1000, custom(k)) for k in range(8)]
    server.write(native_request("native_seconds", at))
    [found] = server.ask("/query", query="native_seconds", time=str(NOW_S + 15))["result"]
    assert found["histogram"] == [
        NOW_S + 15,
        {"count": "4", "sum": "6", "buckets": [[3, "-Inf", "1", "3"], [0, "1", "2", "1"]]},
    ]
    [share] = server.ask(
        "/query", query="histogram_fraction(1, 2, rate(native_seconds[1m]))", time=str(NOW_S + 105)
    )["result"]
    assert float(share["value"][1]) == pytest.approx(0.25)
    ranged = server.ask(
        "/query_range", query="native_seconds", start=str(NOW_S), end=str(NOW_S + 30), step="15"
    )
    assert len(ranged["result"][0]["histograms"]) == 3


def test_instants_far_off_are_encoded_too():
    import numpy as np

    times, values = np.array([-5, 0, 1 << 50]), np.array([1.0, 2.0, 3.0])
    assert len(samples(times, values)) == sum(2 + 9 + 1 + n for n in (10, 1, 8))
    query = _message(3, _string(2, "__name__") + _string(3, "up"))
    [(start, end, matchers)] = queries(bytes(cramjam.snappy.compress_raw(_message(1, query))))
    assert (start, end) == (0, 0) and matchers[0].value == "up"


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_read_request_or_refused(body, packed):
    try:
        for start, end, matchers in queries(bytes(cramjam.snappy.compress_raw(body)) if packed else body):
            assert abs(start) < 1 << 64 and abs(end) < 1 << 64 and isinstance(matchers, list)
    except (Invalid, TooLarge) as why:
        assert str(why)


def test_prometheus_writes_to_us_and_reads_from_us(server, tmp_path):
    """It scrapes itself and sends that; what it lacks it reads from here."""
    program("prometheus")
    address = peer.free_address()
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "itself", "static_configs": [{"targets": [address]}]}],
        "remote_write": [{"url": f"{server.url}/api/v1/write"}],
        "remote_read": [{"url": f"{server.url}/api/v1/read", "read_recent": True}],
    }
    one = peer.Prometheus(tmp_path, json.dumps(config), address)
    try:
        one.wait()
        asked = {"query": "sum(up{job='x'})", "time": str(NOW_S + 60)}
        read = one.http.get("/api/v1/query", params=asked).json()
        assert read["data"]["result"][0]["value"][1] == "24"
        until, found = time.monotonic() + 20, []
        while time.monotonic() < until and not found:
            time.sleep(0.2)
            found = server.ask("/query", query="up{job='itself'}")["result"]
        assert found[0]["value"][1] == "1"
    finally:
        one.stop()
