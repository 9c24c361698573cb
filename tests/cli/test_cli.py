"""Every verb once for real: what it prints, what it asks the server, how it ends."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from gateway.test_ours import SITE

from cli.conftest import Live, run
from weatherglass.cli import exits, root
from weatherglass.inventory import Evidence, Incident, Moment, State, StateRecord


def test_help_comes_quickly_and_teaches() -> None:
    def spent() -> float:  # CPU, not the wall: other tests may run beside this one
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for _ in range(3):
        begin = spent()
        told = run("--help")
        took.append(spent() - begin)
    assert min(took) < 0.3
    assert told.code == 0 and "Exit codes" in told.out and "weatherglass up" in told.out
    for code, meaning in exits.EXITS.items():
        assert f"{code} {meaning}" in " ".join(told.out.replace("│", "").split())


@pytest.mark.parametrize("name", root.names())
def test_every_verb_has_an_example(name: str) -> None:
    command = root.load(name)
    commands = [command, *getattr(command, "commands", {}).values()]
    for one in commands:
        assert "Example: " in one.help and "weatherglass" in one.help, one.name
    told = run("plan", "--help") if name == "plan" else None
    assert told is None or "Example: weatherglass plan site.yaml" in told.out


def test_a_verb_loads_no_other_and_the_agent_nothing_of_ours() -> None:
    code = textwrap.dedent("""
        import sys
        from weatherglass.cli.main import main
        main(sys.argv[1:])
        print("LOADED", *sys.modules)
    """)

    def loaded(*arguments: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=30
        )
        return set(done.stdout.split("LOADED")[1].split())

    modules = loaded("schema")
    assert "weatherglass.cli.verbs.schema" in modules
    assert not modules & {"weatherglass.cli.verbs.up", "httpx", "sqlalchemy", "fastapi", "numpy"}
    code = code.replace("main(sys.argv[1:])", "\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass")
    modules = loaded("agent", "--help")
    assert "weatherglass.agent" in modules
    assert not modules & {"typer", "rich", "fastapi", "sqlalchemy", "yaml", "numpy", "weatherglass.cli.root"}


@pytest.mark.parametrize(
    "line", [["stat"], ["nonsense"], ["query"], ["logs", "--limit", "0"], ["check"], ["token", "x"]]
)
def test_a_wrong_command_line_is_told_as_one(line: list[str]) -> None:
    told = run(*line)
    assert (told.code, told.out) == (exits.USAGE, "")
    assert told.err.startswith("weatherglass: ") and "Traceback" not in told.err
    if line == ["stat"]:
        assert "Did you mean 'status'?" in told.err


def test_check_tells_all_that_is_wrong_and_where(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    assert run("check", str(file)).code == 0
    assert run("check", str(file), "--json").json["services"] == 2
    file.write_text(
        SITE.replace("needs: [mariadb]", "needs: [mariadbb]").replace("series: 200k", "series: lots")
    )
    told = run("check", str(file))
    assert told.code == exits.FAILED and "2 problems" in told.out
    assert "site.yaml:" in told.out and "→" in told.out and "mariadb" in told.out
    assert len(run("check", str(file), "--json").json["problems"]) == 2
    assert run("check", str(tmp_path / "none.yaml")).code == exits.FAILED


def test_without_a_server_the_way_out_is_told(tmp_path: Path) -> None:
    told = run("status", "--state", str(tmp_path))
    assert told.code == exits.NO_SERVER and f"weatherglass up SITE --state {tmp_path}" in told.err
    gone = {"WEATHERGLASS_URL": "http://127.0.0.1:9", "WEATHERGLASS_TOKEN": "x"}
    told = run("status", **gone)
    assert told.code == exits.NO_SERVER and "does not answer" in told.err
    assert run("status", WEATHERGLASS_URL="http://127.0.0.1:9").code == exits.REFUSED
    assert run("status", **(gone | {"WEATHERGLASS_URL": "not an address"})).code == exits.NO_SERVER


def test_the_server_by_environment_and_its_refusals(live: Live) -> None:
    def by(role: str, *line: str) -> Any:
        return run(*line, WEATHERGLASS_URL=live.url, WEATHERGLASS_TOKEN=live.tokens.get(role, "wrong"))

    assert by("viewer", "status", "--json").json["site"] == "aurora"
    told = by("viewer", "apply", "--yes")
    assert told.code == exits.REFUSED and "use an operator token or above" in told.err
    assert by("nobody", "status").code == exits.REFUSED


def test_status_and_incidents(live: Live) -> None:
    now = live.rooms.clock.now_ns()
    why = (Evidence("probe", "connection refused"),)
    live.rooms.inventory.publish_states([StateRecord("service/mariadb", State.DEAD, now, now, why)])
    story = (Moment(now, "First sign", "mariadb does not answer", ("service/mariadb",)),)
    live.rooms.inventory.publish_incident(
        Incident(
            1,
            now,
            cause="service/mariadb",
            kind="dead",
            affected=("service/mariadb",),
            moments=story,
            sentence="mariadb died [now].",
        )
    )
    told = live("status")
    assert told.code == 0
    for part in ("aurora", "All is well with keystone.", "dead", "connection refused", "mariadb died [now]."):
        assert part in told.out
    assert "mariadb died [now]." in live("incidents").out
    told = live("incidents", "1")
    assert "First sign: mariadb does not answer" in told.out and "service/mariadb (dead)" in told.out
    assert live("incidents", "1", "--json").json["kind"] == "dead"
    missing = live("incidents", "9")
    assert missing.code == exits.FAILED and "there is no incident 9" in missing.err


def test_a_proposed_remedy_is_approved_after_a_question(live: Live) -> None:
    now, health = live.rooms.clock.now_ns(), live.rooms.health
    cause = "replica/mariadb.1@ctl-1"
    step = {
        "remedy": "restart", "action": "deploy.restart", "entity": cause, "state": "proposed",
        "reason": "the site wants a yes before restart", "asked_ns": now,
    }  # fmt: skip
    live.rooms.inventory.publish_incident(
        Incident(
            2, now, cause=cause, kind="dead", affected=(cause,), remedies=(step,), sentence="mariadb died."
        )
    )
    assert "weatherglass incidents 2 --approve restart" in live("incidents", "2").out
    no = run("incidents", "2", "--approve", "restart", "--state", str(live.state), given="n\n")
    assert no.code != 0 and "wants a yes" in no.out and "may be felt by service/mariadb" in no.out
    assert health.approved == []
    yes = live("incidents", "2", "--approve", "restart", "--yes")
    assert yes.code == 0 and "approved: restart" in yes.out
    assert health.approved == [(2, "restart", "admin")]
    assert live("incidents", "2", "--approve", "fence", "--yes").code == exits.CONFLICT
    assert live("incidents", "--approve", "restart").code == exits.FAILED
    seen = {"WEATHERGLASS_URL": live.url, "WEATHERGLASS_TOKEN": live.tokens["viewer"]}
    refused = run("incidents", "2", "--approve", "restart", "--yes", **seen)
    assert refused.code != 0 and "use an operator token" in refused.err
    assert len(health.approved) == 1


PLAN = {
    "generation": "g2",
    "observed": "o1",
    "notes": ["a note"],
    "changes": [
        {
            "unit": "replica:keystone.1@ctl-1", "action": "replace", "takes_down": ["tenant/genomics"], "undo": "yes",
            "reasons": [{"attribute": "image", "old": "a", "new": "b"}],
        }
    ],
}  # fmt: skip


def view(state: str, *texts: str, **more: Any) -> dict[str, Any]:
    items = [{"at_ns": at + 1, "text": text, "level": "info", "entity": ""} for at, text in enumerate(texts)]
    whole = {"id": 1, "state": state, "fraction": 0.5, "items": items, "started_ns": 0, "ended_ns": 9 * 10**9}
    return whole | {"generation": 2, "error": "", "mend": ""} | more


@pytest.fixture
def deploy(live: Live, monkeypatch: pytest.MonkeyPatch) -> Any:
    fake = live.rooms.deploy
    fake.called.clear()
    fake.views[:] = [view("running", "pull keystone"), view("done", "pull keystone", "start keystone.1")]
    monkeypatch.setattr(fake, "plan", lambda source=None: PLAN)
    return fake


def test_plan_has_an_exit_code_of_its_own(live: Live, deploy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = live("plan")
    assert told.code == exits.CHANGES
    for part in (
        "replace",
        "replica:keystone.1@ctl-1",
        "image: a → b",
        "takes down tenant/genomics",
        "1 to replace",
        "a note",
    ):
        assert part in told.out
    assert live("plan", "--json").json == PLAN
    monkeypatch.setattr(deploy, "plan", lambda source=None: PLAN | {"changes": []})
    assert live("plan").code == 0
    assert live("apply").code == 0 and deploy.called == []


def test_apply_asks_tells_and_is_bound_to_its_plan(live: Live, deploy: Any) -> None:
    told = live("apply", "site.yaml", "--why", "newer", given="n\n")
    assert told.code == exits.INTERRUPTED and deploy.called == []
    told = live("apply", "site.yaml", "--why", "newer", given="y\n")
    assert told.code == 0 and "start keystone.1" in told.out and "generation 2 is live" in told.out
    assert told.out.count("pull keystone") == 1
    assert deploy.called == [("apply", Path("site.yaml").resolve(), "admin", "newer", PLAN)]
    assert live("apply", "--json").code == exits.FAILED
    deploy.views[:] = [view("failed", "pull", error="no such image", mend="name another")]
    told = live("apply", "--yes")
    assert told.code == exits.FAILED and "no such image" in told.out and "name another" in told.out
    deploy.views[:] = [view("done")]
    assert live("rollback", "--to", "3", "--json").json["state"] == "done"
    assert deploy.called[-1] == ("rollback", "admin", 3)


def test_query_in_all_its_forms(live: Live) -> None:
    told = live("query", "up")
    assert told.code == 0 and "up{}" in told.out
    data = live("query", "up", "--start", "-1h", "--step", "30s", "--json").json
    assert data["resultType"] == "matrix"
    tenant, expr, start, end, step = live.rooms.metrics.asked[-1]
    assert (tenant, expr, step) == ("site", "up", 30_000) and abs(end - start - 3_600_000) <= 1
    live("query", "up", "--at", "2026-11-22T14:02:11Z")
    assert live.rooms.metrics.asked[-1][2] == 1_795_356_131_000
    assert live("query", "up", "--at", "someday").code == exits.FAILED
    assert live("query", "up", "--start", "now", "--end", "-1h").code == exits.FAILED


def test_logs_and_following_them(live: Live) -> None:
    told = live("logs", "it", "broke", "--entity", "service/keystone", "--level", "error", "--since", "1h")
    assert told.code == 0 and "keystone  it broke" in told.out
    asked = live.rooms.logs.asked[-1]
    assert (asked["words"], asked["entity"], asked["level"]) == ("it broke", "service/keystone", "ERROR")
    assert live("logs", "--json").json["events"][0]["message"] == "it broke"
    assert live("logs", "--since", "whenever").code == exits.FAILED
    following = subprocess.Popen(
        [sys.executable, "-m", "weatherglass.cli.main", "logs", "--follow", "--state", str(live.state)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert following.stdout is not None and "it broke" in following.stdout.readline()
    following.send_signal(2)
    rest, _ = following.communicate(timeout=10)
    assert following.returncode == exits.INTERRUPTED and "it broke" not in rest


def test_tokens_made_listed_and_ended(live: Live, tmp_path: Path) -> None:
    made = live("token", "create", "mia", "--role", "operator", "--ttl", "8h")
    text = made.out.strip()
    assert made.code == 0 and live.rooms.identity.resolve(text).name == "mia"
    assert live("token", "create", "mia").code == exits.CONFLICT
    listed = live("token", "list")
    assert "mia" in listed.out and text not in listed.out
    assert live("token", "revoke", "mia").code == 0
    assert live("token", "revoke", "mia").code == exits.FAILED
    out = tmp_path / "agent.token"
    made = live("token", "create", "--role", "agent", "--host", "cmp-1", "--out", str(out))
    assert (made.code, made.out) == (0, "") and out.stat().st_mode & 0o777 == 0o600
    assert live.rooms.identity.resolve(out.read_text().strip()).host == "host/cmp-1"
    assert len(live("token", "create", "--seats", "resops", "--json").json["seats"]) == 3
    assert live("token", "create").code == exits.FAILED


def test_open_prints_an_address_that_logs_in_once(live: Live) -> None:
    import httpx

    address = live("open").out.strip()
    assert address.startswith(live.url + "/login?ticket=")
    assert "wg_session" in httpx.get(address).headers["set-cookie"]
    assert "wg_session" not in httpx.get(address).headers.get("set-cookie", "")


def test_backup_of_a_running_server_is_whole_or_not_there(live: Live, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    told = live("backup", str(file), "--json")
    assert told.json == {"file": str(file), "bytes": 8} and file.read_bytes() == b"a backup"
    assert file.stat().st_mode & 0o777 == 0o600 and list(tmp_path.iterdir()) == [file]
    assert live("backup", str(file)).code == exits.CONFLICT


def test_backup_and_restore_of_a_state_at_rest(tmp_path: Path) -> None:
    from weatherglass.engine.tables import Tables
    from weatherglass.identity import ROOM

    state, file, again = tmp_path / "state", tmp_path / "a.backup", tmp_path / "again"
    state.mkdir()
    tables = Tables(state / "tables.db")
    tables.migrate(ROOM)
    tables.close()
    (state / "token").write_text("wg_x")
    assert run("backup", str(file), "--state", str(state)).code == 0
    told = run("restore", str(file), "--state", str(again))
    assert told.code == 0 and f"weatherglass up --state {again}" in told.out
    assert (again / "token").read_text() == "wg_x" and (again / "tables.db").exists()
    assert run("restore", str(file), "--state", str(again)).code != 0


def test_schema_and_completion() -> None:
    assert run("schema").json["title"] == "Weatherglass site"
    for shell in ("bash", "zsh", "fish"):
        assert "_WEATHERGLASS_COMPLETE" in run("completion", shell).out
    completed = run(_WEATHERGLASS_COMPLETE="complete_bash", COMP_WORDS="weatherglass st", COMP_CWORD="1")
    assert "status" in completed.out


def test_up_refuses_what_it_cannot_run(tmp_path: Path) -> None:
    state = tmp_path / "state"
    told = run("up", "--only", "portal", "--state", str(state))
    assert told.code == exits.FAILED and "'portal' is not a part" in told.err
    file = tmp_path / "site.yaml"
    file.write_text("site: a\nhosts: 7\n")
    told = run("up", str(file), "--state", str(state), "--listen", "127.0.0.1:0")
    assert told.code == exits.FAILED and "site.yaml:2" in told.err
    assert not (state / "tables.db").exists()


def test_drills_are_listed_without_a_server_and_run_against_one(tmp_path: Path) -> None:
    told = run("drill", "list")
    assert told.code == 0 and "kill-store" in told.out
    assert run("drill", "run", "kill-store", "--state", str(tmp_path)).code == exits.NO_SERVER
    for line in (["drill", "run"], ["drill", "kill-store"], ["drill", "list", "x"]):
        assert run(*line).code == exits.USAGE


def test_down_of_a_state_that_is_not_there(tmp_path: Path) -> None:
    told = run("down", "--state", str(tmp_path / "none"))
    assert told.code == exits.FAILED and "no such state folder" in told.err
