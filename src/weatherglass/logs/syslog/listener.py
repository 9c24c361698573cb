"""The listener: sockets → batches of raw events → the store. One thread with an event loop of its own.

Syslog has no acknowledgement. So a TCP sender is not read from while the store cannot take more (it waits, and holds
what it has); a datagram that comes meanwhile is lost and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, LimitExceeded, Unavailable, WeatherglassError
from weatherglass.base.time import Clock
from weatherglass.engine.protocols import EventSink, RawEvent
from weatherglass.logs.syslog.frames import MOST, Frames

_BATCH = 2000
_WAIT_S = 0.2  # how long a message waits for others, so that they share one sync
_QUEUED = 20_000
_AGAIN_S = 1.0
_READ = 64 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: `udp`, `tcp` or `tls`; port 0 takes a free one. For TLS a certificate and its key."""

    kind: str
    host: str = "127.0.0.1"
    port: int = 514
    certificate: Path | None = None
    key: Path | None = None


def read_address(text: str) -> Address:
    """`udp:5514`, `tcp:0.0.0.0:5514`, `tls:6514:/path/certificate.pem:/path/key.pem`. Raises Invalid."""
    kind, _, rest = text.partition(":")
    parts = rest.split(":")
    host = parts.pop(0) if parts and not parts[0].isdigit() else "127.0.0.1"
    if kind not in ("udp", "tcp", "tls") or not parts or not parts[0].isdigit() or int(parts[0]) > 65535:
        raise Invalid(
            f"{text[:80]!r} is no address for syslog", where="syslog", mend="udp:5514 or tcp:0.0.0.0:5514"
        )
    files = [Path(one) for one in parts[1:3]]
    if (kind == "tls") != bool(files):
        raise Invalid(
            "TLS needs a certificate, and nothing else does", where="syslog", mend="tls:6514:CERTIFICATE:KEY"
        )
    return Address(kind, host, int(parts[0]), *files)


@dataclass(slots=True)
class Counts:
    """Messages that came, that are stored, that were lost; why storing waits just now."""

    taken: int = 0
    stored: int = 0
    lost: int = 0
    failure: str = ""


@dataclass(slots=True)
class _Live:
    """What belongs to the running loop."""

    queue: asyncio.Queue[RawEvent]
    servers: list[Any] = field(default_factory=list)
    connections: set[asyncio.Task[None]] = field(default_factory=set)


class Syslog:
    """Listens for one tenant. `start` returns once every socket is bound, `ports` tells where."""

    def __init__(self, tenant: str, addresses: list[Address], sink: EventSink, clock: Clock) -> None:
        self._tenant, self._addresses, self._sink, self._clock = tenant, addresses, sink, clock
        self.counts = Counts()
        self.ports: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bound = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._failed: WeatherglassError | None = None

    def start(self) -> None:
        """Raises Invalid where an address cannot be listened on."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="syslog", daemon=True)
        self._thread.start()
        self._bound.wait(10)
        if self._failed is not None:
            self._thread.join(5)
            raise self._failed

    def stop(self) -> None:
        """Closes the sockets and stores what has come."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(5)
        self._thread = None

    # --- the loop ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        live = _Live(asyncio.Queue(_QUEUED))
        try:
            for address in self._addresses:
                await self._listen(address, live)
        except (OSError, ssl.SSLError, ValueError) as error:
            self._failed = Invalid(
                f"syslog cannot listen: {error}",
                where="syslog",
                mend="choose another address, or a good certificate",
            )
        finally:
            self._bound.set()
        storing = asyncio.create_task(self._store(live))
        if self._failed is None:
            await self._stopping.wait()
        for server in live.servers:
            server.close()
        for task in live.connections:
            task.cancel()
        await asyncio.gather(*live.connections, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(live.queue.join(), 1.5)
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)

    async def _listen(self, address: Address, live: _Live) -> None:
        assert self._loop is not None
        if address.kind == "udp":
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self, live), local_addr=(address.host, address.port)
            )
            live.servers.append(transport)
            self.ports.append(transport.get_extra_info("sockname")[1])
            return
        context = None
        if address.kind == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(str(address.certificate), str(address.key) if address.key else None)
        elif address.kind != "tcp":
            raise ValueError(f"{address.kind!r} is not udp, tcp or tls")

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            live.connections.add(task)
            try:
                await self._read(reader, writer, address.kind, live)
            finally:
                live.connections.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, address.host, address.port, ssl=context, limit=_READ)
        live.servers.append(server)
        self.ports.append(server.sockets[0].getsockname()[1])

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str, live: _Live
    ) -> None:
        peer = writer.get_extra_info("peername") or ("",)
        frames = Frames()
        try:
            while data := await reader.read(_READ):
                for message in frames.feed(data):
                    await live.queue.put(self._event(message, peer[0], kind))
        except (ConnectionError, ssl.SSLError) as error:
            _log.info("syslog: %s went away: %s", peer[0], error)
        for message in frames.end():
            await live.queue.put(self._event(message, peer[0], kind))

    def _event(self, message: bytes, peer: str, kind: str) -> RawEvent:
        self.counts.taken += 1
        text = message.decode("utf-8", "surrogateescape")
        labels = (("peer", peer), ("source", f"syslog/{kind}")) if peer else (("source", f"syslog/{kind}"),)
        return RawEvent(self._clock.now_ns(), labels, text.rstrip("\r\n\0") + "\n")

    def datagram(self, data: bytes, peer: str, live: _Live) -> None:
        try:
            live.queue.put_nowait(self._event(data[:MOST], peer, "udp"))
        except asyncio.QueueFull:
            self.counts.lost += 1

    async def _store(self, live: _Live) -> None:
        while True:
            batch = [await live.queue.get()]
            await asyncio.sleep(_WAIT_S if live.queue.empty() else 0)
            while len(batch) < _BATCH and not live.queue.empty():
                batch.append(live.queue.get_nowait())
            await self._stored(batch)
            for _ in batch:
                live.queue.task_done()

    async def _stored(self, batch: list[RawEvent]) -> None:
        """Tries until the store takes them; what it will never take is lost and counted."""
        while True:
            try:
                self.counts.stored += await asyncio.to_thread(self._sink.write_raw, self._tenant, batch)
                self.counts.failure = ""
                return
            except (Unavailable, LimitExceeded) as error:
                self.counts.failure = error.message
                await asyncio.sleep(_AGAIN_S)
            except WeatherglassError as error:
                self.counts.failure = error.message
                self.counts.lost += len(batch)
                _log.warning("syslog: %d messages were refused: %s", len(batch), error.message)
                return


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, owner: Syslog, live: _Live) -> None:
        self._owner, self._live = owner, live

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data:
            self._owner.datagram(data, str(addr[0]), self._live)
