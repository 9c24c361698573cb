"""Probes against real sockets and processes, good, bad, silent and stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.agent.prober import Prober, check_specs
from weatherglass.agent.probes import ProbeFailed, mysql_greeting, native_password, probe
from weatherglass.base.errors import Invalid, NotFound, Unavailable
from weatherglass.base.time import SystemClock
from weatherglass.deploy import proc

CHALLENGE = bytes(range(65, 85))
GREETING = (
    b"\x0a11.4.2-MariaDB\0" + b"\1\0\0\0" + CHALLENGE[:8] + b"\0" + b"\xff" * 18 + CHALLENGE[8:] + b"\0"
)


def ask(kind, timeout_s=1.0, secret=lambda name: "sesame", **fields):
    spec = {"entity": "service/x", "kind": kind, "timeout_s": timeout_s, **fields}
    return probe(spec, "server", "service/x", 42, secret)


@contextlib.contextmanager
def serve(handle):
    """A TCP server whose `handle(connection)` runs for each client; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                handle(connection)

    threading.Thread(target=loop, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextlib.contextmanager
def http_server(answer):
    """`answer(method, path, body) → (status, headers, body)`."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, said = answer(self.command, self.path, body, self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _do

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    "status, fields, detail",
    [
        (200, {}, ""),
        (302, {}, ""),
        (500, {}, "HTTP 500"),
        (404, {"status": [404]}, ""),
        (200, {"status": [201, 204]}, "HTTP 200, wanted 201 or 204"),
        (200, {"contains": "hello"}, ""),
        (200, {"contains": "bye"}, "the answer lacks 'bye'"),
    ],
)
def test_http(status, fields, detail):
    with http_server(lambda *_: (status, {}, b"hello there")) as url:
        result = ask("http", url=f"{url}/v3?x=1", **fields)
    assert (result.ok, result.detail) == (not detail, detail)
    assert (result.entity, result.vantage, result.at_ns) == ("service/x", "server", 42)
    assert 0 < result.seconds < 1


def test_http_from_what_is_no_http_server():
    with serve(lambda c: (c.recv(100), c.sendall(b"SSH-2.0-OpenSSH_9\r\n"))) as address:
        assert ask("http", url=f"http://{address}/").detail.startswith("not an HTTP answer")


def test_a_server_that_drips_cannot_stretch_the_time_out():
    def drip(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(30):
            connection.sendall(b"x")
            time.sleep(0.1)

    with serve(drip) as address:
        result = ask("http", url=f"http://{address}/", timeout_s=0.4)
    assert result.detail == "timed out after 0.4 s"
    assert result.seconds < 0.8


@pytest.mark.parametrize("kind, field", [("tcp", "address"), ("mysql", "address"), ("http", "url")])
def test_nobody_listens(kind, field):
    address = free_address()
    result = ask(kind, **{field: f"http://{address}" if field == "url" else address})
    assert (result.ok, result.detail) == (False, "connection refused")


def test_tcp():
    with serve(lambda c: None) as address:
        assert ask("tcp", address=address).ok


def test_command(tmp_path):
    assert ask("command", command=["true"]).ok
    failed = ask("command", command=["sh", "-c", "echo first; echo no quorum >&2; exit 3"])
    assert failed.detail == "exit code 3: no quorum"
    assert ask("command", command=["/no/such/thing"]).detail == "No such file or directory"
    told = tmp_path / "pid"
    slow = ask("command", command=["sh", "-c", f"sleep 60 & echo $! > {told}; wait"], timeout_s=0.3)
    assert slow.detail == "timed out after 0.3 s"
    assert slow.seconds < 1
    child = int(told.read_text())
    wait(lambda: (seen := proc.stat(child)) is None or seen.state == "Z")
    loud = ask("command", command=["sh", "-c", "head -c 30000000 /dev/zero; echo; echo end; exit 1"])
    assert loud.detail == "exit code 1: end"


# --- mysql -----------------------------------------------------------------------------------------------


def packet(sequence, body):
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body


def mysql_server(password, farewells):
    """A server of MySQL's protocol that checks the proof as the manual says: SHA1(proof XOR …) is the stored hash."""
    stored = hashlib.sha1(hashlib.sha1(password).digest()).digest()

    def good(proof, challenge):
        mask = hashlib.sha1(challenge + stored).digest()
        once = bytes(a ^ b for a, b in zip(proof, mask, strict=True))
        return hashlib.sha1(once).digest() == stored

    def handle(connection):
        connection.sendall(packet(0, GREETING))
        head = connection.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            return
        body = connection.recv(int.from_bytes(head[:3], "little"), socket.MSG_WAITALL)
        user, _, rest = body[32:].partition(b"\0")
        proof = rest[1 : 1 + rest[0]]
        if user == b"switched":
            connection.sendall(packet(2, b"\xfemysql_native_password\0" + CHALLENGE[::-1] + b"\0"))
            proof, challenge = connection.recv(24, socket.MSG_WAITALL)[4:], CHALLENGE[::-1]
        elif user == b"modern":
            connection.sendall(packet(2, b"\xfeed25519\0" + CHALLENGE + b"\0"))
            return
        else:
            challenge = CHALLENGE
        ok = len(proof) == 20 and good(proof, challenge)
        connection.sendall(packet(2, b"\x00\x00\x00" if ok else b"\xff\x15\x04#28000Access denied"))
        farewells.append(connection.recv(5, socket.MSG_WAITALL))

    return serve(handle)


@pytest.mark.parametrize(
    "fields, detail",
    [
        ({}, ""),
        ({"user": "probe", "password": "db"}, ""),
        ({"user": "switched", "password": "db"}, ""),
        ({"user": "modern", "password": "db"}, "the account wants ed25519, not mysql_native_password"),
    ],
)
def test_mysql(fields, detail):
    farewells = []
    with mysql_server(b"sesame", farewells) as address:
        assert ask("mysql", address=address, **fields).detail == detail
        if fields and not detail:
            end = time.monotonic() + 2
            while not farewells and time.monotonic() < end:
                time.sleep(0.01)
    if fields and not detail:
        assert farewells == [packet(0, b"\x01")], "MariaDB logs a warning for whom left without COM_QUIT"


def test_mysql_with_a_wrong_password_and_with_an_error_for_a_greeting():
    with mysql_server(b"other", []) as address:
        assert ask("mysql", address=address, user="probe", password="db").detail == "1045: Access denied"
    with serve(lambda c: c.sendall(packet(0, b"\xff\x10\x04Too many connections"))) as address:
        assert ask("mysql", address=address).detail == "1040: Too many connections"
    with serve(lambda c: c.sendall(b"220 smtp.example.org ESMTP ready and willing\r\n")) as address:
        assert ask("mysql", address=address).detail == "what answers does not speak MySQL's protocol"


def test_a_stopped_server_accepts_but_does_not_greet():
    """The kernel completes the handshake of TCP for a stopped process: `tcp` is fooled, `mysql` is not."""
    code = (
        "import socket,sys\ns=socket.create_server(('127.0.0.1',0));print(s.getsockname()[1],flush=True)\n"
        f"while True:\n c,_=s.accept();c.sendall({packet(0, GREETING)!r});c.close()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        address = f"127.0.0.1:{int(child.stdout.readline())}"
        assert ask("mysql", address=address).ok
        child.send_signal(signal.SIGSTOP)
        stopped = ask("mysql", address=address, timeout_s=0.3)
        assert (stopped.ok, stopped.detail) == (False, "timed out after 0.3 s")
        assert ask("tcp", address=address).ok
        child.send_signal(signal.SIGCONT)
        assert ask("mysql", address=address).ok
    finally:
        child.kill()
        child.communicate()


@given(st.binary(max_size=120))
def test_any_greeting_is_read_or_refused(data):
    try:
        version, challenge = mysql_greeting(data)
    except ProbeFailed:
        return
    assert isinstance(version, str)
    assert len(challenge) <= 20


def test_an_empty_password_sends_no_proof():
    assert native_password("", CHALLENGE) == b""


# --- openstack-token -------------------------------------------------------------------------------------


def keystone(method, path, body, headers):
    assert (method, path, headers["Connection"]) == ("POST", "/v3/auth/tokens", "close")
    auth = json.loads(body)["auth"]
    user = auth["identity"]["password"]["user"]
    if user["password"] != "sesame":
        return 401, {}, b"{}"
    assert user["domain"] == {"name": "Default"}
    assert auth["scope"] == {"project": {"name": "genomics", "domain": {"name": "Default"}}}
    return 201, {"X-Subject-Token": "gAAAA"}, b"{}"


def test_openstack_token():
    fields = {"user": "probe", "password": "probe-password", "project": "genomics"}
    with http_server(keystone) as url:
        assert ask("openstack-token", url=url, **fields).ok
        assert ask("openstack-token", url=f"{url}/v3/", **fields).ok
        denied = ask("openstack-token", url=url, secret=lambda name: "wrong", **fields)
        assert denied.detail == "no token: HTTP 401"
    with http_server(lambda *_: (201, {}, b"{}")) as url:
        assert ask("openstack-token", url=url, **fields).detail == "HTTP 201 without X-Subject-Token"


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (200, ""),
        (204, ""),
        (401, "HTTP 401 to a fresh token"),
        (302, "HTTP 302 to a fresh token"),
        (503, "HTTP 503 to a fresh token"),
    ],
)
def test_a_token_is_used_where_something_is_to_be_got_with_it(status, detail):
    def service(method, path, body, headers):
        assert (method, path, headers["X-Auth-Token"]) == ("GET", "/resource_providers?x=1", "gAAAA")
        return status, {}, b"{}"

    fields = {"user": "probe", "password": "probe-password", "project": "genomics"}
    with http_server(keystone) as url, http_server(service) as there:
        asked = ask("openstack-token", url=url, get=f"{there}/resource_providers?x=1", **fields)
    assert (asked.ok, asked.detail) == (not detail, detail)


