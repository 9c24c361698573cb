"""Agents are not trusted: whatever a heartbeat holds, the house goes on judging what is declared."""

from __future__ import annotations

import pytest
from health.scripted import SITE, T0, Cloud
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weatherglass.engine.protocols import Heartbeat, ProbeResult, ReplicaSeen, Running, VolumeSeen

names = st.sampled_from(
    ["mariadb.1@here", "keystone.1@here", "nobody", "", "a@b", "mariadb.1@there", "db-data", "x" * 300, "\0"]
)
entities = st.one_of(names, names.map("replica/{}".format), st.just("tenant/genomics"))
whole = st.integers(-(2**70), 2**70)
replicas = st.builds(
    ReplicaSeen,
    replica=names,
    state=st.sampled_from(list(Running)),
    pid=whole,
    exit_code=st.one_of(st.none(), whole),
    restarts=whole,
    detail=st.text(max_size=9),
    psi_share=st.floats(),
    limits=st.dictionaries(st.text(max_size=4), st.floats(), max_size=3),
)
volumes = st.builds(VolumeSeen, volume=names, size_bytes=whole, free_bytes=whole, read_only=st.booleans())
probes = st.builds(
    ProbeResult,
    entity=entities,
    vantage=st.sampled_from(["host/here", "server", "", "host/there"]),
    at_ns=st.one_of(whole, st.just(T0)),
    ok=st.booleans(),
    seconds=st.floats(),
    detail=st.text(max_size=9),
)
beats = st.builds(
    Heartbeat,
    host=st.sampled_from(["here", "there", ""]),
    boot=st.sampled_from(["boot", "other"]),
    seq=st.integers(-5, 10**9),
    sent_ns=whole,
    period_s=st.floats(),
    replicas=st.lists(replicas, max_size=3).map(tuple),
    volumes=st.lists(volumes, max_size=3).map(tuple),
    probes=st.lists(probes, max_size=5).map(tuple),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(beats, max_size=8))
def test_whatever_agents_send_the_house_goes_on_judging(
    tmp_path_factory: pytest.TempPathFactory, told: list[Heartbeat]
) -> None:
    made = Cloud(tmp_path_factory.mktemp("odd") / "state", SITE, {"deploy.restart": {}, "deploy.grow": {}})
    try:
        made.run(6)
        for beat in told:
            made.health.heartbeat(beat, made.clock.now_ns())
            made.run(1)
        made.run(2)
        assert set(made.inventory.states()) == set(made.inventory.graph().entities)
        assert {probe.vantage for probe in made.health.probes()} <= {"host/here", "server"}
        assert {probe.entity for probe in made.health.probes()} <= set(made.inventory.graph().entities)
        assert all(0 <= probe.seconds <= 3600 for probe in made.health.probes())
        assert all(abs(one.onset_ns - T0) < 10**13 for one in made.incidents())
    finally:
        made.close()


def test_an_agent_speaks_for_its_own_host_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = Cloud(tmp_path_factory.mktemp("own") / "state", SITE)
    try:
        made.run(20)
        lies = (ProbeResult("replica/mariadb.1@here", "server", T0, False, 0.1, "a lie"),)
        gone = (ReplicaSeen("mariadb.1@here", Running.EXITED),)
        made.health.heartbeat(Heartbeat("there", "b", 1, T0, 2.0, gone, (), lies), made.clock.now_ns())
        made.health.heartbeat(Heartbeat("here", "b2", 1, T0, 2.0, (), (), lies), made.clock.now_ns())
        made.health.tick(made.clock.now_ns())
        assert made.state("replica/mariadb.1@here") == "healthy"
        assert all(probe.ok for probe in made.health.probes())
    finally:
        made.close()
