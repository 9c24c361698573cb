"""Gnocchi's real clients against our server: its command line, Ceilometer's publisher, Aodh's evaluators."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conformance.serving import served

from gnocchi.fake_keystone import fake_keystone
from peers import venv

CLIENTS = Path(__file__).parent / "clients"


def ran(command: list[str | Path], **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


class Cli:
    """`gnocchi …`, with its answers as JSON."""

    def __init__(self, url: str) -> None:
        self._url, self._program = url, venv("openstack") / "gnocchi"

    def __call__(self, *words: str, form: bool = True, user: str = "admin") -> Any:
        auth = ["--os-auth-plugin", "gnocchi-basic", "--user", user, "--endpoint", self._url]
        out = ran([self._program, *auth, *words, *(["-f", "json"] if form else [])])
        return json.loads(out) if form else out

    def fails(self, *words: str) -> str:
        auth = ["--os-auth-plugin", "gnocchi-basic", "--user", "admin", "--endpoint", self._url]
        done = subprocess.run([self._program, *auth, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode != 0
        return done.stderr + done.stdout


def test_command_line() -> None:
    with served(bare=False) as (port, _, _):
        gnocchi = Cli(f"http://127.0.0.1:{port}/gnocchi")
        assert {one["name"] for one in gnocchi("archive-policy", "list")} >= {"bool", "low", "medium", "high"}
        assert gnocchi("archive-policy-rule", "list")[0]["archive_policy_name"] == "low"
        made = gnocchi(
            "archive-policy", "create", "fine", "-d", "granularity:1s,points:100", "-m", "mean", "-m", "max"
        )
        assert "mean" in made["aggregation_methods"]
        kind = ["resource-type", "create", "rack", "-a", "name:string:true:max_length=20"]
        assert gnocchi(*kind)["state"] == "active"
        resource = gnocchi("resource", "create", "r1", "--type", "rack", "-a", "name:left", "-n", "temp:fine")
        assert resource["original_resource_id"] == "r1"
        moments = ["2026-01-01T00:00:00@20", "2026-01-01T00:00:01@22"]
        gnocchi("measures", "add", "temp", "-r", "r1", *(w for m in moments for w in ("-m", m)), form=False)
        shown = gnocchi("measures", "show", "temp", "-r", "r1")
        assert [one["value"] for one in shown] == [20.0, 22.0]
        assert gnocchi("resource", "search", "name = 'left'", "--type", "rack")[0]["id"] == resource["id"]
        crossed = gnocchi(
            "aggregates", "(aggregate mean (metric temp max))", "name = 'left'", "--resource-type", "rack"
        )
        assert [one["value"] for one in crossed] == [20.0, 22.0]
        assert gnocchi("status")["storage/total number of measures to process"] == 0
        assert "does not exist" in gnocchi.fails("metric", "show", "nothing", "-r", "r1")
        assert "already exists" in gnocchi.fails(
            "archive-policy", "create", "fine", "-d", "granularity:1s,points:9"
        )
        gnocchi("resource", "delete", "r1", form=False)
        assert gnocchi("resource", "list", "--type", "rack") == []


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(our address, a configuration of Ceilometer's and Aodh's) with Keystone as the log-in."""
    with fake_keystone() as (keystone, told):
        monkeypatch.setenv("OS_AUTH_URL", keystone)
        with served(no_auth=False, bare=False, gnocchi_auth="keystone") as (port, _, _):
            url = told[0] = f"http://127.0.0.1:{port}/gnocchi"
            yield url, tmp_path


def configured(folder: Path, user: str) -> Path:
    path = folder / f"{user}.conf"
    path.write_text(
        "[DEFAULT]\nlog_file = /dev/null\n[service_credentials]\nauth_type = password\n"
        f"auth_url = {os.environ['OS_AUTH_URL']}/v3\nusername = {user}\npassword = x\nproject_name = service\n"
        "user_domain_name = Default\nproject_domain_name = Default\nregion_name = RegionOne\n"
        "interface = internalURL\n"
    )
    return path


def asked(url: str, path: str, user: str = "admin", **more: Any) -> Any:
    method = "POST" if "json" in more else "GET"
    answer = httpx.request(method, url + path, headers={"X-Auth-Token": f"token-{user}"}, **more)
    assert answer.status_code < 400, answer.text
    return answer.json()


