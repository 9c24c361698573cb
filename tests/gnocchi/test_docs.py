"""docs/gnocchi.md names every path that is spoken, and every rule that it counts is there."""

from __future__ import annotations

from pathlib import Path

from weatherglass.gateway.gnocchi.serving import PATHS
from weatherglass.metrics.gnocchi.rules import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "gnocchi.md").read_text()


def test_every_path_is_told() -> None:
    assert [path.pattern for path in PATHS if f"`{path.pattern or '/'}`" not in PAGE] == []


def test_as_many_rules_as_said() -> None:
    assert f"Gnocchi's {len(RULES)} rules" in PAGE
