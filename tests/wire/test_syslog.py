"""The syslog listener on real sockets, TLS too; its framing as a pure thing."""

from __future__ import annotations

import datetime
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers import program
from weatherglass.base.errors import Invalid, Unavailable
from weatherglass.base.time import SystemClock
from weatherglass.engine.protocols import RawEvent
from weatherglass.logs.syslog import Address, Syslog, read_address
from weatherglass.logs.syslog.frames import MOST, Frames
from wire.conftest import Wire, serve, until


@given(
    st.lists(
        st.binary(min_size=1, max_size=40).filter(lambda one: b"\n" not in one and b"\0" not in one),
        max_size=8,
    ),
    st.data(),
)
def test_counted_and_ended_messages_come_out_as_they_went_in(
    messages: list[bytes], data: st.DataObject
) -> None:
    wire = b""
    for message in messages:
        counted = data.draw(st.booleans()) or message[:1].isdigit()
        wire += b"%d %s" % (len(message), message) if counted else message + b"\n"
    frames, found, at = Frames(), [], 0
    while at < len(wire):
        step = data.draw(st.integers(1, 30))
        found += frames.feed(wire[at : at + step])
        at += step
    assert found + frames.end() == messages


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_nothing_breaks_the_framing(chunks: list[bytes]) -> None:
    frames = Frames()
    found = [one for chunk in chunks for one in frames.feed(chunk)] + frames.end()
    assert sum(map(len, found)) <= sum(map(len, chunks))


def test_what_is_too_long_is_cut_and_kept() -> None:
    frames = Frames()
    text = b"<13>" + b"x" * (2 * MOST)
    assert b"".join(frames.feed(text + b"\n") + frames.end()) == text
    assert b"".join(frames.feed(b"%d %s" % (len(text), text))) == text


def test_addresses() -> None:
    assert read_address("udp:5514") == Address("udp", "127.0.0.1", 5514)
    assert read_address("tls:0.0.0.0:6514:/c:/k") == Address("tls", "0.0.0.0", 6514, Path("/c"), Path("/k"))
    for wrong in ("", "udp", "tcp:x:y", "tls:6514", "udp:99999", "sctp:1"):
        with pytest.raises(Invalid):
            read_address(wrong)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem, key


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    made, stop = serve(tmp_path_factory.mktemp("syslog"))
    yield made
    stop()


def test_udp_tcp_and_tls_reach_the_store(served: Wire, certificate: tuple[Path, Path]) -> None:
    year = datetime.datetime.now(datetime.UTC).year
    addresses = [Address("udp", port=0), Address("tcp", port=0), Address("tls", "127.0.0.1", 0, *certificate)]
    syslog = Syslog("site", addresses, served.house.rooms.logs, SystemClock())
    syslog.start()
    try:
        udp, tcp, tls = syslog.ports
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"<11>Nov 22 10:00:00 ctl-1 kernel: over udp", ("127.0.0.1", udp))
        modern = b'<165>1 %d-11-22T10:00:00.003Z ctl-2 nova 7 ID47 [x@1 a="b"] counted\nwith two lines' % year
        with socket.create_connection(("127.0.0.1", tcp)) as one:
            one.sendall(b"<13>Nov 22 10:00:01 ctl-1 app[3]: over tcp\n" + b"%d %s" % (len(modern), modern))
        context = ssl.create_default_context(cafile=str(certificate[0]))
        with (
            socket.create_connection(("127.0.0.1", tls)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as one,
        ):
            one.sendall(b"<13>Nov 22 10:00:02 ctl-1 app[3]: over tls\n")

        def four() -> list[dict[str, object]]:
            rows = [one for name in ("weatherglass-*",) for one in served.sources(name)]
            return rows if len(rows) >= 4 else []

        found = until(four)
        texts = {str(one["source"]): str(one["event"]["original"]) for one in found}  # type: ignore[index]
        assert {"syslog/udp", "syslog/tcp", "syslog/tls"} == set(texts)
        said = " ".join(str(one["message"]) for one in found)
        assert "over udp" in said and "over tcp" in said and "over tls" in said and "with two lines" in said
        assert syslog.counts.stored == syslog.counts.taken == 4 and not syslog.counts.lost
    finally:
        syslog.stop()


def test_a_store_that_is_full_is_waited_for() -> None:
    class Full:
        """A fake sink: refuses twice, then takes."""

        def __init__(self) -> None:
            self.refused, self.taken = 0, list[RawEvent]()

        def write_raw(self, tenant: str, events: list[RawEvent]) -> int:
            if self.refused < 2:
                self.refused += 1
                raise Unavailable("the disk is full")
            self.taken += events
            return len(events)

    sink = Full()
    syslog = Syslog("site", [Address("tcp", port=0)], sink, SystemClock())
    syslog.start()
    try:
        with socket.create_connection(("127.0.0.1", syslog.ports[0])) as one:
            one.sendall(b"<13>one\n<13>two\n")
        until(lambda: len(sink.taken) == 2)
        assert [event.text for event in sink.taken] == ["<13>one\n", "<13>two\n"]
    finally:
        syslog.stop()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        syslog = Syslog("site", [Address("tcp", port=taken.getsockname()[1])], None, SystemClock())  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            syslog.start()


def test_a_site_says_where_syslog_is_taken() -> None:
    from types import SimpleNamespace

    from weatherglass.house.listeners import Listeners
    from weatherglass.logs.syslog import read_address

    class Taken:
        """A fake sink."""

        events: list[RawEvent] = []  # noqa: RUF012

        def write_raw(self, tenant: str, events: list[RawEvent]) -> int:
            self.events += events
            return len(events)

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    sink = Taken()
    syslogs = Listeners(
        "syslog", lambda at: Syslog("site", [read_address(one) for one in at], sink, SystemClock())
    )
    try:
        syslogs.on_site(SimpleNamespace(sections={"syslog": (f"tcp:{port}",)}))
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(b"<13>declared\n")
        until(lambda: sink.events)
        syslogs.on_site(SimpleNamespace(sections={}))
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), 2)
    finally:
        syslogs.stop()
