"""docs/explore.md against the code: its fields, its files, its parameters, and its Python run as they stand."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway.real import Server

from weatherglass.gateway.app import create_app
from weatherglass.house import tokens
from weatherglass.house.alone import Alone, Asked
from weatherglass.house.boards import checked
from weatherglass.metrics.dashboards import FORM, KINDS, from_yaml
from weatherglass.metrics.dashboards.own import PANEL, VARIABLE
from weatherglass.metrics.dashboards.variables import FORMATS
from weatherglass.portal.explore import asking

PAGE = (Path(__file__).parents[2] / "docs" / "explore.md").read_text()


@pytest.mark.parametrize(
    ("heading", "record"), [("a dashboard", FORM), ("a panel", PANEL), ("a variable", VARIABLE)]
)
def test_every_field_is_told(heading: str, record: Any) -> None:
    table = PAGE.partition(f"Of {heading}:")[2].partition("\n\nOf ")[0].partition("\n\nKinds")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M))
    assert told == {name: field.doc for name, field in record.fields.items()}


def test_kinds_and_formats_are_told() -> None:
    kinds = PAGE.partition("Kinds of panels are")[2].partition(". A ")[0]
    assert set(re.findall(r"`(\w+)`", kinds)) == set(KINDS)
    formats = PAGE.partition("`${name:pipe}` (")[2].partition(")")[0]
    assert set(re.findall(r"`(\w+)`", formats)) | {"pipe", "text"} == set(FORMATS)


def test_the_dashboard_is_good(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml file=dashboards/\S+\n(.*?)```", PAGE, re.S)
    assert len(from_yaml(text, "hosts.yaml").panels) == 3
    (tmp_path / "hosts.yaml").write_text(text)
    assert checked(tmp_path / "hosts.yaml") == []


def test_the_parameters_of_explore_are_told() -> None:
    table = PAGE.partition("| parameter |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| ([^|]*)\|", table, re.M))))
    source = Path(asking.__file__).read_text()
    assert told - {"q"} == set(re.findall(r'asked\.get\("(\w+)"', source)) | set(re.findall(r'_seconds\(asked, "(\w+)"', source))  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> Iterator[tuple[str, str]]:
    made = Alone(Asked(frozenset({"metrics", "logs"}), tmp_path))
    tokens.admin(made.identity, tmp_path)
    made.start()
    server = Server(create_app(made.rooms), made.stopping)
    yield server.url, (tmp_path / "token").read_text().strip()
    server.stop()
    made.stop()


def test_the_python_runs(house: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    now_ms = int(time.time()) * 1000
    times = [now_ms - (60 - at) * 60_000 for at in range(61)]
    names: dict[str, Any] = {"url": house[0], "token": house[1], "times_ms": times, "values": [6.0 * at for at in range(61)]}  # fmt: skip
    exec(compile(code, "docs/explore.md", "exec"), names)
    told = capsys.readouterr().out
    assert told.startswith("360.0\n") and "timestamp[ms, tz=UTC]" in told and "['long']" in told
    assert abs(names["frame"].iloc[-1, 0] - 0.1) < 1e-3
    assert names["cloud"].query("jobs_rate").value == pytest.approx(0.1, rel=1e-3)
    names["cloud"].close()
