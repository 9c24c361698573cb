"""Every byte of the metrics folder read and held against what it should be: what is wrong, where, what to do.

For a store that is not running (or a snapshot). Blocks, roll-ups, histograms, index segments, deletions, the
catalogue and the log are read whole. `repair` does only what loses nothing: files that nothing names go, and
roll-ups that can be worked out again are. All else is a person's to decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from weatherglass.base.errors import Corrupt, Unavailable, WeatherglassError
from weatherglass.engine.files import TEMPORARY, Files
from weatherglass.engine.segments import (
    HEADER_BYTES,
    SUFFIX,
    base_of,
    decayed_at,
    file_name,
    frames,
    records_of,
)
from weatherglass.engine.tables import Tables
from weatherglass.kernels import columns
from weatherglass.metrics import catalogue, records
from weatherglass.metrics.blocks import Block, Meta, Summary
from weatherglass.metrics.cache import Cache
from weatherglass.metrics.deletion import load_deletion
from weatherglass.metrics.histogram import unpack
from weatherglass.metrics.histogram_blocks import HistogramBlock
from weatherglass.metrics.segments import read_segment
from weatherglass.metrics.shelf import DELETION_SUFFIX, HISTOGRAMS, ROLLUP, SEGMENT_SUFFIX, SUFFIX_OF
from weatherglass.metrics.shelf import file_name as shelf_name

RESTORE = "restore this file from a backup or a snapshot"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `harmless`: a start puts it right by itself, nothing is lost."""

    where: str
    what: str
    mend: str
    harmless: bool = False
    repaired: bool = False


@dataclass(slots=True)
class Report:
    """What was read, and what was found."""

    findings: list[Finding]
    files: int = 0
    bytes: int = 0
    samples: int = 0

    @property
    def sound(self) -> bool:
        """Nothing is lost, or unreadable."""
        return all(finding.harmless or finding.repaired for finding in self.findings)


def check(folder: Path, tables: Tables, files: Files, *, repair: bool = False) -> Report:
    """Reads everything in the metrics folder. The caller holds the state. Raises Unavailable, OSError."""
    found = _Check(folder, tables, files)
    found.all()
    if repair:
        found.repair()
    return found.report


