"""Shared by the tests of deploy: sites as values, a executor in a folder of the test's own, waiting for the real world."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from weatherglass.deploy.execute import Executor
from weatherglass.deploy.model import Unit, UnitId
from weatherglass.deploy.units import units
from weatherglass.site.model import Host, Image, Replica, Service, Site, Volume

HOST = "h1"
SECRETS = {"page": "the-value-itself"}


def quiet(_share: float, _line: str) -> None:
    """Progress that nobody follows."""


def fingerprint(name: str) -> str:
    return f"print-of-{name}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def service(name: str, **fields: object) -> Service:
    replicas = fields.pop("replicas", (Replica.of(name, 1, HOST),))
    return Service(name=name, replicas=replicas, **fields)  # type: ignore[arg-type]


def site(*services: Service, templates: Mapping[str, str] | None = None, volumes: tuple[Volume, ...] = (), images: tuple[Image, ...] = ()) -> Site:  # fmt: skip
    return Site(
        name="aurora",
        hosts={HOST: Host(HOST, "127.0.0.1")},
        services={each.name: each for each in services},
        volumes={each.name: each for each in volumes},
        images={each.name: each for each in images},
        templates=dict(templates or {}),
    )


def web(port: int, **fields: object) -> Service:
    """A real HTTP server that serves one rendered file, which holds a secret."""
    command = (
        "python3",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "{{ ports.http }}",
        "--directory",
        "{{ paths.data }}/../files",
    )
    return service("web", **{
        "command": command, "ports": {"http": port}, "runtime": "process", "stop_grace_s": 3.0,
        "files": {"/srv/page.txt": "page.j2"}, **fields,
    })  # fmt: skip


TEMPLATES = {"page.j2": "{{ site }} {{ replica.name }} {{ secret('page') }}\n"}


def executor(state: Path) -> Executor:
    return Executor(state, HOST, secret=SECRETS.__getitem__)


def in_order(made: Mapping[UnitId, Unit]) -> list[Unit]:
    """Units as a full first deployment would send them."""
    from weatherglass.deploy.plan import plan, schedule

    return [change.unit for wave in schedule(plan(made, {}).changes, made) for change in wave]


def body(made: Mapping[UnitId, Unit], **more: object) -> dict[str, object]:
    return {"generation": "g", "units": [unit.to_json() for unit in in_order(made)], "remove": [], **more}


def made(declared: Site) -> dict[UnitId, Unit]:
    return units(declared, fingerprint)


def until(true: Callable[[], object], timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.03)


def fetch(port: int, path: str = "/srv/page.txt") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as answer:
        return str(answer.read().decode())


def answers(port: int) -> bool:
    try:
        fetch(port)
    except OSError:
        return False
    return True
