"""The stream of hints: says that something changed, coalesced; ends when the house stops."""

from __future__ import annotations

import threading
import time

import httpx

from portal.fake_cloud import FakeRooms
from portal.serving import served


def test_a_change_is_hinted_once_and_the_stream_ends_with_the_house(rich: FakeRooms) -> None:
    known = {"cookie": "wg_session=mira"}
    with served(rich) as address, httpx.stream("GET", f"{address}/live", headers=known, timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert [next(lines), next(lines)] == ["retry: 3000", "event: hello"]
        while next(lines):
            pass
        time.sleep(0.2)  # the hub's thread subscribes beside the first answer
        for n in range(50):
            rich.bus.publish("state", {"n": n})
        seen = [next(lines), next(lines), next(lines)]
        assert seen == ["id: 1", "event: changed", "data: 1"]
        rich.bus.publish("incident", {"id": 119})
        next(lines)
        assert [next(lines), next(lines)][0] == "id: 2"
        began = time.monotonic()
        threading.Timer(0.1, rich.stopping.set).start()
        for _ in lines:
            pass
        assert time.monotonic() - began < 2.5


def test_nobody_listens_without_being_known(rich: FakeRooms) -> None:
    with served(rich) as address:
        answer = httpx.get(f"{address}/live", timeout=10)
        assert answer.status_code == 401
