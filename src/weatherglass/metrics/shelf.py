"""The folder of files and its catalogue: what is there when a store opens, and every change to it, in one transaction.

The order is the proof: files synced → their rows in one transaction → published → what they replace unlinked.
Whatever a crash leaves in between is either an orphan file, removed at the next start, or a file that is read once
more and replaced again. File names are sequence numbers from the catalogue; no clock is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from weatherglass.base.errors import Unavailable
from weatherglass.engine import files as engine_files
from weatherglass.engine.log import Log
from weatherglass.engine.tables import Tables
from weatherglass.metrics import catalogue
from weatherglass.metrics.blocks import Block, Columns, Meta, Summary, Writer
from weatherglass.metrics.cache import Cache
from weatherglass.metrics.deletion import Deletion, load_deletion, pack_deletion
from weatherglass.metrics.histogram_blocks import HistogramBlock
from weatherglass.metrics.index import Index
from weatherglass.metrics.kept import Rolled
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.segments import read_segment, write_segment

BLOCK_SUFFIX, SEGMENT_SUFFIX = ".block", ".series"
HISTOGRAM_SUFFIX, DELETION_SUFFIX = ".histograms", ".deleted"

RAW, ROLLUP, HISTOGRAMS = "raw", "rollup", "histograms"
SUFFIX_OF = {RAW: BLOCK_SUFFIX, ROLLUP: BLOCK_SUFFIX, HISTOGRAMS: HISTOGRAM_SUFFIX}

DAY_MS = 86_400_000
_WINDOWS_OPEN = 400
_COARSE = 64

_COMPARED = ("stored", "until_ms", "spec")


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is written and synced, and waits for its row."""

    kind: str
    sequence: int
    summary: Summary
    meta: Meta


def file_name(sequence: int, suffix: str) -> str:
    return f"{sequence:016d}{suffix}"


