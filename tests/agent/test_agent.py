"""A whole agent in this process against a real HTTP server that records."""

from __future__ import annotations

from agent.agent_sink import TOKEN


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
