"""Every example is right, as `weatherglass check` sees it, and the README's ten lines are ten lines and right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from weatherglass.house.check import check

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/site.yaml")), ids=lambda path: path.parent.name)
def test_an_example_is_what_apply_would_take(path: Path) -> None:
    assert check(path).services


def test_the_readme_shows_a_whole_site_in_ten_lines(tmp_path: Path) -> None:
    shown = re.search(r"```yaml\n(site: hello\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    assert len(shown[1].splitlines()) <= 10
    (tmp_path / "site.yaml").write_text(shown[1])
    assert check(tmp_path / "site.yaml").services["web"].probe


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_at_is_there(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_verb_that_a_page_shows_is_there(page: Path) -> None:
    verbs = {path.stem.rstrip("_") for path in (ROOT / "src/weatherglass/cli/verbs").glob("*.py")}
    shown = set(re.findall(r"^(?:\.venv/bin/)?weatherglass (\w+)", page.read_text(), re.MULTILINE))
    own = set(re.findall(r"file=cli/verbs/(\w+)\.py", page.read_text()))
    assert shown <= verbs | own | {"agent"}
