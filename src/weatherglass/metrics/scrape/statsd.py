"""Where statsd is listened to: UDP datagrams and TCP lines into a tally, flushed into the store at an interval."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterable
from typing import Protocol

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.protocols import Written
from weatherglass.metrics.formats.statsd import Tally, parse
from weatherglass.metrics.formats.taken import Taken

_LOG = logging.getLogger(__name__)
_DATAGRAM = 65_535
_CONNECTIONS = 64
_IDLE_S = 300.0


class Receiver(Protocol):
    def receive(self, tenant: str, taken: Taken, now_ms: int) -> Written: ...


class Address(tuple[str, str, int]):
    """(udp or tcp, host, port)."""


def read_address(text: str) -> Address:
    """`udp:8125`, `tcp:0.0.0.0:8125`; loopback where no host is given. Raises Invalid."""
    kind, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("udp", "tcp") or not port.isdigit() or int(port) > 65_535:
        raise Invalid(f"{text!r} is not where statsd could be taken", mend="udp:8125 or tcp:0.0.0.0:8125")
    return Address((kind, host or "127.0.0.1", int(port)))


class Statsd:
    """Listens on every address, in a thread each, and flushes in one more."""

    def __init__(
        self,
        tenant: str,
        addresses: Iterable[Address],
        store: Receiver,
        clock: Clock,
        *,
        every_s: float = 10.0,
    ) -> None:
        self._tenant, self._addresses, self._store, self._clock = tenant, tuple(addresses), store, clock
        self._every_s, self._tally, self._lock = every_s, Tally(), threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._open = threading.BoundedSemaphore(_CONNECTIONS)
        self.wrong = self.failures = 0

    @property
    def ports(self) -> list[int]:
        """Where it listens, in the order of the addresses; known once it started."""
        return [int(one.getsockname()[1]) for one in self._sockets]

    def start(self) -> None:
        """Raises Invalid where an address is taken."""
        for kind, host, port in self._addresses:
            listening = socket.socket(
                socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
            )
            try:
                if kind == "tcp":
                    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind((host, port))
            except OSError as error:
                listening.close()
                self.stop()
                raise Invalid(f"statsd cannot listen on {kind}:{host}:{port}: {error.strerror}") from error
            listening.settimeout(0.2)
            self._sockets.append(listening)
            if kind == "tcp":
                listening.listen(_CONNECTIONS)
            self._begin(self._datagrams if kind == "udp" else self._connections, listening)
        self._begin(self._flushing)

    def stop(self) -> None:
        """What came is flushed once more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(1.0)
        for one in self._sockets:
            one.close()
        if self._threads:
            self.flush()
        self._threads, self._sockets = [], []

    def flush(self) -> None:
        """Stores what stands now; a counter that could not be stored is in the next flush, too."""
        now_ms = self._clock.now_ns() // MS_NS
        with self._lock:
            taken = self._tally.flush(now_ms)
        if not taken.series:
            return
        try:
            self._store.receive(self._tenant, taken, now_ms)
        except WeatherglassError as error:
            self.failures += 1
            _LOG.error("statsd: %d series could not be stored: %s", len(taken.series), error)

    def _begin(self, run: object, *given: object) -> None:
        thread = threading.Thread(target=run, args=given, name="statsd", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _datagrams(self, listening: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                self._take(listening.recv(_DATAGRAM))
            except TimeoutError:
                continue

    def _connections(self, listening: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                one, _ = listening.accept()
            except TimeoutError:
                continue
            if self._open.acquire(blocking=False):
                threading.Thread(target=self._lines, args=(one,), name="statsd", daemon=True).start()
            else:
                one.close()

    def _lines(self, one: socket.socket) -> None:
        rest, waited = b"", 0.0
        one.settimeout(0.2)
        try:
            while not self._stop.is_set() and waited < _IDLE_S:
                try:
                    more = one.recv(_DATAGRAM)
                except TimeoutError:
                    waited += 0.2
                    continue
                except OSError:
                    break
                waited = 0.0
                whole, _, rest = (rest + more).rpartition(b"\n") if more else (rest, b"", b"")
                if whole:
                    self._take(whole)
                if not more or len(rest) > _DATAGRAM:
                    break
        finally:
            one.close()
            self._open.release()

    def _take(self, said: bytes) -> None:
        readings, wrong = parse(said)
        now_ms = self._clock.now_ns() // MS_NS
        with self._lock:
            self.wrong += wrong
            for reading in readings:
                self._tally.add(reading, now_ms)

    def _flushing(self) -> None:
        while not self._stop.wait(self._every_s):
            self.flush()
