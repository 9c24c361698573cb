"""A fake Keystone: it knows a few users, gives a token to whoever asks, and tells whose a token is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECTS = {
    "admin": "p-admin",
    "ceilometer": "p-service",
    "aodh": "p-service",
    "alice": "p-alice",
    "bob": "p-bob",
}
ROLES = {
    "admin": ["admin"],
    "ceilometer": ["service"],
    "aodh": ["admin"],
    "alice": ["member"],
    "bob": ["member"],
}


@contextmanager
def fake_keystone(metric: str = "") -> Iterator[Any]:
    """A server whose `url` is Keystone's; `metric[0]` is the address of Gnocchi in its catalogue."""
    told = [metric]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

        def _send(self, status: int, body: Any, **headers: str) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def _token(self, user: str) -> dict[str, Any]:
            endpoints = [
                {
                    "id": kind,
                    "interface": kind,
                    "region": "RegionOne",
                    "region_id": "RegionOne",
                    "url": told[0],
                }
                for kind in ("public", "internal", "admin")
            ]
            return {
                "token": {
                    "methods": ["password"],
                    "user": {"id": f"u-{user}", "name": user, "domain": {"id": "default", "name": "Default"}},
                    "project": {
                        "id": PROJECTS[user],
                        "name": PROJECTS[user],
                        "domain": {"id": "default", "name": "Default"},
                    },
                    "roles": [{"id": role, "name": role} for role in ROLES[user]],
                    "issued_at": "2026-01-01T00:00:00.000000Z",
                    "expires_at": "2099-01-01T00:00:00.000000Z",
                    "catalog": [{"id": "m", "type": "metric", "name": "gnocchi", "endpoints": endpoints}],
                }
            }

        def do_GET(self) -> None:
            if self.path.startswith("/v3/auth/tokens"):
                user = self.headers.get("X-Subject-Token", "").removeprefix("token-")
                if user in PROJECTS:
                    self._send(200, self._token(user))
                else:
                    self._send(404, {"error": {"code": 404, "message": "Could not find token"}})
                return
            link = {"rel": "self", "href": f"http://{self.headers['Host']}/v3/"}
            version = {"id": "v3.14", "status": "stable", "links": [link], "media-types": []}
            self._send(
                200,
                {"version": version} if self.path.startswith("/v3") else {"versions": {"values": [version]}},
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            user = body["auth"]["identity"]["password"]["user"]["name"]
            self._send(201, self._token(user), X_Subject_Token=f"token-{user}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
