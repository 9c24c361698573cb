"""The guard as a process: listens on the leg, admits, relays, drops; counts and reports what it dropped.

What comes from the tenant is checked, in connections either side opened; what comes from the router goes on as it is.
`inbound` is called by the tenant's machines (nft sends port 988 of the leg here), `outbound` by the router's own LNet
where it opens a connection to a client (nft sends it here, and the kernel still knows whom it called).
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from weatherglass.base.errors import Unavailable
from weatherglass.base.time import Clock
from weatherglass.shares.guard import relay, wire
from weatherglass.shares.guard.wire import Dropped, Rules, Walk
from weatherglass.shares.nids import dotted

HANDSHAKE_S = 5
MOST = 4096
MOST_A_PEER = 64
MARK = 0x57470001
"""On the guard's own connections to clients, so that nft does not send them back to it."""
_ORIGINAL_DST = 80
_EVENTS_A_SECOND = 20


@dataclass(slots=True)
class Counts:
    """What passed and what did not, for one guard."""

    connections: int = 0
    open: int = 0
    bytes: int = 0
    messages: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def exposition(self, leg: str) -> str:
        """The counts as Prometheus' text."""
        own = f'leg="{leg}"'
        lines = [
            f"weatherglass_guard_connections_total{{{own}}} {self.connections}",
            f"weatherglass_guard_connections_open{{{own}}} {self.open}",
            f"weatherglass_guard_relayed_bytes_total{{{own}}} {self.bytes}",
            f"weatherglass_guard_messages_total{{{own}}} {self.messages}",
        ]
        lines += [
            f'weatherglass_guard_dropped_total{{{own},reason="{reason}"}} {count}'
            for reason, count in sorted(self.dropped.items())
        ]
        return "\n".join(lines) + "\n"


