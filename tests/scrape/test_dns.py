"""Discovery by DNS against a real server (dnsmasq), and against a server of ours that fails in every way."""

from __future__ import annotations

import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers import program
from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.discovery.dns import (
    DnsDiscovery,
    Resolver,
    candidates,
    configured,
    read_resolv,
)
from weatherglass.metrics.scrape.discovery.groups import Finding, Group, merged


def free_port() -> int:
    """A port on loopback that is free for UDP and TCP just now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            port = int(udp.getsockname()[1])
            try:
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module")
def dnsmasq() -> Iterator[int]:
    """A real server with a zone of every kind of record."""
    port = free_port()
    many = [f"--host-record=many.cloud.test,10.9.{n // 250}.{n % 250 + 1}" for n in range(400)]
    process = subprocess.Popen(
        [
            program("dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--no-hosts", "--no-resolv", "--user=root",
            "--conf-file=/dev/null", "--pid-file=", f"--port={port}", "--listen-address=127.0.0.1",
            "--bind-interfaces", "--local=/cloud.test/", "--local-ttl=7", "--edns-packet-max=1232",
            "--srv-host=_node._tcp.cloud.test,n1.cloud.test,9100,0,10",
            "--srv-host=_node._tcp.cloud.test,n2.cloud.test,9101,0,10",
            "--host-record=n1.cloud.test,10.0.0.1", "--host-record=api.cloud.test,10.0.0.9,fd00::9",
            "--cname=alias.cloud.test,n1.cloud.test", "--mx-host=mail.cloud.test,mx.cloud.test,5",
            "--dns-rr=zone.cloud.test,2,026e7305636c6f7564047465737400", *many,
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(5)


def look(server: int, names: list[str], **more: object) -> Finding:
    given = {"names": names, "servers": [f"127.0.0.1:{server}"], "timeout": 1.0, **more}
    discovery = configured(given)
    return discovery.look()


def addresses(found: Finding) -> list[str]:
    return sorted(target["__address__"] for group in found.groups for target in group.targets)


def test_srv_records_give_host_and_port_without_the_trailing_dot(dnsmasq: int) -> None:
    found = look(dnsmasq, ["_node._tcp.cloud.test"])
    assert addresses(found) == ["n1.cloud.test:9100", "n2.cloud.test:9101"]
    target = found.groups[0].targets[0]
    assert target["__meta_dns_name"] == "_node._tcp.cloud.test"
    assert target["__meta_dns_srv_record_target"].endswith(".cloud.test.")
    assert target["__meta_dns_srv_record_port"] in ("9100", "9101")


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("api.cloud.test", "A", ["10.0.0.9:9100"]),
        ("api.cloud.test", "AAAA", ["[fd00::9]:9100"]),
        ("alias.cloud.test", "A", ["10.0.0.1:9100"]),  # the CNAME on the way is no target
        ("mail.cloud.test", "MX", ["mx.cloud.test:9100"]),
        ("zone.cloud.test", "NS", ["ns.cloud.test:9100"]),
    ],
)
def test_other_records_take_the_port_given(dnsmasq: int, name: str, kind: str, wanted: list[str]) -> None:
    assert addresses(look(dnsmasq, [name], type=kind, port=9100)) == wanted


def test_a_name_that_does_not_exist_empties_its_group(dnsmasq: int) -> None:
    found = look(dnsmasq, ["missing.cloud.test"], type="A", port=1)
    assert found.groups == (Group("missing.cloud.test", ()),)
    assert not found.kept


def test_an_answer_too_long_for_udp_comes_over_tcp(dnsmasq: int) -> None:
    assert len(addresses(look(dnsmasq, ["many.cloud.test"], type="A", port=80))) == 400


def test_a_ttl_is_honoured_on_request_alone(dnsmasq: int) -> None:
    assert look(dnsmasq, ["api.cloud.test"], type="A", port=1, honour_ttl=True).again_s == 7
    assert look(dnsmasq, ["api.cloud.test"], type="A", port=1).again_s == 0


def test_the_search_list_is_tried(dnsmasq: int, tmp_path: Path) -> None:
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\nsearch nowhere.test cloud.test\n")
    found = DnsDiscovery(("api",), "A", 9100, servers=(("127.0.0.1", dnsmasq),), resolv=resolv).look()
    assert addresses(found) == ["10.0.0.9:9100"]


# --- a server that fails ---------------------------------------------------------------------------------

Answer = Callable[[bytes, bool], bytes | None]


@contextmanager
def failing(answer: Answer) -> Iterator[int]:
    """A server on UDP and TCP that answers as told; None is silence."""

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, out = self.request
            if (reply := answer(data, False)) is not None:
                out.sendto(reply, self.client_address)

    class Tcp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            size = struct.unpack("!H", self.request.recv(2))[0]
            if (reply := answer(self.request.recv(size), True)) is not None:
                self.request.sendall(struct.pack("!H", len(reply)) + reply)

    port = free_port()
    servers = [
        socketserver.ThreadingUDPServer(("127.0.0.1", port), Udp),
        socketserver.ThreadingTCPServer(("127.0.0.1", port), Tcp),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield port
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def reply(
    data: bytes, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, *, truncated: bool = False, records: int = 0
) -> bytes:
    question = dns.message.from_wire(data)
    message = dns.message.make_response(question)
    message.set_rcode(rcode)
    if truncated:
        message.flags |= dns.flags.TC
    name = question.question[0].name
    if records:
        message.answer.append(
            dns.rrset.from_text(name, 60, "IN", "A", *[f"10.0.1.{n + 1}" for n in range(records)])
        )
    return message.to_wire()


BEFORE = {"x.test.": Group("x.test.", ({"__address__": "10.0.0.1:80"},))}

FAILURES: dict[str, tuple[Answer, str]] = {
    "silence": (lambda data, tcp: None, "no answer"),
    "SERVFAIL": (lambda data, tcp: reply(data, dns.rcode.SERVFAIL), "SERVFAIL"),
    "REFUSED": (lambda data, tcp: reply(data, dns.rcode.REFUSED), "REFUSED"),
    "garbage": (lambda data, tcp: b"\xff" * 40, ""),
    "short": (lambda data, tcp: data[:5], ""),
    "truncated, then silent": (lambda data, tcp: None if tcp else reply(data, truncated=True), ""),
    "truncated twice": (lambda data, tcp: reply(data, truncated=True), "truncated over TCP"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_server_that_fails_leaves_the_targets_as_they_were(name: str) -> None:
    answer, words = FAILURES[name]
    with failing(answer) as port:
        found = look(port, ["x.test."], type="A", port=80, timeout=0.3)
    assert found.groups == ()
    assert words in found.kept["x.test."]
    assert merged(BEFORE, found) == BEFORE


def test_nxdomain_empties_what_was_there() -> None:
    with failing(lambda data, tcp: reply(data, dns.rcode.NXDOMAIN)) as port:
        found = look(port, ["x.test."], type="A", port=80)
    assert merged(BEFORE, found) == {"x.test.": Group("x.test.", ())}


def test_truncation_asks_again_over_tcp_without_edns() -> None:
    asked: list[tuple[bool, int]] = []

    def answer(data: bytes, tcp: bool) -> bytes:
        asked.append((tcp, dns.message.from_wire(data).edns))
        return reply(data, truncated=not tcp, records=3 if tcp else 0)

    with failing(answer) as port:
        assert len(addresses(look(port, ["x.test."], type="A", port=80))) == 3
    assert asked == [(False, 0), (True, -1)]


def test_the_next_server_is_asked_where_one_fails() -> None:
    with (
        failing(lambda data, tcp: reply(data, dns.rcode.SERVFAIL)) as bad,
        failing(lambda data, tcp: reply(data, records=1)) as good,
    ):
        discovery = DnsDiscovery(("x.test.",), "A", 80, servers=(("127.0.0.1", bad), ("127.0.0.1", good)))
        assert addresses(discovery.look()) == ["10.0.1.1:80"]


def test_a_failure_among_candidates_is_no_proof_that_there_is_none(tmp_path: Path) -> None:
    """NXDOMAIN for one candidate and SERVFAIL for another: the name may exist, so its targets stay."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("search a.test b.test\n")

    def answer(data: bytes, tcp: bool) -> bytes:
        name = str(dns.message.from_wire(data).question[0].name)
        return reply(data, dns.rcode.SERVFAIL if ".b.test" in name else dns.rcode.NXDOMAIN)

    with failing(answer) as port:
        found = DnsDiscovery(("x",), "A", 80, servers=(("127.0.0.1", port),), resolv=resolv).look()
    assert "x" in found.kept