class _Check:
    def __init__(self, folder: Path, tables: Tables, files: Files) -> None:
        self._shelf, self._log, self._tables, self._files = folder / "blocks", folder / "log", tables, files
        self.report = Report([])
        self._orphans: list[Path] = []
        self._bad_rollups: list[Any] = []
        self._rows: dict[str, list[Any]] = {}
        self._numbers: dict[str, set[int]] = {}  # tenant → series with labels

    def all(self) -> None:
        if not self._catalogue():
            return
        known = {self._segment(row) for row in self._rows["metrics_segments"]}
        self._read_log()
        known |= {self._block(row) for row in self._rows["metrics_blocks"]}
        known |= {self._deletion(row) for row in self._rows["metrics_deletions"]}
        there = self._files.listdir(self._shelf) if self._files.is_dir(self._shelf) else []
        for name in there:
            if name not in known:
                self._orphans.append(self._shelf / name)
                self._note(
                    self._shelf / name, "a file that the catalogue does not name", "it goes at the next start"
                )

    # --- finding -----------------------------------------------------------------------------------------

    def _add(self, where: Path | str, what: str, mend: str = RESTORE) -> None:
        self.report.findings.append(Finding(str(where), what, mend))

    def _note(self, where: Path | str, what: str, mend: str) -> None:
        self.report.findings.append(Finding(str(where), what, mend, harmless=True))

    def _corrupt(self, path: Path, error: Corrupt) -> None:
        for problem in error.problems:
            self._add(problem.where or str(path), problem.message, problem.mend or RESTORE)

    def _catalogue(self) -> bool:
        where = self._tables.url.render_as_string(hide_password=True)
        try:
            with self._tables.read() as connection:
                if self._tables.url.get_backend_name() == "sqlite":
                    told = list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())
                    if told != ["ok"]:
                        self._add(
                            where, f"the catalogue does not check out: {told[0]}", "restore it from a backup"
                        )
                        return False
                for name, table in catalogue.METADATA.tables.items():
                    self._rows[name] = list(connection.execute(sa.select(table)).all())
        except (Unavailable, sa.exc.DatabaseError) as error:
            self._add(where, f"the catalogue cannot be read: {error}", "restore it from a backup")
            return False
        return True

    def _size(self, path: Path, wanted: int) -> bool:
        """Whether the file is there, as long as the catalogue has it."""
        if not self._files.exists(path):
            self._add(path, "a file of the catalogue is gone")
            return False
        size = self._files.size(path)
        self.report.files += 1
        self.report.bytes += size
        if size != wanted:
            self._add(path, f"{size} bytes, the catalogue has {wanted}")
            return False
        return True

    def _segment(self, row: Any) -> str:
        name = shelf_name(row.sequence, SEGMENT_SUFFIX)
        path = self._shelf / name
        try:
            if self._size(path, row.bytes):
                found = [
                    number
                    for body in read_segment(self._files, path)
                    for number, _ in records.unpack_labels(body)
                ]
                self._numbers.setdefault(row.tenant, set()).update(found)
                if len(found) != row.series:
                    self._add(path, f"{len(found)} series, the catalogue has {row.series}")
        except Corrupt as error:
            self._corrupt(path, error)
        return name

    def _block(self, row: Any) -> str:
        name = shelf_name(row.sequence, SUFFIX_OF[row.kind])
        path = self._shelf / name
        summary = Summary(row.first_ms, row.last_ms, row.series, row.samples, row.bytes)
        meta = Meta(row.position, row.policy, row.granularity_ms, tuple(row.methods.split()), row.rolled)
        kind = HistogramBlock if row.kind == HISTOGRAMS else Block
        block = kind(path, row.sequence, summary, self._files, Cache(1 << 20), meta)
        try:
            if not self._size(path, row.bytes):
                raise Corrupt("")
            block.verify()
            self.report.samples += row.samples
            strange = set(block.numbers().tolist()) - self._numbers.get(row.tenant, set())
            if strange:
                self._add(path, f"{len(strange)} series without labels, one is number {min(strange)}")
        except Corrupt as error:
            if error.message:
                self._corrupt(path, error)
            if row.kind == ROLLUP:
                self._bad_rollups.append(row)
        return name

    def _deletion(self, row: Any) -> str:
        name = shelf_name(row.sequence, DELETION_SUFFIX)
        path = self._shelf / name
        try:
            if not self._files.exists(path):
                self._add(path, "a file of the catalogue is gone")
            else:
                self.report.files += 1
                self.report.bytes += self._files.size(path)
                found = load_deletion(self._files.read(path), str(path))
                told = (found.sequence, found.first_ms, found.last_ms, len(found.numbers))
                if told != (row.sequence, row.first_ms, row.last_ms, row.series):
                    self._add(path, "another deletion than the catalogue has")
        except Corrupt as error:
            self._corrupt(path, error)
        return name

    # --- the log -----------------------------------------------------------------------------------------

    def _read_log(self) -> None:
        names = self._files.listdir(self._log) if self._files.is_dir(self._log) else []
        paths = [self._log / name for name in names if name.endswith(SUFFIX)]
        for name in names:
            if name.endswith(TEMPORARY):
                self._orphans.append(self._log / name)
                self._note(self._log / name, "an unfinished file", "it goes at the next start")
        bases = list(self._bases(paths))
        for place, (path, base) in enumerate(bases):
            following = bases[place + 1][1] if place + 1 < len(bases) else None
            self._read_log_segment(path, base, following)

    def _bases(self, paths: list[Path]) -> Iterator[tuple[Path, int]]:
        for path in paths:
            try:
                base = base_of(self._files, path)
            except Corrupt as error:
                self._corrupt(path, error)
                continue
            if path.name != file_name(base):
                self._add(path, f"this segment begins at {base}", "give it back its name")
            yield path, base

    def _read_log_segment(self, path: Path, base: int, following: int | None) -> None:
        size, position, offset = self._files.size(path), HEADER_BYTES, base
        self.report.files += 1
        self.report.bytes += size
        for frame in frames(self._files, path, HEADER_BYTES, size):
            if frame.offset != offset:
                self._add(f"{path}:{frame.position}", f"record {frame.offset} where {offset} belongs")
                return
            if following is not None and offset >= following:
                break  # of an abandoned tail: never acknowledged
            for record in records_of(frame.body):
                self._record(path, frame.position, record)
            offset, position = frame.offset + frame.count, frame.end
        if following is not None and offset < following:
            self._add(f"{path}:{position}", f"records {offset} to {following - 1} do not check out")
        elif following is None and position < size:
            where = f"{path}:{position}"
            if decayed_at(self._files, path, position, size):
                self._add(where, "stored bytes do not check out")
            else:
                told = f"{size - position} bytes behind the last whole group: one that was being written when the power went, or decay of it"
                self._note(
                    where, told, "they are cut at the next start; nothing acknowledged is among torn ones"
                )

    def _record(self, path: Path, position: int, record: bytes) -> None:
        try:
            kind, tenant, body = records.unwrap(record)
            if kind == records.LABELS:
                found = {number for number, _ in records.unpack_labels(body)}
                self._numbers.setdefault(tenant, set()).update(found)
            elif kind == records.HISTOGRAMS:
                for _, _, packed in records.unpack_histograms(body):
                    unpack(packed)
            else:
                columns.unpack(body)
        except (WeatherglassError, UnicodeDecodeError) as error:
            self._add(f"{path}:{position}", f"a record does not parse: {error}")

    # --- repair ------------------------------------------------------------------------------------------

    def repair(self) -> None:
        """What loses nothing."""
        mended = {str(path) for path in self._orphans}
        for path in self._orphans:
            self._files.unlink(path)
        if self._bad_rollups and not any(row.kind == "raw" for row in self._bad_blocks()):
            mended |= self._drop_rollups()
        self.report.findings = [
            Finding(one.where, one.what, "done", one.harmless, True)
            if one.where.rpartition(":")[0] in mended or one.where in mended
            else one
            for one in self.report.findings
        ]

    def _bad_blocks(self) -> list[Any]:
        bad = {finding.where.rpartition(":")[0] or finding.where for finding in self.report.findings}
        bad |= {finding.where for finding in self.report.findings}
        return [
            row
            for row in self._rows["metrics_blocks"]
            if str(self._shelf / shelf_name(row.sequence, SUFFIX_OF[row.kind])) in bad
        ]

    def _drop_rollups(self) -> set[str]:
        """Roll-ups whose raw samples are all there go, and with them what says that they are made."""
        floors = {
            (row.tenant, row.policy): row.first_ms
            for row in self._rows["metrics_floors"]
            if not row.granularity_ms
        }
        mended = set()
        with self._tables.write() as connection:
            for row in self._bad_rollups:
                if floors.get((row.tenant, row.policy), row.first_ms) > row.first_ms:
                    continue
                blocks, states = catalogue.BLOCKS.c, catalogue.ROLLUPS.c
                connection.execute(catalogue.BLOCKS.delete().where(blocks.sequence == row.sequence))
                of = (states.tenant == row.tenant) & (states.policy == row.policy)
                here = of & (states.granularity_ms == row.granularity_ms)
                connection.execute(catalogue.ROLLUPS.delete().where(here))
                mended.add(str(self._shelf / shelf_name(row.sequence, SUFFIX_OF[ROLLUP])))
        for path in mended:
            if self._files.exists(path):
                self._files.unlink(path)
        return mended
