"""Ten lines run something: a site of plain processes, without root, from nothing to healed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from example import free_ports
from institute import House, wait

SITE = """\
site: ten-lines
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [store, front]}
services:
  store: {command: [python3, -m, http.server, "%d", --bind, 127.0.0.1], ports: {http: %d}, probe: {http: /}}
  front:
    command: [python3, -m, http.server, "%d", --bind, 127.0.0.1]
    ports: {http: %d}
    needs: [store]
    probe: {http: /}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    assert len(SITE.splitlines()) == 10
    folder = tmp_path_factory.mktemp("ten")
    store, front = free_ports(2)
    (folder / "site.yaml").write_text(SITE % (store, store, front, front))
    made = House(folder / "site.yaml", folder / "state")
    try:
        made.start()
        yield made
    finally:
        made.down()


def test_ten_lines_run_something_and_it_is_well(house: House) -> None:
    wait(lambda: house.states().get("service/front") == "healthy", 30, "front is healthy")
    assert house.cli("plan").returncode == 0
    code, told = house.cli_json("status")
    assert (code, told["site"]) == (0, "ten-lines")
    wait(lambda: house.query('weatherglass_probe_success{service="store"} == 1'), 20, "a sample")


def test_what_is_killed_comes_back_by_itself(house: House) -> None:
    wait(lambda: house.states().get("service/store") == "healthy", 30, "store is healthy")
    answer = house.cli("drill", "list")
    assert answer.returncode == 0
    assert "kill-store" in answer.stdout
    code, report = house.cli_json("drill", "run", "kill-store", timeout_s=100)
    # `front` needs the store by declaration alone: nobody is hit, and nobody is said to be.
    assert code == 0, report["checks"]
    assert [check["found"] for check in report["checks"] if check["name"] == "tenants"] == ["none"]
    assert report["target"]["service"] == "service/store"


def test_a_server_that_is_killed_starts_again_on_the_same_state(house: House) -> None:
    agent = house.agent_pid
    house.stop(signal.SIGKILL)
    house.start()
    wait(lambda: house.agent_pid not in (0, agent), 20, "an agent of the new server's")
    assert not Path(f"/proc/{agent}").exists()
    wait(lambda: house.states().get("service/front") == "healthy", 30, "front is healthy")
    assert house.cli("plan").returncode == 0
