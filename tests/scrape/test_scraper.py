"""Scraping over real HTTP: what reaches the store, what goes stale, what a bad target does, and that Prometheus agrees."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from peers import program
from scrape.exporter import Exporter, within
from scrape.test_dns import free_port
from weatherglass.base.errors import Invalid
from weatherglass.base.time import SystemClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Samples, Written
from weatherglass.engine.tables import Tables
from weatherglass.metrics import TABLES, Metrics
from weatherglass.metrics.scrape.job import configured, target
from weatherglass.metrics.scrape.scraper import Scraper
from weatherglass.metrics.types import STALE_BITS


class RecordingSink:
    """Remembers what was appended (a real store is in the test against Prometheus)."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, str], int, float]] = []
        self.lock = threading.Lock()

    def append(self, tenant: str, batch: Samples) -> Written:
        with self.lock:
            for labels, times, values in zip(batch.series, batch.times_ms, batch.values, strict=True):
                self.rows += [(tenant, dict(labels), t, v) for t, v in zip(times, values, strict=True)]
        return Written(len(batch.series))

    def of(self, name: str, **labels: str) -> list[tuple[int, float]]:
        with self.lock:
            return [
                (t, v)
                for _, found, t, v in self.rows
                if found["__name__"] == name and all(found.get(key) == value for key, value in labels.items())
            ]


def stale(value: float) -> bool:
    return bool(struct.unpack("<Q", struct.pack("<d", value))[0] == STALE_BITS)


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    one = Exporter()
    yield one
    one.close()


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def scraper(sink: RecordingSink) -> Iterator[Scraper]:
    one = Scraper(sink, SystemClock(), secret=lambda name: {"door": "s3cret"}[name])
    one.start()
    yield one
    one.stop()


def job(exporter: Exporter, **more: Any) -> Any:
    given = {
        "job_name": "test", "scrape_interval": "200ms", "scrape_timeout": "150ms",
        "static_configs": [{"targets": [exporter.address], "labels": {"rack": "r1"}}],
    }  # fmt: skip
    return configured({**given, **more})


def test_samples_come_with_the_targets_labels_and_its_own_series(
    exporter: Exporter, scraper: Scraper, sink: RecordingSink
) -> None:
    exporter.body = '# TYPE a counter\na{x="1",job="other"} 5\nb 7 1234\n'
    scraper.configure([job(exporter)])
    within(5, lambda: len(sink.of("up")) >= 2)
    _, labels, _, value = next(row for row in sink.rows if row[1]["__name__"] == "a")
    assert labels == {
        "__name__": "a", "x": "1", "exported_job": "other", "job": "test", "instance": exporter.address, "rack": "r1",
    }  # fmt: skip
    assert value == 5
    assert sink.of("b")[0] == (1234, 7.0)
    assert sink.of("up")[0][1] == 1
    assert sink.of("scrape_samples_scraped")[0][1] == 2
    assert (
        sink.of("scrape_series_added")[0][1] == 1
    )  # b has a time of its own: nothing is said of its staleness
    assert {tenant for tenant, *_ in sink.rows} == {"site"}
    told = scraper.targets()[0]
    assert (told.health, told.error) == ("up", "")


def test_a_series_that_is_gone_is_stale_and_so_is_a_target(
    exporter: Exporter, scraper: Scraper, sink: RecordingSink
) -> None:
    exporter.body = "a 1\nb 1\n"
    scraper.configure([job(exporter)])
    within(5, lambda: len(sink.of("b")) >= 2)
    exporter.body = "a 1\n"
    within(5, lambda: stale(sink.of("b")[-1][1]))
    assert not stale(sink.of("a")[-1][1])
    scraper.configure([])
    within(5, lambda: stale(sink.of("a")[-1][1]) and stale(sink.of("up")[-1][1]))
    assert scraper.targets() == []


def slow(handler: BaseHTTPRequestHandler) -> bool:
    time.sleep(0.6)
    return False


def drip(handler: BaseHTTPRequestHandler) -> bool:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(20):
            handler.wfile.write(b"# x\n")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True
    return True


