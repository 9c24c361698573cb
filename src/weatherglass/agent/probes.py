"""Functional probes: does it do its job, asked as its users ask. One function a kind, one table.

The agent and the server use the same ones, from two vantage points. A probe is a value (`spec`, JSON) to a
value (`ProbeResult`): it never raises for what it probes, only for a spec that makes no sense (Invalid).

A spec: `{"entity": "service/keystone", "kind": "http", "timeout_s": 3, …}` with these fields by kind:
- `http`: `url`; `status` (a list of those accepted; empty: 2xx and 3xx), `contains` (text in the first 64 KiB)
- `tcp`: `address` as `host:port`
- `command`: `command` (a list), `environment` (added to the caller's), `directory`
- `mysql`: `address`; `user` and `password` (a secret's name) to log in as well
- `openstack-token`: `url` (with or without `/v3`), `user`, `password` (a secret's name), `project`, `domain`;
  `get`, an address that must then answer to the token with 2xx
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from weatherglass.base.errors import Invalid, Unavailable, WeatherglassError
from weatherglass.engine.protocols import ProbeResult

DEFAULT_TIMEOUT_S = 3.0
BODY_READ = 64 << 10

Spec = Mapping[str, Any]
Secret = Callable[[str], str]


class ProbeFailed(Exception):
    """The probed does not do its job; the text says why in a line."""


class Deadline:
    """One time-out over all the steps of a probe: a server that drips bytes cannot stretch it."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._end = seconds, time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _field(spec: Spec, name: str, kind: type = str) -> Any:
    value = spec.get(name)
    if not isinstance(value, kind) or not value:
        raise Invalid(
            f"a probe of kind {spec.get('kind')!r} needs `{name}`", where=str(spec.get("entity", ""))
        )
    return value


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"{text!r} is not an address", mend="write one like 127.0.0.1:3306")
    return host.strip("[]"), int(port)


def _connect(address: str, deadline: Deadline) -> socket.socket:
    return socket.create_connection(_address(address), timeout=deadline.left())


# --- http ------------------------------------------------------------------------------------------------


def _exchange(
    url: str, method: str, body: bytes | None, headers: Mapping[str, str], deadline: Deadline
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own, and at most `BODY_READ` bytes of the answer."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"{url!r} is not an http address", mend="write one like http://127.0.0.1:5000/v3")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=deadline.left())
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
        wire = connection.sock
        wire.settimeout(deadline.left())
        # Kept-alive connections hide a dead listener, and uwsgi wants them closed.
        connection.request(method, path, body, {**headers, "Connection": "close"})
        answer = connection.getresponse()
        read = bytearray()
        while len(read) < BODY_READ:
            wire.settimeout(deadline.left())
            piece = answer.read1(BODY_READ - len(read))
            if not piece:
                break
            read += piece
        return answer, bytes(read)
    finally:
        connection.close()


def http_get(spec: Spec, deadline: Deadline, secret: Secret) -> None:
    answer, body = _exchange(_field(spec, "url"), "GET", None, {}, deadline)
    wanted = [int(status) for status in spec.get("status") or ()]
    if answer.status not in (wanted or range(200, 400)):
        told = f", wanted {' or '.join(map(str, wanted))}" if wanted else ""
        raise ProbeFailed(f"HTTP {answer.status}{told}")
    if spec.get("contains") and str(spec["contains"]).encode() not in body:
        raise ProbeFailed(f"the answer lacks {spec['contains']!r}")


def openstack_token(spec: Spec, deadline: Deadline, secret: Secret) -> None:
    """Issue a token (Identity API v3, password method): the whole path of keystone, its store included."""
    url = _field(spec, "url").rstrip("/")
    domain = {"name": spec.get("domain") or "Default"}
    user = {"name": _field(spec, "user"), "domain": domain, "password": secret(_field(spec, "password"))}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if spec.get("project"):
        auth["scope"] = {"project": {"name": spec["project"], "domain": domain}}
    answer, _ = _exchange(
        (url if url.endswith("/v3") else url + "/v3") + "/auth/tokens",
        "POST",
        json.dumps({"auth": auth}).encode(),
        {"Content-Type": "application/json"},
        deadline,
    )
    if answer.status != 201:
        raise ProbeFailed(f"no token: HTTP {answer.status}")
    token = answer.getheader("X-Subject-Token")
    if not token:
        raise ProbeFailed("HTTP 201 without X-Subject-Token")
    if spec.get("get"):
        headers = {"X-Auth-Token": token, "Accept": "application/json"}
        answer, _ = _exchange(str(spec["get"]), "GET", None, headers, deadline)
        if answer.status not in range(200, 300):
            raise ProbeFailed(f"HTTP {answer.status} to a fresh token")


# --- tcp, command ----------------------------------------------------------------------------------------


def tcp(spec: Spec, deadline: Deadline, secret: Secret) -> None:
    _connect(_field(spec, "address"), deadline).close()


def command(spec: Spec, deadline: Deadline, secret: Secret) -> None:
    """Exit code 0 within the time; the last line said is the reason otherwise."""
    argv = [str(part) for part in _field(spec, "command", list)]
    environment = {**os.environ, **{str(k): str(v) for k, v in (spec.get("environment") or {}).items()}}
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=spec.get("directory") or None,
        start_new_session=True,
    )
    try:
        said = _last_said(child, deadline)
        child.wait(deadline.left())
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)  # its children too: they may hold the pipe
            child.wait()
        assert child.stdout is not None
        child.stdout.close()
    if child.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise ProbeFailed(f"exit code {child.returncode}" + (f": {last[:200]}" if last else ""))


