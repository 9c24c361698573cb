"""A whole agent in this process against a real HTTP server that records."""

from __future__ import annotations

import dataclasses
import os
import threading
import time

import cramjam
import pytest

from agent.agent_sink import TOKEN, _fields
from agent.conftest import replica
from agent.test_probes import http_server
from weatherglass.agent.agent import Agent, Link
from weatherglass.agent.remote_write import KINDS
from weatherglass.base.errors import Unavailable
from weatherglass.engine.protocols import Running


def test_it_beats_sends_samples_probes_and_works(sink, run_agent):
    run_agent()
    beat = sink.wait(lambda: sink.heartbeats[1:])[0]
    assert (beat["host"], beat["seq"], beat["period_s"]) == ("here", 2, 0.2)
    assert beat["boot"] == sink.heartbeats[0]["boot"]
    sink.wait(lambda: sink.writes)
    names = {labels["__name__"] for labels, _, _ in sink.samples()}
    assert {"node_load1", "node_cpu_seconds_total", "weatherglass_agent_cpu_seconds_total"} <= names
    for labels, _, _ in sink.samples():
        assert (labels["site"], labels["host"], labels["zone"]) == ("aurora", "here", "rack-a")

    told = {}
    for field, message in _fields(bytes(cramjam.snappy.decompress_raw(sink.writes[0]))):
        if field == 3:
            family = dict(_fields(message))
            told[family[2].decode()] = family[1]
    assert told.keys() >= names - {"up", "scrape_duration_seconds"}
    assert (told["node_cpu_seconds_total"], told["node_load1"]) == (KINDS["counter"], KINDS["gauge"])

    url = f"{sink.url}/api/v1/agent/secrets/none"  # answers 401 without a token: an HTTP server that says no
    offset = sink.send(
        "probes", {"probes": [{"entity": "service/x", "kind": "http", "url": url, "status": [401]}]}
    )
    result = sink.result(offset)
    assert (result["status"], result["body"]) == ("done", {"probes": 1})
    probed = sink.wait(lambda: [p for b in sink.heartbeats for p in b["probes"]])[0]
    assert probed["entity"] == "service/x"
    assert probed["vantage"] == "host/here"
    assert probed["ok"], probed
    assert TOKEN not in str(sink.heartbeats)


def test_replicas_logs_and_endpoints_are_collected_with_their_labels(sink, run_agent, hands, tmp_path):
    log = tmp_path / "stdout.log"
    log.write_text("2026-11-22T10:00:00.1+00:00 stdout F 2026-11-22 10:00:00.000 7 INFO db [-] ready\n")
    with http_server(lambda *_: (200, {}, b"queries_total 7\n")) as url:
        hands.collected = [
            {
                "replica": "db.1@here",
                "service": "db",
                "zone": "rack-a",
                "logs": [{"glob": str(log), "format": "k8s-file"}],
                "metrics": [url.removeprefix("http://127.0.0.1") + "/metrics"],
            }
        ]
        hands.seen = [replica("db.1@here", os.getpid())]
        run_agent()
        _, labels, text = sink.wait(lambda: sink.events)[0]
        assert text == "2026-11-22 10:00:00.000 7 INFO db [-] ready\n"
        ours = {"site": "aurora", "host": "here", "zone": "rack-a", "service": "db", "replica": "db.1@here"}
        assert labels == ours | {"source": str(log)}
        sink.wait(lambda: [1 for labels, _, _ in sink.samples() if labels["__name__"] == "queries_total"])
    found = {labels["__name__"]: (labels, value) for labels, value, _ in sink.samples()}
    assert found["queries_total"] == ({"__name__": "queries_total", "instance": url[7:], **ours}, 7)
    assert found["weatherglass_replica_threads"][0] == {"__name__": "weatherglass_replica_threads", **ours}


def test_a_change_of_a_replica_is_told_at_once(sink, settings, hands):
    slow = dataclasses.replace(settings, pace=dataclasses.replace(settings.pace, heartbeat_s=5.0))
    agent = Agent(Link(slow), hands, {})
    hands.seen = [replica("db.1@here", 4242)]
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        sink.wait(lambda: sink.heartbeats)
        time.sleep(0.3)
        quiet = len(sink.heartbeats)
        began = time.monotonic()
        hands.seen = [replica("db.1@here", 0, Running.EXITED)]
        sink.wait(lambda: sink.heartbeats[-1]["replicas"][0]["state"] == "exited")
        assert time.monotonic() - began < 1.0
        assert len(sink.heartbeats) - quiet <= 2
        secret = settings.state  # nothing of a token or a secret is ever in the state
        assert not [p for p in secret.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    finally:
        agent.stop()
        thread.join(10)


def test_probe_results_wait_for_a_heartbeat_that_arrives(sink, run_agent):
    run_agent()
    sink.wait(lambda: sink.heartbeats)
    sink.send(
        "probes", {"probes": [{"entity": "service/x", "kind": "tcp", "address": f"127.0.0.1:{sink.port}"}]}
    )
    sink.wait(lambda: [p for b in sink.heartbeats for p in b["probes"]])
    sink.stop()
    time.sleep(0.8)
    with sink.changed:
        sink.heartbeats.clear()
    sink.start()
    told = sink.wait(lambda: [p for b in sink.heartbeats for p in b["probes"]])
    assert [p for p in told if not p["ok"] and p["detail"] == "connection refused"]
    times = [p["at_ns"] for b in sink.heartbeats for p in b["probes"]]
    assert len(times) == len(set(times))
    assert times == sorted(times)


def test_secrets_are_asked_for_and_remembered_for_probes_alone(sink, settings):
    sink.secrets["db"] = "sesame"
    link = Link(settings)
    assert (link.secret("db"), link.remembered("db")) == ("sesame", "sesame")
    sink.stop()
    link._known["db"] = ("sesame", -1e9)
    assert link.remembered("db") == "sesame"
    with pytest.raises(Unavailable):
        link.secret("db")
    with pytest.raises(Unavailable):
        link.remembered("other")
