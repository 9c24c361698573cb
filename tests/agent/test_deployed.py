"""An agent process with the real hands of `deploy`: it starts a service, sees it die and hang, and outlives none."""

from __future__ import annotations

import os
import signal
import time

import pytest

from agent import agent_process
from weatherglass.deploy.units import units
from weatherglass.site import parse

SITE = """
site: aurora
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [store]}
services:
  store:
    runtime: process
    command: [sh, -c, "while :; do echo a line of $$; sleep 0.2 & wait; done"]
    stop_grace: 1s
"""


@pytest.fixture
def deployed(sink, tmp_path):
    """A started service and its agent; whatever was started is down afterwards."""
    wanted = units(parse({"site.yaml": SITE}, "site.yaml"), str, "here")
    agents = [agent_process.start(sink.url, tmp_path)]
    made = sink.result(
        sink.send("deploy.converge", {"units": [unit.to_json() for unit in wanted.values()]}), 20
    )
    assert made["body"]["ok"], made
    yield agents, tmp_path
    sink.result(sink.send("deploy.act", {"action": "down"}), 20)
    for agent in agents:
        agent_process.end(agent)


def seen(sink):
    return sink.heartbeats[-1]["replicas"][0] if sink.heartbeats and sink.heartbeats[-1]["replicas"] else {}


def test_a_service_is_started_watched_logged_killed_and_hung(sink, deployed):
    agents, folder = deployed
    name = "store.1@here"
    pid = sink.wait(lambda: seen(sink).get("state") == "running" and seen(sink)["pid"])
    lines = sink.wait(lambda: [e for e in sink.events if e[1]["source"].endswith("stdout.log")])
    assert lines[0][1]["replica"] == name
    assert lines[0][1]["service"] == "store"
    assert lines[0][2].startswith("a line of")
    sink.wait(
        lambda: [1 for labels, _, _ in sink.samples() if labels["__name__"] == "weatherglass_replica_threads"]
    )

    # The agent dies and comes back: the service goes on and is known again.
    agent_process.end(agents[0], signal.SIGKILL)
    os.kill(pid, 0)
    agents[0] = agent_process.start(sink.url, folder)
    boot = sink.heartbeats[-1]["boot"]
    sink.wait(lambda: sink.heartbeats[-1]["boot"] != boot and seen(sink).get("pid") == pid)

    stopped = sink.result(sink.send("fault", {"fault": "stop", "replica": name}))
    assert pid in stopped["body"]["pids"]
    sink.wait(lambda: seen(sink)["state"] == "stopped", 4)
    sink.result(sink.send("fault", {"fault": "cont", "replica": name}))
    sink.wait(lambda: seen(sink)["state"] == "running", 4)

    killed = sink.result(sink.send("fault", {"fault": "kill", "replica": name}))
    sink.wait(lambda: seen(sink)["state"] == "exited", 4)
    delay = sink.heartbeats[-1]["sent_ns"] - killed["body"]["at_ns"]
    assert 0 < delay < 2_000_000_000
    print(f"a kill was told after {delay / 1e6:.0f} ms")

    again = sink.result(sink.send("deploy.act", {"action": "restart", "replica": name, "reason": "drill"}))
    assert again["body"]["was"] == "exited"
    new = sink.wait(lambda: seen(sink)["state"] == "running" and seen(sink)["pid"], 4)
    assert new != pid

    began = time.monotonic()
    assert agent_process.end(agents[0]) == (0, "")
    assert time.monotonic() - began < 2
    os.kill(new, 0)
    agents[0] = agent_process.start(sink.url, folder)
