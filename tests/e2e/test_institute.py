"""The loop on the example, from the outside: seen, understood, healed, kept. Tests run in the order of this file."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from institute import House, wait

pytestmark = pytest.mark.root

DRILLS = {"kill-store": 6.0, "hang-store": 40.0, "disk-full": 20.0}
KEYSTONE = 'weatherglass_replica_cpu_seconds_total{service="keystone"}'
REQUEST = "req-"


FROM_LOGS = (
    'weatherglass_log_events_total{level="ERROR",service=~"keystone|placement"}',
    'weatherglass_log_new_templates_total{level="ERROR"}',
    'weatherglass_log_template_events_total{level="ERROR"}',
)


def total(house: House, metric: str) -> float:
    """The sum of a counter over its series, 0 where there is none."""
    return sum(float(one["value"][1]) for one in house.query(f"sum({metric})"))


def replicas(house: House) -> dict[str, int]:
    """Main processes of this house's replicas, as podman and the kernel have them: are they still the same?"""
    form = "{{.Name}} {{.State.Pid}} {{range .Mounts}}{{.Source}} {{end}}"
    running = subprocess.run(
        ["podman", "ps", "-q"], capture_output=True, text=True, check=True
    ).stdout.split()
    told = subprocess.run(
        ["podman", "inspect", "--format", form, *running], capture_output=True, text=True, check=False
    ).stdout
    found = {line.split()[0]: int(line.split()[1]) for line in told.splitlines() if f"{house.state}/" in line}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                argv = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"load.py" in argv and f"{house.state}/".encode() in argv:
                found["load"] = int(folder.name)
    return found


def well(house: House) -> bool:
    states = house.states()
    needed = [
        "service/mariadb",
        "service/keystone",
        "service/placement",
        "service/genomics-load",
        "tenant/genomics",
    ]
    return all(states.get(name) == "healthy" for name in needed)