class Shelf:
    """One owner, calls from one thread at a time."""

    def __init__(
        self, folder: Path, files: engine_files.Files, tables: Tables, journal: Log, cache: Cache
    ) -> None:
        self.folder, self.files, self.tables, self.log = folder, files, tables, journal
        self._cache = cache
        self._sequence = 0

    # --- opening -----------------------------------------------------------------------------------------

    def open(self) -> dict[str, Partition]:
        """The partitions as the catalogue has them, index loaded, heads empty; orphan files removed."""
        self.files.mkdir(self.folder)
        with self.tables.read() as connection:
            rows = {
                name: connection.execute(sa.select(table)).all()
                for name, table in catalogue.METADATA.tables.items()
            }
        numbered = ("metrics_blocks", "metrics_segments", "metrics_deletions")
        blocks, segments, deletions = (sorted(rows[name], key=lambda row: row.sequence) for name in numbered)
        self._sequence = max([0, *(row.sequence for row in (*blocks, *segments, *deletions))])
        known = {file_name(row.sequence, SUFFIX_OF[row.kind]) for row in blocks}
        known |= {file_name(row.sequence, SEGMENT_SUFFIX) for row in segments}
        known |= {file_name(row.sequence, DELETION_SUFFIX) for row in deletions}
        for name in self.files.listdir(self.folder):
            if name not in known:
                self.files.unlink(self.folder / name)
        self.files.sync_dir(self.folder)
        partitions = {row.tenant: Partition(row.tenant, row.sealed) for row in rows["metrics_tenants"]}
        for row in segments:
            for body in read_segment(self.files, self.folder / file_name(row.sequence, SEGMENT_SUFFIX)):
                partitions[row.tenant].replay_labels(body, kept=True)
        for row in rows["metrics_tenants"]:
            partition = partitions[row.tenant]
            partition.index.next = max(partition.index.next, row.next_number)
        for row in blocks:
            summary = Summary(row.first_ms, row.last_ms, row.series, row.samples, row.bytes)
            meta = Meta(row.position, row.policy, row.granularity_ms, tuple(row.methods.split()), row.rolled)
            self._publish(partitions[row.tenant], [Made(row.kind, row.sequence, summary, meta)])
        for partition in partitions.values():
            mine = [row for row in deletions if row.tenant == partition.tenant]
            partition.kept = replace(
                partition.kept,
                deletions=tuple(self._read_deletion(row.sequence) for row in mine),
                states={
                    (row.policy, row.granularity_ms): Rolled(row.spec, row.stored, row.until_ms)
                    for row in rows["metrics_rollups"]
                    if row.tenant == partition.tenant
                },
                floors={
                    (row.policy, row.granularity_ms): row.first_ms
                    for row in rows["metrics_floors"]
                    if row.tenant == partition.tenant
                },
            )
        return partitions

    # --- files -------------------------------------------------------------------------------------------

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def create(self, sequence: int, suffix: str) -> engine_files.AppendFile:
        return self.files.create(self.folder / file_name(sequence, suffix))

    def discard(self, names: Iterable[str]) -> None:
        """Files that came to nothing. Each try takes new names: what a full disk let through must not fill it
        further."""
        for name in names:
            with suppress(OSError):
                self.files.unlink(self.folder / name)

    def sync(self) -> None:
        self.files.sync_dir(self.folder)

    def write_segment(self, sequence: int, bodies: Iterable[bytes]) -> int:
        return write_segment(self.files, self.folder / file_name(sequence, SEGMENT_SUFFIX), bodies)

    def write_deletion(self, deletion: Deletion) -> None:
        path = self.folder / file_name(deletion.sequence, DELETION_SUFFIX)
        self.files.write_atomic(path, pack_deletion(deletion))

    def _read_deletion(self, sequence: int) -> Deletion:
        path = self.folder / file_name(sequence, DELETION_SUFFIX)
        return load_deletion(self.files.read(path), str(path))

    # --- changes -----------------------------------------------------------------------------------------

    def change(
        self,
        partition: Partition,
        *,
        add: Sequence[Made] = (),
        drop: Sequence[Block | HistogramBlock] = (),
        rolled: Sequence[Block] = (),
        states: Mapping[tuple[str, int], Rolled] | None = None,
        floors: Mapping[tuple[str, int], int] | None = None,
        new_deletion: Deletion | None = None,
        past_deletions: Sequence[Deletion] = (),
        also: Callable[[sa.Connection], None] | None = None,
        publish: Callable[[], None] | None = None,
        again: bool = False,
    ) -> None:
        """All of it or nothing, in the catalogue (with what `also` writes) and here (with what `publish` sets, under
        the partition's lock). Files to add are synced already; where it fails they go, unless the caller comes `again`
        with the same. Raises Unavailable."""
        tenant = partition.tenant

        def store(connection: sa.Connection) -> None:
            # A transaction that failed in its last step may have come through all the same.
            here = catalogue.BLOCKS.c.sequence
            connection.execute(catalogue.BLOCKS.delete().where(here.in_([made.sequence for made in add])))
            for made in add:
                connection.execute(catalogue.BLOCKS.insert().values(**_row(tenant, made)))
            connection.execute(catalogue.BLOCKS.delete().where(here.in_([one.sequence for one in drop])))
            for some in _batches([one.sequence for one in rolled]):
                connection.execute(catalogue.BLOCKS.update().where(here.in_(some)).values(rolled=True))
            for (policy, granularity), state in (states or {}).items():
                values = {key: getattr(state, key) for key in _COMPARED}
                _upsert(connection, catalogue.ROLLUPS, tenant, policy, granularity, values)
            for (policy, granularity), first in (floors or {}).items():
                _upsert(connection, catalogue.FLOORS, tenant, policy, granularity, {"first_ms": first})
            gone = [one.sequence for one in past_deletions] + (
                [new_deletion.sequence] if new_deletion else []
            )
            connection.execute(catalogue.DELETIONS.delete().where(catalogue.DELETIONS.c.sequence.in_(gone)))
            if new_deletion:
                connection.execute(
                    catalogue.DELETIONS.insert().values(
                        sequence=new_deletion.sequence,
                        tenant=tenant,
                        first_ms=new_deletion.first_ms,
                        last_ms=new_deletion.last_ms,
                        series=len(new_deletion.numbers),
                    )
                )
            if also:
                also(connection)

        try:
            with self.tables.write() as connection:
                store(connection)
        except Unavailable:
            if not again and not self._named([made.sequence for made in add]):
                self.discard(file_name(made.sequence, SUFFIX_OF[made.kind]) for made in add)
            raise
        dropped = {one.sequence for one in drop}
        known = {one.sequence for one in rolled}
        with partition.lock:
            kept = partition.kept
            partition.blocks = tuple(
                one.known_to_rollups() if one.sequence in known else one
                for one in partition.blocks
                if one.sequence not in dropped
            )
            deletions = tuple(one for one in kept.deletions if one not in past_deletions)
            partition.kept = replace(
                kept,
                rollups=tuple(one for one in kept.rollups if one.sequence not in dropped),
                histograms=tuple(one for one in kept.histograms if one.sequence not in dropped),
                states={**kept.states, **(states or {})},
                floors={**kept.floors, **(floors or {})},
                deletions=(*deletions, new_deletion) if new_deletion else deletions,
            )
            self._publish(partition, add)
            if publish:
                publish()
        for one in drop:
            self.files.unlink(one.path)
            self._cache.drop(one.sequence)
        self.discard(file_name(one.sequence, DELETION_SUFFIX) for one in past_deletions)

    def _named(self, sequences: Sequence[int]) -> bool:
        """Whether the catalogue names any of them: a transaction that failed last may have come through."""
        here = catalogue.BLOCKS.c.sequence.in_(sequences)
        try:
            with self.tables.read() as connection:
                return bool(connection.scalar(sa.select(sa.func.count()).where(here)))
        except Unavailable:
            return True  # for all that is known

    def _publish(self, partition: Partition, add: Sequence[Made]) -> None:
        for made in add:
            path = self.folder / file_name(made.sequence, SUFFIX_OF[made.kind])
            if made.kind == HISTOGRAMS:
                many = HistogramBlock(path, made.sequence, made.summary, self.files, self._cache, made.meta)
                partition.kept = replace(partition.kept, histograms=(*partition.kept.histograms, many))
                continue
            block = Block(path, made.sequence, made.summary, self.files, self._cache, made.meta)
            if made.kind == RAW:
                partition.blocks = _placed(partition.blocks, block)
            else:
                partition.kept = replace(partition.kept, rollups=_placed(partition.kept.rollups, block))

    def mark(self, connection: sa.Connection, tenant: str, sealed: int, next_number: int) -> None:
        """How far the tenant's log is in files."""
        row = {"sealed": sealed, "next_number": next_number}
        here = catalogue.TENANTS.c.tenant == tenant
        if not connection.execute(catalogue.TENANTS.update().where(here).values(row)).rowcount:
            connection.execute(catalogue.TENANTS.insert().values(tenant=tenant, **row))

    def add_segment(
        self, connection: sa.Connection, tenant: str, sequence: int, series: int, size: int
    ) -> None:
        here = catalogue.SEGMENTS.c.sequence == sequence
        connection.execute(catalogue.SEGMENTS.delete().where(here))
        connection.execute(
            catalogue.SEGMENTS.insert().values(sequence=sequence, tenant=tenant, series=series, bytes=size)
        )

    def replace_segments(
        self, partition: Partition, index: Index, written: Sequence[tuple[int, int, int]]
    ) -> None:
        """These segments (sequence, series, bytes), synced, in place of all of the tenant's, and their index in place
        of the partition's. To be called when the partition is `quiet`."""
        mine = catalogue.SEGMENTS.c.tenant == partition.tenant
        with self.tables.read() as connection:
            old = list(connection.scalars(sa.select(catalogue.SEGMENTS.c.sequence).where(mine)))
        with self.tables.write() as connection:
            connection.execute(catalogue.SEGMENTS.delete().where(mine))
            for sequence, series, size in written:
                self.add_segment(connection, partition.tenant, sequence, series, size)
            self.mark(connection, partition.tenant, partition.sealed, partition.index.next)
        partition.replace_index(index)
        for number in old:
            self.files.unlink(self.folder / file_name(number, SEGMENT_SUFFIX))


