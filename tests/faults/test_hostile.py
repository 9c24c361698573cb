"""Hostile bytes over real HTTP at a real server: a clear 4xx in the door's own form, and nothing else is touched.

Doors one by one, with fakes behind them, are in tests/gateway/test_hostile.py. Here a canary of samples and events
is written before and after, and the server's memory is watched.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cramjam
import httpx
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.load import HOST
from faults.served import WRITE_HEADERS, Agent, Server, events, found, push, raw, samples, write

SITE = """
site: faults
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [idle]}
services: {idle: {command: [sleep, "1000"], runtime: process}}
tenants:
  any: {limits: {series: 1M, samples: 1M/s}}
  small: {limits: {series: 50, samples: 1000/s, logs: 100kB/day}}
"""
LIMIT_SERIES = 50
PEAK = 900 << 20
"""Bytes that the server may ever have had: its own 150 MiB and a few of the largest bodies at once, inflated."""
WRITE, EVENTS = "/prometheus/api/v1/write", "/api/v1/agent/events"
ZSTD = {"Content-Encoding": "zstd"}


EXAMPLES = pytest.mark.parametrize("examples", [50, pytest.param(3000, marks=pytest.mark.long)])


def always(examples: int, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], None]:
    """Runs the function below it at once, with so many examples."""

    def hold(check: Callable[..., None]) -> None:
        settings(max_examples=examples, deadline=None)(given(**strategies)(check))()

    return hold


class Place:
    """The server, clients for its doors, and the canary."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.admin, self.small = server.client(), server.client(tenant="small")
        self.any = server.client(tenant="any")  # takes what happens to be sound, beside the canary's tenant
        self.agent = server.client(server.new_token("hostile", "agent", HOST))
        self.began_ms, self.sung = time.time_ns() // 1_000_000, 0

    def sing(self) -> None:
        """One sample and one event of the canary more."""
        at, labels = self.began_ms + self.sung, {"kind": "canary"}
        assert write(self.admin, samples("canary", [(labels, float(self.sung), at)])).status_code == 204
        event = (at * 1_000_000, {"host": HOST}, f"the canary sang {self.sung}")
        assert push(self.agent, events([event])).status_code == 200
        self.sung += 1

    def listen(self) -> None:
        """The canary is whole, the rest of the site is as it was."""
        (series,) = raw(self.admin, "canary", self.began_ms / 1000 + 600)
        assert [float(value) for _, value in series["values"]] == [float(n) for n in range(self.sung)]
        sung = [
            one["message"]
            for one in found(self.admin, "canary", self.began_ms / 1000 - 1, self.began_ms / 1000 + 600)
        ]
        assert sung == [f"the canary sang {n}" for n in reversed(range(self.sung))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "site.yaml").write_text(SITE)
    server = Server(folder / "state", folder / "site.yaml")
    server.start()
    agent = Agent(server, folder / "agent", HOST)  # a declaration counts once its hosts have answered
    agent.start()
    try:
        one = Place(server)
        until = time.monotonic() + 30
        while "small" not in one.admin.get("/api/v1/settings").json()["tenants"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        yield one
        peak = next(
            line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if "VmHWM" in line
        )
        print(f"\n{peak.split()[1]} kB of memory at the most")
        assert int(peak.split()[1]) << 10 < PEAK
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]
    finally:
        agent.down()
        server.kill()


@pytest.fixture(autouse=True)
def canary(place: Place) -> Iterator[None]:
    place.sing()
    yield
    place.sing()
    place.listen()


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """What a 4xx says, in the form that its path speaks."""
    assert 400 <= answer.status_code < 500, f"{answer.status_code} {answer.text[:500]}"
    assert not statuses or answer.status_code in statuses, f"{answer.status_code} {answer.text[:500]}"
    told: dict[str, Any] = answer.json()
    if answer.request.url.path.startswith("/prometheus/"):
        assert told["status"] == "error"
        assert told["errorType"]
        assert told["error"]
    else:
        assert told["error"]
        assert told["message"]
    assert len(answer.content) < 65_536
    return told


def refused_or_stored(answer: httpx.Response) -> None:
    if answer.status_code != 204:
        refused(answer)


# --- remote write ------------------------------------------------------------------------------------------

GOOD = cramjam.snappy.decompress_raw(
    samples("noise", [({"n": str(n)}, 1.5, 1_800_000_000_000 + n) for n in range(5)])
)
NOT_SNAPPY = st.binary(max_size=200)
TRUNCATED = st.integers(0, len(GOOD) - 1).map(lambda end: snappy(bytes(GOOD)[:end]))


@st.composite
def bitten(draw: st.DrawFn) -> bytes:
    """A sound request with some bytes changed."""
    body = bytearray(GOOD)
    for at in draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=6)):
        body[at] = draw(st.integers(0, 255))
    return snappy(bytes(body))


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


