"""Power cuts, failing syncs and full disks at every point of writing, sealing, trimming and dropping."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from engine.powercut import PowerCutFiles, every_cut, every_fault

from weatherglass.base.errors import Unavailable
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs, Settings

T0 = 1_800_000_000 * SECOND_NS
AFTER = "afterwards"
ALL = {"start_ns": 0, "end_ns": 1 << 62}


class Scenario:
    """Writes, seals and trims over a model disk. The tables are real: a commit is durable when the disk is cut.

    The first thing that a run acknowledges is where its tables are; a check opens them again.
    """

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.folder, self.migrated, self.number = folder, migrated, itertools.count()

    def run(self, files: PowerCutFiles, acked: list[Any]) -> None:
        database = self.folder / f"{next(self.number)}.db"
        shutil.copy(self.migrated, database)
        acked.append(database)
        tables = Tables(database)
        try:
            logs = Logs(
                "/logs",
                files=files,
                tables=tables,
                clock=ManualClock(T0),
                settings=Settings(segment_bytes=300),
            )
            for number in range(6):
                for tenant in ("site", "genomics"):
                    text = f"{tenant} {number} {'x' * 120}\n"
                    with contextlib.suppress(Unavailable):
                        logs.write_raw(tenant, [RawEvent(T0 + number, (("service", "s"),), text)])
                        acked.append((tenant, text))
                if number % 2:
                    with contextlib.suppress(Unavailable):
                        logs.seal("site" if number != 3 else "genomics")
        finally:
            tables.close()

    def check(self, files: PowerCutFiles, acked: list[Any]) -> None:
        database, *wanted = acked
        tables = Tables(database)
        try:
            logs = Logs("/logs", files=files, tables=tables, clock=ManualClock(T0))
            for tenant in ("site", "genomics"):
                found = [event.raw for event in logs.search(tenant, **ALL).events]
                assert len(found) == len(set(found)), "stored twice"
                assert {text for of, text in wanted if of == tenant} <= set(found), "lost"
                assert all(text.startswith((tenant, AFTER)) for text in found)
            logs.write_raw("site", [RawEvent(T0, (), AFTER)])
            assert any(event.raw == AFTER for event in logs.search("site", **ALL, words=AFTER).events)
        finally:
            tables.close()


@pytest.fixture
def scenario(tmp_path: Path, migrated: Path) -> Scenario:
    return Scenario(tmp_path, migrated)


def test_power_cut_at_every_point(scenario: Scenario) -> None:
    assert every_cut(scenario.run, scenario.check, samples=2) > 200


def test_every_sync_failing_and_every_write_finding_the_disk_full(scenario: Scenario) -> None:
    assert every_fault(scenario.run, scenario.check, samples=1, cuts=1) > 100
