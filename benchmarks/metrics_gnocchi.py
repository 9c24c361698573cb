"""The same measures as Gnocchi's batches, in Gnocchi and in `metrics serve`, until every aggregate can be read.

Gnocchi 4.7.1 as it is run: its API in uwsgi (two processes), two metricd workers, PostgreSQL, Redis for what comes in,
files for what is kept; ours behind the same address and the same `basic` log-in. One archive policy for both: 60 s,
300 s and 3,600 s of mean, max, min, count, 95pct. Two shapes: 5 points of each metric a request (live), 240 (batched).
CPU is of all processes of each, its database and its Redis too, from the first request until nothing is left to
process; then one aggregate of every metric is read, and compared. At last Gnocchi's own `gnocchi benchmark`.

    python -m benchmarks.metrics_gnocchi                     # about six minutes
    python -m benchmarks.metrics_gnocchi --metrics 20 --live 4 --batched 2 --count 100
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import metrics_peers as peers
from benchmarks.metrics_data import Site
from benchmarks.metrics_peers import Server, Wire, free_port

PEERS = Path(__file__).parents[1] / ".peers" / "openstack" / "bin"
POLICY = {
    "name": "benchmark",
    "back_window": 0,
    "aggregation_methods": ["mean", "max", "min", "count", "95pct"],
    "definition": [
        {"granularity": "60s", "timespan": "2d"},
        {"granularity": "300s", "timespan": "7d"},
        {"granularity": "3600s", "timespan": "365d"},
    ],
}
LOGIN = b"Authorization: Basic " + base64.b64encode(b"admin:") + b"\r\n"
HEADERS = peers.JSON_HEADERS + LOGIN
WSGI = """\
from gnocchi import service
from gnocchi.rest import app
application = app.load_app(service.prepare_service(args=[], default_config_files=[{config!r}]))
"""
CONFIG = """\
[DEFAULT]
[api]
auth_mode = basic
[indexer]
url = postgresql://gnocchi:gnocchi@127.0.0.1:{postgres}/gnocchi
[storage]
driver = file
file_basepath = {folder}/kept
[incoming]
driver = redis
redis_url = redis://127.0.0.1:{redis}
[metricd]
workers = 2
metric_processing_delay = 1
"""


@dataclass
class Shape:
    """What one shape of batches took."""

    samples: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    read_cpu: float = 0.0
    reads: int = 0
    answers: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def million(self) -> float:
        return self.cpu / self.samples * 1e6


class Gnocchi(Server):
    """PostgreSQL, Redis, the API and metricd as one server."""


def gnocchi(folder: Path) -> Gnocchi:
    """Starts all four. Needs root for PostgreSQL's own user."""
    folder.mkdir(parents=True)
    for parent in (folder, *folder.parents[:1]):
        parent.chmod(0o755)  # PostgreSQL runs as another user
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not PEERS.exists() or not places or not shutil.which("redis-server"):
        raise SystemExit(
            "needs .peers/openstack (gnocchi, pyuwsgi, redis, psycopg2-binary), postgresql, redis"
        )
    data, postgres, redis, api = folder / "postgres", free_port(), free_port(), free_port()
    data.mkdir()
    shutil.chown(data, "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    as_user = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [*as_user, str(places[-1] / "initdb"), "-D", str(data), "-A", "trust"], check=True, **quiet
    )
    options = ["-D", str(data), "-p", str(postgres), "-k", "", "-h", "127.0.0.1"]
    started = [subprocess.Popen([*as_user, str(places[-1] / "postgres"), *options], **quiet)]
    started.append(
        subprocess.Popen(
            ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
            **quiet,
        )
    )
    asked = ["psql", "-h", "127.0.0.1", "-p", str(postgres), "-U", "postgres", "-q"]
    asked += ["-c", "create role gnocchi superuser login password 'gnocchi'"]
    asked += ["-c", "create database gnocchi owner gnocchi"]
    until = time.monotonic() + 60
    while subprocess.run(asked, check=False, **quiet).returncode:
        if time.monotonic() > until:
            raise SystemExit("PostgreSQL does not answer")
        time.sleep(0.3)
    config, wsgi = folder / "gnocchi.conf", folder / "wsgi.py"
    config.write_text(CONFIG.format(postgres=postgres, redis=redis, folder=folder))
    wsgi.write_text(WSGI.format(config=str(config)))
    (folder / "kept").mkdir()
    with (folder / "log").open("wb") as log:
        said: dict[str, Any] = {"stdout": log, "stderr": log}
        named = ["--config-file", str(config)]
        subprocess.run([str(PEERS / "gnocchi-upgrade"), *named], check=True, **said)
        started.append(
            subprocess.Popen(
                [
                    *(str(PEERS / "uwsgi"), "--http", f"127.0.0.1:{api}", "--master", "--enable-threads"),
                    *("--die-on-term", "--need-app", "--processes", "2", "--threads", "1", "--lazy-apps"),
                    *("--buffer-size", "65535", "--http-timeout", "600", "--http-keepalive"),
                    *("--wsgi-file", str(wsgi), "--virtualenv", str(PEERS.parent)),
                ],
                **said,
            )
        )
        started.append(subprocess.Popen([str(PEERS / "gnocchi-metricd"), *named], **said))
    server = Gnocchi("Gnocchi", "4.7.1 (2026)", api, folder, started, prefix="")
    peers.wait_for(api, "/healthcheck", started[2])
    return server


