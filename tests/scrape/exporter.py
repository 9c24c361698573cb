"""A small exporter whose answer a test changes while it runs. No test here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Exporter:
    """An HTTP server on loopback; `body` is what `/metrics` says, `behave` may answer otherwise."""

    def __init__(self, body: str = "up_to_you 1\n") -> None:
        self.body, self.kind = body, "text/plain; version=0.0.4"
        self.behave: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: False
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                if outer.behave(self):
                    return
                body = outer.body.encode()
                self.send_response(200)
                self.send_header("Content-Type", outer.kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Tests read `asked`."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def within(seconds: float, ready: Callable[[], bool]) -> None:
    """Waits until something is so; fails after `seconds`."""
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "it did not become so in time"
        time.sleep(0.02)
