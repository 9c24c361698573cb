"""The logs part alone, served for real on a free port, for real clients; one server a module."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway.real import Server

from weatherglass.gateway import create_app
from weatherglass.house.alone import Alone, Asked

CLIENTS = Path(__file__).parent / "clients"


@dataclass
class Wire:
    """The server's address, a token for it, and a plain client that has that token."""

    url: str
    token: str
    http: httpx.Client
    house: Alone

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A request to `/elastic`; a body that is a text is NDJSON."""
        if isinstance(body, str | bytes):
            more.setdefault("headers", {})["content-type"] = "application/x-ndjson"
            return self.http.request(method, f"/elastic{path}", content=body, **more)
        return self.http.request(method, f"/elastic{path}", json=body, **more)

    def search(self, index: str, body: Any = None, **params: Any) -> Any:
        answer = self("POST", f"/{index}/_search", body or {}, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sources(self, index: str, query: Any = None, size: int = 1000) -> list[dict[str, Any]]:
        body: dict[str, Any] = {"size": size}
        if query:
            body["query"] = query
        return [hit["_source"] for hit in self.search(index, body, ignore_unavailable="true")["hits"]["hits"]]

    def bulk(self, index: str, documents: list[dict[str, Any]]) -> Any:
        body = "".join(f'{{"index":{{}}}}\n{json.dumps(one)}\n' for one in documents)
        answer = self("POST", f"/{index}/_bulk", body)
        assert answer.status_code == 200 and not answer.json()["errors"], answer.text
        return answer.json()


def serve(state: Path, **asked: Any) -> tuple[Wire, Callable[[], None]]:
    house = Alone(Asked(frozenset({"logs"}), state, **asked))
    house.start()
    token = "" if asked.get("no_auth") else house.identity.create("tests", "admin", ["*"])[1]
    server = Server(create_app(house.rooms), house.stopping)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = httpx.Client(base_url=server.url, headers=headers, timeout=30)

    def stop() -> None:
        client.close()
        server.stop()
        house.stop()

    return Wire(server.url, token, client, house), stop


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    made, stop = serve(tmp_path_factory.mktemp("logs"))
    yield made
    stop()


def run(command: list[str], wire: Wire, seconds: float = 60, **environment: str) -> str:
    """What a program says; fails with its words where it fails."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, "URL": wire.url, "TOKEN": wire.token, **environment},
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def until(found: Callable[[], Any], seconds: float = 20) -> Any:
    """The first answer that is not empty; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)
    return answer
