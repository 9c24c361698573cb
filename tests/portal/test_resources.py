"""Resources over Gnocchi's real model: found by type, by a word, by conditions; history, charts, and whose they are."""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal import fake_cloud, real_metrics
from portal.fake_cloud import FakeRooms
from portal.pages import PAGE, client, read
from weatherglass.base.time import ManualClock
from weatherglass.metrics.gnocchi import Gnocchi
from weatherglass.portal.resources.looking import level_for, method_for

HOUR = 3600
NOW_S = real_metrics.NOW_MS // 1000
WEB = "5a7c9f0e-0c6e-4a4e-9b1f-0d8d2b1f6a01"
DATABASE = "5a7c9f0e-0c6e-4a4e-9b1f-0d8d2b1f6a02"


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRooms]:
    found = fake_cloud.rich()
    metrics, tables = real_metrics.opened(Path(tmp_path_factory.mktemp("resources")))
    clock = ManualClock(fake_cloud.NOW)
    gnocchi = Gnocchi(tables=tables, store=metrics, clock=clock)
    gnocchi.start()
    who = gnocchi.caller(creator="ceilometer:service", roles=frozenset({"admin"}), tenant="site")
    string = {"type": "string", "required": False, "min_length": 0, "max_length": 255}
    gnocchi.types.create(who, {"name": "instance", "attributes": {"display_name": string, "host": string}})
    for identity, name, project in ((WEB, "web-1", "genomics"), (DATABASE, "<db>", "imaging")):
        gnocchi.resources.create(
            who, "instance",
            {"id": identity, "project_id": project, "display_name": name, "host": "cmp-1",
             "metrics": {"cpu": {"archive_policy_name": "high", "unit": "ns"}, "memory.usage": {"archive_policy_name": "low"}}},
        )  # fmt: skip
        clock.advance(1)
    gnocchi.resources.change(who, "instance", WEB, lambda: {"host": "cmp-2"})
    for one in gnocchi.resources.metrics_of(who, "instance", WEB):
        points = [
            {"timestamp": NOW_S - HOUR + at * 60, "value": float(at)} for at in range(60) if not 20 <= at < 30
        ]
        gnocchi.measures.post(who, gnocchi.metrics.get(one.id), points)
    found.metrics = metrics  # type: ignore[assignment]
    found.more = {"gnocchi": gnocchi}
    yield found
    gnocchi.stop()
    metrics.stop()
    tables.close()


def page_of(rooms: FakeRooms, path: str, who: str = "mira", **query: str) -> str:
    answer = client(rooms, who).get(path, params=query, headers=PAGE)
    assert answer.status_code == 200, answer.text[:300]
    assert read(answer.text).wrong == []
    return answer.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {WEB, DATABASE}),
        ({"type": "instance"}, {WEB, DATABASE}),
        ({"type": "instance", "q": "web"}, {WEB}),
        ({"q": "6a02"}, {DATABASE}),
        ({"type": "instance", "q": 'display_name like "web%" and host = "cmp-2"'}, {WEB}),
        ({"type": "instance", "q": 'host = "cmp-1"'}, {DATABASE}),
        ({"type": "instance", "q": "nothing-like-it"}, set()),
    ],
)
def test_resources_are_found(rooms: FakeRooms, query: dict[str, str], found: set[str]) -> None:
    links = set(re.findall(r'href="/resources/instance/([^"?]+)"', page_of(rooms, "/resources", **query)))
    assert links == found


def test_a_search_that_cannot_be_read_is_told(rooms: FakeRooms) -> None:
    text = page_of(rooms, "/resources", q='host = = "x"')
    assert 'role="alert"' in text and "display_name like" in text
    assert 'role="alert"' in page_of(
        rooms, "/resources", type="generic", q='host = "x"'
    )  # generic has no host
    assert client(rooms).get("/resources?type=none", headers=PAGE).status_code == 404


def test_a_resource_shows_what_it_is_and_was(rooms: FakeRooms) -> None:
    text = page_of(rooms, f"/resources/instance/{WEB}", range="1h")
    assert "<h1>web-1</h1>" in text and "<del>cmp-1</del> <ins>cmp-2</ins>" in text and "First known" in text
    charts = [json.loads(html.unescape(one)) for one in re.findall(r'data-chart="([^"]*)"', text)]
    assert [one["labels"] for one in charts] == [["cpu"], ["memory.usage"]]
    times, values = charts[0]["data"]
    # `high` keeps seconds for an hour, minutes for a week: 60 points a minute would be too many for a chart.
    assert {b - a for a, b in itertools.pairwise(times)} == {60}
    assert values[:3] == [0, 1, 2] and values[20:30] == [None] * 10
    assert "mean of 60 s" in text and "mean of 300 s" in text


def test_another_aggregate(rooms: FakeRooms) -> None:
    text = page_of(rooms, f"/resources/instance/{WEB}", range="1h", method="max")
    chart = json.loads(html.unescape(re.findall(r'data-chart="([^"]*)"', text)[1]))
    assert "max of 300 s" in text and chart["data"][1][:2] == [4, 9]


def test_names_are_text(rooms: FakeRooms) -> None:
    text = page_of(rooms, f"/resources/instance/{DATABASE}")
    assert "<db>" not in text and "&lt;db&gt;" in text


def test_policies(rooms: FakeRooms) -> None:
    text = page_of(rooms, "/resources/policies")
    assert 'id="low"' in text and "0:05:00" in text and "30 days, 0:00:00" in text


def test_a_tenant_sees_its_projects_own(rooms: FakeRooms) -> None:
    mine = page_of(rooms, "/resources", who="greta", type="instance")
    assert WEB in mine and DATABASE not in mine
    assert page_of(rooms, f"/resources/instance/{WEB}", who="greta", range="1h").count("data-chart") == 2
    assert client(rooms, "greta").get(f"/resources/instance/{DATABASE}", headers=PAGE).status_code == 404
    assert DATABASE not in page_of(
        rooms, "/resources", who="greta", type="instance", q='host = "cmp-1" or host = "cmp-2"'
    )
    assert DATABASE not in page_of(rooms, "/resources", lens="genomics")


def test_without_the_room_the_page_says_so() -> None:
    assert "does not run" in client(fake_cloud.rich()).get("/resources", headers=PAGE).text
    assert client(fake_cloud.rich()).get("/resources/policies", headers=PAGE).status_code == 404


def test_levels_and_methods() -> None:
    second = 10**9
    assert level_for([second, 60 * second, 3600 * second], 3600 * second) == 60 * second
    assert level_for([second], 86400 * second) == second
    assert method_for(["max", "mean"], "p95") == "mean" and method_for(["std"], "") == "std"
