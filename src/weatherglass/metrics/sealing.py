"""Heads to block files, label sets to index segments, old blocks away: one thread, one transaction a seal.

The order is the proof: files synced → their rows and the log's mark in one transaction → the head let go → the
log trimmed. Whatever a crash leaves in between is either an orphan file, removed at the next start, or a head
that replay builds again. File names are sequence numbers from the catalogue; no clock is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np
import sqlalchemy as sa
import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine import files as engine_files
from weatherglass.engine.log import Log
from weatherglass.engine.tables import Tables
from weatherglass.kernels.head import Head
from weatherglass.metrics import catalogue, records
from weatherglass.metrics.blocks import PAGE_SERIES, Block, Cache, Columns, Summary, write_block
from weatherglass.metrics.partition import Files, Partition, Sealing
from weatherglass.metrics.reading import drained

FEW = 1000
"""So many dead series are not worth an index made anew."""

BLOCK_SUFFIX, SEGMENT_SUFFIX = ".block", ".series"

_SEGMENT = struct.Struct("<8sHHII")  # magic, version, zero, raw size, crc32 of what follows
_SEGMENT_MAGIC = b"WGSERIE\0"
_SEGMENT_VERSION = 1


class Shelf:
    """The folder of block files and index segments, with its catalogue. One owner, calls from one thread at a time."""

    def __init__(
        self, folder: Path, files: engine_files.Files, tables: Tables, journal: Log, cache: Cache
    ) -> None:
        self._folder, self._files, self._tables, self._log = folder, files, tables, journal
        self._cache = cache
        self._sequence = 0

    def open(self) -> dict[str, Partition]:
        """The partitions as the catalogue has them, index loaded, heads empty; orphan files removed."""
        self._files.mkdir(self._folder)
        with self._tables.read() as connection:
            tenants = connection.execute(sa.select(catalogue.TENANTS)).all()
            blocks = connection.execute(
                sa.select(catalogue.BLOCKS).order_by(catalogue.BLOCKS.c.sequence)
            ).all()
            segments = connection.execute(
                sa.select(catalogue.SEGMENTS).order_by(catalogue.SEGMENTS.c.sequence)
            ).all()
        self._sequence = max([0, *(row.sequence for row in (*blocks, *segments))])
        known = {self._name(row.sequence, BLOCK_SUFFIX) for row in blocks}
        known |= {self._name(row.sequence, SEGMENT_SUFFIX) for row in segments}
        for name in self._files.listdir(self._folder):
            if name not in known:
                self._files.unlink(self._folder / name)
        self._files.sync_dir(self._folder)
        partitions = {row.tenant: Partition(row.tenant, row.sealed) for row in tenants}
        for row in segments:
            partitions[row.tenant].replay_labels(list(self._read_segment(row.sequence)), kept=True)
        for row in tenants:
            partition = partitions[row.tenant]
            partition.index.next = max(partition.index.next, row.next_number)
        for row in blocks:
            summary = Summary(row.first_ms, row.last_ms, row.series, row.samples, row.bytes)
            partitions[row.tenant].blocks += (self._block(row.sequence, summary),)
        return partitions

    # --- sealing -----------------------------------------------------------------------------------------

    def seal(self, partition: Partition) -> bool:
        """The partition's head becomes a block; whether there was anything. Raises OSError, Unavailable, and then
        the head stays readable and the next call goes on with it."""
        with partition.quiet():
            if partition.sealing is None:
                if not partition.head.samples:
                    return False
                partition.sealing = Sealing(partition.head, self._log.next)
                partition.head = Head(partition.head)
            sealing = partition.sealing
        if sealing.files is None:
            sealing.files = self._write_files(partition, sealing)
        files, tenant = sealing.files, partition.tenant
        with self._tables.write() as connection:
            # A transaction that failed in its last step may have come through all the same.
            here = catalogue.BLOCKS.c.sequence == files.block
            if not connection.scalar(sa.select(sa.func.count()).where(here)):
                connection.execute(
                    catalogue.BLOCKS.insert().values(
                        sequence=files.block, tenant=tenant, **asdict(files.summary)
                    )
                )
                if files.labels:
                    connection.execute(
                        catalogue.SEGMENTS.insert().values(
                            sequence=files.segment,
                            tenant=tenant,
                            series=files.labels,
                            bytes=files.segment_bytes,
                        )
                    )
                self._mark(connection, tenant, sealing.cut, files.next_number)
        with partition.lock:
            partition.blocks += (self._block(files.block, files.summary),)
            partition.sealing, partition.sealed = None, sealing.cut
            del partition.unkept[: files.labels]
        return True

    def _write_files(self, partition: Partition, sealing: Sealing) -> Files:
        with partition.lock:
            labels = [(number, partition.index.key(number)) for number in partition.unkept]
            next_number = partition.index.next
        self._sequence += 2
        block, segment = self._sequence - 1, self._sequence
        try:
            summary = self._write_block(partition, sealing, block)
            size = self._write_segment(segment, labels) if labels else 0
            self._files.sync_dir(self._folder)
        except OSError:
            # Each try takes new names: what a full disk let through must not fill it further.
            for name in (self._name(block, BLOCK_SUFFIX), self._name(segment, SEGMENT_SUFFIX)):
                with suppress(OSError):
                    self._files.unlink(self._folder / name)
            raise
        return Files(block, segment, summary, len(labels), size, next_number)

    def _mark(self, connection: sa.Connection, tenant: str, sealed: int, next_number: int) -> None:
        row = {"sealed": sealed, "next_number": next_number}
        here = catalogue.TENANTS.c.tenant == tenant
        if not connection.execute(catalogue.TENANTS.update().where(here).values(row)).rowcount:
            connection.execute(catalogue.TENANTS.insert().values(tenant=tenant, **row))

    def _write_block(self, partition: Partition, sealing: Sealing, sequence: int) -> Summary:
        # Neighbours by label bytes: one metric's series lie together, compress better and are read together.
        numbers = sorted(sealing.head.active().tolist(), key=partition.index.key)
        file = self._files.create(self._folder / self._name(sequence, BLOCK_SUFFIX))
        try:
            return write_block(file, _groups(sealing, numbers))
        finally:
            file.close()

    def _write_segment(self, sequence: int, labels: list[tuple[int, bytes]]) -> int:
        raw = records.pack_labels(labels)
        packed = zstandard.ZstdCompressor(level=3).compress(raw)
        head = _SEGMENT.pack(_SEGMENT_MAGIC, _SEGMENT_VERSION, 0, len(raw), crc32(packed))
        self._files.write_atomic(self._folder / self._name(sequence, SEGMENT_SUFFIX), head + packed)
        return len(head) + len(packed)

    def _read_segment(self, sequence: int) -> Iterator[tuple[int, bytes]]:
        path = self._folder / self._name(sequence, SEGMENT_SUFFIX)
        data = self._files.read(path)
        if len(data) >= _SEGMENT.size:
            magic, version, _, raw, crc = _SEGMENT.unpack_from(data)
            packed = data[_SEGMENT.size :]
            if magic == _SEGMENT_MAGIC and version == _SEGMENT_VERSION and crc32(packed) == crc:
                body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=raw)
                return records.unpack_labels(body)
        raise Corrupt("an index segment does not check out", where=str(path), mend="restore it from a backup")

    # --- dropping ----------------------------------------------------------------------------------------

    def trim_log(self, partitions: list[Partition], reach: int) -> None:
        """Drops of the log what no partition needs; `reach` is `log.next` from before `partitions` were listed."""
        for partition in partitions:
            with partition.quiet():
                if partition.sealing or partition.head.samples:
                    reach = min(reach, partition.sealed)
        self._log.trim(reach)

    def retire(self, partition: Partition, horizon_ms: int) -> int:
        """Drops blocks whose every sample is older; how many."""
        old = [block for block in partition.blocks if block.summary.last_ms < horizon_ms]
        if not old:
            return 0
        with self._tables.write() as connection:
            connection.execute(
                catalogue.BLOCKS.delete().where(
                    catalogue.BLOCKS.c.sequence.in_([block.sequence for block in old])
                )
            )
        with partition.lock:
            partition.blocks = tuple(block for block in partition.blocks if block not in old)
        for block in old:
            self._files.unlink(block.path)
            self._cache.drop(block.sequence)
        return len(old)

    def forget(self, partition: Partition) -> int:
        """Takes series out of the index that no block and no head has any more; how many. Their numbers are not
        used again. Few dead ones are left alone: the index is made anew, and writers wait meanwhile."""
        alive = [block.numbers() for block in partition.blocks]
        with partition.quiet():
            alive += [head.active() for head in partition.heads()]
            numbers = np.unique(np.concatenate(alive))
            before = partition.index.series
            if before - len(numbers) <= max(FEW, len(numbers) // 4):
                return 0
            old = self._segments(partition.tenant)
            labels = [(number, partition.index.key(number)) for number in numbers.tolist()]
            self._sequence += 1
            sequence = self._sequence
            size = self._write_segment(sequence, labels) if labels else 0
            with self._tables.write() as connection:
                mine = catalogue.SEGMENTS.c.tenant == partition.tenant
                connection.execute(catalogue.SEGMENTS.delete().where(mine))
                if labels:
                    connection.execute(
                        catalogue.SEGMENTS.insert().values(
                            sequence=sequence, tenant=partition.tenant, series=len(labels), bytes=size
                        )
                    )
                self._mark(connection, partition.tenant, partition.sealed, partition.index.next)
            partition.replace_index(labels)
        for number in old:
            self._files.unlink(self._folder / self._name(number, SEGMENT_SUFFIX))
        return before - len(labels)

    def _segments(self, tenant: str) -> list[int]:
        with self._tables.read() as connection:
            mine = catalogue.SEGMENTS.c.tenant == tenant
            return list(connection.scalars(sa.select(catalogue.SEGMENTS.c.sequence).where(mine)))

    def _block(self, sequence: int, summary: Summary) -> Block:
        return Block(
            self._folder / self._name(sequence, BLOCK_SUFFIX), sequence, summary, self._files, self._cache
        )

    @staticmethod
    def _name(sequence: int, suffix: str) -> str:
        return f"{sequence:016d}{suffix}"


def _groups(sealing: Sealing, numbers: list[int]) -> Iterator[Columns]:
    for first in range(0, len(numbers), PAGE_SERIES):
        yield drained(sealing.head, np.array(numbers[first : first + PAGE_SERIES], np.int64))
