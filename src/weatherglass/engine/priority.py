"""How a thread stands to the others that want the processor."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

READS = 10
"""By so much reads give way to writes: few very large ones, many small ones."""


def give_way(nice: int = READS) -> None:
    """The calling thread alone goes after others, for good. Where the system cannot tell threads apart, nothing."""
    if nice and sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