def _last_said(child: subprocess.Popen[bytes], deadline: Deadline) -> bytes:
    """The end of what it says until it closes its output; however much that is, little is held."""
    assert child.stdout is not None
    pipe, last = child.stdout.fileno(), b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        if not poll.poll(deadline.left() * 1000):
            raise TimeoutError
        piece = os.read(pipe, BODY_READ)
        if not piece:
            return last
        last = (last + piece)[-1024:]


# --- mysql -----------------------------------------------------------------------------------------------

CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH = 0x200, 0x8000, 0x80000
UTF8MB4_GENERAL_CI = 45
COM_QUIT = b"\x01"


def _read_exactly(wire: socket.socket, length: int, deadline: Deadline) -> bytes:
    out = bytearray()
    while len(out) < length:
        wire.settimeout(deadline.left())
        piece = wire.recv(length - len(out))
        if not piece:
            raise ProbeFailed("the server closed the connection")
        out += piece
    return bytes(out)


def _read_packet(wire: socket.socket, deadline: Deadline) -> tuple[int, bytes]:
    header = _read_exactly(wire, 4, deadline)
    length = int.from_bytes(header[:3], "little")
    if length > 1 << 16:
        raise ProbeFailed("what answers does not speak MySQL's protocol")
    return header[3], _read_exactly(wire, length, deadline)


