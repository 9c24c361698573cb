"""A house in this process that watches the real cloud through a proxy which writes every request down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from gateway.real import Server

from openstack.driver import Driver
from openstack.recorder import Recorder
from weatherglass.gateway import create_app
from weatherglass.house.build import House, Options
from weatherglass.identity import Identity
from weatherglass.portal.app import mount


@dataclass
class Watching:
    """The house, its address, an administrator's client, the proxy."""

    house: House
    url: str
    http: httpx.Client
    recorder: Recorder
    entry: dict[str, Any]

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def query(self, expr: str) -> list[dict[str, Any]]:
        return list(self.get("/prometheus/api/v1/query", query=expr)["data"]["result"])

    def value(self, expr: str) -> float:
        (one,) = self.query(expr)
        return float(one["value"][1])


@pytest.fixture(scope="session")
def recorder(openstack: Driver) -> Iterator[Recorder]:
    made = Recorder(openstack.cloud)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def watching(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    patch = pytest.MonkeyPatch()
    patch.delenv("OS_AUTH_URL", raising=False)
    state: Path = tmp_path_factory.mktemp("watching")
    house = House(Options(state))
    app = create_app(house.rooms)
    mount(app, cast(Any, house.rooms))
    house.start()
    server = Server(app, house.stopping)
    token = cast(Identity, house.identity).create("tester", "admin", ["*"])[1]
    http = httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    entry = yaml.safe_load(recorder.clouds_yaml)["clouds"]["admin"]
    yield Watching(house, server.url, http, recorder, entry)
    http.close()
    server.stop()
    house.stop()
    patch.undo()
