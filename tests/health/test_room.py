"""The room's edge: threads, restarts, rooms that cannot write, hostile clocks, size; and that nothing flaps."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from health.scripted import SITE, Cloud, entity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Conflict, Invalid, NotFound, Unavailable
from weatherglass.base.time import SECOND_NS, ManualClock, SystemClock
from weatherglass.engine.protocols import Heartbeat, ProbeResult, ReplicaSeen, Running
from weatherglass.health import DeadMan, spoken
from weatherglass.health.vantage import Vantage

KILLED = {
    "replicas": {"mariadb.1@here": "exited:-9"},
    "probes": {"replica/mariadb.1@here": "connection refused", "replica/keystone.1@here": "HTTP 500"},
}
ALIVE = {
    "replicas": {"mariadb.1@here": "running"},
    "probes": {"replica/mariadb.1@here": "ok", "replica/keystone.1@here": "ok"},
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "state", SITE, {"deploy.restart": {}})
    yield made
    made.close()


def test_a_house_that_starts_again_takes_up_its_incidents(cloud: Cloud) -> None:
    cloud.run(30)
    cloud.later(0, KILLED)
    cloud.run(5)
    assert cloud.state("replica/mariadb.1@here") == "dead"
    cloud.health = cloud.make()
    cloud.run(10)
    assert len(cloud.incidents()) == 1
    assert len(cloud.asked) == 1, "no second restart because the house was restarted"
    cloud.later(0, ALIVE)
    cloud.run(30)
    [incident] = cloud.incidents()
    assert incident.state == "closed"
    assert [moment.title for moment in incident.moments][-1] == "Recovered"


def test_rooms_that_cannot_write_make_the_house_blind_and_not_deaf(cloud: Cloud) -> None:
    cloud.run(20)
    cloud.sink.error = Unavailable("the disk is full")
    cloud.later(0, KILLED)
    cloud.run(3)
    assert cloud.state("replica/mariadb.1@here") == "dead"
    assert cloud.health.blind() == ("metrics cannot be written (the disk is full)",)
    assert "partly blind" in spoken(cloud.health.sentence())
    cloud.sink.error = None
    cloud.run(20)
    assert cloud.health.blind() == ()


def test_its_own_samples(cloud: Cloud) -> None:
    cloud.run(40)
    series = {labels for batch in cloud.sink.batches for labels in batch.series}
    names = {dict(labels)["__name__"] for labels in series}
    assert names == {
        "weatherglass_state", "weatherglass_probe_seconds", "weatherglass_probe_success",
        "weatherglass_volume_size_bytes", "weatherglass_volume_free_bytes", "weatherglass_volume_used_share",
    }  # fmt: skip
    one = next(
        dict(labels)
        for labels in series
        if dict(labels)["__name__"] == "weatherglass_probe_seconds"
        and dict(labels)["entity"] == "replica/keystone.1@here"
        and dict(labels)["vantage"] == "server"
    )
    assert (one["service"], one["host"], one["replica"]) == ("keystone", "here", "keystone.1@here")
    last = [
        batch
        for batch in cloud.sink.batches
        if dict(batch.series[0])["__name__"] == "weatherglass_state" and len(batch.series) > 5
    ][-1]
    held = {}
    for labels, values in zip(last.series, last.values, strict=True):
        held.setdefault(dict(labels)["entity"], []).append(values[0])
    assert set(held) == set(cloud.inventory.graph().entities)
    assert all(sorted(values) == [0, 0, 0, 0, 1] for values in held.values())


def test_approval_is_for_what_is_proposed(cloud: Cloud) -> None:
    with pytest.raises(NotFound):
        cloud.health.approve(1, "rollback", "ada")
    cloud.run(20)
    cloud.later(0, KILLED)
    cloud.run(3)
    with pytest.raises(Conflict):
        cloud.health.approve(1, "deploy.rollback", "ada")


def test_what_deploy_is_changing_is_no_incident(cloud: Cloud) -> None:
    cloud.health._changing = lambda: frozenset(
        map(
            entity,
            ["replica/mariadb.1@here", "service/mariadb", "replica/keystone.1@here", "service/keystone"],
        )
    )
    cloud.run(20)
    cloud.later(0, KILLED)
    cloud.run(5)
    assert cloud.state("replica/mariadb.1@here") == "dead"
    assert cloud.incidents() == []
    assert cloud.asked == []


def test_a_change_before_the_first_sign_is_named(cloud: Cloud) -> None:
    from weatherglass.engine.protocols import Entry

    cloud.run(20)
    cloud.ledger.append(Entry(cloud.clock.now_ns(), "ada", "apply", "service/mariadb", "new version"))
    cloud.run(10)
    cloud.later(0, KILLED)
    cloud.run(3)
    [incident] = cloud.incidents()
    named = next(moment for moment in incident.moments if moment.title == "Cause named")
    assert "ada applied mariadb 10 s before the first sign" in named.text


def test_resent_and_reordered_heartbeats_change_nothing(cloud: Cloud) -> None:
    cloud.run(20)
    dead = Heartbeat("here", "boot", 1, 0, 2.0, (ReplicaSeen("mariadb.1@here", Running.EXITED),))
    cloud.health.heartbeat(dead, cloud.clock.now_ns())
    cloud.health.tick(cloud.clock.now_ns())
    assert cloud.state("replica/mariadb.1@here") == "healthy"


@pytest.mark.parametrize("step_s", [-7200, 7200])
def test_a_wall_clock_that_steps_condemns_nobody(cloud: Cloud, step_s: int) -> None:
    cloud.run(60)
    cloud.clock.step(step_s)
    cloud.run(60)
    assert {one.state.value for one in cloud.inventory.states().values()} == {"healthy"}
    assert cloud.incidents() == []
    cloud.later(0, KILLED)
    cloud.run(4)
    assert cloud.state("replica/mariadb.1@here") == "dead"


def test_an_entity_that_is_no_longer_declared_is_forgotten(cloud: Cloud) -> None:
    from weatherglass.site import graph, parse

    cloud.run(20)
    cloud.site = parse(
        {"site.yaml": SITE.replace("placement, other]", "placement]").replace("  other:", "#")}, "site.yaml"
    )
    cloud.facts.replicas.pop("other.1@here")
    cloud.inventory.declare(graph(cloud.site), 2, cloud.clock.now_ns())
    cloud.run(5)
    assert not any("other" in name for name in cloud.inventory.states())
    assert not any("other" in probe.entity for probe in cloud.health.probes())


words = st.sampled_from(
    ["ok", "HTTP 500", "timed out after 3 s", 0.5, {"server": "HTTP 500"}, {"host": "HTTP 500"}]
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    witness=st.sampled_from(["running", "stopped", "exited:1", "starting", "quarantined"]),
    answer=words,
    other=words,
    volume=st.sampled_from([0.2, 0.94, 0.945, 0.96, "read-only"]),
    psi=st.sampled_from([0.0, 0.3]),
)
def test_no_state_flaps_on_constant_evidence(
    tmp_path_factory: pytest.TempPathFactory, witness: str, answer: Any, other: Any, volume: Any, psi: float
) -> None:
    made = Cloud(tmp_path_factory.mktemp("flap") / "state", SITE, {})
    try:
        made.run(45)
        made.later(0, {
            "replicas": {"mariadb.1@here": witness}, "volumes": {"db-data": volume},
            "probes": {"replica/mariadb.1@here": answer, "replica/keystone.1@here": other}, "psi": {"keystone.1@here": psi},
        })  # fmt: skip
        made.run(100)
        before = {name: one.state for name, one in made.inventory.states().items()}
        now = made.clock.now_ns()
        made.run(60)
        turned = [one for one in made.inventory.changes(now, now + 60 * SECOND_NS) if one.what == "state"]
        assert turned == [], before
        assert len(made.inventory.incidents(open_only=True)) == len(made.incidents()), (
            "and no incident opens twice"
        )
    finally:
        made.close()


def test_the_server_asks_in_threads_of_its_own_and_one_that_hangs_delays_no_other() -> None:
    hangs = threading.Event()
    asked: list[str] = []

    def prober(spec: Any) -> ProbeResult:
        asked.append(spec["entity"])
        if spec["entity"] == "service/hangs":
            hangs.wait(10)
        if spec["entity"] == "service/odd":
            raise Invalid("this probe makes no sense")
        return ProbeResult(spec["entity"], "server", 1, True, 0.1)

    vantage = Vantage(prober, threads=3)
    specs = [{"entity": f"service/{name}"} for name in ("hangs", "well", "odd")] + [
        {"entity": "service/theirs", "server": False}
    ]
    try:
        for second in range(12):
            vantage.due(specs, None, float(second))
            deadline = time.monotonic() + 2
            while len(asked) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.01)
        assert asked.count("service/well") == 3, "every 5 s"
        assert asked.count("service/hangs") == 1, "one at a time"
        assert "service/theirs" not in asked
        assert vantage.refused == {"service/odd": "this probe makes no sense"}
        vantage.due(specs, {entity("service/well")}, 12.0)
        time.sleep(0.05)
        vantage.due(specs, {entity("service/well")}, 13.0)
        time.sleep(0.05)
        assert asked.count("service/well") == 5, "every second"
        hangs.set()
        came: set[str] = set()
        deadline = time.monotonic() + 5
        while came != {"service/well", "service/hangs"}:
            assert time.monotonic() < deadline
            came |= {one.entity for one in vantage.results()}
            time.sleep(0.01)
        assert vantage.results() == []
    finally:
        hangs.set()
        vantage.stop()


class _Hook(BaseHTTPRequestHandler):
    bodies: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_the_dead_mans_signal_reaches_a_real_server_and_stops() -> None:
    _Hook.bodies = []
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    reasons: list[str] = []
    signal = DeadMan(
        f"http://127.0.0.1:{server.server_port}/hook", "aurora", lambda: reasons, SystemClock(), 0.1
    )
    signal.start()
    try:
        until(lambda: len(_Hook.bodies) >= 2, signal)
        assert _Hook.bodies[-1]["alive"] is True
        assert _Hook.bodies[-1]["site"] == "aurora"
        reasons.append("metrics cannot be written")
        until(lambda: not _Hook.bodies[-1]["alive"], signal)
        assert _Hook.bodies[-1]["reasons"] == ["metrics cannot be written"]
        reasons.clear()
        until(lambda: any("nothing was judged" in " ".join(body["reasons"]) for body in _Hook.bodies), None)
        time.sleep(0.8)
        silent = len(_Hook.bodies)
        time.sleep(0.4)
        assert len(_Hook.bodies) == silent, "after six periods without a beat there is silence"
    finally:
        signal.stop()
        server.shutdown()
        server.server_close()
    assert signal.failed == 0


def until(met: Any, signal: DeadMan | None) -> None:
    deadline = time.monotonic() + 5
    while not met():
        assert time.monotonic() < deadline
        if signal:
            signal.beat()
        time.sleep(0.02)


def test_a_webhook_that_is_away_is_counted_and_stops_nothing() -> None:
    signal = DeadMan("http://127.0.0.1:9/", "s", tuple, ManualClock(), 0.05)
    signal.start()
    deadline = time.monotonic() + 5
    while signal.failed < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    signal.stop()


def test_ten_thousand_entities_are_judged_within_a_tick(tmp_path: Path) -> None:
    site = """\
