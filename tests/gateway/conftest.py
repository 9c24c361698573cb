"""A client over the real app and fake rooms, and tokens of each role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.fakes import fake_rooms
from weatherglass.gateway import Rooms, create_app


@dataclass
class Http:
    client: TestClient
    rooms: Rooms
    tokens: dict[str, str]

    def __call__(self, method: str, path: str, role: str = "admin", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        headers |= more.pop("headers", {})
        return self.client.request(method, path, headers=headers, **more)


def issue(rooms: Rooms) -> dict[str, str]:
    """A token of every kind that tests use, by a short name."""
    make: Callable[..., Any] = rooms.identity.create
    return {
        "admin": make("admin", "admin", ["*"])[1],
        "operator": make("operator", "operator", ["site", "genomics"])[1],
        "viewer": make("viewer", "viewer", ["site"])[1],
        "member": make("member", "member", ["genomics"])[1],
        "agent": make("agent-ctl-1", "agent", ["site", "genomics"], host="ctl-1")[1],
    }


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Http]]:
    opened = []

    def start(**given: Any) -> Http:
        rooms, tables = fake_rooms(tmp_path, **given)
        client = TestClient(create_app(rooms), follow_redirects=False, raise_server_exceptions=True)
        client.__enter__()
        opened.append((client, tables))
        return Http(client, rooms, issue(rooms))

    yield start
    for client, tables in opened:
        client.__exit__(None, None, None)
        tables.close()


@pytest.fixture
def http(serve: Callable[..., Http]) -> Http:
    return serve()