@EXAMPLES
def test_malformed_writes(place: Place, examples: int) -> None:
    @always(examples, body=NOT_SNAPPY | TRUNCATED | bitten() | NOT_SNAPPY.map(snappy))
    def _(body: bytes) -> None:
        refused_or_stored(place.any.post(WRITE, content=body, headers=WRITE_HEADERS))


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


BOMBS = {
    "claims 4 GiB": varint((1 << 32) - 1) + b"\0a",
    "claims 1 TiB": varint(1 << 40) + b"\0a",
    "claims more than it has": varint(1000) + b"\0a",
    "640 MiB of zeros": None,  # made where it is used
}


@pytest.mark.parametrize("name", BOMBS)
def test_snappy_bombs(place: Place, name: str) -> None:
    body = BOMBS[name] or snappy(bytes(640 << 20))
    before = place.server.resident()
    refused(place.admin.post(WRITE, content=body, headers=WRITE_HEADERS), 400, 413)
    assert place.server.resident() - before < 300 << 20


def test_oversize_bodies_by_length_and_by_the_piece(place: Place) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(80):
            yield bytes(1 << 20)

    for path, headers in (
        (WRITE, WRITE_HEADERS),
        (EVENTS, ZSTD),
        ("/api/v1/tokens", {"Content-Type": "application/json"}),
    ):
        client = place.agent if path == EVENTS else place.admin
        # The server answers and closes; a sender that is not listening yet may see only that it was cut off.
        for body in (bytes(40 << 20), pieces()):
            try:
                refused(client.post(path, content=body, headers=headers), 413)
            except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
                assert place.server.ready()


def test_hostile_series(place: Place) -> None:
    def body(labels: dict[str, str], at: int = 1_800_000_000_000, value: float = 1.0) -> bytes:
        return samples(labels.pop("__name__", "noise"), [(labels, value, at)])

    for labels in (
        {"v": "x" * 100_000},
        {"n" * 5000: "x"},
        {f"label{n}": "x" for n in range(500)},
    ):
        refused(write(place.admin, body(dict(labels))), 400, 413, 429)
    for labels in ({"__name__": "no name" * 100}, {"0bad-name": "x"}, {"": "x"}, {"\0": "\0"}):
        refused_or_stored(write(place.any, body(dict(labels))))  # Prometheus 3 takes any UTF-8 for a name
    for at in (-(1 << 63), (1 << 63) - 1, 1 << 62, -1, 0):
        refused_or_stored(write(place.any, body({"at": "far"}, at)))
    refused(
        place.admin.post(WRITE, content=body({}), headers={**WRITE_HEADERS, "Content-Encoding": "gzip"}), 415
    )
    refused(
        place.admin.post(WRITE, content=body({}), headers={**WRITE_HEADERS, "Content-Type": "text/plain"}),
        415,
    )


def test_a_flood_of_nan_is_a_value_like_another(place: Place) -> None:
    odd = [
        float("nan"),
        float("inf"),
        float("-inf"),
        struct.unpack("<d", b"\x02\0\0\0\0\0\xf0\x7f")[0],
        5e-324,
    ]
    began = time.time_ns() // 1_000_000
    rows = [({"kind": str(n % 5)}, odd[n % 5], began + n) for n in range(5000)]
    assert write(place.admin, samples("flood", rows)).status_code == 204
    for query in ("flood", "sum(flood)", "rate(flood[1h])", "sort(flood)", "histogram_quantile(0.9, flood)"):
        asked = place.admin.get(
            "/prometheus/api/v1/query", params={"query": query, "time": began / 1000 + 60}
        )
        assert asked.status_code in (200, 400, 422), asked.text[:300]
        json.loads(asked.content, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_a_label_explosion_stops_at_the_tenants_limit(place: Place) -> None:
    began, refusals = time.time_ns() // 1_000_000, 0
    for turn in range(10):
        rows = [({"n": str(turn * 20 + n)}, 1.0, began + turn) for n in range(20)]
        answer = write(place.small, samples("explosion", rows))
        if answer.status_code != 204:
            assert "small" in refused(answer, 429)["error"]
            refusals += 1
    assert refusals >= 7
    found = place.small.get("/prometheus/api/v1/series", params={"match[]": "explosion"}).json()["data"]
    assert 0 < len(found) <= LIMIT_SERIES
    # What it has already goes on.
    assert write(place.small, samples("explosion", [({"n": "0"}, 2.0, began + 100)])).status_code in (
        204,
        429,
    )
    many = samples("explosion", [({"n": "0"}, 1.0, began + 1000 + n) for n in range(30_000)])
    refused(write(place.small, many), 429)


# --- events --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


ROWS = st.lists(
    JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60), min_size=1, max_size=4
)