def refuse(handler: BaseHTTPRequestHandler) -> bool:
    handler.send_error(503)
    return True


@pytest.mark.parametrize(("behave", "words"), [(slow, "time"), (drip, "longer than"), (refuse, "503")])
def test_a_bad_target_is_down_and_its_series_stale(
    exporter: Exporter, scraper: Scraper, sink: RecordingSink, behave: Any, words: str
) -> None:
    exporter.body = "a 1\n"
    scraper.configure([job(exporter)])
    within(5, lambda: len(sink.of("a")) >= 1)
    exporter.behave = behave
    within(8, lambda: sink.of("up")[-1][1] == 0)
    within(2, lambda: stale(sink.of("a")[-1][1]))
    assert words in scraper.targets()[0].error
    exporter.behave = lambda handler: False
    within(5, lambda: sink.of("up")[-1][1] == 1 and not stale(sink.of("a")[-1][1]))


@pytest.mark.parametrize(
    ("body", "more", "words"),
    [
        ("a{ 1\n", {}, "line 1"),
        ("a 1\nb 2\n", {"sample_limit": 1}, "2 samples"),
        ('a{x="1"} 1\n', {"label_limit": 2}, "labels"),
        ("a 1\n" * 400, {"body_size_limit": "1kB"}, "more than 1000 bytes"),
    ],
)
def test_what_breaks_a_limit_or_the_format_fails_the_scrape_whole(
    exporter: Exporter, scraper: Scraper, sink: RecordingSink, body: str, more: dict[str, Any], words: str
) -> None:
    exporter.body = body
    scraper.configure([job(exporter, **more)])
    within(5, lambda: bool(sink.of("up")))
    assert sink.of("up")[-1][1] == 0
    assert not sink.of("a")
    assert words in scraper.targets()[0].error


def test_relabelling_params_and_logins(exporter: Exporter, scraper: Scraper, sink: RecordingSink) -> None:
    exporter.body = "keep_me 1\ndrop_me 1\n"
    scraper.configure(
        [
            job(
                exporter,
                tenant="genomics",
                params={"module": ["icmp"]},
                authorization={"secret": "door"},
                relabel_configs=[{"source_labels": ["rack"], "target_label": "__param_target"}],
                metric_relabel_configs=[{"source_labels": ["__name__"], "regex": "drop.*", "action": "drop"}],
            )
        ]
    )
    within(5, lambda: bool(sink.of("up")))
    assert sink.of("keep_me") and not sink.of("drop_me")
    path, headers = exporter.asked[0]
    assert path == "/metrics?module=icmp&target=r1"
    assert headers["authorization"] == "Bearer s3cret"
    assert "openmetrics" in headers["accept"]
    assert {tenant for tenant, *_ in sink.rows} == {"genomics"}
    assert sink.of("scrape_samples_scraped")[0][1] == 2
    assert sink.of("scrape_samples_post_metric_relabeling")[0][1] == 1


def test_files_and_addresses_are_discovered_and_a_broken_one_keeps_what_it_gave(
    exporter: Exporter, scraper: Scraper, sink: RecordingSink, tmp_path: Path
) -> None:
    file = tmp_path / "targets.json"
    file.write_text(json.dumps([{"targets": [exporter.address], "labels": {"by": "file"}}]))
    made = configured(
        {
            "job_name": "f",
            "scrape_interval": "200ms",
            "file_sd_configs": [{"files": [str(tmp_path / "*.json")]}],
        }
    )
    _, discovery = made.discoveries[0]
    assert discovery.look().groups[0].targets[0]["by"] == "file"
    file.write_text("[{")
    found = discovery.look()
    assert not found.groups and "cannot be read" in found.kept[str(file)]
    exporter.body = json.dumps([{"targets": ["a:1"], "labels": {"by": "http"}}])
    _, asked = configured(
        {"job_name": "h", "http_sd_configs": [{"url": f"http://{exporter.address}/sd"}]}
    ).discoveries[0]
    assert asked.look().groups[0].targets[0]["__address__"] == "a:1"
    exporter.behave = refuse
    assert "503" in next(iter(asked.look().kept.values()))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"oauth2": {}}, "not spoken"),
        ({"basic_auth": {"username": "a", "password": "b"}}, "in a declaration"),
        ({"scrape_timeout": "5m"}, "longer than the interval"),
        ({"scheme": "gopher"}, "no scheme"),
        ({"static_configs": [{"targets": "a:1"}]}, "list of addresses"),
        ({"sample_limit": "many"}, "no int"),
        ({"relabel_configs": [{"action": "x"}]}, "no action"),
    ],
)
def test_a_bad_job_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        configured({"job_name": "x", **more})


