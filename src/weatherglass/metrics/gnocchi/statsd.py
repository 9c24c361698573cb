"""statsd over UDP, as gnocchi-statsd takes it: one resource, metrics named `name|type`, flushed at an interval.

The tally between two flushes is pure; `Statsd` is the edge with the socket. Unlike
gnocchi-statsd it keeps every timing of an interval, not the last alone, and knows gauges that are changed by `+`
and `-`. Sets are no measures and are counted as unknown.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS, Clock
from weatherglass.metrics.formats import statsd as formats
from weatherglass.metrics.formats.statsd import Reading

log = logging.getLogger(__name__)

_DATAGRAM = 65_535
_MOST = 100_000  # names between two flushes; more are dropped, and counted
Points = dict[str, list[tuple[int, float]]]
"""metric's name → (ms, value)."""


def parse(datagram: bytes) -> tuple[list[Reading], int]:
    """(what of a datagram is a measure, how many lines or values are not)."""
    said, wrong = formats.parse(datagram)
    found = [
        one._replace(name=one.name.replace("/", "_"))
        for one in said
        if one.kind in ("c", "g", "ms") and not one.tags and (one.rate == 1 or one.kind == "c")
    ]
    return found, wrong + len(said) - len(found)


@dataclass(slots=True)
class Tally:
    """What came since the last flush. Gauges are remembered over flushes, so that they can be changed."""

    points: Points = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    dropped: int = 0

    def add(self, reading: Reading, now_ms: int) -> None:
        name = f"{reading.name}|{reading.kind}"
        if name not in self.points and len(self.points) >= _MOST:
            self.dropped += 1
            return
        points = self.points.setdefault(name, [])
        if reading.kind == "ms":
            points.append((now_ms, reading.value))
            return
        value = reading.value / reading.rate
        if reading.kind == "c":
            value += points[0][1] if points else 0.0
        elif reading.relative:
            value += self.gauges.get(name, 0.0)
        if reading.kind == "g":
            self.gauges[name] = value
        points[:] = [(now_ms, value)]

    def drain(self) -> Points:
        """The points since the last flush; the tally is empty after it."""
        found, self.points = self.points, {}
        return found


Flush = Callable[[str, str | None, Points], object]
"""Where a flush goes: (resource, policy, points); raises a WeatherglassError where it is refused."""


class Statsd:
    """A listener on a UDP socket and a flush at each interval, in two threads of its own."""

    def __init__(
        self,
        flush: Flush,
        clock: Clock,
        *,
        resource: str,
        policy: str | None = None,
        address: tuple[str, int] = ("127.0.0.1", 8125),
        every_s: float = 10.0,
    ) -> None:
        self._flush, self._clock, self._resource, self._policy = flush, clock, resource, policy
        self._address, self._every_s = address, every_s
        self._tally, self._lock = Tally(), threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socket: socket.socket | None = None
        self.wrong = self.failures = 0

    @property
    def port(self) -> int:
        """Where it listens; known once it started."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Raises OSError where the address is taken."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(self._address)
        bound.settimeout(0.2)
        self._socket = bound
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._listen, args=(bound,), name="statsd", daemon=True),
            threading.Thread(target=self._flushing, name="statsd-flush", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """What came is flushed once more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._socket is not None:
            self._socket.close()
        self.flush()

    def flush(self) -> None:
        """Hands on what came since the last flush; it is kept for the next one where it cannot be stored."""
        with self._lock:
            points = self._tally.drain()
        if not points:
            return
        try:
            self._flush(self._resource, self._policy, points)
        except WeatherglassError as error:
            self.failures += 1
            log.error("statsd: %d metrics could not be stored: %s", len(points), error)
            with self._lock:
                _put_back(self._tally.points, points)

    def _listen(self, bound: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                datagram = bound.recv(_DATAGRAM)
            except TimeoutError:
                continue
            readings, wrong = parse(datagram)
            self._take(readings, wrong)

    def _take(self, readings: Iterable[Reading], wrong: int) -> None:
        now_ms = self._clock.now_ns() // MS_NS
        with self._lock:
            self.wrong += wrong
            for reading in readings:
                self._tally.add(reading, now_ms)

    def _flushing(self) -> None:
        while not self._stop.wait(self._every_s):
            self.flush()


def _put_back(into: Points, points: Points) -> None:
    for name, older in points.items():
        if len(into) >= _MOST:
            return
        newer = into.get(name, [])
        if name.endswith("|c") and newer:
            into[name] = [(newer[0][0], newer[0][1] + older[0][1])]
        elif name.endswith("|ms"):
            into[name] = older + newer
        elif not newer:
            into[name] = older