# --- pure ------------------------------------------------------------------------------------------------


def test_candidates_follow_ndots_and_search() -> None:
    resolver = Resolver((), ("a.test", "b.test"), ndots=2)
    assert candidates("x.", resolver) == ["x."]
    assert candidates("x", resolver) == ["x.a.test.", "x.b.test.", "x."]
    assert candidates("x.y.z", resolver) == ["x.y.z.", "x.y.z.a.test.", "x.y.z.b.test."]


def test_resolv_conf_is_read() -> None:
    found = read_resolv(
        "# c\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch a. b\noptions ndots:3 rotate\n"
    )
    assert found.servers == (("192.0.2.1", 53), ("fe80::1", 53))
    assert (found.search, found.ndots) == (("a", "b"), 3)


@given(st.text(max_size=200))
def test_any_resolv_conf_gives_a_resolver(text: str) -> None:
    assert read_resolv(text).servers


@pytest.mark.parametrize(
    ("given_config", "words"),
    [
        ({}, "names are missing"),
        ({"names": ["x"], "type": "TXT"}, "no type"),
        ({"names": ["x"], "type": "A"}, "port is needed"),
        ({"names": ["x"], "servers": ["nowhere"]}, "no server"),
        ({"names": ["a" * 80]}, "no name"),
    ],
)
def test_a_bad_configuration_is_refused(given_config: dict[str, object], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        configured(given_config)