site: large
hosts: {"n-[1..900]": {address: "10.0.0.[1..900]", roles: [r]}}
roles: {r: [a, b, c, d, e, f, g, h, i, j]}
services:
""" + "".join(
        f"  {name}: {{command: [x], ports: {{p: {80 + n}}}, probe: {{tcp: p}}}}\n"
        for n, name in enumerate("abcdefghij")
    )
    made = Cloud(tmp_path / "state", site)
    try:
        for number in range(3):
            made.clock.advance(2)
            now_ns = made.clock.now_ns()
            for host in range(1, 901):
                replicas = tuple(
                    ReplicaSeen(f"{s}.{host}@n-{host}", Running.RUNNING, 1) for s in "abcdefghij"
                )
                probes = tuple(
                    ProbeResult(f"replica/{one.replica}", f"host/n-{host}", now_ns, True, 0.01)
                    for one in replicas
                )
                made.health.heartbeat(
                    Heartbeat(f"n-{host}", "b", number, now_ns, 2.0, replicas, (), probes), now_ns
                )
            start = time.process_time()
            made.health.tick(now_ns)
            took = time.process_time() - start
        assert len(made.inventory.states()) == 9910
        assert made.state("replica/a.1@n-1") == "healthy"
        start = time.process_time()
        made.clock.advance(1)
        made.health.tick(made.clock.now_ns())
        took = min(took, time.process_time() - start)
        print("tick of 9,910 entities:", took)
        assert took < 1.5
    finally:
        made.close()
