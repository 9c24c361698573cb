"""Hostile input on every door: always a clear 4xx in the door's own form, never a 500, and nothing reaches a room."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from gateway.conftest import Http, issue
from gateway.fakes import fake_rooms
from gateway.test_ours import SITE, FakeDeploy
from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Heartbeat, WorkResult
from weatherglass.engine.work import Queues
from weatherglass.gateway import create_app, shapes
from weatherglass.gateway.limits import parse_json
from weatherglass.identity import ROOM
from weatherglass.inventory import METADATA, MIGRATIONS, Inventory
from weatherglass.site import graph, parse

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "host",
        "boot",
        "seq",
        "sent_ns",
        "period_s",
        "replicas",
        "volumes",
        "probes",
        "agent",
        "offset",
        "key",
        "status",
        "body",
        "name",
        "role",
        "tenants",
        "ttl",
        "kind",
        "path",
        "to",
        "replica",
        "why",
        "sources",
        "main",
        "results",
        "tenant",
    ]
)
BODIES = [
    ("POST", "/api/v1/agent/heartbeat", "agent"),
    ("POST", "/api/v1/agent/results", "agent"),
    ("POST", "/api/v1/tokens", "admin"),
    ("POST", "/api/v1/tokens/seats", "admin"),
    ("POST", "/api/v1/check", "admin"),
    ("POST", "/api/v1/plan", "admin"),
    ("POST", "/api/v1/apply", "admin"),
    ("POST", "/api/v1/rollback", "admin"),
    ("POST", "/api/v1/restart", "admin"),
]
QUERIES = [
    "/api/v1/entities", "/api/v1/states", "/api/v1/graph", "/api/v1/incidents", "/api/v1/ledger",
    "/api/v1/logs/search", "/api/v1/logs/histogram", "/api/v1/tokens", "/api/v1/status",
    "/prometheus/api/v1/query", "/prometheus/api/v1/query_range", "/prometheus/api/v1/series",
    "/prometheus/api/v1/labels", "/prometheus/api/v1/metadata",
]  # fmt: skip
PARAMETERS = st.dictionaries(
    st.sampled_from(
        [
            "start",
            "end",
            "at",
            "limit",
            "after",
            "before",
            "kind",
            "state",
            "q",
            "words",
            "field",
            "level",
            "buckets",
            "query",
            "time",
            "step",
            "match[]",
            "entity",
            "open",
            "topics",
        ]
    ),
    st.text(max_size=20)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.sampled_from(["-1h", "now", "2026-11-22T14:02:11Z", "9999-99-99", "-" + "9" * 40 + "h", "1e400"]),
    max_size=5,
)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    site = parse({"site.yaml": SITE}, "site.yaml")
    deploy = FakeDeploy(views=[{"state": "done"}])
    rooms, tables = fake_rooms(folder, site=site, deploy=deploy, work=Queues(folder / "work"))
    tables.migrate(ROOM | {"inventory": (METADATA, MIGRATIONS)})
    rooms.inventory = Inventory(tables, rooms.bus, rooms.clock)
    rooms.inventory.declare(graph(site), 1, rooms.clock.now_ns())
    with TestClient(create_app(rooms), follow_redirects=False, raise_server_exceptions=False) as client:
        yield Http(client, rooms, issue(rooms))
    rooms.work.close()
    tables.close()


def refused_well(answer: Any) -> None:
    """Answered, or refused in a form with a reason."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        told = answer.json()
        assert told.get("message") or told["status"] == "error"


@pytest.mark.parametrize(("method", "path", "role"), BODIES)
@FEW
@given(
    body=st.binary(max_size=60)
    | JSON.map(lambda v: json.dumps(v).encode())
    | st.dictionaries(NAMES, JSON, max_size=6).map(lambda v: json.dumps(v).encode())
)
def test_any_body(http: Http, method: str, path: str, role: str, body: bytes) -> None:
    refused_well(http(method, path, role, content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("path", QUERIES)
@FEW
@given(params=PARAMETERS)
def test_any_parameters(http: Http, path: str, params: dict[str, str]) -> None:
    refused_well(http("GET", path, params=params))


@FEW
@given(tail=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_path(http: Http, tail: str) -> None:
    from urllib.parse import quote

    for under in (
        "/api/v1/entities/",
        "/api/v1/runs/",
        "/api/v1/incidents/",
        "/prometheus/api/v1/label/",
        "/",
        "/api/v1/agent/secrets/",
    ):
        refused_well(http("GET", under + quote(tail, safe="/")))


@FEW
@given(value=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40))
def test_any_header(http: Http, value: str) -> None:
    for name in (
        "Authorization",
        "Cookie",
        "X-Weatherglass-Tenant",
        "Content-Type",
        "Content-Encoding",
        "Origin",
    ):
        headers = {name.encode(): value.encode("latin-1")}
        refused_well(http.client.get("/api/v1/me", headers=headers))
        headers = {b"Authorization": f"Bearer {http.tokens['admin']}".encode()} | headers
        refused_well(http.client.post("/prometheus/api/v1/write", headers=headers, content=b"x"))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"host":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"host": NaN}',
        b'{"seq": ' + b"9" * 10_000 + b"}",
        b'{"host": "\\ud800"}',
        b"\xff\xfe",
        b'{"host": "ctl-1", "host"',
        b"null",
        b"",
        gzip.compress(b"{}")[:-4],
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/agent/heartbeat", "/api/v1/agent/results"])
def test_json_made_to_hurt(http: Http, path: str, body: bytes) -> None:
    answer = http("POST", path, "agent", content=body)
    assert answer.status_code == 400 and answer.json()["error"] == "invalid"


def test_a_form_of_too_many_fields(http: Http) -> None:
    body = "&".join(f"a{n}=1" for n in range(2000))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http("POST", "/prometheus/api/v1/query", content=body, headers=headers).status_code == 400


def test_a_login_that_is_too_long(http: Http) -> None:
    assert http("POST", "/login", role="", data={"token": "x" * 10_000}).status_code == 413


def test_nothing_of_it_reached_a_room(http: Http) -> None:
    assert http.rooms.metrics.written == [] and http.rooms.logs.events == []
    assert http.rooms.health.beats == []


@given(JSON)
def test_what_json_can_say_is_read_or_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    try:
        assert parse_json(body) == value
    except Invalid:
        return


@given(st.dictionaries(NAMES, JSON, max_size=8))
def test_shapes_are_read_or_refused(value: dict[str, Any]) -> None:
    for kind in (Heartbeat, WorkResult):
        try:
            made = shapes.read(kind, value)
        except Invalid as error:
            assert error.problems
        else:
            assert shapes.read(kind, json.loads(json.dumps(shapes.wire(made)))) == made
