"""The roots, status and capabilities, and what others than Gnocchi's clients write: InfluxDB, Prometheus."""

from __future__ import annotations

from weatherglass import __version__
from weatherglass.gateway.gnocchi.answers import Answer
from weatherglass.gateway.gnocchi.asking import Ask
from weatherglass.gateway.gnocchi.metrics import told
from weatherglass.metrics.gnocchi import METHODS

BUILD = "4.7.1"
"""The version whose API this is; Grafana's data source chooses its requests by it."""

_LISTED = (
    "aggregates", "aggregation", "archive_policy", "archive_policy_rule", "batch", "capabilities", "influxdb",
    "metric", "resource", "resource_type", "search", "status",
)  # fmt: skip


def root(ask: Ask) -> Answer:
    version = {
        "status": "CURRENT",
        "links": [{"rel": "self", "href": f"{ask.v1}/"}],
        "id": "v1.0",
        "updated": "2015-03-19",
    }
    return Answer({"build": BUILD, "versions": [version]})


def v1(ask: Ask) -> Answer:
    links = [{"rel": name, "href": f"{ask.v1}/{name}"} for name in _LISTED]
    return Answer({"version": "1.0", "links": [{"rel": "self", "href": ask.v1}, *links]})


def health(ask: Ask) -> Answer:
    ask.gnocchi.ping()
    return Answer({"status": "OK"})


def capabilities(ask: Ask) -> Answer:
    return Answer({"aggregation_methods": sorted(METHODS)})


def status(ask: Ask) -> Answer:
    return Answer(ask.gnocchi.status(ask.caller, details=ask.flag("details", True)))


def ping(ask: Ask) -> Answer:
    return Answer(None, 204, {"X-Influxdb-Version": f"Gnocchi {BUILD} (Weatherglass {__version__})"})


def query(ask: Ask) -> Answer:
    if "q" in ask.query:
        ask.gnocchi.writes.statement(ask.caller, ask.query["q"])
    return Answer(None, 204)


def lines(ask: Ask) -> Answer:
    tag = ask.headers.get("x-gnocchi-influxdb-tag-resource-id", "host")
    database = ask.query.get("db", "influxdb")
    return told(ask.gnocchi.writes.lines(ask.caller, ask.raw, database, tag), 204)


def remote(ask: Ask) -> Answer:
    encoding = ask.headers.get("content-encoding", "snappy").strip().lower()
    return told(ask.gnocchi.writes.remote(ask.caller, ask.raw, encoding))
