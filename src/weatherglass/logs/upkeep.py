"""Blocks that become others: small ones put together, levels thinned out, the old dropped.

Each change is a new file, then one transaction of the catalogue, then the old files' end: a crash in between leaves
files that nobody names, which the next start removes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from weatherglass.logs.blocks import VERSION
from weatherglass.logs.catalogue import BlockRow, Catalogue
from weatherglass.logs.retention import Retention, expired, thinned, to_merge
from weatherglass.logs.shelf import DAY_NS, Shelf
from weatherglass.logs.taking import joined

if TYPE_CHECKING:
    import pyarrow as pa


def without(table: pa.Table, levels: Iterable[str]) -> pa.Table:
    """The events of other levels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    level = pc.fill_null(table.column("level").cast(pa.string()), pa.scalar("", pa.string()))
    return table.filter(pc.invert(pc.is_in(level, value_set=pa.array(sorted(levels), pa.string()))))


class Upkeep:
    """Works under the store's `sealing` lock, one change at a time; `lock` guards the shelf's rows."""

    def __init__(self, shelf: Shelf, catalogue: Catalogue, lock: threading.Lock) -> None:
        self._shelf, self._catalogue, self._lock = shelf, catalogue, lock

    def drop(self, retention: Callable[[str], Retention], most_bytes: int, now_ns: int) -> int:
        """Drop whole what is not kept, by each tenant's own retention and then by what all may have; how many."""
        with self._lock:
            rows = self._shelf.all()
        tenants: dict[str, list[BlockRow]] = {}
        for row in rows:
            tenants.setdefault(row.tenant, []).append(row)
        old = [row for tenant, own in tenants.items() for row in expired(own, retention(tenant), now_ns)]
        gone = {row.path for row in old}
        old += expired([row for row in rows if row.path not in gone], Retention(bytes=most_bytes), now_ns)
        if old:
            self._catalogue.dropped(old, now_ns // DAY_NS - 1)
            with self._lock:
                self._shelf.forget(old)
            self._shelf.remove(old)
        return len(old)

    def thin(self, retention: Callable[[str], Retention], now_ns: int) -> int:
        """Write the blocks anew that have levels which are not kept any longer; how many."""
        with self._lock:
            rows = self._shelf.all()
        changed = 0
        for tenant in sorted({row.tenant for row in rows}):
            own = [row for row in rows if row.tenant == tenant]
            for row, levels in thinned(own, retention(tenant), now_ns):
                block = self._shelf.opened(row)
                if block is None:
                    continue
                kept = without(block.table(), levels)
                self._replace([row], kept, row.bytes_in * len(kept) // max(1, row.events))
                changed += 1
        return changed

    def merge(self, tenant: str, seal_events: int) -> int:
        """Put small blocks together; how many became one (0: nothing to do)."""
        with self._lock:
            rows = to_merge(self._shelf.of(tenant), seal_events)
        blocks = [block for row in rows if (block := self._shelf.opened(row))]
        if not rows or len(blocks) < len(rows):
            return 0
        self._replace(rows, joined([block.table() for block in blocks]), sum(row.bytes_in for row in rows))
        return len(rows)

    def renew(self) -> bool:
        """Write one block of an earlier format in today's; whether there was one."""
        with self._lock:
            old = [row for row in self._shelf.all() if row.format != VERSION][:1]
        block = self._shelf.opened(old[0]) if old else None
        if block is None:
            return False
        self._replace(old, block.table(), old[0].bytes_in)
        return True

    def _replace(self, old: Sequence[BlockRow], table: pa.Table, size: int) -> None:
        new = self._shelf.write(old[0].tenant, table, size) if len(table) else None
        self._catalogue.replaced(old, new)
        with self._lock:
            self._shelf.forget(old)
            if new is not None:
                self._shelf.add(new)
        self._shelf.remove(old)
