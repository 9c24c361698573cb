from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.support import executor, quiet
from weatherglass.deploy.execute import Executor


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever runs from it when the test ends is stopped."""
    folder = tmp_path / "state"
    folder.mkdir()
    yield folder
    after = executor(folder)
    after.adopt()
    after.act({"action": "down"}, quiet)
    for unit_id in after.observe():
        if unit_id.startswith("stray:"):
            after.act({"action": "remove", "unit": unit_id}, quiet)
    after._podman.close()


@pytest.fixture
def hands(state: Path) -> Executor:
    return executor(state)
