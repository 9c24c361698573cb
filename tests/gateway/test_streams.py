"""Streams over a real uvicorn: what they carry, that they resume, and that they do not hold the house."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.conftest import issue
from gateway.fakes import fake_rooms, wait_until
from gateway.real import Server
from weatherglass.engine.work import Queues
from weatherglass.gateway import Rooms, agent, create_app, live
from weatherglass.identity import ROOM
from weatherglass.inventory import METADATA, MIGRATIONS, Inventory


class Site:
    def __init__(self, rooms: Rooms) -> None:
        self.rooms, self.tokens = rooms, issue(rooms)
        self.server = Server(create_app(rooms), rooms.stopping)

    def stream(self, path: str, role: str = "admin") -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return httpx.stream("GET", self.server.url + path, headers=headers, timeout=10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    rooms, tables = fake_rooms(tmp_path, work=Queues(tmp_path / "work"))
    tables.migrate(ROOM | {"inventory": (METADATA, MIGRATIONS)})
    rooms.inventory = Inventory(tables, rooms.bus, rooms.clock)
    made = Site(rooms)
    yield made
    made.server.stop()
    rooms.work.close()
    tables.close()


def test_work_comes_as_it_is_sent_and_resumes_where_it_was(site: Site) -> None:
    queues = site.rooms.work
    queues.send("ctl-1", "probes", {"n": 1})
    queues.send("cmp-1", "probes", {"n": "another host's"})
    with site.stream("/api/v1/agent/work?from=0", "agent") as answer:
        assert answer.headers["x-weatherglass-stream"] == "1"
        lines = (json.loads(line) for line in answer.iter_lines())
        assert next(lines) == {}
        first = next(lines)
        assert (first["kind"], first["body"]) == ("probes", {"n": 1})
        begin = time.monotonic()
        queues.send("ctl-1", "fault", {"n": 2})
        second = next(lines)
        assert second["body"] == {"n": 2} and time.monotonic() - begin < 0.3
    with site.stream(f"/api/v1/agent/work?from={first['offset'] + 1}", "agent") as answer:
        lines = (json.loads(line) for line in answer.iter_lines())
        assert [next(lines), next(lines)] == [{}, second]


def test_a_silent_work_stream_keeps_itself_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "WORK_KEEP_ALIVE_S", 0.5)
    with site.stream("/api/v1/agent/work", "agent") as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(3)] == ["{}"] * 3


def test_what_the_bus_says_reaches_every_browser(site: Site) -> None:
    with site.stream("/api/v1/live?topics=state") as one, site.stream("/api/v1/live", "viewer") as two:
        lines = [one.iter_lines(), two.iter_lines()]
        assert [next(line) for line in lines] == ["event: hello"] * 2
        site.rooms.bus.publish("ledger", {"what": "apply"})
        site.rooms.bus.publish("state", {"entity": "service/keystone", "state": "sick"})

        def said(at: int) -> list[str]:
            kinds = []
            for line in lines[at]:
                if line.startswith("event: "):
                    kinds.append(line[7:])
                    if line == "event: state":
                        return kinds
            return kinds

        assert said(0) == ["state"] and said(1) == ["ledger", "state"]


def test_a_tenant_hears_of_its_own_alone(site: Site) -> None:
    with site.stream("/api/v1/live", "member") as answer:
        lines = answer.iter_lines()
        next(lines)
        site.rooms.bus.publish("state", {"entity": "service/mariadb", "state": "dead"})
        site.rooms.bus.publish("ledger", {"what": "apply", "entity": "tenant/physics"})
        site.rooms.bus.publish("state", {"entity": "tenant/genomics", "state": "sick"})
        rest = []
        for line in lines:
            rest.append(line)
            if "genomics" in line:
                break
        assert "mariadb" not in "".join(rest) and "physics" not in "".join(rest)


def test_a_slow_listener_loses_the_oldest_and_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = live.Listener()
    for number in range(live.DEPTH + 3):
        listener.offer(("state", {"n": number}))
    assert listener.lost == 3 and listener.queue.get_nowait()[1] == {"n": 3}


def test_open_streams_do_not_hold_the_house(site: Site) -> None:
    """Ten of each kind, read by clients that never hang up; the server ends within two seconds."""
    opened, ended = threading.Semaphore(0), []

    def hold(path: str, role: str) -> None:
        with site.stream(path, role) as answer:
            for at, _ in enumerate(answer.iter_bytes()):
                if at == 0:
                    opened.release()
        ended.append(path)

    paths = [("/api/v1/live", "admin"), ("/api/v1/agent/work", "agent")] * 10
    threads = [threading.Thread(target=hold, args=pair, daemon=True) for pair in paths]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert opened.acquire(timeout=10)
    assert site.server.stop() < 2.0
    wait_until(lambda: len(ended) == len(paths))
    assert httpx_refused(site.server.url)


def httpx_refused(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.ConnectError:
        return True
    return False


def test_not_ready_once_stopping_begins(site: Site) -> None:
    assert httpx.get(site.server.url + "/-/ready").status_code == 200
    site.rooms.stopping.set()
    answer = httpx.get(site.server.url + "/-/ready")
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert httpx.get(site.server.url + "/-/healthy").status_code == 200