def test_the_portal_answers_and_wants_a_token(institute: House) -> None:
    assert httpx.get(f"{institute.url}/-/ready").status_code == 200
    away = httpx.get(f"{institute.url}/", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (away.status_code, away.headers["location"].partition("?")[0]) == (303, "/login")
    assert httpx.get(f"{institute.url}/api/v1/status").status_code == 401
    wrong = {"Authorization": "Bearer wg_nobody_0000"}
    assert httpx.get(f"{institute.url}/prometheus/api/v1/query?query=1", headers=wrong).status_code == 401
    assert institute.get("/api/v1/status")["site"] == "first-light-e2e"
    assert "keystone" in institute.get("/")


def test_samples_arrive(institute: House) -> None:
    [one] = wait(lambda: institute.query(f"rate({KEYSTONE}[1m]) > 0"), 60, "keystone's CPU seconds")
    assert one["metric"]["host"] == "lab"
    assert one["metric"]["site"] == "first-light-e2e"
    # What the tenant feels, scraped from its own page, and the host's own.
    assert wait(
        lambda: institute.query('genomics_requests_total{operation="login",outcome="ok"}'), 60, "log-ins"
    )
    assert institute.query("sum(node_memory_MemTotal_bytes) > 0")


def test_events_arrive_with_their_fields(institute: House) -> None:
    def oslo() -> list[dict[str, Any]]:
        found = institute.events(entity="service/keystone", words="keystone", limit=200)
        return [one for one in found if str(one["fields"].get("request_id", "")).startswith(REQUEST)]

    event = wait(oslo, 60, "an oslo event of keystone's with its request")[0]
    assert dict(event["labels"])["replica"] == "keystone.1@lab"
    assert event["level"]
    assert event["logger"].startswith("keystone")
    same = institute.events(field=f"request_id:{event['fields']['request_id']}")
    assert event["raw"] in [one["raw"] for one in same]


@pytest.mark.parametrize("name", DRILLS)
def test_drill(institute: House, name: str) -> None:
    wait(lambda: well(institute), 90, "all is well")
    before = {metric: total(institute, metric) for metric in FROM_LOGS} if name == "kill-store" else {}
    code, report = institute.cli_json("drill", "run", name, timeout_s=280)
    shown = "\n".join(
        [
            *(
                f"{'met    ' if c['ok'] else 'NOT MET'} {c['name']}: {c['wanted']} | {c['found']}"
                for c in report["checks"]
            ),
            *(f"{t['after_s']:7.2f} {t['title']}: {t['text']}" for t in report["timeline"]),
        ]
    )
    print(f"\n{name}: {report['delays']}\n{report['sentence']}")
    assert code == 0, shown
    assert report["passed"]
    # What its dependants wrote when the database was gone has become metrics by itself.
    for metric, was in before.items():
        now = wait(
            lambda metric=metric, was=was: total(institute, metric) > was and total(institute, metric),
            60,
            metric,
        )
        print(f"{metric}: {was:g} before, {now:g} after")
    if before:
        assert wait(
            lambda: institute.query("max_over_time(weatherglass_log_error_burst[5m]) > 4"), 60, "a burst"
        )


def test_a_traceback_is_one_event(institute: House) -> None:
    """The database was killed and hung: its clients wrote tracebacks. Each is one event, to its last line."""

    def found() -> list[dict[str, Any]]:
        events = institute.events(words="Traceback", limit=100)
        return [one for one in events if "pymysql.err.OperationalError" in one["raw"]]

    event = wait(found, 30, "a traceback")[0]
    assert event["level"] == "ERROR"
    lines = event["raw"].splitlines()
    assert len(lines) > 10
    assert not [
        one for one in institute.events(words="do_execute", limit=100) if "Traceback" not in one["raw"]
    ]


def test_the_incidents_page_tells_the_story(institute: House) -> None:
    told = {one["kind"]: one for one in institute.get("/api/v1/incidents")["incidents"] if one["cause"]}
    killed = told["dead"]
    assert killed["sentence"].startswith("mariadb was killed at ")
    assert "(signal 9); it took keystone" in killed["sentence"]
    assert ", and tenant genomics felt it for " in killed["sentence"]
    assert "Restarted in" in killed["sentence"]
    page = institute.get(f"/i/{killed['id']}")
    for words in ("First sign", "Cause named", "Remedy", "Recovered", "signal 9", "keystone", "genomics"):
        assert words in page, words
    page = institute.get(f"/i/{told['full']['id']}")
    assert "mariadb-data" in page
    assert "was full at" in page


def test_an_agent_that_is_killed_leaves_services_and_takes_them_up_again(institute: House) -> None:
    before, agent = replicas(institute), institute.agent_pid
    assert len(before) == 4, before
    os.kill(agent, signal.SIGKILL)
    wait(lambda: institute.agent_pid not in (0, agent), 20, "another agent")
    told = time.time()
    wait(lambda: institute.query(f"timestamp({KEYSTONE}) > {told + 1}"), 40, "samples from it")
    assert replicas(institute).items() >= before.items()
    wait(lambda: well(institute), 60, "all is well")


def test_a_server_that_is_killed_leaves_services_and_starts_again(institute: House) -> None:
    before = replicas(institute)
    institute.stop(signal.SIGKILL)
    time.sleep(1)
    assert replicas(institute).items() >= before.items()
    took = institute.start()
    print(f"\nstart after kill -9: READY after {took:.1f} s")
    wait(lambda: well(institute), 90, "all is well")
    assert replicas(institute).items() >= before.items()


def test_it_stops_with_streams_open_and_starts_again_soon(institute: House) -> None:
    opened, over = threading.Barrier(4), []

    def listen() -> None:
        headers = {"Authorization": f"Bearer {institute.token}", "Accept": "text/event-stream"}
        with httpx.stream("GET", f"{institute.url}/api/v1/live", headers=headers, timeout=60) as answer:
            opened.wait(10)
            try:
                for _ in answer.iter_bytes():
                    pass
            except httpx.RemoteProtocolError:
                pass
            over.append(answer.status_code)

    threads = [threading.Thread(target=listen) for _ in range(3)]
    for thread in threads:
        thread.start()
    opened.wait(10)
    stopped = institute.stop()
    for thread in threads:
        thread.join(5)
    assert over == [200] * 3
    started = institute.start()
    print(f"\nstop with streams open: {stopped:.1f} s; READY again after {started:.1f} s (goal 5)")
    assert stopped <= 3
    assert started <= 30


def test_after_all_that_there_is_nothing_to_change(institute: House) -> None:
    # A volume that a remedy grew is larger than declared and stays so: that is no change to make.
    done = institute.cli("plan")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_backup_restored_elsewhere_gives_the_same_answers(institute: House, tmp_path: Path) -> None:
    file, state = tmp_path / "all.backup", tmp_path / "restored"
    at = time.time() - 5
    asked = {
        "series": lambda house: house.query(f"count by (__name__) ({{service='keystone'}} @ {at:.0f})", at),
        "sums": lambda house: house.query(f"sum_over_time({KEYSTONE}[10m])", at),
        "events": lambda house: house.events(end=f"{at:.3f}", limit=500),
        "incidents": lambda house: [
            one for one in house.get("/api/v1/incidents")["incidents"] if one["state"] == "closed"
        ],
        "ledger": lambda house: house.get("/api/v1/ledger", end=f"{at:.3f}", limit=1000),
    }
    events = asked["events"](institute)
    saved = institute.cli("backup", str(file))
    assert saved.returncode == 0, saved.stderr
    before = {name: ask(institute) for name, ask in asked.items()}
    assert all(before.values()), {name: bool(one) for name, one in before.items()}
    other = House(None, state)
    restored = other.cli("restore", str(file))
    assert restored.returncode == 0, restored.stderr
    try:
        # The server alone: an agent here would take the institute's own services for its.
        other.start(only="server")
        after = {name: ask(other) for name, ask in asked.items()}
        for name in asked:
            assert after[name] == before[name], name
        assert events
    finally:
        other.stop()
