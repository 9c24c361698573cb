"""A real HTTP server that stands where Weatherglass' would, and writes down what an agent sends it.

It is a fake in what it answers, real in how: sockets, keep-alive, a chunked work stream. It can go away and
come back on the same port, and refuse tokens.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import cramjam
import zstandard

TOKEN = "wg_test_secret"


def _fields(data: bytes):
    """(field number, value) pairs of one protobuf message: an independent, tiny reader."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        elif tag & 7 == 1:
            yield tag >> 3, struct.unpack_from("<d", data, at)[0]
            at += 8
        elif tag & 7 == 2:
            size = number()
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {tag & 7}")


def read_write_request(body: bytes) -> list[tuple[dict[str, str], float, int]]:
    """(labels, value, time in ms) of each sample of a remote write body."""
    out = []
    for field, series in _fields(bytes(cramjam.snappy.decompress_raw(body))):
        if field != 1:
            continue
        labels, samples = {}, []
        for number, value in _fields(series):
            if number == 1:
                pair = dict(_fields(value))
                labels[pair[1].decode()] = pair[2].decode()
            else:
                sample = dict(_fields(value))
                samples.append((sample.get(1, 0.0), sample.get(2, 0)))
        out += [(labels, value, at) for value, at in samples]
    return out


class Sink:
    """`with Sink() as sink:` serves on a free port of 127.0.0.1."""

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep
        self.heartbeats: list[dict[str, Any]] = []
        self.writes: list[bytes] = []
        self.events: list[tuple[int, dict[str, str], str]] = []
        self.results: list[dict[str, Any]] = []
        self.batches: list[str] = []
        self.repeats = 0
        self.requests: list[tuple[str, str]] = []
        self.work: list[dict[str, Any]] = []
        self.secrets: dict[str, str] = {}
        self.refuse = 0
        self.fail = 0  # answer this status to everything while it is set
        self.asked_from: list[int] = []
        self.keepalive_s = 0.5
        self.changed = threading.Condition()
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Sink:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        sink = self

        class Handler(_Handler):
            owner = sink

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            sockets: ClassVar[set[Any]] = set()

            def process_request(self, request, address):
                self.sockets.add(request)
                super().process_request(request, address)

            def handle_error(self, request, client_address):
                pass  # clients that vanish are this server's daily bread

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._stopping = False
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Go away: no listener, every connection cut."""
        if self._server is None:
            return
        self._stopping = True
        self._server.shutdown()
        self._server.server_close()
        for request in list(self._server.sockets):
            with contextlib.suppress(OSError):
                request.shutdown(2)
            request.close()
        self._server = None

    def wait(self, what, timeout_s: float = 10.0):
        """Until `what()` is true; its value. Fails the test otherwise."""
        end = time.monotonic() + timeout_s
        with self.changed:
            while not (value := what()):
                assert time.monotonic() < end, f"waited {timeout_s} s in vain"
                self.changed.wait(0.05)
        return value

    def samples(self) -> list[tuple[dict[str, str], float, int]]:
        with self.changed:
            return [sample for body in self.writes for sample in read_write_request(body)]

    def send(self, kind: str, body: dict[str, Any], key: str = "") -> int:
        with self.changed:
            offset = len(self.work)
            self.work.append({"offset": offset, "kind": kind, "key": key or f"k{offset}", "body": body})
            self.changed.notify_all()
        return offset

    def result(self, offset: int, timeout_s: float = 10.0) -> dict[str, Any]:
        """The final result of an item."""
        found = self.wait(
            lambda: [r for r in self.results if r["offset"] == offset and r["status"] != "progress"],
            timeout_s,
        )
        return found[0]


class _Handler(BaseHTTPRequestHandler):
    owner: Sink
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"{}") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def _refused(self) -> bool:
        sink = self.owner
        if sink.fail:
            self._answer(sink.fail, b'{"error":"unavailable","message":"not now"}')
            return True
        if sink.refuse or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(sink.refuse or 401, b'{"error":"unauthenticated","message":"this token is revoked"}')
            return True
        return False

    def do_POST(self) -> None:
        sink = self.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._refused():
            return
        with sink.changed:
            if sink.keep:
                sink.requests.append(("POST", self.path))
            batch = self.headers.get("X-Weatherglass-Batch")
            repeated = batch is not None and batch in sink.batches
            if batch is not None:
                sink.batches.append(batch)
            sink.repeats += repeated
            if self.path == "/api/v1/agent/heartbeat":
                sink.heartbeats.append(json.loads(body))
            elif self.path == "/api/v1/agent/results":
                sink.results.append(json.loads(body))
            elif self.path == "/prometheus/api/v1/write":
                if not repeated and sink.keep:
                    sink.writes.append(body)
            elif self.path == "/api/v1/agent/events" and not repeated and sink.keep:
                text = zstandard.ZstdDecompressor().decompress(body, max_output_size=64 << 20)
                sink.events += [tuple(json.loads(line)) for line in text.splitlines()]
            sink.changed.notify_all()
        self._answer(200)

    def do_GET(self) -> None:
        sink = self.owner
        if self._refused():
            return
        if self.path.startswith("/api/v1/agent/secrets/"):
            name = self.path.rpartition("/")[2]
            self._answer(200, json.dumps({"value": sink.secrets[name]}).encode())
            return
        at = int(self.path.rpartition("from=")[2])
        with sink.changed:
            sink.asked_from.append(at)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not sink._stopping:
            with sink.changed:
                if at >= len(sink.work):
                    sink.changed.wait(sink.keepalive_s)
                # As the real queue does it: what has its final result is not streamed again.
                done = {r["offset"] for r in sink.results if r.get("status") != "progress" and "offset" in r}
                end = len(sink.work)
                items = [item for item in sink.work[at:end] if item["offset"] not in done]
            lines = b"".join(json.dumps(item).encode() + b"\n" for item in items) or b"{}\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(lines), lines))
            self.wfile.flush()
            at = end
