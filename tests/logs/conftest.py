"""What the tests of the store share: tables that are migrated once and copied, stores that are closed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weatherglass.base.time import ManualClock
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs
from weatherglass.logs.catalogue import ROOM


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the catalogue's tables in it, to be copied."""
    path = tmp_path_factory.mktemp("catalogue") / "tables.db"
    tables = Tables(path)
    tables.migrate(ROOM)
    tables.close()
    return path


@pytest.fixture
def open_logs(tmp_path: Path, migrated: Path) -> Iterator[Callable[..., Logs]]:
    """Opens the store of this test, again and again as asked, over the same folder and tables."""
    made: list[tuple[Logs, Tables]] = []
    database = tmp_path / "tables.db"
    shutil.copy(migrated, database)

    def opened(**options: object) -> Logs:
        options.setdefault("clock", ManualClock())
        tables = Tables(database)
        logs = Logs(tmp_path / "logs", tables=tables, **options)  # type: ignore[arg-type]
        made.append((logs, tables))
        return logs

    yield opened
    for logs, tables in made:
        logs.stop()
        tables.close()
