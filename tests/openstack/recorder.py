"""A proxy before every API of the cloud that writes down each request, and can refuse or hang. No test here.

Addresses in answers (the catalogue, links to next pages) are made the proxy's, so that whoever begins at its Keystone
never leaves it.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx

from openstack import configs
from openstack.cloud import Cloud

_KEPT = (
    "x-auth-token",
    "x-subject-token",
    "content-type",
    "accept",
    "x-openstack-nova-api-version",
    "openstack-api-version",
)


class Asked(NamedTuple):
    method: str
    service: str
    path: str


class Recorder:
    """`clouds_yaml` leads through it. `down[service] = status` makes a service answer so, 0 makes it hang."""

    def __init__(self, cloud: Cloud) -> None:
        self.asked: list[Asked] = []
        self.down: dict[str, int] = {}
        self.ports: dict[str, int] = {}
        self._cloud = cloud
        self._servers = []
        self._stopping = threading.Event()
        for service in configs.APIS:
            server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(service))
            server.daemon_threads = True
            self.ports[service] = int(server.server_address[1])
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def clouds_yaml(self) -> str:
        return configs.clouds({**self._cloud.ports, **self.ports})

    def _ours(self, body: bytes) -> bytes:
        for service, port in self.ports.items():
            body = body.replace(
                f"127.0.0.1:{self._cloud.ports[service]}".encode(), f"127.0.0.1:{port}".encode()
            )
        return body

    def _handler(recorder, service: str) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def _answer(self) -> None:
                recorder.asked.append(Asked(self.command, service, self.path))
                status = recorder.down.get(service)
                if status == 0:
                    until = time.monotonic() + 60
                    while not recorder._stopping.wait(0.1) and recorder.down.get(service) == 0:
                        if time.monotonic() > until:
                            break
                    return
                if status is not None:
                    self._send(status, b'{"error": "as the test wants"}', {})
                    return
                length = int(self.headers.get("content-length", 0))
                headers = {name: self.headers[name] for name in _KEPT if self.headers.get(name)}
                told = httpx.request(
                    self.command, recorder._cloud.url(service) + self.path, headers=headers,
                    content=self.rfile.read(length), timeout=60,
                )  # fmt: skip
                kept = {n: told.headers[n] for n in ("content-type", "x-subject-token") if n in told.headers}
                self._send(told.status_code, recorder._ours(told.content), kept)

            def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer

            def log_message(self, *args: Any) -> None:
                """Nothing on standard error."""

        return Handler
