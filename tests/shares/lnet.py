"""Fake LNet peers: they speak the socket driver's wire and know no more of Lustre. No test here."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from weatherglass.shares.guard import wire

NET = "tcp32769"


def nid(address: str, net: str = NET) -> int:
    return wire.packed(int.from_bytes(socket.inet_aton(address)), net)


def request(called: int, *, magic: int = wire.ACCEPTOR_MAGIC, version: int = 1) -> bytes:
    return wire.REQUEST.pack(magic, version, called)


def hello(
    source: int, called: int, *, magic: int = wire.HELLO_MAGIC, version: int = 3, more: int = 0
) -> bytes:
    return wire.HELLO.pack(magic, version, source, called, 12345, 12345, 1, 2, 0, more) + bytes(
        4 * min(more, 64)
    )


def message(
    source: int,
    to: int,
    payload: bytes = b"",
    *,
    what: int = wire.PUT,
    kind: int = wire.LNET,
    length: int = -1,
) -> bytes:
    said = len(payload) if length < 0 else length
    return (
        struct.pack("<IIQQ", kind, 0, 0, 0)
        + struct.pack("<QQIIII", to, source, 12345, 12345, what, said)
        + bytes(40)
        + payload
    )


NOOP = struct.pack("<IIQQ", wire.NOOP, 0, 0, 7)


class FakeRouter:
    """A fake acceptor: takes a request and a HELLO, answers with one, keeps everything that comes after."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0, *, keep: bool = True, own: int = 0) -> None:
        self.listening = socket.create_server((address, port))
        self.port: int = self.listening.getsockname()[1]
        self.own = own or nid("127.0.0.1")
        self.hellos: list[tuple[int, str, int]] = []
        self.got: list[bytearray] = []
        self.bytes = 0
        self.keep = keep
        self.ended = threading.Semaphore(0)
        self.say = b""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                called, peer = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(called, peer), daemon=True).start()

    def _serve(self, called: socket.socket, peer: tuple[str, int]) -> None:
        with called:
            first = exactly(called, 16 + 56)
            if len(first) < 72:
                self.ended.release()
                return
            source = wire.HELLO.unpack(first[16:])[2]
            exactly(called, 4 * wire.HELLO.unpack(first[16:])[9])
            self.hellos.append((source, peer[0], peer[1]))
            got = bytearray()
            self.got.append(got)
            called.sendall(hello(self.own, source) + self.say)
            buffer = bytearray(1 << 20)
            try:
                while taken := called.recv_into(buffer):
                    self.bytes += taken
                    if self.keep:
                        got += memoryview(buffer)[:taken]
            except ConnectionError:
                got += b""
            self.ended.release()

    def close(self) -> None:
        if self.listening.fileno() < 0:
            return
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


def exactly(one: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        try:
            more = one.recv(length - len(data))
        except ConnectionError:
            return data
        if not more:
            return data
        data += more
    return data


@contextmanager
def calling(
    port: int, source: str = "127.0.0.5", *, low: bool = True, to: str = "127.0.0.1"
) -> Iterator[socket.socket]:
    """A fake client's connection from an address, by a privileged port."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.settimeout(10)
    for own in range(1023, 600, -1) if low else (0,) * 5:
        try:
            made.bind((source, own))
            made.connect((to, port))
        except OSError:
            made.close()
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.settimeout(10)
            continue
        break
    with made:
        yield made


PRIVILEGED = os.geteuid() == 0