def _packet(sequence: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([sequence & 0xFF]) + body


def mysql_error(packet: bytes) -> str:
    """The words of an ERR packet: `1045: Access denied …`."""
    code = int.from_bytes(packet[1:3], "little")
    text = packet[3:].decode(errors="replace")
    return f"{code}: {text[6:] if text.startswith('#') else text}"


def mysql_greeting(packet: bytes) -> tuple[str, bytes]:
    """Server version and the 20 bytes of challenge in HandshakeV10. Raises ProbeFailed."""
    if packet[:1] == b"\xff":
        raise ProbeFailed(mysql_error(packet))
    end = packet.find(b"\0", 1)
    if packet[:1] != b"\x0a" or end < 0 or len(packet) < end + 32:
        raise ProbeFailed("what answers does not speak MySQL's protocol")
    first, second = packet[end + 5 : end + 13], packet[end + 32 : end + 44]
    return packet[1:end].decode(errors="replace"), first + second


def native_password(password: str, challenge: bytes) -> bytes:
    """mysql_native_password: SHA1(p) XOR SHA1(challenge + SHA1(SHA1(p)))."""
    if not password:
        return b""
    once = hashlib.sha1(password.encode()).digest()  # noqa: S324 - the protocol's own
    mask = hashlib.sha1(challenge + hashlib.sha1(once).digest()).digest()  # noqa: S324
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def mysql(spec: Spec, deadline: Deadline, secret: Secret) -> None:
    """The greeting proves that the server itself runs: the kernel alone accepts for one that is stopped."""
    with _connect(_field(spec, "address"), deadline) as wire:
        sequence, greeting = _read_packet(wire, deadline)
        _, challenge = mysql_greeting(greeting)
        if not spec.get("user"):
            return
        password = secret(str(spec["password"])) if spec.get("password") else ""
        plugin = b"mysql_native_password\0"

        flags = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH
        proof = native_password(password, challenge)
        body = struct.pack("<IIB23x", flags, 1 << 24, UTF8MB4_GENERAL_CI)
        body += str(spec["user"]).encode() + b"\0" + bytes([len(proof)]) + proof + plugin
        wire.sendall(_packet(sequence + 1, body))
        sequence, answer = _read_packet(wire, deadline)
        if answer[:1] == b"\xfe":  # AuthSwitchRequest: the server names its plugin and a challenge of its own
            name, _, fresh = answer[1:].partition(b"\0")
            if name + b"\0" != plugin:
                raise ProbeFailed(
                    f"the account wants {name.decode(errors='replace')}, not mysql_native_password"
                )
            wire.sendall(_packet(sequence + 1, native_password(password, fresh[:20])))
            _, answer = _read_packet(wire, deadline)
        if answer[:1] != b"\x00":
            raise ProbeFailed(mysql_error(answer))
        # Without a farewell the server would log a warning at every probe.
        wire.sendall(_packet(0, COM_QUIT))


# --- the table -------------------------------------------------------------------------------------------


class ProbeKind(NamedTuple):
    """One kind of probe: the function raises ProbeFailed, OSError or TimeoutError; returning is success."""

    run: Callable[[Spec, Deadline, Secret], None]
    doc: str


PROBES: dict[str, ProbeKind] = {
    "http": ProbeKind(
        http_get, "GET an address; a status below 400, or the one wanted, and a text if wanted."
    ),
    "tcp": ProbeKind(tcp, "Open a connection."),
    "command": ProbeKind(command, "Run a command; exit code 0."),
    "mysql": ProbeKind(mysql, "Read MariaDB's or MySQL's greeting; log in where a user is given."),
    "openstack-token": ProbeKind(
        openstack_token, "Take a token from keystone with a password; fetch an address with it."
    ),
}


def probe(spec: Spec, vantage: str, entity: str, now_ns: int, secret: Secret) -> ProbeResult:
    """Probe once. `now_ns` dates the result; `secret(name)` gives a secret's value.

    Raises Invalid for a bad spec, Unavailable when the secret cannot be had now: that says nothing of the probed.
    """
    kind = PROBES.get(str(spec.get("kind")))
    if kind is None:
        raise Invalid(f"{spec.get('kind')!r} is not a kind of probe", mend=f"one of {', '.join(PROBES)}")
    deadline = Deadline(float(spec.get("timeout_s") or DEFAULT_TIMEOUT_S))
    began, detail = time.monotonic(), ""
    try:
        kind.run(spec, deadline, secret)
    except TimeoutError:
        detail = f"timed out after {deadline.seconds:g} s"
    except ConnectionRefusedError:
        detail = "connection refused"
    except ProbeFailed as error:
        detail = str(error)
    except OSError as error:
        detail = error.strerror or str(error) or type(error).__name__
    except http.client.HTTPException as error:
        detail = f"not an HTTP answer: {type(error).__name__}"
    except (Invalid, Unavailable):
        raise
    except WeatherglassError as error:
        detail = f"the probe has no secret: {error.message}"
    return ProbeResult(entity, vantage, now_ns, not detail, time.monotonic() - began, detail)
