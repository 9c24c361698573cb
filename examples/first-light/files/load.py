"""A tenant's steady day: its users log in and out of keystone, and say in Prometheus' text how that went.

One visit every two seconds by default. Logging out revokes the token, which is a write to the database: a full disk is
felt here even while reads still pass.
"""

import argparse
import http.server
import json
import os
import threading
import time
import urllib.error
import urllib.request

URL = os.environ["KEYSTONE_URL"]
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Counts:
    """What was asked and how it went. One writer a request, any reader."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.outcomes: dict[tuple[str, str], int] = {}
        self.buckets = dict.fromkeys((*BUCKETS, float("inf")), 0)
        self.seconds = 0.0
        self.total = 0

    def add(self, operation: str, outcome: str, seconds: float) -> None:
        with self.lock:
            key = operation, outcome
            self.outcomes[key] = self.outcomes.get(key, 0) + 1
            if operation == "login":
                self.seconds += seconds
                self.total += 1
                for bound in self.buckets:
                    self.buckets[bound] += seconds <= bound

    def text(self) -> str:
        with self.lock:
            lines = ["# TYPE genomics_requests_total counter"]
            for (operation, outcome), n in sorted(self.outcomes.items()):
                lines.append(sample("genomics_requests_total", n, operation=operation, outcome=outcome))
            lines.append("# TYPE genomics_login_seconds histogram")
            for bound, n in self.buckets.items():
                lines.append(
                    sample("genomics_login_seconds_bucket", n, le="+Inf" if bound == float("inf") else bound)
                )
            lines.append(f"genomics_login_seconds_sum {self.seconds:.6f}")
            lines.append(f"genomics_login_seconds_count {self.total}")
        return "\n".join(lines) + "\n"


def sample(name: str, value: float, **labels: object) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return name + "{" + inside + "} " + str(value)


def ask(method: str, headers: dict[str, str], body: bytes | None = None) -> str:
    request = urllib.request.Request(
        f"{URL}/auth/tokens", body, {"Content-Type": "application/json", **headers}, method=method
    )
    with urllib.request.urlopen(request, timeout=4) as answer:
        return answer.headers.get("X-Subject-Token", "")


def use(counts: Counts, login: bytes) -> None:
    """One visit: log in, log out."""
    token = ""
    for operation in ("login", "logout"):
        began = time.monotonic()
        try:
            if operation == "login":
                token = ask("POST", {}, login)
            else:
                ask("DELETE", {"X-Auth-Token": token, "X-Subject-Token": token})
            outcome = "ok"
        except urllib.error.HTTPError as refused:
            outcome = f"http-{refused.code}"
        except (OSError, ValueError):
            outcome = "no-answer"
        counts.add(operation, outcome, time.monotonic() - began)
        if outcome != "ok":
            return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between visits")
    options = parser.parse_args()
    domain = {"id": "default"}
    user = {"name": "ada", "domain": domain, "password": os.environ["USER_PASSWORD"]}
    scope = {"project": {"name": "genomics", "domain": domain}}
    login = json.dumps(
        {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    ).encode()
    counts = Counts()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = counts.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet: a scrape every five seconds is no news."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("genomics begins its day", flush=True)
    while True:
        began = time.monotonic()
        use(counts, login)
        time.sleep(max(0.05, options.every - (time.monotonic() - began)))


if __name__ == "__main__":
    main()
