"""`weatherglass adopt`: looked at from the command line alone, and watched by a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openstack.conftest import Watching
from openstack.driver import Driver
from openstack.recorder import Recorder


def adopt(*arguments: str, url: str = "", token: str = "") -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEATHERGLASS_")}
    environment |= {"WEATHERGLASS_URL": url, "WEATHERGLASS_TOKEN": token} if url else {}
    done = subprocess.run(
        [sys.executable, "-m", "weatherglass", "adopt", *arguments],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def clouds(recorder: Recorder, tmp_path: Path) -> str:
    path = tmp_path / "clouds.yaml"
    path.write_text(recorder.clouds_yaml)
    return str(path)


def writes(recorder: Recorder, since: int) -> set[tuple[str, str]]:
    return {(one.method, one.path) for one in recorder.asked[since:] if one.method != "GET"}


def test_a_dry_run_reads_once_and_needs_no_server(openstack: Driver, recorder: Recorder, clouds: str) -> None:
    server = openstack.create_server("looked-at")
    since = len(recorder.asked)
    code, out, err = adopt("--clouds", clouds, "--cloud", "admin", "--dry-run", "--json")
    assert code == 0, err
    told: dict[str, Any] = json.loads(out)
    assert told["failed"] == {} and told["counts"]["server"] >= 1 and told["counts"]["hypervisor"] == 1
    assert told["edges"] > 10 and told["samples"] > 100
    assert writes(recorder, since) == {("POST", "/v3/auth/tokens")}
    openstack.delete_server(server)
    code, out, err = adopt("--clouds", clouds, "--cloud", "admin", "--dry-run")
    assert code == 0 and "admin would be watched" in out and "Nothing is changed there." in out


def test_a_project_s_member_is_told_what_they_may_not_see(recorder: Recorder, clouds: str) -> None:
    code, out, err = adopt("--clouds", clouds, "--cloud", "demo", "--dry-run", "--json")
    told = json.loads(out)
    assert code == 0 and told["failed"] == {}, (told["failed"], err)
    assert "nova.hypervisors" in told["denied"] and "identity.users" in told["denied"]
    assert told["counts"]["network"] >= 0 and "hypervisor" not in told["counts"]


def test_a_server_watches_and_forgets(watching: Watching, clouds: str) -> None:
    token = watching.http.headers["Authorization"].removeprefix("Bearer ")
    at = {"url": watching.url, "token": token}
    code, out, err = adopt("--clouds", clouds, "--cloud", "admin", "--name", "mine", **at)
    assert code == 0 and "mine is watched" in out, err
    (told,) = watching.get("/api/v1/openstack/clouds")["clouds"]
    assert told["cloud"] == "mine" and told["failed"] == {}
    kept = watching.house.options.state / "openstack" / "clouds.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    (entry,) = [one for one in watching.house.ledger.read() if one.what == "cloud.adopt"]
    assert "not-a-secret" not in repr(entry)
    assert "hypervisor/fake1" in watching.house.inventory.graph().entities
    code, out, err = adopt("--clouds", clouds, "--cloud", "admin", "--name", "mine", "--forget", **at)
    assert code == 0, err
    assert "hypervisor/fake1" not in watching.house.inventory.graph().entities
    assert watching.query("openstack_nova_up") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("not-a-secret", "wrong"), "Keystone does not let us in"),
        (lambda text: text.replace("/v3", ":1/v3"), "Keystone"),
        (lambda text: "clouds: {}", "there are no clouds"),
    ],
)
def test_what_cannot_be_adopted_is_said(clouds: str, change: Any, said: str) -> None:
    path = Path(clouds)
    path.write_text(change(path.read_text()))
    code, out, err = adopt("--clouds", clouds, "--cloud", "admin", "--dry-run")
    assert code != 0 and said in out + err