def test_a_secret_that_is_not_there_is_told_one_that_cannot_be_had_now_is_not_a_failure():
    def missing(name):
        raise NotFound(f"no secret named {name}")

    def away(name):
        raise Unavailable("no server")

    fields = {"url": "http://127.0.0.1:9", "user": "u", "password": "p"}
    assert "no secret named p" in ask("openstack-token", secret=missing, **fields).detail
    with pytest.raises(Unavailable):
        ask("openstack-token", secret=away, **fields)


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "smoke"},
        {"kind": "http"},
        {"kind": "http", "url": "ftp://x"},
        {"kind": "tcp", "address": "x"},
        {"kind": "command", "command": "true"},
        {"kind": "mysql", "address": "x:99999"},
    ],
)
def test_specs_without_sense_are_refused(spec):
    with pytest.raises(Invalid):
        probe({"entity": "service/x", **spec}, "server", "service/x", 0, lambda name: "")


# --- when ------------------------------------------------------------------------------------------------


@pytest.fixture
def prober(tmp_path):
    made = []
    made_up = {"run": True}

    def make(**pace):
        results = []
        prober = Prober(
            tmp_path / "probes.json",
            "host/here",
            SystemClock(),
            lambda name: "sesame",
            lambda result, urgent: results.append((time.monotonic(), result, urgent)),
            lambda: made_up["run"],
            pace.get("calm_s", 0.5),
            pace.get("sick_s", 0.1),
        )
        made.append(prober)
        prober.made_up = made_up
        return prober, results

    yield make
    for one in made:
        one.stop()