def ours(folder: Path) -> Server:
    server = peers.weatherglass(folder, more=("--gnocchi-auth", "basic"))
    server.prefix = "/gnocchi"
    return server


def ask(server: Server, wire: Wire | None, method: str, path: str, body: Any = None) -> Any:
    """The JSON of an answer. A connection of its own where there is no wire: uwsgi closes its own at times."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    one = wire or server.wire()
    status, text = one.ask(method, server.prefix + path, raw, HEADERS)
    if wire is None:
        one.close()
    if status >= 300:
        raise SystemExit(f"{server.name}: {method} {path}: {status} {text[:300]!r}")
    return json.loads(text) if text else None


def created(server: Server, count: int, name: str) -> tuple[list[str], float]:
    """Ids of so many new metrics, and the CPU ms that each took."""
    before = server.cpu_s()
    made = [
        ask(server, None, "POST", "/v1/metric", {"archive_policy_name": "benchmark", "name": f"{name}{k}"})
        for k in range(count)
    ]
    return [one["id"] for one in made], (server.cpu_s() - before) / count * 1e3


def bodies(ids: Sequence[str], site: Site, points: int, requests: range) -> list[bytes]:
    found = []
    for request in requests:
        span = slice(request * points, (request + 1) * points)
        one = {}
        for k, identity in enumerate(ids):
            series = k * 7 % len(site.labels)
            times = site.times[site.host[series], span].astype("datetime64[ms]")
            one[identity] = [
                {"timestamp": str(at), "value": float(value)}
                for at, value in zip(times, site.values[series, span], strict=True)
            ]
        found.append(json.dumps(one).encode())
    return found


def drained(server: Server, most_s: float) -> None:
    """Until nothing waits to be processed, and no process is at it."""
    until = time.monotonic() + most_s
    while ask(server, None, "GET", "/v1/status?details=false")["storage"]["summary"]["measures"]:
        if time.monotonic() > until:
            raise SystemExit(f"{server.name} has measures left after {most_s:.0f} s")
        time.sleep(0.2)


def loaded(server: Server, shape: Shape, posts: Sequence[bytes], samples: int, most_s: float) -> None:
    idle = server.cpu_s()
    time.sleep(2)
    idle = (server.cpu_s() - idle) / 2  # what its daemons cost while nothing comes in is not the measures'
    before, start = server.cpu_s(), time.perf_counter()
    for body in posts:
        ask(server, None, "POST", "/v1/batch/metrics/measures", body)
    drained(server, most_s)
    wall = time.perf_counter() - start
    shape.cpu += server.cpu_s() - before - idle * wall
    shape.wall += wall
    shape.samples += samples


def read_all(server: Server, shape: Shape, ids: Sequence[str]) -> None:
    before = server.cpu_s()
    for identity in ids:
        path = f"/v1/metric/{identity}/measures?aggregation=mean&granularity=300"
        shape.answers[identity] = ask(server, None, "GET", path)
    shape.read_cpu += server.cpu_s() - before
    shape.reads += len(ids)


def alike(a: Mapping[str, list[Any]], b: Mapping[str, list[Any]]) -> bool:
    """Whether two servers' aggregates are the same, metric by metric, in the order they were made."""
    for left, right in zip(a.values(), b.values(), strict=True):
        if [(at, length) for at, length, _ in left] != [(at, length) for at, length, _ in right]:
            return False
        if not np.allclose([x for *_, x in left], [x for *_, x in right], rtol=1e-9):
            return False
    return True


class _Broken(Exception):
    """`gnocchi benchmark` ended with an error of its own."""


