"""Our own API over the real inventory, work queues and a parsed site; health, logs and deploy are fakes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.conftest import Http, issue
from gateway.fakes import fake_rooms
from weatherglass.base.errors import NotFound
from weatherglass.engine.protocols import Outcome, ProbeResult, WorkResult
from weatherglass.engine.work import Queues
from weatherglass.gateway import create_app
from weatherglass.identity import ROOM
from weatherglass.inventory import (
    METADATA,
    MIGRATIONS,
    Evidence,
    Incident,
    Inventory,
    Moment,
    State,
    StateRecord,
)
from weatherglass.site import graph, parse

SITE = """
site: aurora
hosts: {ctl-1: {address: 10.0.0.1, roles: [controller]}}
roles: {controller: [mariadb, keystone]}
services:
  mariadb: {command: [mariadbd], secrets: {ROOT: mariadb-root}}
  keystone:
    command: [uwsgi]
    ports: {api: 5000}
    needs: [mariadb]
    secrets: {DB: keystone-db}
    probe: {openstack-token: {user: probe, password: keystone-probe}}
tenants:
  genomics: {uses: [keystone], limits: {series: 200k}}
  physics: {uses: [keystone]}
  resops: {seats: 3, expires: 2100-01-01}
"""


@dataclass
class FakeDeploy:
    called: list[tuple[Any, ...]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)

    def check(self, source: Any = None) -> Any:
        return parse({"site.yaml": source}, "site.yaml")

    def plan(self, source: Any = None) -> dict[str, Any]:
        self.called.append(("plan", source))
        return {"changes": []}

    def apply(self, source: Any = None, *, who: str, why: str = "", expect: Any = None) -> int:
        self.called.append(("apply", source, who, why, expect))
        return 1

    def run(self, number: int) -> dict[str, Any]:
        if number not in (1, 2):
            raise NotFound(f"no run {number}")
        return self.views.pop(0) if len(self.views) > 1 else self.views[0]

    def runs(self, limit: int = 50) -> list[Any]:
        return self.views[:limit]

    def rollback(self, *, who: str, why: str = "", to: int | None = None) -> int:
        self.called.append(("rollback", who, to))
        return 2

    def generations(self) -> list[Any]:
        return [{"number": 1}]

    def drift(self) -> dict[str, Any]:
        return {"changes": ["drifted"]}

    def status(self) -> dict[str, Any]:
        return {"paused": self.called[-1:] == [("pause", "operator", "rest")]}

    def pause(self, who: str, why: str = "") -> None:
        self.called.append(("pause", who, why))

    def resume(self, who: str, why: str = "") -> None:
        self.called.append(("resume", who, why))

    def secrets_of(self, host: str) -> frozenset[str]:
        return frozenset({"keystone-db", "keystone-probe"} if host == "ctl-1" else ())


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Http]:
    site = parse({"site.yaml": SITE}, "site.yaml")
    rooms, tables = fake_rooms(tmp_path, site=site, deploy=FakeDeploy(), work=Queues(tmp_path / "work"))
    tables.migrate(ROOM | {"inventory": (METADATA, MIGRATIONS)})
    rooms.inventory = Inventory(tables, rooms.bus, rooms.clock)
    rooms.inventory.declare(graph(site), 1, rooms.clock.now_ns())
    rooms.probes = lambda: [
        ProbeResult("service/keystone", "server", 1, True, 0.1),
        ProbeResult("service/mariadb", "server", 1, True, 0.1),
    ]
    with TestClient(create_app(rooms), follow_redirects=False) as client:
        yield Http(client, rooms, issue(rooms))
    rooms.work.close()
    tables.close()


@pytest.fixture
def sick(http: Http) -> Http:
    now = http.rooms.clock.now_ns()
    because = (Evidence("probe", "a token took 4 s"), Evidence("dependency", "mariadb is dead"))
    http.rooms.inventory.publish_states(
        [
            StateRecord("service/keystone", State.SICK, now, now, because, "extrinsic", "service/mariadb"),
            StateRecord("service/mariadb", State.DEAD, now, now),
            StateRecord("tenant/genomics", State.SICK, now, now),
        ]
    )
    http.rooms.inventory.publish_incident(
        Incident(
            id=1,
            opened_ns=now,
            cause="service/mariadb",
            affected=("service/mariadb", "service/keystone"),
            tenants=("tenant/genomics", "tenant/physics"),
            moments=(
                Moment(now, "First sign", "mariadb died", ("service/mariadb",)),
                Moment(now, "Spread", "keystone fell, physics felt it", ("service/keystone",)),
            ),
            evidence={"service/mariadb": because, "service/keystone": because},
            remedies=({"action": "deploy.restart"},),
            sentence="mariadb died and took keystone; genomics and physics felt it.",
        )
    )
    return http


def test_an_operator_sees_the_whole_story(sick: Http) -> None:
    told = sick("GET", "/api/v1/status", "operator").json()
    assert told["site"] == "aurora" and told["sentence"] == "All is well with keystone."
    assert {one["entity"] for one in told["unwell"]} == {
        "service/keystone",
        "service/mariadb",
        "tenant/genomics",
    }
    [incident] = sick("GET", "/api/v1/incidents", "operator").json()["incidents"]
    assert incident["cause"] == "service/mariadb" and len(incident["moments"]) == 2
    assert sick("GET", "/api/v1/incidents/1", "operator").json()["tenants"] == [
        "tenant/genomics",
        "tenant/physics",
    ]
    assert sick("GET", "/api/v1/incidents/2", "operator").status_code == 404
    assert sick("GET", "/api/v1/incidents/one", "operator").status_code == 400


def test_a_tenant_sees_what_it_uses_and_nothing_of_others(sick: Http) -> None:
    for path in (
        "status",
        "entities",
        "graph",
        "states",
        "incidents",
        "incidents/1",
        "probes",
        "entities/service/keystone",
        "settings",
    ):
        answer = sick("GET", f"/api/v1/{path}", "member")
        assert answer.status_code == 200, path
        for hidden in ("physics", "mariadb", "ctl-1", "deploy.restart"):
            assert hidden not in answer.text, (path, hidden)
        assert "genomics" in answer.text or "keystone" in answer.text, path
    for id in ("service/mariadb", "host/ctl-1", "tenant/physics", "replica/keystone.1@ctl-1"):
        assert sick("GET", f"/api/v1/entities/{id}", "member").status_code == 404
    assert sick("GET", "/api/v1/status", "member").json()["sentence"] == "Not well: keystone, genomics."


def test_entities_by_page_kind_state_and_words(sick: Http) -> None:
    def names(**params: Any) -> list[str]:
        return [one["id"] for one in sick("GET", "/api/v1/entities", params=params).json()["entities"]]

    everything = names()
    first = sick("GET", "/api/v1/entities", params={"limit": 4}).json()
    rest = sick("GET", "/api/v1/entities", params={"after": first["next"]}).json()
    assert [one["id"] for one in first["entities"] + rest["entities"]] == everything == sorted(everything)
    assert rest["next"] == ""
    assert names(kind="service") == ["service/keystone", "service/mariadb"]
    assert names(state="dead") == ["service/mariadb"]
    assert "service/keystone" in names(q="keystone")


def test_an_entity_tells_its_neighbours_and_its_day(sick: Http) -> None:
    told = sick("GET", "/api/v1/entities/service/keystone").json()
    assert told["state"]["state"] == "sick" and told["state"]["evidence"][0]["signal"] == "probe"
    assert "service/mariadb" in told["depends_on"] and "tenant/genomics" in told["dependants"]
    assert told["incidents"][0]["id"] == 1 and len(told["history"]) == 1
    assert sick("GET", "/api/v1/entities/service/nobody").status_code == 404


def test_the_graph_as_it_was(http: Http) -> None:
    now = http("GET", "/api/v1/graph").json()
    assert {
        "source": "service/keystone",
        "relation": "needs",
        "target": "service/mariadb",
        "known_from": "declared",
    } in now["edges"]
    assert http("GET", "/api/v1/graph", params={"at": "-1h"}).json()["entities"] == []
    assert http("GET", "/api/v1/graph", params={"at": "someday"}).status_code == 400


def test_check_tells_every_problem_at_once(http: Http) -> None:
    wrong = SITE.replace("needs: [mariadb]", "needs: [mariadbb]").replace("series: 200k", "series: lots")
    told = http("POST", "/api/v1/check", "operator", content=wrong).json()
    assert told["ok"] is False and len(told["problems"]) == 2
    assert all(one["where"].startswith("site.yaml:") and one["mend"] for one in told["problems"])
    body = {"main": "site.yaml", "sources": {"site.yaml": SITE}}
    assert http("POST", "/api/v1/check", "operator", json=body).json() == {
        "ok": True,
        "site": "aurora",
        "problems": [],
    }
    assert http("POST", "/api/v1/check", "operator", json=body | {"main": "other"}).status_code == 400
    assert http("POST", "/api/v1/check", "operator", content=b"\xff\xfe").status_code == 400


def test_plan_and_apply_know_who_and_why(http: Http) -> None:
    assert http("POST", "/api/v1/plan", "operator", json={}).json() == {"changes": []}
    plan = {"generation": "g"}
    body = {"path": "/etc/wg/site.yaml", "why": "new keystone", "expect": plan}
    answer = http("POST", "/api/v1/apply", "operator", json=body)
    assert (answer.status_code, answer.json()) == (202, {"run": 1})
    assert http("POST", "/api/v1/apply", "operator", json={"expect": []}).status_code == 400
    assert http.rooms.deploy.called == [
        ("plan", None),
        ("apply", Path("/etc/wg/site.yaml"), "operator", "new keystone", plan),
    ]
    for path in ("site.yaml", "/etc/shadow", "/a\0.yaml", 7):
        assert http("POST", "/api/v1/plan", "operator", json={"path": path}).status_code == 400
    assert http("POST", "/api/v1/rollback", "operator", json={"to": 3}).json() == {"run": 2}
    assert http("POST", "/api/v1/rollback", "operator", json={"to": "3"}).status_code == 400
    assert http.rooms.deploy.called[-1] == ("rollback", "operator", 3)


def test_a_run_is_followed_to_its_end(http: Http) -> None:
    http.rooms.deploy.views = [
        {"id": 1, "state": "running", "progress": []},
        {"id": 1, "state": "running", "progress": [{"unit": "a"}]},
        {"id": 1, "state": "done", "progress": [{"unit": "a"}, {"unit": "b"}]},
    ]
    text = http("GET", "/api/v1/runs/1/events", "operator").text
    assert text.count("event: run\n") == 3 and text.rstrip().endswith('event: end\ndata: {"state": "done"}')
    assert http("GET", "/api/v1/runs/1", "operator").json()["state"] == "done"
    assert http("GET", "/api/v1/runs/9/events", "operator").status_code == 404


def test_the_house_rests_while_paused(http: Http) -> None:
    assert http("POST", "/api/v1/deploy/pause", "operator", json={"why": "rest"}).json() == {"paused": True}
    assert http("POST", "/api/v1/deploy/resume", "operator", json={}).json() == {"paused": False}
    assert http("GET", "/api/v1/drift", "operator").json() == {"changes": ["drifted"]}
    assert http("GET", "/api/v1/runs/one", "operator").status_code == 400


def test_a_restart_goes_through_the_registry(http: Http) -> None:
    body = {"replica": "keystone.1@ctl-1", "why": "it hangs"}
    asked: list[Any] = []
    outcomes = [Outcome(True, "run-3"), Outcome(False, reason="the budget is spent")]
    http.rooms.actions.register(
        "deploy.restart", lambda request: asked.append(request) or outcomes.pop(0), "Restart."
    )
    answer = http("POST", "/api/v1/restart", "operator", json=body)
    assert (answer.status_code, answer.json()["reference"]) == (202, "run-3")
    assert (asked[0].entity, asked[0].who, asked[0].why) == (
        "replica/keystone.1@ctl-1",
        "operator",
        "it hangs",
    )
    refused = http("POST", "/api/v1/restart", "operator", json=body)
    assert (refused.status_code, refused.json()["message"]) == (409, "the budget is spent")


def test_a_proposed_remedy_is_approved_by_who_may(http: Http) -> None:
    path, body = "/api/v1/incidents/3/approve", {"action": "restart"}
    answer = http("POST", path, "operator", json=body)
    assert (answer.status_code, answer.json()["reference"]) == (202, "7")
    assert http.rooms.health.approved == [(3, "restart", "operator")]
    for role in ("viewer", "member", "agent"):
        refused = http("POST", path, role, json=body)
        assert (refused.status_code, refused.json()["error"]) == (403, "denied")
    assert http("POST", path, "operator", json={"action": "fence"}).status_code == 409
    assert http("POST", path, "operator", json={}).status_code == 400
    assert http("POST", "/api/v1/incidents/x/approve", "operator", json=body).status_code == 400
    assert len(http.rooms.health.approved) == 1
    http.rooms.health.outcome = Outcome(False, reason="the replica is gone")
    refused = http("POST", path, "operator", json=body)
    assert (refused.status_code, refused.json()["message"]) == (409, "the replica is gone")


def test_a_fault_waits_for_the_agents_answer(http: Http) -> None:
    queues = http.rooms.work

    def agent() -> None:
        work = next(queues.stream("ctl-1", 0, 5.0))
        queues.result("ctl-1", WorkResult(work.offset, work.key, "done", {"killed": work.body["replica"]}))

    thread = threading.Thread(target=agent)
    thread.start()
    fault = {"host": "ctl-1", "fault": "kill", "replica": "mariadb.1@ctl-1"}
    answer = http("POST", "/api/v1/faults", json=fault)
    thread.join()
    assert answer.json()["status"] == "done" and answer.json()["body"] == {"killed": "mariadb.1@ctl-1"}
    assert http("POST", "/api/v1/faults", json=fault | {"host": "../x"}).status_code == 400


def test_an_agent_fetches_the_secrets_of_its_host_alone(http: Http) -> None:
    path = "/api/v1/agent/secrets/"
    assert http("GET", path + "keystone-db", "agent").json() == {"value": "swordfish"}
    other = http.rooms.identity.create("agent-cmp-1", "agent", ["site"], host="cmp-1")[1]
    http.tokens["other"] = other
    assert http("GET", path + "keystone-db", "other").status_code == 404
    assert http("GET", path + "keystone-probe", "agent").status_code == 404  # declared, but not in the store
    assert http("GET", path + "token", "agent").status_code == 404


def test_tokens_are_made_told_once_and_ended(http: Http) -> None:
    body = {"name": "mia", "role": "operator", "tenants": ["site"], "ttl": "8h", "why": "on call"}
    made = http("POST", "/api/v1/tokens", json=body)
    assert made.status_code == 201 and made.json()["token"].startswith("wg_")
    http.tokens["mia"] = made.json()["token"]
    assert http("GET", "/api/v1/me", "mia").json()["role"] == "operator"
    listed = http("GET", "/api/v1/tokens").text
    assert "mia" in listed and made.json()["token"] not in listed
    assert http("POST", "/api/v1/tokens", json=body).status_code == 409
    assert http("DELETE", "/api/v1/tokens/mia").status_code == 200
    assert http("GET", "/api/v1/me", "mia").status_code == 401
    what = [one["what"] for one in http("GET", "/api/v1/ledger").json()["entries"]]
    assert what[:2] == ["token.revoke", "token.create"]
    seats = http("POST", "/api/v1/tokens/seats", json={"tenant": "resops"}).json()["seats"]
    assert [one["name"] for one in seats] == ["resops-01", "resops-02", "resops-03"]
    assert http("POST", "/api/v1/tokens/seats", json={"tenant": "nobody"}).status_code == 404


def test_settings_cost_and_backup(http: Http) -> None:
    told = http("GET", "/api/v1/settings", "operator").json()
    assert told["tenants"]["genomics"]["limits"]["series"] == 200_000 and "physics" not in told["tenants"]
    assert http("GET", "/api/v1/settings/cost").json()["cores"] == 0.1
    answer = http("GET", "/api/v1/backup")
    assert answer.content == b"a backup"
    assert not list(http.rooms.state.parent.glob(".weatherglass-*"))


def test_logs_are_searched_with_every_filter(http: Http) -> None:
    params = {
        "start": "-15m",
        "words": "refused",
        "entity": "service/keystone",
        "level": "error",
        "field": ["pid:7", "project:a:b"],
        "limit": "5",
        "before": "c",
    }
    told = http("GET", "/api/v1/logs/search", "member", params=params).json()
    assert told["events"][0]["message"] == "it broke" and told["next"] == "next-page"
    asked = http.rooms.logs.asked[-1]
    assert (
        asked["tenant"] == "genomics"
        and asked["level"] == "ERROR"
        and asked["before"] == "c"
        and asked["limit"] == 5
    )
    assert asked["fields"] == {"pid": "7", "project": "a:b"}
    assert asked["end_ns"] - asked["start_ns"] == 15 * 60 * 10**9
    told = http("GET", "/api/v1/logs/histogram", params={"start": "-1h", "buckets": "2"}).json()
    assert told == {"buckets": [{"start_ns": 0, "counts": {"ERROR": 1}}]}
    for wrong in ({"field": "x"}, {"start": "0", "end": "-"}, {"limit": "0"}, {"start": "now", "end": "0"}):
        assert http("GET", "/api/v1/logs/search", params=wrong).status_code == 400


def test_the_openapi_page_tells_every_route_of_ours(http: Http) -> None:
    told = http("GET", "/api/v1/openapi.json").json()
    for path in (
        "/api/v1/status",
        "/api/v1/apply",
        "/api/v1/logs/search",
        "/api/v1/live",
        "/api/v1/tokens/{id}",
    ):
        assert all(how["summary"] for how in told["paths"][path].values())


def test_what_it_counts_of_itself_reads_as_prometheus_text(http: Http) -> None:
    http("GET", "/api/v1/entities/service/keystone")
    http("GET", "/prometheus/api/v1/label/job/values")
    text = http("GET", "/-/metrics", "viewer").text
    assert 'route="/prometheus/api/v1/label/{name}/values",method="GET",code="200"} 1' in text
    assert (
        'weatherglass_http_requests_total{route="/api/v1/entities/{id:path}",method="GET",code="200"} 1'
        in text
    )
    assert "weatherglass_metrics_series 7\n" in text
    assert (
        'weatherglass_metrics_tenant_series{tenant="genomics"} 5\n' in text
        and "process_resident_memory_bytes " in text
    )
    for row in text.splitlines():
        assert row.startswith("# ") or (row.rsplit(" ", 1)[0] and float(row.rsplit(" ", 1)[1]) >= 0)
