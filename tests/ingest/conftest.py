"""The metrics part alone, served for real on a free port, with one exporter that it scrapes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway.real import Server
from scrape.exporter import Exporter

from weatherglass.gateway import create_app
from weatherglass.house.alone import Alone, Asked
from weatherglass.metrics import Metrics

EXPOSED = """# HELP requests Requests.
# TYPE requests counter
requests_total{code="200"} 17 # {trace_id="abc"} 0.25
# EOF
"""


@dataclass
class Door:
    """The server, a client of an administrator, its token, what it scrapes."""

    url: str
    token: str
    http: httpx.Client
    house: Alone
    exporter: Exporter
    state: Path

    @property
    def store(self) -> Metrics:
        found: Any = self.house.rooms.metrics
        return found  # type: ignore[no-any-return]

    def ask(self, path: str, **params: Any) -> Any:
        answer = self.http.get(f"/prometheus/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expr: str, **more: Any) -> dict[str, float]:
        """The last values by the labels beside the name, as JSON texts."""
        found = {}
        for one in self.ask("query", query=expr, **more)["result"]:
            labels = {name: value for name, value in one["metric"].items() if name != "__name__"}
            found[json.dumps(labels, sort_keys=True)] = float(one["value"][1])
        return found


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    state = tmp_path_factory.mktemp("ingest")
    exporter = Exporter(EXPOSED)
    exporter.kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    config = state / "prometheus.yml"
    config.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: app
  static_configs: [{{targets: ['{exporter.address}']}}]
- job_name: left
  static_configs: [{{targets: ['{exporter.address}']}}]
  relabel_configs: [{{action: drop, source_labels: [job], regex: left}}]
""")
    house = Alone(Asked(frozenset({"metrics"}), state, scrape=config))
    house.start()
    server = Server(create_app(house.rooms), house.stopping)
    create: Any = house.identity.create
    token = create("tester", "admin", ["*"])[1]
    http = httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    yield Door(server.url, token, http, house, exporter, state)
    http.close()
    server.stop()
    house.stop()
    exporter.close()
