"""Keystone's users ask PromQL: the real clients of OpenStack against `/aetos`, each seeing their project alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from openstack import configs
from openstack.conftest import Watching
from openstack.driver import Driver
from peers import venv

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def demo(openstack: Driver) -> Driver:
    return Driver(openstack.cloud, "demo", "demo")


@pytest.fixture(scope="module")
def servers(openstack: Driver, demo: Driver, watching: Watching) -> Iterator[dict[str, str]]:
    """One server of each project, the cloud watched, and `metric-storage` in the catalogue."""
    share = {
        "rbac_policy": {
            "object_type": "network",
            "object_id": openstack.network,
            "target_tenant": "*",
            "action": "access_as_shared",
        }
    }
    openstack.ask("POST", "neutron", "/v2.0/rbac-policies", share)
    demo.image, demo.flavors, demo.network = openstack.image, openstack.flavors, openstack.network
    found = {"admin": openstack.create_server("of-admin"), "demo": demo.create_server("of-demo")}
    openstack.register("aetos", "metric-storage", f"{watching.url}/aetos")
    told = watching.http.post("/api/v1/openstack/clouds", json={"name": "real", "entry": watching.entry})
    assert told.status_code == 201, told.text
    yield found
    for server in found.values():
        openstack.delete_server(server)


def asked(watching: Watching, token: str, path: str, **params: Any) -> httpx.Response:
    return httpx.get(
        f"{watching.url}/aetos/api/v1/{path}", headers={"X-Auth-Token": token}, params=params, timeout=30
    )


def ids(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {one["metric"]["id"] for one in answer.json()["data"]["result"]}


QUERY = "openstack_nova_server_status"


def test_a_member_sees_the_project_and_an_admin_all(
    watching: Watching, openstack: Driver, demo: Driver, servers: dict[str, str]
) -> None:
    assert ids(asked(watching, demo.token, "query", query=QUERY)) == {servers["demo"]}
    assert ids(asked(watching, openstack.token, "query", query=QUERY)) >= set(servers.values())
    sly = f'{QUERY}{{project="{openstack.project_id}"}}'
    assert ids(asked(watching, demo.token, "query", query=sly)) == set()
    values = asked(watching, demo.token, "label/project/values").json()["data"]
    assert values == [demo.project_id]
    assert asked(watching, demo.token, "query", query="up").json()["data"]["result"] == []


@pytest.mark.parametrize(
    "path", ["series?match[]=up", "admin/tsdb/snapshot", "admin/tsdb/delete_series?match[]=up"]
)
def test_what_a_member_may_not(watching: Watching, demo: Driver, servers: dict[str, str], path: str) -> None:
    method = "POST" if "admin" in path else "GET"
    answer = httpx.request(
        method, f"{watching.url}/aetos/api/v1/{path}", headers={"X-Auth-Token": demo.token}
    )
    if method == "POST":
        assert answer.status_code == 403
    else:
        assert answer.json()["data"] == []


@pytest.mark.parametrize(
    "path", ["/prometheus/api/v1/query?query=up", "/api/v1/entities", "/gnocchi/v1/metric", "/"]
)
def test_a_token_of_keystone_opens_no_other_door(
    watching: Watching, openstack: Driver, servers: dict[str, str], path: str
) -> None:
    answer = httpx.get(watching.url + path, headers={"X-Auth-Token": openstack.token})
    assert answer.status_code == 401


def test_tokens_that_do_not_hold(watching: Watching, openstack: Driver, servers: dict[str, str]) -> None:
    assert asked(watching, "made-up", "query", query="up").status_code == 401
    assert asked(watching, "", "query", query="up").status_code == 401
    other = Driver(openstack.cloud, "demo", "demo")
    assert asked(watching, other.token, "query", query="up").status_code == 200
    before = len(watching.recorder.asked)
    for _ in range(5):
        assert asked(watching, other.token, "query", query="up").status_code == 200
    checks = [
        one for one in watching.recorder.asked[before:] if one.path.startswith("/v3/auth/tokens?nocatalog")
    ]
    assert checks == []  # remembered


def test_keystone_gone_is_not_a_refusal(
    watching: Watching, openstack: Driver, servers: dict[str, str]
) -> None:
    watching.recorder.down["keystone"] = 503
    try:
        assert asked(watching, "never-seen", "query", query="up").status_code == 503
    finally:
        del watching.recorder.down["keystone"]


def ran(argv: list[str], text: str, **more: str) -> Any:
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **more}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_python_observabilityclient(
    watching: Watching, openstack: Driver, demo: Driver, servers: dict[str, str]
) -> None:
    keystone = f"{openstack.cloud.url('keystone')}/v3"
    argv = [str(venv("openstack") / "python"), str(CLIENTS / "use_observability.py"), keystone]
    queries = json.dumps([QUERY, f"count({QUERY})", f"sum by (project) ({QUERY} * 0 + 1)"])
    mine = ran([*argv, "demo", configs.PASSWORD, "demo"], queries)
    assert QUERY in mine["list"] and "openstack_nova_agent_state" not in mine["list"]
    assert [one["id"] for one, _ in mine["queries"][0]] == [servers["demo"]]
    assert mine["queries"][1] == [[{}, "1"]]
    assert mine["queries"][2] == [[{"project": demo.project_id}, "1"]]
    assert mine["projects"] == [demo.project_id] and QUERY in mine["own"]
    assert "HTTP 403" in mine["delete"]
    whole = ran([*argv, "admin", configs.PASSWORD, "admin"], queries)
    assert "openstack_nova_agent_state" in whole["list"]
    assert {one["id"] for one, _ in whole["queries"][0]} >= set(servers.values())
    assert whole["delete"] == "done"


def test_aodh_evaluates_prometheus_alarms(
    watching: Watching, openstack: Driver, demo: Driver, servers: dict[str, str], tmp_path: Path
) -> None:
    conf = tmp_path / "aodh.conf"
    credentials = {**configs.credentials("nova", openstack.cloud.ports), "interface": "public"}
    conf.write_text(configs.ini({"service_credentials": credentials}))
    rule = {"query": f"count({QUERY})", "threshold": 1, "comparison_operator": "gt", "evaluation_periods": 1}
    own = {
        **rule,
        "query": QUERY,
        "comparison_operator": "ge",
        "threshold": 0,
        "scope_to_project": demo.project_id,
    }
    argv = [str(venv("openstack") / "python"), str(CLIENTS / "aodh_prometheus.py"), str(conf)]
    found = ran(
        argv, json.dumps([rule, {**rule, "threshold": 100}, own, {**rule, "query": "nothing_at_all"}])
    )
    assert found[0][0] == "alarm" and found[1][0] == "ok"
    assert found[2] == ["alarm", [0.0]]  # the one server of the project
    assert found[3][0] == "insufficient data"


def test_cloudkitty_collects(
    watching: Watching, openstack: Driver, demo: Driver, servers: dict[str, str]
) -> None:
    if not Path("/usr/lib/python3/dist-packages/cloudkitty").exists():
        pytest.skip("CloudKitty is not installed (Debian: python3-cloudkitty)")
    token = watching.http.headers["Authorization"].removeprefix("Bearer ")
    argv = ["/usr/bin/python3", str(CLIENTS / "cloudkitty_collect.py"), f"{watching.url}/prometheus/api/v1"]
    found = ran([*argv, token, "openstack_nova_server_local_gb", demo.project_id], "")
    ((group, metadata, quantity),) = found
    assert group["project"] == demo.project_id and group["id"] == servers["demo"]
    assert (metadata, quantity) == ({"name": "of-demo"}, 1.0)