class Windows:
    """Blocks under way, one a stretch of time: what comes is cut at the edges. A block of old samples can then be
    dropped, or merged with its neighbours, without those of today."""

    def __init__(self, shelf: Shelf, kind: str, meta: Meta, window_ms: int = DAY_MS) -> None:
        """The `position` of `meta` is the least; each block takes its own sequence number where that is 0."""
        self._shelf, self._kind, self._meta, self._window = shelf, kind, meta, window_ms
        self._writers: dict[int, tuple[int, engine_files.AppendFile, Writer]] = {}

    def add(self, group: Columns) -> None:
        """Series that are neighbours, times strictly ascending in each. Raises OSError."""
        if not len(group.times):
            return
        windows = group.times // self._window
        first, last = int(windows.min()), int(windows.max())
        if first == last:
            self._put(first, group)
            return
        owner = group.owners
        for window in np.unique(windows).tolist():
            here = windows == window
            self._put(window, group.only(here, owner))

    def _put(self, window: int, group: Columns) -> None:
        found = self._writers.get(window)
        if found is None:
            # Past so many open files neighbours share one, and past twice as many all do: rare, and less tidy only.
            if len(self._writers) >= _WINDOWS_OPEN:
                window = (1 << 60) + window // _COARSE if len(self._writers) < 2 * _WINDOWS_OPEN else 1 << 62
                found = self._writers.get(window)
            if found is None:
                sequence = self._shelf.next_sequence()
                file = self._shelf.create(sequence, BLOCK_SUFFIX)
                found = self._writers[window] = (sequence, file, Writer(file))
        found[2].add(group.without_empty())

    def finish(self) -> list[Made]:
        """Every block, synced (its name is not yet)."""
        made = []
        for sequence, file, writer in self._writers.values():
            meta = self._meta if self._meta.position else replace(self._meta, position=sequence)
            made.append(Made(self._kind, sequence, writer.finish(), meta))
            file.close()
        return made

    def abandon(self) -> None:
        """The files are taken away again."""
        for _, file, _ in self._writers.values():
            with suppress(OSError):
                file.close()
        self._shelf.discard(file_name(sequence, BLOCK_SUFFIX) for sequence, _, _ in self._writers.values())
        self._writers.clear()


def _placed(blocks: tuple[Block, ...], block: Block) -> tuple[Block, ...]:
    return tuple(sorted((*blocks, block), key=lambda one: (one.meta.position, one.sequence)))


def _row(tenant: str, made: Made) -> dict[str, Any]:
    meta = made.meta
    return {
        "sequence": made.sequence,
        "tenant": tenant,
        **asdict(made.summary),
        "kind": made.kind,
        "position": meta.position,
        "policy": meta.policy,
        "granularity_ms": meta.granularity_ms,
        "methods": " ".join(meta.methods),
        "rolled": meta.rolled,
    }


def _upsert(
    connection: sa.Connection,
    table: sa.Table,
    tenant: str,
    policy: str,
    granularity: int,
    values: dict[str, Any],
) -> None:
    columns = table.c
    here = (columns.tenant == tenant) & (columns.policy == policy) & (columns.granularity_ms == granularity)
    if not connection.execute(table.update().where(here).values(values)).rowcount:
        connection.execute(
            table.insert().values(tenant=tenant, policy=policy, granularity_ms=granularity, **values)
        )


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(numbers), 500):
        yield numbers[first : first + 500]
