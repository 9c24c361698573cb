"""Where blocks lie: their files, which of them there are, and those read lately.

A block is a file below the folder, `<tenant>/<day>/<first time>-<sequence>.parquet`, written whole. Which rows
of the catalogue are on the shelf changes under the store's lock, together with the head; the cache of open
blocks has a lock of its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from weatherglass.base.errors import Corrupt, Unavailable
from weatherglass.base.time import SECOND_NS
from weatherglass.engine.files import Files
from weatherglass.logs import blocks, first
from weatherglass.logs.blocks import Block
from weatherglass.logs.catalogue import BlockRow

if TYPE_CHECKING:
    import pyarrow as pa

DAY_NS = 86_400 * SECOND_NS


class Shelf:
    """The blocks of every tenant. Writing raises OSError as the system does."""

    def __init__(self, folder: Path, files: Files, rows: Iterable[BlockRow], cache_bytes: int) -> None:
        self._folder, self._files, self._cache_bytes = folder, files, cache_bytes
        self._rows: dict[str, tuple[BlockRow, ...]] = {}
        self._cache: OrderedDict[str, Block] = OrderedDict()
        self._lock = threading.Lock()
        files.mkdir(folder)
        for row in rows:
            self.add(row)
        self._remove_orphans({row.path for row in self.all()})

    def _remove_orphans(self, known: set[str]) -> None:
        """Files that no row names: of a seal or a drop that a crash cut short."""
        for tenant in self._files.listdir(self._folder):
            for day in self._files.listdir(self._folder / tenant):
                for name in self._files.listdir(self._folder / tenant / day):
                    if f"{tenant}/{day}/{name}" not in known:
                        self._files.unlink(self._folder / tenant / day / name)

    def of(self, tenant: str) -> tuple[BlockRow, ...]:
        return self._rows.get(tenant, ())

    def all(self) -> list[BlockRow]:
        return [row for rows in list(self._rows.values()) for row in rows]

    def add(self, row: BlockRow) -> None:
        self._rows[row.tenant] = (*self.of(row.tenant), row)

    def forget(self, rows: Iterable[BlockRow]) -> None:
        """Take these off the shelf; their files stay until `remove`."""
        gone = {row.path for row in rows}
        for tenant, kept in self._rows.items():
            self._rows[tenant] = tuple(row for row in kept if row.path not in gone)
        with self._lock:
            for path in gone:
                self._cache.pop(path, None)

    def remove(self, rows: Iterable[BlockRow]) -> None:
        """Their files."""
        for row in rows:
            self._files.unlink(self._folder / row.path)

    def write(self, tenant: str, table: pa.Table, size: int) -> BlockRow:
        """A file of a table, durable on return; not on the shelf yet. `size`: text's bytes."""
        table = blocks.ordered(table)
        data = blocks.encode_block(tenant, table)
        first_ns, sequence = table.column("time")[0].as_py(), table.column("sequence")[0].as_py()
        folder = PurePosixPath(_folder_name(tenant)) / str(first_ns // DAY_NS)
        path = folder / f"{first_ns}-{sequence}.parquet"
        number = 0
        while self._files.exists(self._folder / path):  # a merged block begins where its first one did
            number += 1
            path = folder / f"{first_ns}-{sequence}.{number}.parquet"
        self._files.mkdir(self._folder / folder)
        self._files.write_atomic(self._folder / path, data)
        return BlockRow(
            tenant=tenant,
            path=str(path),
            format=blocks.VERSION,
            events=len(table),
            bytes_in=size,
            bytes_stored=len(data),
            first_ns=first_ns,
            last_ns=table.column("time")[-1].as_py(),
            seen_ns=max_of(table.column("seen")),
            levels=blocks.levels_of(table),
        )

    def opened(self, row: BlockRow) -> Block | None:
        """The block, or None when it was taken off meanwhile. Raises Corrupt, Unavailable."""
        with self._lock:
            block = self._cache.get(row.path)
            if block:
                self._cache.move_to_end(row.path)
                return block
        try:
            data = self._files.read(self._folder / row.path)
        except FileNotFoundError as error:
            if row in self.of(row.tenant):
                raise Corrupt(
                    "a block of logs is gone",
                    where=str(self._folder / row.path),
                    mend="restore it from a backup",
                ) from error
            return None
        except OSError as error:
            raise Unavailable(
                f"a block of logs cannot be read: {error.strerror or error}",
                where=str(self._folder / row.path),
            ) from error
        where = str(self._folder / row.path)
        if row.format == first.VERSION:
            data = blocks.encode_block(row.tenant, blocks.ordered(first.renewed(data, where)))
        block = Block(data, where)
        with self._lock:
            self._cache[row.path] = block
            size = sum(one.size for one in self._cache.values())
            while size > self._cache_bytes and len(self._cache) > 1:
                size -= self._cache.popitem(last=False)[1].size
        return block


def max_of(column: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return int(pc.max(column).as_py())


def _folder_name(tenant: str) -> str:
    """A folder of its own for every tenant, whatever its name."""
    return quote(tenant, safe="") if tenant.strip(".") else f"%{tenant}"
