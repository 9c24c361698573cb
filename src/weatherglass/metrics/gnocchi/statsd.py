"""statsd over UDP, as gnocchi-statsd takes it: one resource, metrics named `name|type`, flushed at an interval.

The reading of datagrams and the tally between two flushes are pure; `Statsd` is the edge with the socket. Unlike
gnocchi-statsd it keeps every timing of an interval, not the last alone, and knows gauges that are changed by `+`
and `-`. Sets are no measures and are counted as unknown.
"""

from __future__ import annotations

import logging
import math
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS, Clock

log = logging.getLogger(__name__)

_LINE = re.compile(
    r"(?P<name>[^:|@\n]{1,255}):(?P<sign>[+-]?)(?P<value>[0-9.][0-9.eE+-]{0,40})\|(?P<kind>c|g|ms)(?:\|@(?P<rate>[0-9.]{1,20}))?"
)
_DATAGRAM = 65_535
_MOST = 100_000  # names between two flushes; more are dropped, and counted
Points = dict[str, list[tuple[int, float]]]
"""metric's name → (ms, value)."""


class Reading(NamedTuple):
    """One line of a datagram. `relative` gauges are changed by `value`; `rate` is the share that was sent."""

    name: str
    kind: str  # c, g, ms
    value: float
    relative: bool = False
    rate: float = 1.0


def parse(datagram: bytes) -> tuple[list[Reading], int]:
    """(what a datagram says, how many lines could not be read)."""
    found, wrong = [], 0
    for line in datagram.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        reading = _reading(line.strip())
        if reading is None:
            wrong += 1
        else:
            found.append(reading)
    return found, wrong


def _reading(line: str) -> Reading | None:
    form = _LINE.fullmatch(line)
    if form is None:
        return None
    try:
        value, rate = float(form["value"]), float(form["rate"] or 1.0)
    except ValueError:
        return None
    if not math.isfinite(value) or not 0 < rate <= 1 or (form["rate"] and form["kind"] != "c"):
        return None
    signed = -value if form["sign"] == "-" else value
    return Reading(
        form["name"].replace("/", "_"), form["kind"], signed, form["kind"] == "g" and bool(form["sign"]), rate
    )


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
