"""What the whole house serves beside its rooms: Gnocchi's API, and dashboards from the folders it looks into."""

from __future__ import annotations

import warnings
from pathlib import Path

from weatherglass.gateway.app import create_app
from weatherglass.house import tokens
from weatherglass.house.build import House, Options
from weatherglass.portal import mount

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

BOARD = "title: {}\nrows: [{{panels: [{{query: up}}]}}]\n"


def test_gnocchi_and_dashboards_are_served(tmp_path: Path) -> None:
    site = tmp_path / "site" / "lab.yaml"
    (site.parent / "dashboards").mkdir(parents=True)
    (tmp_path / "state" / "dashboards").mkdir(parents=True)
    (site.parent / "dashboards" / "one.yaml").write_text(BOARD.format("Beside the site"))
    (tmp_path / "state" / "dashboards" / "one.yaml").write_text(BOARD.format("Hidden by the first"))
    (tmp_path / "state" / "dashboards" / "two.yaml").write_text(BOARD.format("In the state"))
    house = House(Options(tmp_path / "state", site))
    try:
        tokens.admin(house.identity, tmp_path / "state")
        app = create_app(house.rooms)
        mount(app, house.rooms)
        house.metrics.start()
        house.gnocchi.start()
        client = TestClient(app)
        client.headers["authorization"] = f"Bearer {(tmp_path / 'state' / 'token').read_text().strip()}"
        assert client.get("/gnocchi/v1/archive_policy").json()[0]["name"]
        text = client.get("/dashboards").text
        assert "Beside the site" in text and "In the state" in text and "Hidden by the first" not in text
        assert client.get("/dashboards/two").status_code == 200
        assert "low" in client.get("/resources/policies").text
    finally:
        house.stop()
