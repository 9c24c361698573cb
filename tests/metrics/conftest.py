"""Stores for tests: real files and tables under tmp_path, a clock moved by hand, no sealing unless asked for."""

import shutil

import pytest

from weatherglass.base.time import ManualClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.tables import Tables
from weatherglass.metrics import TABLES, Metrics, Sealer

BY_HAND = Sealer(every_s=3600.0)


@pytest.fixture(scope="session")
def blank_tables(tmp_path_factory):
    """A database file that has been migrated once, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "tables.db"
    tables = Tables(path)
    tables.migrate({"metrics": TABLES})
    tables.close()
    return path


class Place:
    """A state folder on which stores are opened, one after another."""

    def __init__(self, folder, blank, files=None, metrics_folder=None):
        folder.mkdir(exist_ok=True)
        self.folder, self.clock = folder, ManualClock()
        self.files, self.metrics_folder = files or RealFiles(), metrics_folder or folder / "metrics"
        if not (folder / "tables.db").exists():
            shutil.copy(blank, folder / "tables.db")
        self.tables = Tables(folder / "tables.db")
        self.store = None

    def open(self, **options):
        self.close()
        options = {"sealer": BY_HAND, "retention_s": 15 * 86400, **options}
        self.store = Metrics(
            self.metrics_folder, files=self.files, tables=self.tables, clock=self.clock, **options
        )
        self.store.start()
        return self.store

    def close(self):
        if self.store:
            self.store.stop()
            self.store = None


@pytest.fixture
def place(tmp_path, blank_tables):
    one = Place(tmp_path / "state", blank_tables)
    yield one
    one.close()
    one.tables.close()


@pytest.fixture
def store(place):
    return place.open()
