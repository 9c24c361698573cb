"""Which cores a query computes on: all of them, but for one while samples come in.

Its threads also give way to others. So a large read does not make many small writes late.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from weatherglass.engine.priority import give_way

CORES = min(os.cpu_count() or 1, 8)
WRITING_S = 1.0
"""So long after a write another one is to be expected."""
_WORTH_SHARING = 1 << 20  # cells or samples: a millisecond's work

_written_at = float("-inf")


def written() -> None:
    """To be called where samples came in."""
    global _written_at
    _written_at = time.monotonic()


def workers() -> int:
    """How many threads a query may compute on now."""
    return max(CORES - 1, 1) if time.monotonic() - _written_at < WRITING_S else CORES


def shared_out(work: Callable[[int, int], None], rows: int, cells: int) -> None:
    """`work(first, last)` over all rows, on a thread a core where it is worth it: kernels hold no lock."""
    threads = workers()
    if cells < _WORTH_SHARING or threads < 2 or rows < 2 * threads:
        work(0, rows)
        return
    edges = np.linspace(0, rows, threads + 1).astype(int).tolist()
    for done in [_pool().submit(work, a, b) for a, b in pairwise(edges)]:
        done.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CORES, "promql", initializer=give_way)