@pytest.mark.parametrize("address", ["", "a/b", "user@host:1", "a b"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(Invalid, match="no address"):
        target(configured({"job_name": "x"}), {"__address__": address})


def test_prometheus_scraping_the_same_target_says_the_same(exporter: Exporter, tmp_path: Path) -> None:
    """Both scrape one exporter while series come and go; after it, both tell the same series with the same values."""
    port = free_port()
    config = {
        "scrape_configs": [
            {
                "job_name": "both", "scrape_interval": "500ms", "scrape_timeout": "400ms",
                "static_configs": [{"targets": [exporter.address], "labels": {"rack": "r1"}}],
                "metric_relabel_configs": [
                    {"source_labels": ["path"], "regex": "/(.*)", "target_label": "page", "replacement": "p_$1"},
                    {"regex": "path", "action": "labeldrop"},
                    {"source_labels": ["page"], "target_label": "shard", "modulus": 5, "action": "hashmod"},
                ],
            }
        ]
    }  # fmt: skip
    exporter.body = 'hits{path="/a",job="x"} 3\nhits{path="/b"} 4.25\n# TYPE q summary\nq{quantile="0.5"} NaN\nq_count 9\n'
    (tmp_path / "p.yml").write_text(json.dumps(config))
    prometheus = subprocess.Popen(
        [
            program("prometheus"), f"--config.file={tmp_path / 'p.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]
    )  # fmt: skip
    tables = Tables(tmp_path / "tables.db")
    tables.migrate({"metrics": TABLES})
    store = Metrics(tmp_path / "metrics", files=RealFiles(), tables=tables, clock=SystemClock())
    store.start()
    scraper = Scraper(store, SystemClock())
    scraper.start()
    try:
        scraper.configure([configured(one) for one in config["scrape_configs"]])

        def theirs(query: str) -> dict[frozenset[tuple[str, str]], float]:
            try:
                answer = httpx.get(
                    f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, trust_env=False
                )
            except httpx.TransportError:
                return {}
            return {
                frozenset(one["metric"].items()): float(one["value"][1])
                for one in answer.json()["data"]["result"]
            }

        def ours(query: str) -> dict[frozenset[tuple[str, str]], float]:
            found = store.query("site", query, int(time.time() * 1000))
            return {
                frozenset(labels): float(found.values[n, 0])
                for n, labels in enumerate(found.series)
                if found.present[n, 0]
            }

        # The sample NaN is unequal to itself: counted, not compared.
        everything = '{__name__=~"hits|up|q_count|scrape_samples_.*"}'
        within(20, lambda: len(theirs(everything)) >= 6 and theirs(everything) == ours(everything))
        assert len(ours(everything)) == len(theirs(everything)) == 6
        assert math.isnan(next(iter(ours("q").values()))) and math.isnan(next(iter(theirs("q").values())))
        exporter.body = 'hits{path="/b"} 5\n'
        within(10, lambda: len(theirs("hits")) == 1 and ours("hits") == theirs("hits"))
        exporter.behave = refuse
        within(10, lambda: list(theirs("up").values()) == [0.0] and ours("up") == theirs("up"))
        assert ours("hits") == theirs("hits") == {}
    finally:
        scraper.stop()
        store.stop()
        tables.close()
        prometheus.terminate()
        prometheus.wait(10)
