"""A router's compiled rules, in namespaces, with real and with forged packets; and the guard behind its redirects."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from peers import program
from shares import lnet
from shares.netns import Spaces, run
from weatherglass.base.time import SystemClock
from weatherglass.shares import routing
from weatherglass.shares.guard import wire
from weatherglass.shares.guard.serve import Guard
from weatherglass.shares.nids import of_cidr, read_range
from weatherglass.shares.policy import NFS, FileSystem, Router, Share

A = Share("a", "/a", 21, 21, (of_cidr("10.61.0.0/24", "tcp1"),), "edge")
B = Share("b", "/b", 22, 22, (of_cidr("10.62.0.0/24", "tcp2"),), "edge")
EDGE = Router(
    "edge", "10.60.0.1@tcp0", {"tcp1": "10.61.0.1@tcp1", "tcp2": "10.62.0.1@tcp2"},
    interfaces={"tcp0": "up", "tcp1": "leg1", "tcp2": "leg2"},
)  # fmt: skip
NFS_FS = FileSystem("home", NFS, (), (A, B), {"edge": EDGE}, address="10.60.0.9")
LUSTRE = FileSystem("lus", (2, 15), (read_range("10.60.0.[8-15]@tcp0"),), (A, B), {"edge": EDGE})


@pytest.fixture
def spaces() -> Iterator[Spaces]:
    program("nft", "nftables")
    made = Spaces("edge", "srv", "a", "b")
    try:
        made.join("edge", "up", "10.60.0.1/24", "srv", "eth0", "10.60.0.9/24")
        made.join("edge", "leg1", "10.61.0.1/24", "a", "eth0", "10.61.0.5/24")
        made.join("edge", "leg2", "10.62.0.1/24", "b", "eth0", "10.62.0.5/24")
        for name, gateway in (("srv", "10.60.0.1"), ("a", "10.61.0.1"), ("b", "10.62.0.1")):
            made.inside(name, "ip", "route", "add", "default", "via", gateway)
        yield made
    finally:
        made.close()


def apply(spaces: Spaces, fs: FileSystem) -> None:
    for _ in range(2):  # twice is once
        spaces.inside("edge", "sh", "-c", routing.script(fs, EDGE))


def serve(spaces: Spaces, name: str, address: str, port: int) -> socket.socket:
    return spaces.call(name, lambda: socket.create_server((address, port)))


def reaches(spaces: Spaces, name: str, to: str, port: int) -> bool:
    try:
        spaces.connect(name, (to, port), timeout=0.4).close()
    except OSError:
        return False
    return True


def forged(source: str, to: str, port: int) -> bytes:
    """A UDP packet, header and all, from an address that is not ours."""
    udp = struct.pack("!HHHH", 4444, port, 8 + 6, 0) + b"forged"
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(udp),
        1,
        0,
        64,
        17,
        0,
        socket.inet_aton(source),
        socket.inet_aton(to),
    )
    return head + udp


def send_raw(spaces: Spaces, name: str, packet: bytes, to: str) -> None:
    raw = spaces.call(name, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    with raw:
        raw.sendto(packet, (to, 0))


def test_nfs_reaches_its_server_and_nothing_else(spaces: Spaces) -> None:
    listening = [serve(spaces, "srv", "10.60.0.9", port) for port in (2049, 22)]
    listening.append(serve(spaces, "b", "10.62.0.5", 2049))
    spaces.inside("edge", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert reaches(spaces, "a", "10.60.0.9", 22) and reaches(spaces, "a", "10.62.0.5", 2049)  # without rules
    apply(spaces, NFS_FS)
    assert reaches(spaces, "a", "10.60.0.9", 2049) and reaches(spaces, "b", "10.60.0.9", 2049)
    assert not reaches(spaces, "a", "10.60.0.9", 22)
    assert not reaches(spaces, "a", "10.62.0.5", 2049)
    for one in listening:
        one.close()


def test_forged_sources_do_not_pass(spaces: Spaces) -> None:
    got = spaces.call("edge", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    got.bind(("10.61.0.1", 7777))
    got.settimeout(0.3)
    spaces.inside("edge", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.leg1.rp_filter=0")

    def arrives(source: str) -> bool:
        send_raw(spaces, "a", forged(source, "10.61.0.1", 7777), "10.61.0.1")
        try:
            return got.recvfrom(100)[1][0] == source
        except TimeoutError:
            return False

    for source in ("10.62.0.5", "10.60.0.9", "10.61.0.7"):
        assert arrives(source), "the forgery itself must work where there are no rules"
    apply(spaces, NFS_FS)
    spaces.inside("edge", "sysctl", "-qw", "net.ipv4.conf.leg1.rp_filter=0")  # nft alone must do
    assert arrives("10.61.0.5")
    for source in ("10.62.0.5", "10.60.0.9", "192.0.2.1"):
        assert not arrives(source)
    listed = json.loads(spaces.inside("edge", "nft", "-j", "list", "table", "inet", routing.TABLE))
    drops = [
        expression["counter"]["packets"]
        for item in listed["nftables"] if "rule" in item
        for expression in item["rule"]["expr"] if "counter" in expression
    ]  # fmt: skip
    assert drops[0] == 3  # the others count neighbours' IPv6 talk
    got.close()


def test_lnets_port_leads_to_the_guard_from_either_side(spaces: Spaces) -> None:
    """Redirected by the compiled rules: a client's call, and the router's own call to a client."""
    apply(spaces, LUSTRE)
    events: list[str] = []
    leg, me, server = (
        lnet.nid("10.61.0.1", "tcp1"),
        lnet.nid("10.61.0.5", "tcp1"),
        lnet.nid("10.60.0.9", "tcp0"),
    )
    guard = Guard(
        wire.rules(read_range(EDGE.legs["tcp1"]), A.ranges, LUSTRE.servers),
        ("10.61.0.1", 988),
        SystemClock(),
        events.append,
    )
    router = spaces.call("edge", lambda: lnet.FakeRouter("0.0.0.0", 988, own=leg))
    client = spaces.call("a", lambda: lnet.FakeRouter("10.61.0.5", 988, own=me))
    # Threads keep the namespace of the thread that starts them.
    spaces.call("edge", lambda: guard.listen("10.61.0.1", routing.GUARD_IN))
    spaces.call("edge", lambda: guard.listen("10.61.0.1", routing.GUARD_OUT, outbound=True))
    try:
        with spaces.call("a", lambda: called("10.61.0.1", "10.61.0.5")) as one:
            one.sendall(lnet.request(leg) + lnet.hello(me, leg))
            assert wire.HELLO.unpack(lnet.exactly(one, 56))[2] == leg
            one.sendall(lnet.message(me, server, b"honest"))
            one.shutdown(socket.SHUT_WR)
            assert router.ended.acquire(timeout=5)
        assert b"honest" in b"".join(router.got) and guard.counts.connections == 1

        client.say = lnet.message(me, server, b"answer") + lnet.message(server, server, b"forged")
        with spaces.call("edge", lambda: called("10.61.0.5", "10.61.0.1")) as one:
            one.sendall(lnet.request(me) + lnet.hello(leg, me))
            assert wire.HELLO.unpack(lnet.exactly(one, 56))[2] == me
            got = lnet.exactly(one, 10_000)
        assert b"forged" not in got
        until = time.monotonic() + 5
        while not guard.counts.dropped["source"] and time.monotonic() < until:
            time.sleep(0.01)
        assert guard.counts.dropped["source"] == 1 and "10.60.0.9@tcp0" in events[-1]
        # Past the guard there is no way: its own port, called outright, is shut.
        assert not reaches(spaces, "a", "10.61.0.1", routing.GUARD_IN)
        assert not reaches(spaces, "a", "10.60.0.9", 988)
        assert not reaches(spaces, "a", "10.60.0.1", 988)
    finally:
        guard.stop()
        router.close()
        client.close()


def called(to: str, source: str) -> socket.socket:
    made = socket.socket()
    made.settimeout(5)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((source, 901))
    made.connect((to, 988))
    return made


def test_answers_that_take_another_way_are_named(spaces: Spaces) -> None:
    spaces.join("srv", "other", "10.69.0.9/24", "b", "side", "10.69.0.5/24")
    spaces.inside("srv", "ip", "route", "add", "10.62.0.0/24", "via", "10.69.0.5")

    def back(client: str) -> str:
        [told] = json.loads(spaces.inside("srv", "ip", "-j", "route", "get", client))
        return str(told.get("gateway", ""))

    found = routing.asymmetries(NFS_FS, {"a": back("10.61.0.5"), "b": back("10.62.0.5")})
    assert [str(one) for one in found] == ["b: packets come by 10.60.0.1 and the answers go by 10.69.0.5"]


def test_the_table_goes_with_its_namespace(spaces: Spaces) -> None:
    apply(spaces, LUSTRE)
    assert routing.TABLE not in run("nft", "list", "tables")
