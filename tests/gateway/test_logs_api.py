"""`/api/v1/logs` and the verbs of `weatherglass logs`, over a real store with made-up lines, by real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from portal import fake_cloud
from portal.fake_cloud import NOW, FakeRooms
from portal.made_logs import REQUEST, TRACE, line
from portal.serving import served

from weatherglass.base.time import iso


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[FakeRooms, str]]:
    rooms = fake_cloud.rich()
    rooms.logs.start()
    try:
        with served(rooms) as address:
            yield rooms, address
    finally:
        rooms.logs.stop()


def asked(house: tuple[FakeRooms, str], path: str, who: str = "mira", **params: Any) -> httpx.Response:
    return httpx.get(
        f"{house[1]}/api/v1/logs/{path}",
        params=params,
        headers={"Authorization": f"Bearer {who}"},
        timeout=20,
    )


SPAN = {"start": iso(NOW - 3600 * 10**9), "end": iso(NOW + 10**9)}


def test_the_language_in_search_and_histogram(house: tuple[FakeRooms, str]) -> None:
    query = 'level:ERROR AND "port binding failed"'
    [event] = asked(house, "search", query=query, **SPAN).json()["events"]
    assert dict(event["labels"])["service"] == "neutron"
    bars = asked(house, "histogram", query=query, buckets=10, **SPAN).json()["buckets"]
    assert sum(sum(bar["counts"].values()) for bar in bars) == 1
    wrong = asked(house, "search", query="level:(", **SPAN)
    assert (wrong.status_code, wrong.json()["problems"][0]["where"].partition(":")[0]) == (400, "query")


def test_aggregate(house: tuple[FakeRooms, str]) -> None:
    told = asked(house, "aggregate", query="NOT format:span", by=["service", "level"], **SPAN).json()
    services = {one["key"]: one for one in told["found"]["by service"]["buckets"]}
    assert sum(one["count"] for one in services.values()) == told["total"] > 200
    levels = {one["key"]: one["count"] for one in services["keystone"]["subs"]["by level"]["buckets"]}
    assert levels["ERROR"] >= 15
    spans = asked(house, "aggregate", query="format:span", stat=["max:duration_ns", "cardinality:service", "p50:duration_ns"], **SPAN).json()["found"]  # fmt: skip
    assert spans == {"max:duration_ns": 900e6, "cardinality:service": 5, "p50:duration_ns": {"50.0": 480e6}}
    over = asked(house, "aggregate", every="10m", **SPAN).json()
    buckets = over["found"]["over_time"]["buckets"]
    assert sum(one["count"] for one in buckets) == over["total"]
    assert all(one["key"] % (600 * 10**9) == 0 for one in buckets)
    for wrong in ({"stat": "median:x"}, {"every": "soon"}, {"size": "0"}, {"query": "("}):
        assert asked(house, "aggregate", **{**SPAN, **wrong}).status_code == 400, wrong


def test_templates_and_one_event(house: tuple[FakeRooms, str]) -> None:
    told = asked(house, "templates", query="level:ERROR", **SPAN).json()
    texts = {one["text"]: one for one in told["templates"]}
    assert texts["Could not authenticate the user: lost connection to the store"]["count"] >= 15
    new = asked(house, "templates", since=iso(NOW - 100 * 10**9), **SPAN).json()["templates"]
    assert "port binding failed on host cmp-4" in {one["text"] for one in new}
    assert "Could not authenticate the user: lost connection to the store" not in {one["text"] for one in new}
    rare = asked(house, "templates", most=1, **SPAN).json()["templates"]
    assert rare and all(one["count"] == 1 for one in rare)
    page = asked(house, "search", query='"instance 91"', limit=1, **SPAN).json()
    one = asked(house, f"event/{page['cursors'][0]}").json()
    assert one["event"]["message"] == _put_together(one["template"], one["variables"])
    assert asked(house, "event/1-1").status_code == 404
    assert asked(house, "event/x").status_code == 400
    assert "request_id" in asked(house, "fields", **SPAN).json()["fields"]


def _put_together(template: str, variables: list[str]) -> str:
    pieces = template.split("<*>")
    return "".join(piece + value for piece, value in zip(pieces, [*variables, ""], strict=True))


def test_a_request_across_services(house: tuple[FakeRooms, str]) -> None:
    told = asked(house, f"request/{REQUEST}").json()
    assert [one["service"] for one in told["parts"]] == ["nova-api", "glance", "neutron"]
    nova, glance, neutron = told["parts"]
    assert glance["depth"] == neutron["depth"] == 1
    assert nova["own_ns"] == nova["duration_ns"] - glance["duration_ns"] - neutron["duration_ns"]
    assert told["services"][0]["service"] == "neutron"
    trace = asked(house, f"request/{TRACE}").json()
    assert [one["depth"] for one in trace["parts"]] == [0, 1, 1, 2, 2]
    assert sum(one["own_ns"] for one in trace["parts"]) == 900 * 10**6
    assert asked(house, "request/req-nobody").status_code == 404


def test_nobody_reads_another_tenants(house: tuple[FakeRooms, str]) -> None:
    assert asked(house, f"request/{REQUEST}", who="greta").status_code == 404
    assert asked(house, "aggregate", who="greta", **SPAN).json()["total"] == 0
    assert asked(house, "templates", who="greta", **SPAN).json()["templates"] == []
    assert httpx.get(f"{house[1]}/api/v1/logs/aggregate").status_code == 401


def test_a_tail_tells_what_comes_and_nothing_else(house: tuple[FakeRooms, str]) -> None:
    rooms, address = house
    heard: list[dict[str, Any]] = []
    opened = threading.Event()

    def listen() -> None:
        with httpx.stream(
            "GET", f"{address}/api/v1/logs/tail?query=level:CRITICAL", timeout=20, headers={"Authorization": "Bearer mira"}
        ) as answer:  # fmt: skip
            for text in answer.iter_lines():
                if text.startswith("event: hello"):
                    opened.set()
                if text.startswith("data: ") and opened.is_set() and '"event"' in text:
                    heard.append(json.loads(text[6:])["event"])
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert opened.wait(10)
    rooms.logs.write_raw("site", [line(NOW + 1000, "INFO", "nova.x", "not this one")])
    rooms.logs.write_raw("site", [line(NOW + 2000, "CRITICAL", "nova.x", "the floor is wet")])
    listener.join(15)
    assert [one["message"] for one in heard] == ["the floor is wet"]


def verb(address: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "weatherglass", "logs", *arguments],
        env={"WEATHERGLASS_URL": address, "WEATHERGLASS_TOKEN": "mira", "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_verbs(house: tuple[FakeRooms, str]) -> None:
    """The fake house's clock stands in its own day, so a span is counted back from there."""
    _, address = house
    assert "port binding failed" in verb(address, "search", 'level:ERROR AND "port binding"')
    assert json.loads(verb(address, "search", "format:span", "--json"))["events"]
    told = verb(address, "request", REQUEST)
    assert "neutron" in told and "port binding failed" in told and "1.6 s" in told
    assert json.loads(verb(address, "request", TRACE, "--json"))["parts"]
    told = verb(address, "aggregate", "format:span", "--by", "service", "--stat", "max:duration_ns")
    assert "5 events" in told and "9e+08" in told
    assert "Could not authenticate the user" in verb(address, "templates", "--query", "level:ERROR")
    assert len(verb(address, "tail", "-n", "3").strip().splitlines()) == 3


def test_following_on_a_terminal(house: tuple[FakeRooms, str], tmp_path: Path) -> None:
    rooms, address = house
    with (tmp_path / "told").open("wb") as out:
        tail = subprocess.Popen(
            [sys.executable, "-m", "weatherglass", "logs", "tail", "-f", "-n", "0", "wet OR dry"],
            env={"WEATHERGLASS_URL": address, "WEATHERGLASS_TOKEN": "mira", "PATH": "/usr/bin:/bin"},
            stdout=out,
        )  # fmt: skip
    try:
        until, number = time.monotonic() + 30, 0
        while b"the roof is dry" not in (tmp_path / "told").read_bytes() and time.monotonic() < until:
            number += 1
            rooms.logs.write_raw(
                "site", [line(NOW + number * 10**6, "INFO", "nova.x", f"the roof is dry {number}")]
            )
            time.sleep(0.5)
        assert b"the roof is dry" in (tmp_path / "told").read_bytes()
    finally:
        tail.terminate()
        tail.wait(10)