class Guard:
    """One leg's guard. `report` is handed a JSON line for each drop; bounded, so that a flood stays countable."""

    def __init__(
        self,
        rules: Rules,
        server: tuple[str, int],
        clock: Clock,
        report: Callable[[str], None],
        *,
        client_port: int = 988,
        privileged: bool = True,
    ) -> None:
        self.rules, self.server, self.counts = rules, server, Counts()
        self._clock, self._report = clock, report
        self._client_port, self._privileged = client_port, privileged
        self._lock = threading.Lock()
        self._of_peer: Counter[int] = Counter()
        self._sockets: set[socket.socket] = set()
        self._listening: list[socket.socket] = []
        self._second, self._told, self._untold = 0, 0, 0
        self._stopped = False

    # --- listening ---------------------------------------------------------------------------------------

    def listen(self, address: str, port: int, *, outbound: bool = False) -> int:
        """Take connections in the background; the port. Raises Unavailable."""
        try:
            listening = socket.create_server((address, port), backlog=256)
        except OSError as error:
            raise Unavailable(f"{address}:{port} cannot be listened on: {error.strerror}") from None
        self._listening.append(listening)
        handle = self._outbound if outbound else self._inbound
        threading.Thread(target=self._accept, args=(listening, handle), daemon=True).start()
        return int(listening.getsockname()[1])

    def stop(self) -> None:
        """Close everything; returns at once."""
        self._stopped = True
        for one in self._listening:
            # Closing alone does not wake a thread that waits in accept.
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._lock:
            for one in self._sockets:
                _end(one)

    def _accept(self, listening: socket.socket, handle: Callable[[socket.socket, int, int], None]) -> None:
        while True:
            try:
                called, (host, port) = listening.accept()
            except OSError as error:
                if self._stopped:
                    return
                self._drop(0, Dropped("accept", f"no connection can be taken: {error.strerror}"))
                threading.Event().wait(0.05)
                continue
            peer = int(IPv4Address(host))
            threading.Thread(target=self._serve, args=(called, peer, port, handle), daemon=True).start()

    def _serve(
        self, called: socket.socket, peer: int, port: int, handle: Callable[[socket.socket, int, int], None]
    ) -> None:
        with self._lock:
            full = self.counts.open >= MOST or self._of_peer[peer] >= MOST_A_PEER
            self.counts.open += 1
            self._of_peer[peer] += 1
            self._sockets.add(called)
        try:
            if full:
                raise Dropped("full", f"{dotted(peer)} has too many connections, or all have")
            handle(called, peer, port)
        except Dropped as dropped:
            self._drop(peer, dropped)
            _reset(called)
        except OSError as error:
            # A peer that goes away is no drop: it is the end of its connection.
            if isinstance(error, BlockingIOError):
                self._drop(peer, Dropped("slow", f"{dotted(peer)} does not finish its handshake"))
        finally:
            with self._lock:
                self.counts.open -= 1
                self._of_peer[peer] -= 1
                if not self._of_peer[peer]:
                    del self._of_peer[peer]
                self._sockets.discard(called)
            called.close()

    # --- one connection ----------------------------------------------------------------------------------

    def _inbound(self, called: socket.socket, peer: int, port: int) -> None:
        """A machine of the tenant calls the router."""
        wire.check_peer(self.rules, peer, port)
        _hurry(called)
        request = _exactly(called, wire.REQUEST.size)
        wire.check_request(self.rules, request)
        hello = _exactly(called, wire.HELLO.size)
        source, more = wire.check_hello(self.rules.leg.net, peer, hello)
        addresses = _exactly(called, more)
        with self._connect(self.server) as router:
            router.sendall(request + hello + addresses)
            self._both(called, router, Walk(self.rules, source))

    def _outbound(self, called: socket.socket, _: int, __: int) -> None:
        """The router's LNet calls a machine of the tenant; what that one answers is checked."""
        raw = called.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DST, 16)
        target = struct.unpack("!2xH4s8x", raw)[1]
        peer = int.from_bytes(target)
        if not self.rules.admits(peer):
            raise Dropped("stranger", f"the router calls {dotted(peer)}, who is no peer of {self.rules.leg}")
        _hurry(called)
        request = _exactly(called, wire.REQUEST.size)
        hello = _exactly(called, wire.HELLO.size)
        _, more = wire.check_hello(self.rules.leg.net, self.rules.leg.low, hello)
        addresses = _exactly(called, more)
        with self._connect((dotted(peer), self._client_port), mark=True) as client:
            client.sendall(request + hello + addresses)
            _hurry(client)
            answer = _exactly(client, wire.HELLO.size)
            source, more = wire.check_hello(self.rules.leg.net, peer, answer)
            called.sendall(answer + _exactly(client, more))
            self._both(client, called, Walk(self.rules, source))

    def _both(self, tenant: socket.socket, router: socket.socket, walk: Walk) -> None:
        """Relay until either side ends; what the tenant says is checked. Raises Dropped."""
        for one in (tenant, router):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            _patient(one)
        with self._lock:
            self.counts.connections += 1
            self._sockets |= {tenant, router}
        back = threading.Thread(target=self._back, args=(router, tenant), daemon=True)
        back.start()
        passed = 0

        def count(moved: int) -> None:
            nonlocal passed
            passed += moved

        try:
            relay.checked(tenant, router, walk, count)
        except Dropped:
            _reset(router)
            _reset(tenant)
            raise
        finally:
            _end(tenant)
            _end(router)
            back.join()
            with self._lock:
                self.counts.bytes += passed
                self.counts.messages += walk.messages
                self._sockets -= {tenant, router}

    def _back(self, router: socket.socket, tenant: socket.socket) -> None:
        passed = 0

        def count(moved: int) -> None:
            nonlocal passed
            passed += moved

        try:
            relay.plain(router, tenant, count)
        except OSError:
            passed += 0  # either side is gone; the thread that checks says why
        finally:
            _end(tenant)
            _end(router)
            with self._lock:
                self.counts.bytes += passed

    def _connect(self, to: tuple[str, int], *, mark: bool = False) -> socket.socket:
        """A connection from the leg's own address and a port below 1024, as LNet demands of its callers."""
        for port in range(1023, 511, -1) if self._privileged else (0,):
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if mark:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            try:
                made.bind((dotted(self.rules.leg.low), port))
                made.connect(to)
            except OSError as error:
                made.close()
                if error.errno in (98, 99):  # in use, or this pair of ports is: the next one
                    continue
                raise Dropped("server", f"{to[0]}:{to[1]} does not answer: {error.strerror}") from None
            return made
        raise Dropped("ports", "no port below 1024 is free")

    # --- telling -----------------------------------------------------------------------------------------

    def _drop(self, peer: int, dropped: Dropped) -> None:
        now = self._clock.now_ns()
        with self._lock:
            self.counts.dropped[dropped.kind] += 1
            second = now // 10**9
            if second != self._second:
                self._second, self._told = second, 0
            self._told += 1
            if self._told > _EVENTS_A_SECOND:
                self._untold += 1
                return
            untold, self._untold = self._untold, 0
        event = {
            "time_ns": now, "event": "guard dropped", "leg": str(self.rules.leg), "peer": dotted(peer),
            "reason": dropped.kind, "told": dropped.told, "untold": untold,
        }  # fmt: skip
        self._report(json.dumps(event))


def _hurry(one: socket.socket) -> None:
    """What is not said within the handshake's time fails with EAGAIN."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", HANDSHAKE_S, 0))


def _patient(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))


def _exactly(one: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = one.recv(length - len(data))
        if not more:
            raise Dropped("short", "it ends within its handshake")
        data += more
    return data


def _end(one: socket.socket) -> None:
    """Wake whoever waits on it; closing comes later."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        if error.errno not in (9, 107):  # closed already, or never connected
            raise


def _reset(one: socket.socket) -> None:
    """Its end is a reset: the peer's unread words are not worth a farewell."""
    if one.fileno() >= 0:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
