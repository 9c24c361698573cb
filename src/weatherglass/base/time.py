"""Time as a value: the clock that is handed in, and how instants and spans are read and written.

Instants are integers: nanoseconds since the epoch, UTC (`_ns`), or milliseconds where a protocol has them
(`_ms`). Spans are float seconds (`_s`). Nothing here or in any pure part reads the system's clock by itself.
"""

from __future__ import annotations

import time as _time
from datetime import UTC, datetime
from typing import Protocol

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000


class Clock(Protocol):
    """Where a room takes its time from."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC. May step back; order must never rest on it alone."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return _time.time_ns()

    def monotonic(self) -> float:
        return _time.monotonic()


class ManualClock:
    """A clock that tests move by hand; `step` moves the wall alone, as an NTP correction does."""

    def __init__(self, now_ns: int = 1_800_000_000 * SECOND_NS) -> None:
        self._wall, self._mono = now_ns, 0.0

    def now_ns(self) -> int:
        return self._wall

    def monotonic(self) -> float:
        return self._mono

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._wall += int(seconds * SECOND_NS)
        self._mono += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back by `seconds` without time passing."""
        self._wall += int(seconds * SECOND_NS)


def iso(ns: int) -> str:
    """`2026-11-22T14:02:11.512Z`: UTC to the millisecond, for people and for JSON."""
    whole = datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns % SECOND_NS // MS_NS:03d}Z"


def parse_iso(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 instant; one without a zone is UTC. Raises ValueError."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.replace(microsecond=0).timestamp()) * SECOND_NS + when.microsecond * 1000
