"""The agent killed at random before the real server, which is away or killed now and then: no line is lost, none comes
twice, their order is kept, and the service that writes them never notices.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.served import Agent, Server, found
from weatherglass.house import local_agent

HOST = "here"
SITE = """
site: faults
hosts: {{here: {{address: 127.0.0.1, roles: [all]}}}}
roles: {{all: [lines]}}
services:
  lines:
    runtime: process
    command: [sh, -c, "n=0; while :; do [ -e {stop} ] || {{{{ '{{' }}}} echo counted $$ $n; n=$((n+1)); {{{{ '}}' }}}}; sleep 0.02; done"]
"""
_LINE = re.compile(r"counted (\d+) (\d+)")


class Place:
    """The server, the agent, and a service that counts until it is told to stop."""

    def __init__(self, folder: Path) -> None:
        self.stop = folder / "stop"
        site = folder / "site.yaml"
        site.write_text(SITE.format(stop=self.stop))
        self.began = time.time()
        self.server = Server(folder / "state", site)
        self.server.start()
        self.agent = Agent(self.server, folder / "agent", HOST)
        self.agent.start()

    def written(self) -> list[tuple[str, str]]:
        """(pid, number) of every line that the service wrote, in order."""
        files = sorted(self.agent.folder.rglob("stdout.log*"), key=lambda path: path.stat().st_mtime)
        return [pair for path in files for pair in _LINE.findall(path.read_text())]

    def told(self) -> list[tuple[str, str]]:
        """The same, as the server has it."""
        with self.server.client() as client:
            events = list(found(client, "counted", self.began - 1, time.time() + 1))
        return [pair for one in reversed(events) for pair in _LINE.findall(one["message"])]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path)
    yield one
    one.stop.touch()
    one.agent.down()
    one.server.kill()


def until(what, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def kill_at_random(place: Place, rounds: int) -> None:
    until(lambda: len(place.told()) > 10, 90)
    away = 0
    for number in range(rounds):
        if (
            number % 4 == 1
        ):  # the server goes; the agent is killed while it is away, and the server comes back
            place.server.kill()
            away += 1
        time.sleep(random.uniform(0.2, 2.0))
        place.agent.kill()
        if number % 8 == 5:  # nobody is there for a while
            time.sleep(random.uniform(0.1, 1.0))
        place.agent.start()
        if place.server.process is None:
            time.sleep(random.uniform(0.1, 1.5))
            place.server.start()
    place.stop.touch()
    time.sleep(0.3)
    written = place.written()
    until(lambda: len(place.told()) >= len(written), 60)
    time.sleep(1)
    told = place.told()
    assert told == written
    assert len({pid for pid, _ in written}) == 1, "the service was started again"
    assert [int(number) for _, number in written] == list(range(len(written)))
    print(f"\nagent killed {rounds} times, server {away} times, {len(told)} lines")
    assert len(told) > rounds * 10


def test_the_agent_killed_eight_times(place: Place) -> None:
    kill_at_random(place, 8)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_agent_killed_a_hundred_times(place: Place) -> None:
    kill_at_random(place, 100)


def test_an_agent_that_had_run_for_a_while_comes_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deaths in a row make its keeper wait longer and longer; a life in between makes it forget them."""
    monkeypatch.setattr(local_agent, "_FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(local_agent, "_LONGEST_WAIT_S", 0.8)
    keeper = local_agent.LocalAgent([], tmp_path)
    keeper._argv = ["sleep", "1000"]
    keeper.start()
    try:
        waits = [_killed(keeper) for _ in range(6)]
        assert waits[-1] > 0.7
        time.sleep(1.0)
        assert _killed(keeper) < 0.7
    finally:
        keeper.stop()


def _killed(keeper: local_agent.LocalAgent) -> float:
    """Seconds until another one runs."""
    until(lambda: keeper.pid, 10)
    count, began = keeper.restarts, time.monotonic()
    os.kill(keeper.pid, signal.SIGKILL)
    while keeper.restarts == count or not keeper.pid:
        assert time.monotonic() - began < 10
        time.sleep(0.005)
    return time.monotonic() - began