@EXAMPLES
def test_malformed_events(place: Place, examples: int) -> None:
    @always(examples, rows=ROWS, packed=st.booleans())
    def _(rows: list[bytes], packed: bool) -> None:
        text = b"\n".join(rows)
        body = zstandard.ZstdCompressor().compress(text) if packed else text
        answer = place.agent.post(EVENTS, content=body, headers=ZSTD)
        if not (answer.status_code == 200 and answer.json()["stored"] == 0):
            refused(answer)


def test_zstd_bombs_and_deep_events(place: Place) -> None:
    zeros = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 30))
    lines = zstandard.ZstdCompressor(level=1).compress(b"\n" * (200 << 20))
    many = events([(1, {"host": HOST}, "x")] * 250_000)
    deep = zstandard.ZstdCompressor().compress(b"[" * 1_000_000)
    deeper = zstandard.ZstdCompressor().compress(
        b'[1,{"host":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b'},"x"]'
    )
    before = place.server.resident()
    for body in (zeros, lines, many, deep, deeper, zeros[:-20], b"", zeros + zeros):
        answer = place.agent.post(EVENTS, content=body, headers=ZSTD)
        if body:
            refused(answer, 400, 413)
    assert place.server.resident() - before < 400 << 20
    refused(push(place.agent, events([(1, {"host": "another"}, "not mine")])), 403)
    huge = {f"l{n}": "x" * 1000 for n in range(60)}
    refused(push(place.agent, events([(1, {"host": HOST, **huge}, "x")])), 400, 413)


def test_a_tenants_logs_have_a_limit_too(place: Place) -> None:
    now = time.time_ns()
    body = events([(now, {"service": "s"}, f"{n} {'x' * 200}") for n in range(1000)])
    refused(push(place.small, body), 429)


# --- our own JSON, and questions ------------------------------------------------------------------------------

DOORS = [
    "/api/v1/tokens",
    "/api/v1/agent/heartbeat",
    "/api/v1/agent/results",
    "/api/v1/check",
    "/api/v1/restart",
]


@EXAMPLES
def test_json_of_any_shape(place: Place, examples: int) -> None:
    @always(examples, door=st.sampled_from(DOORS), value=JSON)
    def _(door: str, value: Any) -> None:
        client = place.agent if "/agent/" in door else place.admin
        body = json.dumps(value).encode()
        answer = client.post(door, content=body, headers={"Content-Type": "application/json"})
        if not answer.is_success:
            refused(answer)


@pytest.mark.parametrize("door", DOORS)
def test_deep_wide_and_broken_json(place: Place, door: str) -> None:
    client = place.agent if "/agent/" in door else place.admin
    for body in (
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"{",
        b'{"a":NaN}',
        b"\xff\xfe",
        b'{"a":1e999999}',
        b'"\\ud800"',
        b"9" * 5000,
    ):
        refused(client.post(door, content=body, headers={"Content-Type": "application/json"}))


QUESTIONS = [
    "(" * 100_000,
    "-" * 100_000 + "1",
    "1" + "+1" * 50_000,
    "sum(" * 5_000 + "up" + ")" * 5_000,
    'canary{kind=~"' + "(a+)+" * 200 + '$"}',
    'canary{kind=~"(x{1000}){1000}"}',
    "canary[1000000y]",
    "canary offset 99999999999999y",
    'label_replace(canary, "a", "' + "x" * 100_000 + '", "", "")',
    "\0\ud7ff",
]


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_hostile_questions(place: Place, number: int) -> None:
    began = time.monotonic()
    answer = place.admin.post("/prometheus/api/v1/query", data={"query": QUESTIONS[number]})
    if answer.status_code != 200:
        refused(answer)
    assert time.monotonic() - began < 20


LETTERS = "(){}[]\"'=~!+-*/^%<>,:@ \n\\canryskidoffetbgwulsm0123456789.eE"


@EXAMPLES
def test_questions_of_any_letters(place: Place, examples: int) -> None:
    @always(examples, question=st.text(alphabet=LETTERS, max_size=60))
    def _(question: str) -> None:
        answer = place.admin.post("/prometheus/api/v1/query", data={"query": question})
        if answer.status_code != 200:
            refused(answer)


def test_what_is_not_even_http(place: Place) -> None:
    for said in (
        b"\x16\x03\x01\0\xa5",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"POST /prometheus/api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET " + b"/" * 200_000,
    ):
        with socket.create_connection(("127.0.0.1", place.server.port), timeout=10) as connection:
            try:
                connection.sendall(said + b"\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(4096)
            except OSError:
                answer = b""  # it hung up, which is an answer
        assert answer == b"" or b" 4" in answer.split(b"\r\n")[0], answer[:200]
