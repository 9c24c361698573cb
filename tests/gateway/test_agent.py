"""The agent's protocol: what it pushes, what it may not, and its work."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zstandard

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Running
from weatherglass.gateway.agent import parse_events

BEAT = {"host": "ctl-1", "boot": "b", "seq": 1, "sent_ns": 5, "period_s": 2}


def packed(*rows: Any) -> bytes:
    return zstandard.compress(b"\n".join(json.dumps(row).encode() for row in rows))


def test_a_heartbeat_reaches_health_whole(http: Any) -> None:
    beat = BEAT | {
        "replicas": [{"replica": "keystone.1@ctl-1", "state": "stopped", "pid": 7, "limits": {"fd": 0.5}}],
        "volumes": [{"volume": "db", "size_bytes": 10, "free_bytes": 3, "attached_to": ["mariadb.1@ctl-1"]}],
        "probes": [
            {"entity": "service/keystone", "vantage": "host/ctl-1", "at_ns": 4, "ok": False, "seconds": 3}
        ],
        "agent": {"pss_bytes": 4e7},
        "of a newer agent": 1,
    }
    answer = http("POST", "/api/v1/agent/heartbeat", "agent", json=beat)
    assert answer.status_code == 200 and answer.json()["received_ns"] > 0
    [seen] = http.rooms.health.beats
    assert seen.replicas[0].state is Running.STOPPED and seen.replicas[0].limits == {"fd": 0.5}
    assert seen.volumes[0].attached_to == ("mariadb.1@ctl-1",)
    assert seen.probes[0].ok is False and seen.probes[0].seconds == 3.0


def test_every_wrong_field_of_a_heartbeat_is_told_at_once(http: Any) -> None:
    beat = BEAT | {"seq": "one", "replicas": [{"replica": "a", "state": "asleep"}], "agent": {"pss": None}}
    answer = http("POST", "/api/v1/agent/heartbeat", "agent", json=beat)
    assert answer.status_code == 400
    assert [one["where"] for one in answer.json()["problems"]] == ["seq", "replicas[0].state", "agent.pss"]


def test_an_agent_may_not_speak_for_another_host(http: Any) -> None:
    assert http("POST", "/api/v1/agent/heartbeat", "agent", json=BEAT | {"host": "ctl-2"}).status_code == 403
    body = packed([1, {"host": "ctl-2"}, "x"])
    assert http("POST", "/api/v1/agent/events", "agent", content=body).status_code == 403
    assert http.rooms.logs.events == [] and http.rooms.health.beats == []


@pytest.mark.parametrize("role", ["admin", "operator", "member", "viewer"])
def test_nobody_else_may_be_an_agent(http: Any, role: str) -> None:
    assert http("POST", "/api/v1/agent/heartbeat", role, json=BEAT).status_code == 403
    assert http("GET", "/api/v1/agent/work", role).status_code == 403
    assert http("GET", "/api/v1/agent/secrets/keystone-db", role).status_code == 403


def test_events_reach_logs_with_their_labels_sorted(http: Any) -> None:
    body = packed(
        [7, {"service": "keystone", "host": "ctl-1", "zone": ""}, "two\nlines"], [8, {"host": "ctl-1"}, "é"]
    )
    answer = http("POST", "/api/v1/agent/events", "agent", content=body)
    assert answer.json() == {"stored": 2}
    first, second = http.rooms.logs.events
    assert first.labels == (("host", "ctl-1"), ("service", "keystone"))
    assert (first.seen_ns, first.text, second.text) == (7, "two\nlines", "é")
    assert http.rooms.logs.tenants == ["site"]


def test_the_tenant_is_chosen_among_those_of_the_token(http: Any) -> None:
    body = packed([7, {"host": "ctl-1"}, "x"])
    chosen = {"X-Weatherglass-Tenant": "genomics"}
    assert http("POST", "/api/v1/agent/events", "agent", content=body, headers=chosen).status_code == 200
    assert http.rooms.logs.tenants == ["genomics"]
    other = {"X-Weatherglass-Tenant": "physics"}
    assert http("POST", "/api/v1/agent/events", "agent", content=body, headers=other).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"not zstd",
        packed([1, {}, "x"])[:-3],
        packed("text"),
        packed([1, {}]),
        packed([True, {}, "x"]),
        packed([-1, {}, "x"]),
        packed([1 << 70, {}, "x"]),
        packed([1, {"a": 1}, "x"]),
        packed([1, [], "x"]),
        packed([1, {str(n): "v" for n in range(65)}, "x"]),
        zstandard.compress(b'[1,{},"\\ud800"]'),
        zstandard.compress(b"[" * 100_000),
    ],
)
def test_events_that_are_none_are_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse_events(body, "zstd")


def test_a_zstd_bomb_is_refused(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weatherglass.gateway.agent.EVENTS_BYTES", 1 << 20)
    answer = http("POST", "/api/v1/agent/events", "agent", content=zstandard.compress(b"\n" * (2 << 20)))
    assert answer.status_code == 413


def test_results_go_to_the_hosts_queue(http: Any) -> None:
    one = {"offset": 3, "key": "k", "status": "progress", "body": {"step": 1}}
    assert http("POST", "/api/v1/agent/results", "agent", json=one).json() == {"received": 1}
    both = {"results": [one, one | {"status": "failed", "error": "no"}]}
    assert http("POST", "/api/v1/agent/results", "agent", json=both).json() == {"received": 2}
    assert [(host, result.status) for host, result in http.rooms.work.results] == [
        ("ctl-1", "progress"),
        ("ctl-1", "progress"),
        ("ctl-1", "failed"),
    ]
    assert http("POST", "/api/v1/agent/results", "agent", json=one | {"status": "maybe"}).status_code == 400