def own_benchmark(server: Server, count: int) -> dict[str, str]:
    """What `gnocchi benchmark` says of creating metrics and adding measures: requests a second."""
    program = str(PEERS / "gnocchi")
    end = ["--endpoint", f"http://127.0.0.1:{server.port}{server.prefix}"]
    login = ["--os-auth-type", "gnocchi-basic", "--user", "admin"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    found = {}
    before = server.cpu_s()

    def run(*words: str) -> dict[str, Any]:
        command = [program, *login, *end, "benchmark", *words, "-f", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:  # gnocchiclient 7.2 cannot hand its work to its own processes on Python 3
            raise _Broken(done.stderr.strip().splitlines()[-1])
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    made = run("metric", "create", "-a", "benchmark", "-n", str(count), "-k", "-w", "1")
    found["metric create (1/s)"] = str(next(v for k, v in made.items() if k.startswith("create speed")))
    metric = created(server, 1, "own")[0][0]
    added = run("measures", "add", "-n", str(count * 50), "-b", "50", "-w", "1", metric)
    found["measures add, batches of 50 (1/s)"] = str(
        next(v for k, v in added.items() if k.startswith("push speed"))
    )
    shown = run("measures", "show", "-n", str(count), "-w", "1", metric)
    speeds = [v for k, v in shown.items() if "speed" in k]
    found["measures show (1/s)"] = str(speeds[0]) if speeds else "?"
    drained(server, 300)
    found["CPU s of the server"] = f"{server.cpu_s() - before:.2f}"
    return found


def report(
    servers: Sequence[Server],
    shapes: Mapping[str, Mapping[str, Shape]],
    made: Mapping[str, float],
    own: Mapping[str, Mapping[str, str]],
) -> dict[str, float]:
    theirs, mine = (server.name for server in servers)
    rows, figures = [], {}
    goals = {"live": 500, "batched": 30}
    for name, each in shapes.items():
        a, b = each[theirs], each[mine]
        figures[name] = ratio = a.million / b.million
        points = 5 if name == "live" else 240
        rows += [
            [f"{name} ({points} points): CPU-s a million measures", f"{a.million:.1f}", f"{b.million:.3f}",
             f"1/{ratio:.0f} (goal 1/{goals[name]})"],
            [f"{name}: measures/s until readable", f"{a.samples / a.wall:,.0f}", f"{b.samples / b.wall:,.0f}",
             f"{b.samples / b.wall / (a.samples / a.wall):.0f}"],
            [f"{name}: with one aggregate of every metric read, CPU-s a million", f"{(a.cpu + a.read_cpu) / a.samples * 1e6:.1f}",
             f"{(b.cpu + b.read_cpu) / b.samples * 1e6:.2f}", f"1/{(a.cpu + a.read_cpu) / a.samples / ((b.cpu + b.read_cpu) / b.samples):.0f}"],
            [f"{name}: one aggregate read, CPU ms", f"{a.read_cpu / a.reads * 1e3:.1f}",
             f"{b.read_cpu / b.reads * 1e3:.2f}", f"1/{a.read_cpu / a.reads / max(b.read_cpu / b.reads, 1e-9):.0f}"],
            [f"{name}: aggregates are the same", "", "yes" if alike(a.answers, b.answers) else "no", ""],
        ]  # fmt: skip
    rows.append(["a metric created, CPU ms", *(f"{made[one]:.2f}" for one in (theirs, mine)), ""])
    for key in own.get(theirs, {}):
        rows.append([f"`gnocchi benchmark`: {key}", own[theirs][key], own[mine][key], ""])
    header = ["", *(server.title for server in servers), "ratio"]
    print("\n" + peers.table(header, rows))
    print(f"\n{peers.ground()}")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--metrics", type=int, default=400)
    parser.add_argument("--live", type=int, default=4, help="requests of 5 points")
    parser.add_argument("--batched", type=int, default=2, help="requests of 240 points")
    parser.add_argument("--more", type=int, default=10, help="so many times the requests for ours")
    parser.add_argument("--count", type=int, default=200, help="for `gnocchi benchmark`; 0 leaves it out")
    parser.add_argument("--json", action="store_true", help="ratios as one JSON object at the end")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="metrics-gnocchi-"))
    site = Site(8, max(options.live * 5, options.batched * 240) * options.more)
    servers: list[Server] = []
    try:
        servers += [gnocchi(folder / "gnocchi"), ours(folder / "ours")]
        for server in servers:
            ask(server, None, "POST", "/v1/archive_policy", POLICY)
        shapes: dict[str, dict[str, Shape]] = {}
        made = {}
        for name, points, requests in (("live", 5, options.live), ("batched", 240, options.batched)):
            shapes[name] = {server.name: Shape() for server in servers}
            for server in servers:
                shape = shapes[name][server.name]
                ids, made[server.name] = created(server, options.metrics, name)
                posts = bodies(ids, site, points, range(requests))
                loaded(server, shape, posts, len(ids) * points * requests, 600)
                read_all(server, shape, ids)
                if (
                    server is servers[1]
                ):  # a tick of its CPU clock is 10 ms: more of the same, until it counts
                    posts = bodies(ids, site, points, range(requests, requests * options.more))
                    loaded(server, shape, posts, len(ids) * points * requests * (options.more - 1), 60)
                print(f"{name}, {server.name}: {shape.million:.3f} CPU-s a million", flush=True)
        own = {}
        if options.count:
            try:
                own = {server.name: own_benchmark(server, options.count) for server in servers}
            except _Broken as error:
                print(f"`gnocchi benchmark` (gnocchiclient 7.2.0) fails: {error}", flush=True)
        figures = report(servers, shapes, made, own)
    finally:
        for server in reversed(servers):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
