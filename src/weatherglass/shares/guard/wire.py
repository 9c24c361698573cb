"""What LNet's socket driver says on the wire, and who may say it. Pure: bytes in, verdicts out.

A connection begins with a request (acceptor version 1: the NID that is called) and a HELLO (version 3: the caller's
NID); then come messages: 24 bytes of the driver's, and for LNet's own 72 bytes of header with destination and source,
and the payload. Layouts: lnet-idl.h and socklnd.h of Lustre; little-endian alone, as all machines that run it are.
Whatever is not exactly this is dropped: other versions carry the same claims in other places (SHARES' threats 1 to 3).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from weatherglass.shares.nids import Range, dotted

ACCEPTOR_MAGIC, ACCEPTOR_VERSION = 0xACCE7100, 1
HELLO_MAGIC, HELLO_VERSION = 0x45726963, 3
SOCKLND = 2
NOOP, LNET = 0xC0, 0xC1
ACK, PUT, GET, REPLY = 0, 1, 2, 3
MTU = 1 << 20
MOST_ADDRESSES = 16  # LNET_INTERFACES_NUM
PRIVILEGED = 1024

REQUEST = struct.Struct("<IIQ")
HELLO = struct.Struct("<IIQQIIQQII")
DRIVER = struct.Struct("<II16x")
MESSAGE = struct.Struct("<II16xQQIIII40x")
_TYPE = struct.Struct("<I")


class Dropped(Exception):
    """What was said may not pass. `kind` is a short word to count by."""

    def __init__(self, kind: str, told: str) -> None:
        super().__init__(told)
        self.kind, self.told = kind, told


def packed(address: int, net: str) -> int:
    """A NID as 64 bits, for a tcp net."""
    return SOCKLND << 48 | int(net.removeprefix("tcp") or 0) << 32 | address


def spoken(nid: int) -> str:
    """A 64-bit NID as people write it."""
    kind, number = nid >> 48, nid >> 32 & 0xFFFF
    return f"{dotted(nid & 0xFFFFFFFF)}@{'tcp' if kind == SOCKLND else f'type {kind} '}{number}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The leg's own NID, whose NIDs come in by it, and to whom they may speak (empty: to everybody)."""

    leg: Range
    peers: tuple[Range, ...]
    to: tuple[Range, ...] = ()

    @property
    def nid(self) -> int:
        return packed(self.leg.low, self.leg.net)

    def admits(self, address: int) -> bool:
        return any(one.holds(address, self.leg.net) for one in self.peers)

    def may_be_told(self, nid: int) -> bool:
        """Whether a message to this NID may pass: the leg itself, or a server."""
        if nid == self.nid or not self.to:
            return True
        return any(
            one.low <= nid & 0xFFFFFFFF <= one.high and nid >> 32 == packed(0, one.net) >> 32
            for one in self.to
        )


def check_peer(rules: Rules, address: int, port: int) -> None:
    """Who called: one of the tenant's addresses, from a port that only its machine's root has. Raises Dropped."""
    if not rules.admits(address):
        raise Dropped("stranger", f"{dotted(address)} is not among the peers of {rules.leg}")
    if port >= PRIVILEGED:
        raise Dropped("port", f"{dotted(address)} calls from the unprivileged port {port}")


def check_request(rules: Rules, request: bytes) -> None:
    """The NID that is called must be the leg's own: by another a tenant passes for the servers' side. Raises Dropped."""
    magic, version, nid = REQUEST.unpack(request)
    if magic != ACCEPTOR_MAGIC:
        raise Dropped("magic", f"no connection request of LNet (magic {magic:08x})")
    if version != ACCEPTOR_VERSION:
        raise Dropped("version", f"a connection request of version {version}; 1 alone is known")
    if nid != rules.nid:
        raise Dropped("called", f"it calls {spoken(nid)}, and this leg is {rules.leg}")


def check_hello(net: str, address: int, hello: bytes) -> tuple[int, int]:
    """(the peer's NID, bytes of addresses that follow): the NID must be its address on the tenant's net. Raises Dropped."""
    magic, version, source, _, _, _, _, _, _, addresses = HELLO.unpack(hello)
    if magic != HELLO_MAGIC:
        raise Dropped("magic", f"no HELLO (magic {magic:08x})")
    if version != HELLO_VERSION:
        raise Dropped("version", f"a HELLO of version {version}; 3 alone is known")
    if source != packed(address, net):
        raise Dropped("hello", f"{dotted(address)} says in its HELLO that it is {spoken(source)}")
    if addresses > MOST_ADDRESSES:
        raise Dropped("length", f"a HELLO with {addresses} addresses")
    return source, 4 * addresses


@dataclass(slots=True)
class Walk:
    """The messages of one connection, as they come from the peer whose NID is `source`."""

    rules: Rules
    source: int
    messages: int = 0
    known: set[int] = field(default_factory=set)  # destinations already looked at

    def scan(self, data: bytes | bytearray | memoryview, start: int, end: int) -> tuple[int, int]:
        """(where what is checked ends, how much payload of it is beyond `end`). Raises Dropped.

        Begins at a header in data[start:end]. What is checked ends at `end` where payload is owed; else the rest, less
        than a header, waits for more.
        """
        at = start
        unpack, source, known = MESSAGE.unpack_from, self.source, self.known
        while end - at >= DRIVER.size:
            (kind,) = _TYPE.unpack_from(data, at)
            if kind == NOOP:
                at += DRIVER.size
                continue
            if kind != LNET:
                raise Dropped("message", f"{spoken(source)} sends a message of kind {kind:#x}")
            if end - at < MESSAGE.size:
                break
            _, _, to, said, _, _, what, length = unpack(data, at)
            if said != source:
                raise Dropped(
                    "source", f"{spoken(source)} sends a header that says it is from {spoken(said)}"
                )
            if to not in known:
                self._look(to)
            if what > REPLY or (length and what in (ACK, GET)) or length > MTU:
                raise Dropped(
                    "message", f"{spoken(source)} sends a message of type {what} with {length} bytes"
                )
            self.messages += 1
            at += MESSAGE.size + length
        return (end, at - end) if at > end else (at, 0)

    def _look(self, to: int) -> None:
        if not self.rules.may_be_told(to):
            raise Dropped("destination", f"{spoken(self.source)} speaks to {spoken(to)}")
        if len(self.known) < 4096:
            self.known.add(to)


def rules(leg: Range, peers: Sequence[Range], to: Sequence[Range] = ()) -> Rules:
    """The rules of a leg. Raises ValueError for what is no single NID on a tcp net."""
    if leg.low != leg.high or not leg.net.startswith("tcp"):
        raise ValueError(f"{leg} is not one NID on a tcp net")
    if not peers:
        raise ValueError("a guard without peers lets nobody in")
    for one in peers:
        if one.net != leg.net:
            raise ValueError(f"{one} is not on the leg's net {leg.net}")
    return Rules(leg, tuple(peers), tuple(to))
