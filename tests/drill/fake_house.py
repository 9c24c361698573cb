"""A fake of the house's API, scripted: what it says after a fault is a list of (seconds, what changes). No test here."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

ENTITIES = ("service/db", "replica/db.1@h", "service/web", "replica/web.1@h", "tenant/t", "volume/data")
GRAPH = {
    "entities": [
        {"id": name, "labels": {"host": "h"}, "attributes": {"size": 1000} if name == "volume/data" else {}}
        for name in ENTITIES
    ],
    "edges": [
        {"source": "replica/db.1@h", "relation": "attached_to", "target": "volume/data"},
        {"source": "service/web", "relation": "needs", "target": "service/db"},
        {"source": "tenant/t", "relation": "needs", "target": "service/web"},
    ],
}
S = 1_000_000_000


class FakeHouse:
    """Answers on a port of loopback. `script` is what follows a fault; `faults` is what was asked of agents."""

    def __init__(self, script: list[tuple[float, dict[str, Any]]]) -> None:
        self.script, self.faults = script, list[dict[str, Any]]()
        self.states = dict.fromkeys(ENTITIES, ("healthy", ""))
        self.failing: set[str] = set()
        self.incidents: list[dict[str, Any]] = []
        self.silent_until = 0.0
        self._hit_ns = 0
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeHouse:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        house = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(*house.read(urlsplit(self.path).path.removeprefix("/api/v1/")))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*house.fault(body))

            def answer(self, status: int, told: dict[str, Any]) -> None:
                if self.headers["Authorization"] != "Bearer wg_t_s":
                    status, told = 401, {"error": "unauthenticated", "message": "this token does not hold"}
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        return Handler

    def read(self, path: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self._pass_time()
            if time.monotonic() < self.silent_until:
                return 503, {"error": "unavailable", "message": "starting"}
            now = time.time_ns()
            told: dict[str, dict[str, Any]] = {
                "status": {"at_ns": now},
                "graph": GRAPH,
                "states": {
                    "states": [
                        {"entity": name, "state": s, "kind": k} for name, (s, k) in self.states.items()
                    ],
                    "next": "",
                },
                "incidents": {"incidents": self.incidents},
                "probes": {
                    "probes": [
                        {"entity": name, "ok": name not in self.failing, "at_ns": now}
                        for name in ("replica/db.1@h", "replica/web.1@h", "tenant/t")
                    ]
                },
            }
            return (200, told[path]) if path in told else (404, {"error": "not-found", "message": path})

    def fault(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.faults.append(body)
            if body["fault"] in ("kill", "stop", "fill") and not self._hit_ns:
                self._hit_ns = time.time_ns()
            done = {"fault": body["fault"], "at_ns": time.time_ns(), "bytes": 900, "free_bytes": 0}
            return 200, {"host": body["host"], "status": "done", "error": "", "body": done}

    def _pass_time(self) -> None:
        if not self._hit_ns:
            return
        after = (time.time_ns() - self._hit_ns) / S
        while self.script and self.script[0][0] <= after:
            _, change = self.script.pop(0)
            for name, state in change.get("states", {}).items():
                self.states[name] = (state, "") if isinstance(state, str) else tuple(state)
            self.failing = set(change.get("failing", self.failing))
            self.silent_until = time.monotonic() + change.get("silent", 0.0)
            if "incident" in change:
                self._incident(change["incident"])

    def _incident(self, change: dict[str, Any]) -> None:
        number = change.get("id", 8)
        made = next((one for one in self.incidents if one["id"] == number), None)
        if made is None:
            made = {
                "id": number, "state": "open", "cause": "", "kind": "", "affected": [], "tenants": [], "moments": [],
                "remedies": [], "sentence": "", "closed_ns": 0, "healed_ns": 0,
            }  # fmt: skip
            self.incidents.insert(0, made)
        for name in ("closed_ns", "healed_ns"):
            if name in change:
                change = {**change, name: self._hit_ns + int(change[name] * S)}
        remedies = [
            {**one, "asked_ns": self._hit_ns + int(one["asked_ns"] * S)} for one in change.get("remedies", [])
        ]
        made.update(change, id=number, **({"remedies": remedies} if remedies else {}))