def wait(what, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not (value := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


def test_one_that_hangs_delays_no_other_and_sick_is_probed_faster(prober):
    made, results = prober()
    with serve(lambda c: time.sleep(0.5)) as silent, serve(lambda c: None) as fine:
        specs = [
            {"entity": "service/silent", "kind": "mysql", "address": silent, "timeout_s": 0.4},
            {"entity": "service/fine", "kind": "tcp", "address": fine},
        ]
        assert made.set({"probes": specs}, lambda share, text: None) == {"probes": 2}
        assert made.period() == 0.5
        wait(lambda: [r for _, r, _ in results if not r.ok])
        assert made.period() == 0.1
        seen = len([r for _, r, _ in results if r.entity == "service/fine"])
        time.sleep(0.6)
        assert len([r for _, r, _ in results if r.entity == "service/fine"]) >= seen + 3
        assert all(urgent for _, r, urgent in results if not r.ok)
        made.set({"probes": specs[1:]}, lambda share, text: None)
        assert made.period() == 0.5


def test_a_replica_that_does_not_run_hurries_the_probes(prober):
    made, results = prober(calm_s=60.0)
    with serve(lambda c: None) as fine:
        made.set({"probes": [{"entity": "service/fine", "kind": "tcp", "address": fine}]}, lambda s, t: None)
        wait(lambda: len(results) == 1)
        time.sleep(0.2)
        assert len(results) == 1
        made.made_up["run"] = False
        made.alarm()
        wait(lambda: len(results) >= 4)


def test_what_is_probed_outlives_the_process(prober):
    made, _ = prober()
    with serve(lambda c: None) as fine:
        made.set({"probes": [{"entity": "service/fine", "kind": "tcp", "address": fine}]}, lambda s, t: None)
        made.stop()
        again, results = prober()
        again.start()
        wait(lambda: results)


def test_everything_wrong_with_a_list_is_said_at_once():
    with pytest.raises(Invalid) as refused:
        check_specs([{"entity": "service/x", "kind": "smoke"}, {"kind": "tcp"}, "tcp"])
    assert [problem.where for problem in refused.value.problems] == ["probes[0]", "probes[1]", "probes[2]"]
