"""What a real OpenStack logs, through failures: every line understood or explained, tracebacks whole, requests followed."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openstack.cloud import Cloud
from openstack.driver import Driver
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Framer, Logs, Settings
from weatherglass.logs.catalogue import ROOM
from weatherglass.logs.parse import Parsed, parse_batch

SEEN = 1_800_000_000_000_000_000
SERVICES = ("keystone", "glance", "placement", "neutron", "nova", "cinder")
EXPLAINED = {
    r"\[uwsgi\] implicit plugin requested": "uWSGI says how it starts, without a time",
    r"\*\*\* .* \*\*\*": "uWSGI's banners",
    r"compiled with version: |os: Linux|nodename: |machine: |clock source: |pcre jit |detected |current working directory: "
    r"|your |lock engine: |thunder lock: |uwsgi socket \d|uWSGI running as root|Python (?:version|main interpreter)"
    r"|python threads support|setting request body buffering|mapped \d+ bytes|spawned uWSGI |WSGI app 0 "
    r"|SIGINT/SIGTERM received|SIGTERM received|gateway \"|chdir\(\)|dropping ": "uWSGI describes the machine and itself",
    r"Modules with known eventlet monkey patching issues": "eventlet's warning, before any logging is set up",
    r"(?:/usr|<)[^:]*:\d+: \w+Warning: ": "Python's warnings, before any logging is set up",
    r"\S.* (?:segfault|Killed|Terminated)": "the shell's word for a signal",
}
"""What fits no format, and why that is right: it never had a time, a level or a logger."""
HEAD = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d+ (?:ERROR|CRITICAL|TRACE) \S+ "
PREFIXED = re.compile(HEAD + r"(?!\[(?:-|[^\]]*req-[^\]]*)\])")


def said(folder: Path) -> dict[Path, Parsed]:
    """What each file of logs holds, as events."""
    out = {}
    for path in sorted((*folder.rglob("*.log"), *folder.rglob("*.out"))):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        framer = Framer()
        raws = framer.feed(text, SEEN) + framer.flush(SEEN + 1, 0)
        parsed = parse_batch([RawEvent(SEEN, (), raw.text) for raw in raws])
        assert "".join(parsed.raw) == text, path.name
        out[path] = parsed
    return out


def understood(files: dict[Path, Parsed]) -> Counter[str]:
    """Holds every event to the table above and every traceback to be whole; how many events of each format."""
    formats: Counter[str] = Counter()
    for path, parsed in files.items():
        formats += parsed.formats
        for raw, form, fields in zip(parsed.raw, parsed.format, parsed.fields, strict=True):
            if form == "plain":
                assert any(re.match(known, raw) for known in EXPLAINED), f"{path.name}: {raw!r}"
            if form == "oslo":
                assert not PREFIXED.match(raw), f"{path.name}: a traceback without its head: {raw[:300]!r}"
                lines = raw.split("\n")
                prefixed = [line for line in lines if PREFIXED.match(line)]
                if any(re.sub(HEAD, "", line).startswith("Traceback (most recent") for line in prefixed):
                    assert (fields or {}).get("exception"), f"{path.name}: {raw[:300]!r}"
    return formats


def kept(files: dict[Path, Parsed], folder: Path) -> Logs:
    """A store that has taken in all of it, sealed."""
    tables = Tables(folder / "tables.db")
    tables.migrate(ROOM)
    logs = Logs(folder / "logs", tables=tables, settings=Settings(retention_s=0))
    for path, parsed in files.items():
        service = path.stem.partition("-")[0]
        if service in SERVICES and path.suffix == ".log":
            labels = (("host", "ctl-1"), ("service", service), ("source", path.name))
            logs.write_raw("site", [RawEvent(SEEN + n, labels, raw) for n, raw in enumerate(parsed.raw)])
    logs.seal("site")
    return logs


def followed(logs: Logs, files: dict[Path, Parsed]) -> dict[str, set[str]]:
    """Request id → the services that its waterfall goes through, of those that another service names as global."""
    named = {
        str(fields["global_request_id"])
        for parsed in files.values()
        for fields in parsed.fields
        if fields and fields.get("global_request_id")
    }
    return {one: set(logs.request("site", one).services) for one in sorted(named)}


def test_what_it_logs_is_understood(openstack: Driver, tmp_path: Path) -> None:
    server = openstack.create_server("logged")
    openstack.delete_server(server)
    files = said(openstack.cloud.logs)
    assert understood(files)["oslo"] > 100
    logs = kept(files, tmp_path)
    whole = sorted(raw for path, parsed in files.items() if path.stem == "nova-api" and path.suffix == ".log"
                   for raw in parsed.raw)  # fmt: skip
    stored = logs.search("site", start_ns=0, end_ns=1 << 62, query="filename:nova-api.log", limit=100_000)
    assert sorted(event.raw for event in stored.events) == whole
    assert any({"nova", "neutron"} <= services for services in followed(logs, files).values())
    logs.stop()


def broken(cloud: Cloud) -> Driver:
    """Drives a cloud through refusals, a database and a broker that go, a killed hypervisor, an agent that hangs."""
    driver = Driver(cloud)
    driver.ready()
    driver.furnish()

    def refused(ask: Callable[[], Any]) -> None:
        with pytest.raises((AssertionError, OSError, Exception)):
            ask()

    driver.create_server("fine")
    driver.create_server("too-large", flavor="huge")
    refused(lambda: driver.create_server("no-image", imageRef="00000000-0000-0000-0000-000000000000"))
    quota = f"/v2.1/os-quota-sets/{driver.project_id}"
    driver.ask("PUT", "nova", quota, {"quota_set": {"instances": 0, "force": True}})
    refused(lambda: driver.create_server("over-quota"))
    driver.ask("DELETE", "nova", quota)
    refused(lambda: driver.ask("GET", "glance", "/v2/images/nope"))
    refused(lambda: driver.ask("GET", "neutron", "/v2.0/networks/nope"))
    cloud.stop("mariadb", 30)
    for service, path in (("nova", "/v2.1/servers"), ("glance", "/v2/images")):
        refused(lambda service=service, path=path: driver.ask("GET", service, path))  # type: ignore[misc]
    cloud._database()
    cloud.kill("nova-compute")
    cloud.start("nova-compute")
    cloud.kill("rabbitmq")
    cloud.start("rabbitmq")
    driver.ready(120)
    driver.create_server("after all", wait_s=0)
    return driver


@pytest.mark.long
def test_debug_logs_through_failures(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openstack: Driver
) -> None:
    """All services at DEBUG, each of the failures, and nothing left unexplained. `openstack` skips where it cannot be."""
    monkeypatch.setenv("OS_DEFAULT__DEBUG", "true")
    cloud = Cloud(tmp_path / "cloud", request.config.cache.mkdir("openstack"))
    cloud.folder.mkdir()
    try:
        cloud.up(lambda up: Driver(up).catalogue())
        broken(cloud)
    finally:
        cloud.down()
    # For `benchmarks.logs_peers`, which measures real DEBUG logs where there are some.
    shutil.copytree(cloud.logs, request.config.cache.mkdir("openstack-logs"), dirs_exist_ok=True)
    files = said(cloud.logs)
    formats = understood(files)
    levels = Counter(level for parsed in files.values() for level in parsed.level)
    assert levels["DEBUG"] > 1000 and levels["ERROR"] > 20, levels
    assert formats["oslo"] > 2000
    logs = kept(files, tmp_path)
    services = followed(logs, files)
    assert any({"nova", "neutron", "glance"} <= found for found in services.values()), services
    logs.stop()
