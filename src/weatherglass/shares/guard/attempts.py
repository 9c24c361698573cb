"""Handshakes that a guarded leg must refuse, and the one that it must take; tried on a real one by the selftest.

Run from a machine of the tenant's, as root. Nothing is harmed: each attempt ends with its handshake, or with a message
that no server acts on (a GET of a portal that nobody has).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

from weatherglass.base.errors import Unavailable
from weatherglass.shares.guard import wire
from weatherglass.shares.nids import Range, dotted

WAIT_S = 3.0
PID = 12345  # LNET_PID_LUSTRE


class Attempt(NamedTuple):
    """What is tried: bytes, from a low port or not; whether a HELLO must come back, and what follows it."""

    name: str
    said: bytes
    answered: bool
    privileged: bool = True
    after: bytes = b""


class Outcome(NamedTuple):
    name: str
    answered: bool
    good: bool


def _hello(source: int, to: int, version: int = wire.HELLO_VERSION) -> bytes:
    return wire.HELLO.pack(wire.HELLO_MAGIC, version, source, to, PID, PID, 1, 0, 1, 0)


def _get(source: int, to: int) -> bytes:
    return wire.MESSAGE.pack(wire.LNET, 0, to, source, PID, PID, wire.GET, 0)


def attempts(leg: Range, own: Range, server: int) -> Iterator[Attempt]:
    """Every attempt on a leg by the machine whose NID is `own`; `server` is a NID of the servers' net."""
    me, there = wire.packed(own.low, own.net), wire.packed(leg.low, leg.net)
    other = wire.packed(own.low + 1, own.net)

    def request(called: int = there, version: int = 1) -> bytes:
        return wire.REQUEST.pack(wire.ACCEPTOR_MAGIC, version, called)

    yield Attempt("its own NID", request() + _hello(me, there), True)
    yield Attempt("a neighbour's NID in the HELLO", request() + _hello(other, there), False)
    yield Attempt("a server's NID in the HELLO", request() + _hello(server, there), False)
    yield Attempt("the server side's NID called", request(server) + _hello(me, server), False)
    yield Attempt("acceptor version 2", request(version=2) + _hello(me, there), False)
    for version in (1, 2, 4):
        yield Attempt(f"HELLO version {version}", request() + _hello(me, there, version), False)
    yield Attempt("an unprivileged port", request() + _hello(me, there), False, privileged=False)
    yield Attempt(
        "a server's NID in a header", request() + _hello(me, there), True, after=_get(server, there)
    )


def attempt(one: Attempt, address: str, port: int, source: str) -> Outcome:
    """Try it. A refused or silent connection is a HELLO that does not come; with `after`, the connection must end."""
    try:
        made = _connected(one, address, port, source)
    except ConnectionResetError:  # refused before the call had returned
        return Outcome(one.name, False, not one.answered)
    with made:
        try:
            made.sendall(one.said)
            answered = len(_until(made, wire.HELLO.size)) == wire.HELLO.size
            ended = True
            if answered and one.after:
                made.sendall(one.after)
                ended = not made.recv(1)
        except TimeoutError:
            answered, ended = (True, False) if one.after else (False, True)
        except ConnectionError:
            answered, ended = bool(one.after), True
    return Outcome(one.name, answered, answered == one.answered and ended)


def _connected(one: Attempt, address: str, port: int, source: str) -> socket.socket:
    for own in range(1023, 600, -1) if one.privileged else (0,):
        made = socket.socket()
        made.settimeout(WAIT_S)
        try:
            made.bind((source, own))
            made.connect((address, port))
        except ConnectionResetError:
            made.close()
            raise
        except OSError as error:
            made.close()
            if error.errno in (98, 99):
                continue
            raise Unavailable(f"{address}:{port} cannot be called from {source}: {error.strerror}") from None
        return made
    raise Unavailable("no port below 1024 is free here", mend="run it as root, with LNet down")


def _until(made: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := made.recv(length - len(data))):
        data += more
    return data


def run(leg: Range, own: Range, server: int, port: int = 988) -> list[Outcome]:
    """All attempts, in order. Raises Unavailable."""
    return [attempt(one, dotted(leg.low), port, dotted(own.low)) for one in attempts(leg, own, server)]
