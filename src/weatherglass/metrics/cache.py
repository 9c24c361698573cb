"""What was read from files and may be asked for again soon, in memory, bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Cache:
    """Decompressed pages and directories, least recently used dropped first, bounded in bytes."""

    def __init__(self, limit_bytes: int = 96 << 20) -> None:
        self._limit, self._held = limit_bytes, 0
        self._lock = threading.Lock()
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, item: Any, size: int) -> None:
        with self._lock:
            before = self._items.pop(key, None)
            self._held += size - (before[1] if before else 0)
            self._items[key] = (item, size)
            while self._held > self._limit and len(self._items) > 1:
                _, (_, dropped) = self._items.popitem(last=False)
                self._held -= dropped

    def drop(self, sequence: int) -> None:
        """Whatever is held of one block."""
        with self._lock:
            for key in [key for key in self._items if isinstance(key, tuple) and key[0] == sequence]:
                self._held -= self._items.pop(key)[1]
