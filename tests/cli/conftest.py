"""The real command line as a process, against a real uvicorn; deploy, logs, metrics and health behind it are fakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway.conftest import issue
from gateway.fakes import fake_rooms
from gateway.real import Server
from gateway.test_ours import SITE, FakeDeploy

from weatherglass.engine.work import Queues
from weatherglass.gateway import Rooms, create_app
from weatherglass.identity import ROOM
from weatherglass.inventory import METADATA, MIGRATIONS, Inventory
from weatherglass.site import graph, parse


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: str, given: str = "", **environment: str) -> Ran:
    """`weatherglass ARGUMENTS` as its own process, with nothing of ours in its environment but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WEATHERGLASS_")}
    done = subprocess.run(
        [sys.executable, "-m", "weatherglass.cli.main", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        env=clean | {"COLUMNS": "160"} | environment,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass
class Live:
    rooms: Rooms
    tokens: dict[str, str]
    state: Path
    url: str

    def __call__(self, *arguments: str, **more: str) -> Ran:
        return run(*arguments, "--state", str(self.state), **more)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    state = tmp_path_factory.mktemp("cli") / "state"
    state.mkdir()
    site = parse({"site.yaml": SITE}, "site.yaml")
    rooms, tables = fake_rooms(state, site=site, deploy=FakeDeploy(), work=Queues(state / "work"))
    tables.migrate(ROOM | {"inventory": (METADATA, MIGRATIONS)})
    rooms.inventory = Inventory(tables, rooms.bus, rooms.clock)
    rooms.inventory.declare(graph(site), 1, rooms.clock.now_ns())
    tokens = issue(rooms)
    server = Server(create_app(rooms), rooms.stopping)
    (state / "server.json").write_text(json.dumps({"pid": os.getpid(), "url": server.url, "started_ns": 1}))
    (state / "token").write_text(tokens["admin"] + "\n")
    yield Live(rooms, tokens, state, server.url)
    server.stop()
    rooms.work.close()
    tables.close()
