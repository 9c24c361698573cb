"""What must arrive: samples and events go into the spool on disk, and from there to the server, in order.

One path for everything, whether the server answers or not: `put` returns when the batch is durable, the sender
takes the oldest, posts it, and drops it when the server has acknowledged. So an hour without the server is
an ordinary hour, a `kill -9` loses nothing that was put, and memory holds one batch at a time. The price is
a few small fsyncs a batch (0.3 ms of CPU and 3 ms of waiting, measured), paid every five seconds.

A batch of events carries the tail's cursors as they stand after it (see `tail`); they stay here. The server
can tell a batch that was sent twice (acknowledged, then the agent died before it noted that) by the header
`X-Weatherglass-Batch: <spool id>:<offset>`: offsets of one spool only rise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from weatherglass.agent.wire import Backoff, Wire
from weatherglass.base.errors import (
    Denied,
    Invalid,
    LimitExceeded,
    TooLarge,
    Unauthenticated,
    WeatherglassError,
)
from weatherglass.engine.spool import Spool

TAKE_BYTES = 1 << 20
LIMIT_PATIENCE_S = 60.0
"""How long a batch over a limit is tried again. A rate passes; too many series do not, and the batch would hold up
all behind it. Once one was given up, the next is given up at once, until one passes."""

# Kind in the spool → where it goes and what it is.
ROUTES: dict[str, tuple[str, dict[str, str]]] = {
    "samples": (
        "/prometheus/api/v1/write",
        {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        },
    ),
    "events": (
        "/api/v1/agent/events",
        {"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"},
    ),
}


def with_note(note: bytes, body: bytes) -> bytes:
    """A spooled body: a one-line note that stays with the agent, then what is sent."""
    return note + b"\n" + body


def split_note(stored: bytes) -> tuple[bytes, bytes]:
    """The note and the body of `with_note`."""
    note, _, body = stored.partition(b"\n")
    return note, body


def notes_after(spool: Spool, kind: str, offset: int) -> list[tuple[int, bytes]]:
    """Offset and note of a kind's batches that lie in a spool after an offset, oldest first.

    Few: a batch that is noted elsewhere is not asked for.
    """
    return [(at, split_note(stored)[0]) for at, its_kind, stored in spool.after(offset) if its_kind == kind]


class Outbox:
    """The spool and its sender. `put` from any thread; `run` is the sender's own."""

    def __init__(self, spool: Spool, wire: Wire, spool_id: str, backoff: Backoff, crowded_bytes: int) -> None:
        self._spool, self._wire, self._id, self._backoff = spool, wire, spool_id, backoff
        self._crowded_bytes = crowded_bytes
        self._over_limit_since: float | None = None
        self._more = threading.Event()
        self.sent = 0
        self.refused = 0
        self.last_refusal = ""
        self.failures = 0
        self.limit_patience_s = LIMIT_PATIENCE_S

    @property
    def crowded(self) -> bool:
        """Whether so much waits that who can wait should: beyond its bound the spool drops its oldest."""
        return self._spool.size_bytes > self._crowded_bytes

    def put(self, kind: str, body: bytes, note: bytes = b"") -> int:
        """Durable on return. Raises Unavailable when the disk does not take it."""
        offset = self._spool.put(kind, with_note(note, body))
        self._more.set()
        return offset

    def run(self, stop: threading.Event, refused: Callable[[WeatherglassError], None]) -> None:
        """Send until `stop`; `refused` is told once when the server no longer takes the token."""
        while not stop.is_set():
            try:
                sent = self.drain()
            except (Unauthenticated, Denied) as error:
                refused(error)
                return
            except WeatherglassError:
                self.failures += 1
                stop.wait(self._backoff.next())
                continue
            if sent:
                self._backoff.reset()
            else:
                self._more.wait()
                self._more.clear()

    def wake(self) -> None:
        """Let a sender that waits look at its stop event."""
        self._more.set()

    def drain(self) -> int:
        """Send what is at the head of the spool; how many batches. Raises as `Wire.request` where it must wait."""
        batches = self._spool.take(TAKE_BYTES)
        for offset, kind, stored in batches:
            path, headers = ROUTES[kind]
            named = {**headers, "X-Weatherglass-Batch": f"{self._id}:{offset}"}
            try:
                self._wire.request("POST", path, split_note(stored)[1], named)
                self.sent += 1
                self._over_limit_since = None
            except (Invalid, TooLarge, LimitExceeded) as error:
                if isinstance(error, LimitExceeded) and self._may_pass():
                    raise
                # The server has decided against this batch; sent again it would hold up all behind it for ever.
                self.refused += 1
                self.last_refusal = str(error)
            self._spool.done(offset)
        return len(batches)

    def _may_pass(self) -> bool:
        if self._over_limit_since is None:
            self._over_limit_since = time.monotonic()
        return time.monotonic() - self._over_limit_since < self.limit_patience_s
