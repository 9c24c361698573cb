"""Power cuts, failing syncs and full disks at every point of writing, sealing, trimming and dropping."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine.powercut import PowerCutFiles, every_cut, every_fault

from weatherglass.base.errors import Unavailable
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs, Settings, retention
from weatherglass.logs.retention import Retention

T0 = 1_800_000_000 * SECOND_NS
AFTER = "afterwards"
ALL = {"start_ns": 0, "end_ns": 1 << 62}


def unsynced(path: Path) -> Tables:
    """Tables whose commits wait for no disk: the power is cut in the model alone, the machine's stays on."""
    tables = Tables(path)
    sa.event.listen(
        tables._writer, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF")
    )
    return tables


class Scenario:
    """Writes, seals, trims and drops over a model disk. The tables are real: a commit is durable when it is cut.

    The first thing that a run acknowledges are its tables; a check opens the store over them again.
    """

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.folder, self.migrated, self.opened = folder, migrated, list[Tables]()

    def run(self, files: PowerCutFiles, acked: list[Any]) -> None:
        database = self.folder / f"{len(self.opened)}.db"
        shutil.copy(self.migrated, database)
        tables, clock = unsynced(database), ManualClock(T0)
        self.opened.append(tables)
        acked.append(tables)
        settings = Settings(segment_bytes=300, retention_s=1500)
        logs = Logs("/logs", files=files, tables=tables, clock=clock, settings=settings)
        for number in range(4):
            for tenant in ("site", "genomics"):
                text = f"{tenant} {number} {'x' * 120}\n"
                seen_ns = T0 + number * 500 * SECOND_NS
                with contextlib.suppress(Unavailable):
                    logs.write_raw(tenant, [RawEvent(seen_ns, (("service", "s"),), text)])
                    acked.append((tenant, text))
            if number % 2:
                with contextlib.suppress(Unavailable):
                    logs.seal("site" if number == 1 else "genomics")
        clock.advance(2200)
        # From here on retention may take them; nothing says that it must.
        acked[1:] = [one for one in acked[1:] if not one[1].startswith(("site 0", "site 1"))]
        with contextlib.suppress(Unavailable):
            logs.drop_old()

    def check(self, files: PowerCutFiles, acked: list[Any]) -> None:
        tables, *wanted = acked
        logs = Logs("/logs", files=files, tables=tables, clock=ManualClock(T0))
        for tenant in ("site", "genomics"):
            found = [event.raw for event in logs.search(tenant, **ALL).events]
            assert len(found) == len(set(found)), "stored twice"
            assert {text for of, text in wanted if of == tenant} <= set(found), "lost"
            assert all(text.startswith((tenant, AFTER)) for text in found)
        logs.write_raw("site", [RawEvent(T0, (), AFTER)])
        assert any(event.raw == AFTER for event in logs.search("site", **ALL, words=AFTER).events)


class Merging(Scenario):
    """Two blocks become one, which then loses a level."""

    def run(self, files: PowerCutFiles, acked: list[Any]) -> None:
        database = self.folder / f"{len(self.opened)}.db"
        shutil.copy(self.migrated, database)
        tables, clock = unsynced(database), ManualClock(T0)
        self.opened.append(tables)
        acked.append(tables)
        kept = Retention(levels={"DEBUG": 3600})
        logs = Logs("/logs", files=files, tables=tables, clock=clock, retention=lambda tenant: kept)
        for number in range(2):
            for level in ("ERROR", "DEBUG"):
                text = f"2027-01-15 08:00:0{number}.000 1 {level} site [-] {'x' * 60}\n"
                with contextlib.suppress(Unavailable):
                    logs.write_raw("site", [RawEvent(T0 + number, (("service", "s"),), text)])
                    acked.append(("site", text))
            with contextlib.suppress(Unavailable):
                logs.seal("site")
        with contextlib.suppress(Unavailable):
            logs.compact("site")
        clock.advance(3700)
        # From here on retention may take the one level.
        acked[1:] = [one for one in acked[1:] if "DEBUG" not in one[1]]
        with contextlib.suppress(Unavailable):
            logs.drop_old()

    def check(self, files: PowerCutFiles, acked: list[Any]) -> None:
        tables, *wanted = acked
        logs = Logs("/logs", files=files, tables=tables, clock=ManualClock(T0))
        found = [event.raw for event in logs.search("site", **ALL).events]
        assert len(found) == len(set(found)), "stored twice"
        assert {text for _, text in wanted} <= set(found), "lost"


def test_power_cut_while_blocks_become_one_and_lose_a_level(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "TIER", 2)
    scenario = Merging(tmp_path, migrated)
    try:
        files, acked = PowerCutFiles(), list[Any]()
        scenario.run(files, acked)
        logs = Logs("/logs", files=files, tables=acked[0])
        assert (logs.stats()["blocks"], logs.stats()["events"]) == (1, 2)
        assert every_cut(scenario.run, scenario.check, samples=1) > 30
        assert every_fault(scenario.run, scenario.check, samples=1, cuts=1) > 20
    finally:
        for tables in scenario.opened:
            tables.close()


@pytest.fixture
def scenario(tmp_path: Path, migrated: Path) -> Iterator[Scenario]:
    scenario = Scenario(tmp_path, migrated)
    yield scenario
    for tables in scenario.opened:
        tables.close()


def test_the_scenario_seals_and_drops(scenario: Scenario) -> None:
    files, acked = PowerCutFiles(), list[Any]()
    scenario.run(files, acked)
    logs = Logs("/logs", files=files, tables=acked[0])
    assert logs.stats()["blocks"] == 1
    assert len(logs.search("site", **ALL).events) == 2
    assert files.listdir("/logs/log")[0] != "00000000000000000000.log"


def test_power_cut_at_every_point(scenario: Scenario) -> None:
    assert every_cut(scenario.run, scenario.check, samples=2) > 150


def test_every_sync_failing_and_every_write_finding_the_disk_full(scenario: Scenario) -> None:
    assert every_fault(scenario.run, scenario.check, samples=1, cuts=1) > 100
