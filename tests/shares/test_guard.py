"""The guard lets a peer speak as itself and as nobody else: its parser alone, then with fake LNet peers on real sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shares import lnet
from shares.lnet import NOOP, FakeRouter, calling, exactly, hello, message, nid, request
from weatherglass.base.time import SystemClock
from weatherglass.shares.guard import wire
from weatherglass.shares.guard.serve import Guard
from weatherglass.shares.guard.wire import Dropped, Walk
from weatherglass.shares.nids import read_range

RULES = wire.rules(
    read_range("127.0.0.1@tcp32769"),
    [read_range("127.0.0.[4-7]@tcp32769")],
    [read_range("10.0.0.[0-7]@tcp0")],
)
ME, LEG, OST = nid("127.0.0.5"), nid("127.0.0.1"), nid("10.0.0.3", "tcp0")


# --- the parser ------------------------------------------------------------------------------------------


def test_layouts_are_those_of_lustre() -> None:
    assert (wire.REQUEST.size, wire.HELLO.size, wire.DRIVER.size, wire.MESSAGE.size) == (16, 56, 24, 96)
    assert wire.spoken(ME) == "127.0.0.5@tcp32769"
    assert nid("10.0.0.3", "tcp0") == 0x0002_0000_0A00_0003


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (request(nid("10.0.0.20", "tcp0")), "called"),  # SHARES' threat 3: passing for the server
        (request(nid("127.0.0.1", "tcp32770")), "called"),
        (request(LEG, version=2), "version"),
        (request(LEG, magic=0x7100ACCE), "magic"),
    ],
)
def test_a_request_calls_the_leg_and_nothing_else(said: bytes, kind: str) -> None:
    with pytest.raises(Dropped) as raised:
        wire.check_request(RULES, said)
    assert raised.value.kind == kind
    wire.check_request(RULES, request(LEG))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (hello(nid("127.0.0.6"), LEG), "hello"),  # threat 1: a HELLO that names another NID
        (hello(nid("127.0.0.5", "tcp0"), LEG), "hello"),
        (hello(ME | 5 << 48, LEG), "hello"),  # another driver's net
        *((hello(ME, LEG, version=version), "version") for version in (1, 2, 4)),
        (hello(ME, LEG, magic=1), "magic"),
        (hello(ME, LEG, more=17), "length"),
    ],
)
def test_a_hello_is_the_peers_own(said: bytes, kind: str) -> None:
    with pytest.raises(Dropped) as raised:
        wire.check_hello("tcp32769", ME & 0xFFFFFFFF, said[:56])
    assert raised.value.kind == kind
    assert wire.check_hello("tcp32769", ME & 0xFFFFFFFF, hello(ME, LEG, more=2)[:56]) == (ME, 8)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (message(nid("10.0.0.3", "tcp0"), OST), "source"),  # threat 2: a source on the servers' own net
        (message(nid("127.0.0.6"), OST), "source"),
        (message(ME, nid("10.21.0.9", "tcp32770")), "destination"),  # another tenant
        (message(ME, nid("10.0.0.8", "tcp0")), "destination"),
        (message(ME, OST, what=4), "message"),
        (message(ME, OST, b"x", what=wire.GET), "message"),
        (message(ME, OST, length=(1 << 20) + 1), "message"),
        (message(ME, OST, kind=0xC2), "message"),
    ],
)
def test_every_header_is_looked_at(bad: bytes, kind: str) -> None:
    good = message(ME, OST, b"payload") + NOOP + message(ME, LEG, what=wire.ACK)
    with pytest.raises(Dropped) as raised:
        Walk(RULES, ME).scan(good + bad, 0, len(good + bad))
    assert raised.value.kind == kind
    assert Walk(RULES, ME).scan(good, 0, len(good)) == (len(good), 0)


@given(
    st.lists(st.tuples(st.sampled_from(["put", "ack", "noop", "forged"]), st.integers(0, 300)), max_size=12),
    st.data(),
)
def test_however_the_bytes_are_cut_the_same_passes(parts: list[tuple[str, int]], data: st.DataObject) -> None:
    said = {
        "put": lambda n: message(ME, OST, b"p" * n),
        "ack": lambda n: message(ME, OST, what=wire.ACK),
        "noop": lambda n: NOOP,
        "forged": lambda n: message(nid("127.0.0.6"), OST, b"f" * n),
    }
    forged = next((at for at, part in enumerate(parts) if part[0] == "forged"), None)
    stream = b"".join(said[kind](n) for kind, n in parts)
    before = len(b"".join(said[kind](n) for kind, n in parts[:forged]))
    walk, passed, owed, held, dropped = Walk(RULES, ME), 0, 0, b"", False
    at = 0
    while at < len(stream) and not dropped:
        step = data.draw(st.integers(1, 400))
        held += stream[at : at + step]
        at += step
        skip = min(owed, len(held))
        passed, owed, held = passed + skip, owed - skip, held[skip:]
        if held:
            try:
                good, beyond = walk.scan(held, 0, len(held))
            except Dropped:
                dropped = True
                break
            passed, owed, held = passed + good, beyond, held[good:]
    assert dropped == (forged is not None)
    if not dropped:
        assert passed == len(stream) and not owed and not held
    else:
        assert passed <= before


@given(st.binary(max_size=400))
def test_noise_is_dropped_or_waits(noise: bytes) -> None:
    for check, size in (
        (wire.check_request, 16),
        (lambda rules, said: wire.check_hello("tcp1", 5, said), 56),
    ):
        if len(noise) >= size:
            with pytest.raises(Dropped):
                check(RULES, noise[:size])
    try:
        good, beyond = Walk(RULES, ME).scan(noise, 0, len(noise))
    except Dropped:
        return
    # Nothing but NOOPs can be right by chance.
    assert beyond == 0 and good % 24 == 0 and len(noise) - good < 96


# --- the process -----------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(not lnet.PRIVILEGED, reason="ports below 1024 need root")


class Noon(SystemClock):
    """A clock that stands still."""

    def now_ns(self) -> int:
        return 12 * 3600 * 10**9


class Rig:
    def __init__(self) -> None:
        self.events: list[dict[str, object]] = []
        self.router = FakeRouter()
        self.guard = Guard(
            RULES, ("127.0.0.1", self.router.port), Noon(), lambda line: self.events.append(json.loads(line))
        )
        self.port = self.guard.listen("127.0.0.1", 0)

    def dropped(self, kind: str) -> bool:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if self.guard.counts.dropped[kind]:
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.guard.stop()
    made.router.close()


def greet(one: socket.socket, source: int = ME, called: int = LEG) -> bytes:
    one.sendall(request(called) + hello(source, called))
    return exactly(one, 56)


@needs_root
def test_an_honest_peer_is_relayed_byte_for_byte(rig: Rig) -> None:
    parts = [
        message(ME, OST, bytes(range(256)) * size) if size else NOOP
        for size in (0, 1, 0, 4096, 3, 3, 3, 800, 0, 4096, 4096, 170)
    ]
    rig.router.say = b"the servers' answer" * 1000
    with calling(rig.port) as one:
        answer = greet(one)
        assert wire.HELLO.unpack(answer)[2] == LEG
        assert exactly(one, len(rig.router.say)) == rig.router.say
        one.sendall(b"".join(parts))
        one.shutdown(socket.SHUT_WR)
        assert rig.router.ended.acquire(timeout=10)
    assert bytes(rig.router.got[0]) == b"".join(parts)
    [(source, address, port)] = rig.router.hellos
    assert (source, address) == (ME, "127.0.0.1") and port < 1024
    assert not rig.events


@needs_root
@pytest.mark.parametrize("payload", [b"", b"x" * 100, b"y" * (1 << 20)])
def test_a_forged_source_ends_the_connection_and_is_told(rig: Rig, payload: bytes) -> None:
    good = message(ME, OST, payload) * 3
    with calling(rig.port) as one:
        greet(one)
        one.sendall(good)
        one.sendall(message(nid("10.0.0.3", "tcp0"), OST, b"forged"))
        assert exactly(one, 1) == b""
    assert rig.dropped("source")
    assert b"forged" not in b"".join(rig.router.got)
    assert "10.0.0.3@tcp0" in str(rig.events[0]["told"]) and rig.events[0]["peer"] == "127.0.0.5"
    assert 'reason="source"} 1' in rig.guard.counts.exposition("127.0.0.1@tcp32769")


@needs_root
@pytest.mark.parametrize(
    ("source", "said", "kind"),
    [
        ("127.0.0.5", request(LEG) + hello(nid("127.0.0.6"), LEG), "hello"),
        ("127.0.0.5", request(nid("10.0.0.20", "tcp0")) + hello(ME, LEG), "called"),
        ("127.0.0.5", request(LEG, version=2) + hello(ME, LEG), "version"),
        ("127.0.0.9", request(LEG) + hello(nid("127.0.0.9"), LEG), "stranger"),
        ("127.0.0.5", request(LEG)[:9], "short"),
    ],
)
def test_what_is_not_admitted_never_reaches_the_router(rig: Rig, source: str, said: bytes, kind: str) -> None:
    with calling(rig.port, source) as one:
        try:
            one.sendall(said)
            one.shutdown(socket.SHUT_WR)
        except OSError as error:
            assert error.errno in (32, 104, 107)  # refused before it had spoken
        assert exactly(one, 1) == b""
    assert rig.dropped(kind)
    assert not rig.router.hellos


def test_an_unprivileged_port_is_refused(rig: Rig) -> None:
    with calling(rig.port, low=False) as one:
        assert exactly(one, 1) == b""
    assert rig.dropped("port")


@needs_root
def test_a_flood_of_drops_is_counted_and_told_in_part(rig: Rig) -> None:
    for _ in range(60):
        with calling(rig.port, low=False) as one:
            exactly(one, 1)
    until = time.monotonic() + 10
    while rig.guard.counts.dropped["port"] < 60 and time.monotonic() < until:
        time.sleep(0.01)
    assert rig.guard.counts.dropped["port"] >= 60  # who is reset while calling calls again
    assert len(rig.events) == 20


@needs_root
def test_a_router_that_is_gone_is_told(rig: Rig) -> None:
    rig.router.close()
    with calling(rig.port) as one:
        one.sendall(request(LEG) + hello(ME, LEG))
        assert exactly(one, 1) == b""
    assert rig.dropped("server")


@needs_root
def test_the_guards_own_process_tells_counts_and_stops(tmp_path: Path) -> None:
    router = FakeRouter()
    counts = tmp_path / "guard.prom"
    process = subprocess.Popen(
        [sys.executable, "-m", "weatherglass", "shares", "guard", "--leg", "127.0.0.1@tcp32769",
         "--peers", "127.0.0.[4-7]@tcp32769", "--to", "10.0.0.[0-7]@tcp0", "--listen", "127.0.0.1:0",
         "--outbound", "none", "--server", f"127.0.0.1:{router.port}", "--counts", str(counts)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        port = int(process.stderr.readline().split()[1].rpartition(":")[2])
        with calling(port) as one:
            greet(one)
            one.sendall(message(nid("127.0.0.6"), OST))
            assert exactly(one, 1) == b""
        assert process.stdout is not None
        event = json.loads(process.stdout.readline())
    finally:
        process.terminate()
    process.communicate(timeout=10)
    router.close()
    assert process.returncode == 0
    assert event["reason"] == "source"
    assert 'dropped_total{leg="127.0.0.1@tcp32769",reason="source"} 1' in counts.read_text()