def test_ceilometer_publishes(cloud: tuple[str, Path]) -> None:
    url, folder = cloud
    script, configuration = CLIENTS / "ceilometer_publish.py", configured(folder, "ceilometer")

    def ceilometer(what: str) -> None:
        ran([venv("openstack") / "python", script, configuration, what])

    ceilometer("upgrade")
    types = {one["name"]: one for one in asked(url, "/v1/resource_type")}
    assert len(types) >= 22
    ceilometer("upgrade")  # finds everything done
    ceilometer("samples")
    [instance] = asked(url, "/v1/resource/instance")
    assert instance["display_name"] == "vm"
    assert set(instance["metrics"]) == {"cpu", "memory.usage"}
    cpu = asked(url, f"/v1/metric/{instance['metrics']['cpu']}/measures?aggregation=mean&granularity=300")
    assert cpu[0][2] == 1e9
    ceilometer("changed")
    revisions = asked(url, f"/v1/resource/instance/{instance['id']}/history")
    assert [one["flavor_id"] for one in revisions][-1] == "large"
    ceilometer("deleted")
    assert asked(url, f"/v1/resource/instance/{instance['id']}")["ended_at"] is not None
    # whose project it is may read it; nobody else finds it
    assert [one["id"] for one in asked(url, "/v1/resource/instance", "alice")] == [instance["id"]]
    assert asked(url, "/v1/resource/instance", "bob") == []
    refused = httpx.get(f"{url}/v1/resource/instance/{instance['id']}", headers={"X-Auth-Token": "token-bob"})
    assert refused.status_code == 403
    unknown = httpx.get(f"{url}/v1/resource/instance", headers={"X-Auth-Token": "made-up"})
    assert unknown.status_code == 401


def test_aodh_evaluates(cloud: tuple[str, Path]) -> None:
    url, folder = cloud
    resources = []
    for name in ("a", "b"):
        body = {"id": name, "metrics": {"load": {"archive_policy_name": "high"}}}
        resources.append(asked(url, "/v1/resource/generic", json=body))
    batch = {
        one["metrics"]["load"]: [
            {"timestamp": f"2026-01-01T00:{minute:02}:00", "value": base} for minute in range(5)
        ]
        for one, base in zip(resources, (10.0, 30.0), strict=True)
    }
    sent = httpx.post(f"{url}/v1/batch/metrics/measures", headers={"X-Auth-Token": "token-admin"}, json=batch)
    assert sent.status_code == 202
    rule = {
        "metric": "load", "granularity": 60, "aggregation_method": "mean", "threshold": 15.0,
        "comparison_operator": "gt", "evaluation_periods": 3, "resource_type": "generic",
    }  # fmt: skip
    span = ("2026-01-01T00:00:00", "2026-01-01T00:10:00")
    one = "GnocchiResourceThresholdEvaluator"
    questions = [
        [one, {**rule, "resource_id": resources[0]["id"]}, *span],
        [one, {**rule, "resource_id": resources[1]["id"]}, *span],
        [one, {**rule, "resource_id": resources[1]["id"], "metric": "nothing"}, *span],
        [
            "GnocchiAggregationResourcesThresholdEvaluator",
            {**rule, "query": json.dumps({"in": {"id": [r["id"] for r in resources]}})},
            *span,
        ],
        [
            "GnocchiAggregationMetricsThresholdEvaluator",
            {**rule, "metrics": [r["metrics"]["load"] for r in resources]},
            *span,
        ],
    ]
    found = json.loads(
        ran(
            [venv("openstack") / "python", CLIENTS / "aodh_evaluate.py", configured(folder, "aodh")],
            input=json.dumps(questions),
        ).splitlines()[-1]
    )
    assert found[0] == ["ok", [10.0, 10.0, 10.0]]
    assert found[1] == ["alarm", [30.0, 30.0, 30.0]]
    assert found[2][0] == "insufficient data"
    assert found[3] == ["alarm", [20.0, 20.0, 20.0]]
    assert found[4] == ["alarm", [20.0, 20.0, 20.0]]  # two metrics: a 400 in Gnocchi itself
