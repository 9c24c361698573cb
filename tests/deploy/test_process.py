"""The process runtime for real: a server of Python's, started, watched, killed, hung, adopted, cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.support import (
    SECRETS,
    TEMPLATES,
    answers,
    body,
    executor,
    fetch,
    free_port,
    made,
    quiet,
    service,
    site,
    until,
    web,
)  # fmt: skip
from weatherglass.base.errors import Invalid, NotFound
from weatherglass.deploy import proc
from weatherglass.deploy.execute import Executor
from weatherglass.deploy.memory import Memory
from weatherglass.deploy.plan import plan
from weatherglass.engine.protocols import Running

WEB = "web.1@h1"


def deploy(hands: Executor, port: int, **fields: object) -> dict:
    wanted = made(site(web(port, **fields), templates=TEMPLATES))
    answer = hands.converge(body(wanted), quiet)
    assert answer["ok"], answer["failed"]
    assert not plan(wanted, hands.observe())
    return wanted


def test_from_a_site_to_a_server_that_answers_with_its_secret(hands: Executor, state: Path) -> None:
    port, lines = free_port(), []
    wanted = made(site(web(port), templates=TEMPLATES))
    assert SECRETS["page"] not in str([unit.to_json() for unit in wanted.values()])
    answer = hands.converge(body(wanted), lambda share, line: lines.append((share, line)))
    assert answer["ok"]
    until(lambda: answers(port))
    assert fetch(port) == f"aurora {WEB} {SECRETS['page']}\n"
    assert [line for _, line in lines] == [f"starting {WEB}"]
    assert (state / "services" / WEB / "files/srv/page.txt").stat().st_mode & 0o777 == 0o600
    seen = hands.replicas()[0]
    assert (seen.replica, seen.state, seen.restarts) == (WEB, Running.RUNNING, 0)
    assert seen.pid > 1 and 0 < seen.limits["fd"] < 0.5 and 0 < seen.limits["memory"] < 0.5
    again = hands.converge(body(wanted), quiet)
    assert {step["did"] for step in again["done"]} == {"there already", "running already"}
    assert hands.replicas()[0].pid == seen.pid


def test_one_that_ends_is_seen_with_its_code_and_started_again(hands: Executor) -> None:
    port = free_port()
    wanted = deploy(hands, port)
    pid = hands.replicas()[0].pid
    os.kill(pid, signal.SIGKILL)
    assert hands.wait_exit(5.0) and not hands.wait_exit(0.05)  # told once
    until(lambda: hands.replicas()[0].state is Running.EXITED)
    assert hands.replicas()[0].exit_code == -9
    found = plan(wanted, hands.observe())
    assert [(change.action, str(change.reasons[0])) for change in found.changes] == [
        ("start", "state: exited with -9 → running")
    ]
    assert hands.converge(body(wanted), quiet)["ok"]
    until(lambda: answers(port))
    assert hands.replicas()[0].pid != pid


def test_a_hung_one_is_told_from_a_dead_one_and_restarted_quickly(hands: Executor) -> None:
    port = free_port()
    deploy(hands, port)
    pid = hands.replicas()[0].pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: hands.replicas()[0].state is Running.STOPPED)
    done = hands.act({"action": "restart", "replica": WEB, "reason": "it hangs"}, quiet)
    assert done["was"] == "stopped" and done["seconds"] < 2.0 and done["pid"] != pid
    until(lambda: answers(port))
    assert hands.replicas()[0].restarts == 1


def test_one_frozen_by_its_control_group_is_killed_too(hands: Executor) -> None:
    deploy(hands, free_port())
    group = hands._group(WEB)
    if group is None:
        pytest.skip("no control groups can be written here")
    (group.path / "cgroup.freeze").write_text("1")
    until(lambda: hands.replicas()[0].state is Running.STOPPED)
    assert hands.act({"action": "restart", "replica": WEB}, quiet)["was"] == "stopped"
    assert hands.replicas()[0].state is Running.RUNNING


def test_it_outlives_an_agent_that_was_killed_and_is_adopted(state: Path, tmp_path: Path) -> None:
    port = free_port()
    wanted = made(site(web(port), templates=TEMPLATES))
    (tmp_path / "body.json").write_text(__import__("json").dumps(body(wanted)))
    code = (
        "import json, sys, os, time; sys.path.insert(0, sys.argv[3])\n"
        "from deploy.support import executor, quiet\nfrom pathlib import Path\n"
        "answer = executor(Path(sys.argv[1])).converge(json.load(open(sys.argv[2])), quiet)\n"
        "assert answer['ok'], answer\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    tests = str(Path(__file__).parents[1])
    agent = subprocess.Popen(
        [sys.executable, "-c", code, state, tmp_path / "body.json", tests], stdout=subprocess.PIPE, text=True
    )
    assert agent.stdout is not None and agent.stdout.readline() == "up\n"
    before = Memory(state / "deploy/units").replica(WEB)
    assert before is not None and before.main is not None
    agent.kill()
    agent.wait()
    hands = executor(state)
    hands.adopt()
    until(lambda: answers(port))
    seen = hands.replicas()[0]
    assert (seen.state, seen.pid) == (Running.RUNNING, before.main.pid)
    assert not plan(wanted, hands.observe())
    os.kill(seen.pid, signal.SIGKILL)
    until(lambda: hands.replicas()[0].state is Running.EXITED)
    assert hands.replicas()[0].exit_code is None  # not our child: nobody can know


def test_one_started_and_not_yet_remembered_is_found_by_its_marks(hands: Executor, state: Path) -> None:
    wanted = deploy(hands, free_port())
    memory = Memory(state / "deploy/units")
    record = memory.replica(WEB)
    assert record is not None and record.main is not None
    pid = record.main.pid
    record.main = None
    memory.put(record)  # as a crash between the start and the note of it leaves things
    later = executor(state)
    assert later.adopt() == [WEB]
    assert later.replicas()[0].pid == pid
    assert not plan(wanted, later.observe())


def test_a_pid_used_again_is_never_taken_for_a_replica(hands: Executor, state: Path) -> None:
    deploy(hands, free_port())
    memory = Memory(state / "deploy/units")
    record = memory.replica(WEB)
    assert record is not None and record.main is not None
    stranger = subprocess.Popen(["sleep", "30"])
    try:
        record.main = replace(record.main, pid=stranger.pid)  # same start time claimed, another process
        memory.put(record)
        later = executor(state)
        assert later.replicas()[0].state is Running.EXITED
        later.act({"action": "stop", "replica": WEB}, quiet)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_stray_under_our_marks_is_planned_away_and_collected(hands: Executor, state: Path) -> None:
    wanted = deploy(hands, free_port())
    marks = {
        "WEATHERGLASS_STATE": str(state.resolve()),
        "WEATHERGLASS_REPLICA": "old.1@h1",
        "PATH": os.environ["PATH"],
    }
    stray = subprocess.Popen(["sleep", "30"], env=marks, start_new_session=True)
    found = plan(wanted, hands.observe())
    assert [(change.unit.id, change.action) for change in found.changes] == [
        (f"stray:process:{stray.pid}", "remove")
    ]
    assert hands.converge({"remove": [found.changes[0].unit.id]}, quiet)["ok"]
    assert stray.wait(3) == -9
    assert not plan(wanted, hands.observe())


def test_workers_that_outlive_their_main_process_do_not_hold_its_place(hands: Executor) -> None:
    command = ("python3", "-c", "import subprocess, time; subprocess.Popen(['sleep', '61']); time.sleep(60)")
    wanted = made(site(service("pool", command=command, runtime="process")))
    assert hands.converge(body(wanted), quiet)["ok"]
    pid = hands.replicas()[0].pid
    until(lambda: proc.descendants(pid))
    worker = proc.descendants(pid)[0]
    hands.act({"action": "stop", "replica": "pool.1@h1"}, quiet)
    until(lambda: proc.stat(worker) is None or proc.stat(worker).state == "Z")


def test_a_file_edited_by_hand_is_drift_and_is_put_right(hands: Executor, state: Path) -> None:
    wanted = deploy(hands, free_port())
    path = state / "services" / WEB / "files/srv/page.txt"
    path.write_text("mine\n")
    found = plan(wanted, hands.observe())
    assert [(change.unit.id, change.action) for change in found.changes] == [
        (f"file:{WEB}:/srv/page.txt", "replace")
    ]
    assert hands.converge(body(wanted), quiet)["ok"]
    assert path.read_text().startswith("aurora")
    path.unlink()
    assert [change.action for change in plan(wanted, hands.observe()).changes] == ["create"]


def test_what_changed_replaces_the_replica_and_says_what(hands: Executor) -> None:
    port = free_port()
    deploy(hands, port)
    pid = hands.replicas()[0].pid
    wanted = made(site(web(port, environment={"MODE": "new"}), templates=TEMPLATES))
    found = plan(wanted, hands.observe())
    assert [str(reason) for reason in found.changes[0].reasons] == ["environment.MODE: nothing → new"]
    assert found.changes[0].takes_down == (f"replica/{WEB}", "service/web")
    assert hands.converge(body(wanted), quiet)["ok"]
    assert hands.replicas()[0].pid != pid
    assert proc.environment(hands.replicas()[0].pid)["MODE"] == "new"


def test_a_program_that_is_not_there_and_one_that_fails_at_once_say_why(
    hands: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "weatherglass.deploy.process.SETTLE_S", 10.0
    )  # on a busy machine Python needs a while to fail
    absent = made(site(service("gone", command=("no-such-program",), runtime="process")))
    failed = hands.converge(body(absent), quiet)["failed"]
    assert "no program no-such-program" in failed["error"] and "install" in failed["mend"]
    broken = ("python3", "-c", "raise SystemExit('no such setting: colour')")
    failed = hands.converge(body(made(site(service("bad", command=broken, runtime="process")))), quiet)[
        "failed"
    ]
    assert "exit code 1: no such setting: colour" in failed["error"]
    seen = {replica.replica: replica for replica in hands.replicas()}
    assert seen["bad.1@h1"].state is Running.ABSENT and "exit code 1" in seen["bad.1@h1"].detail


def test_the_environment_is_the_declared_one_and_not_the_agents(
    hands: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHERGLASS_TOKEN", "not-for-services")
    deploy(hands, free_port(), secrets={"PAGE": "page"})
    marks = proc.environment(hands.replicas()[0].pid)
    assert marks["PAGE"] == SECRETS["page"] and "WEATHERGLASS_TOKEN" not in marks


def test_once_jobs_run_before_the_replica_and_not_again(hands: Executor, state: Path) -> None:
    job = ("python3", "-c", "open('{{ paths.data }}/made', 'a').write('x'); print('made it')")
    wanted = made(site(web(free_port(), once={"make": job}), templates=TEMPLATES))
    answer = hands.converge(body(wanted), quiet)
    assert [step["unit"].split(":")[0] for step in answer["done"]] == ["file", "once", "replica"]
    assert hands.converge(body(wanted), quiet)["ok"]
    assert (state / "services" / WEB / "data/made").read_text() == "x"


def test_a_failing_job_stops_there_with_its_last_words_and_is_run_again(hands: Executor, state: Path) -> None:
    job = (
        "python3",
        "-c",
        "import os, sys; sys.exit('no database' if not os.path.exists('{{ paths.data }}/db') else 0)",
    )
    wanted = made(site(web(free_port(), once={"sync": job}), templates=TEMPLATES))
    answer = hands.converge(body(wanted), quiet)
    assert not answer["ok"] and "exit code 1: no database" in answer["failed"]["error"]
    reasons = {change.unit.kind: str(change.reasons[0]) for change in plan(wanted, hands.observe()).changes}
    assert reasons["once"] == "done: failed with exit code 1 → yes"
    (state / "services" / WEB / "data/db").touch()
    assert hands.converge(body(wanted), quiet)["ok"]
    assert not plan(wanted, hands.observe())


def test_removal_stops_and_forgets(hands: Executor) -> None:
    wanted = deploy(hands, free_port())
    pid = hands.replicas()[0].pid
    removals = [change.unit.id for change in plan({}, hands.observe()).changes]
    assert sorted(removals) == sorted(wanted)
    assert hands.converge({"remove": removals}, quiet)["ok"]
    assert proc.stat(pid) is None and hands.replicas() == [] and hands.observe() == {}


def test_a_container_where_there_is_none_to_be_had_is_refused(hands: Executor) -> None:
    wanted = made(site(service("web", command=("true",), runtime="container")))
    failed = hands.converge(body(wanted), quiet)["failed"]
    assert "container" in failed["error"]


def test_acts_that_do_not_exist_are_refused(hands: Executor) -> None:
    with pytest.raises(Invalid, match="no act is called 'dance'"):
        hands.act({"action": "dance"}, quiet)
    with pytest.raises(NotFound):
        hands.act({"action": "restart", "replica": "nobody.1@h1"}, quiet)


def test_what_is_to_be_collected_is_told_with_this_hosts_paths(hands: Executor, state: Path) -> None:
    deploy(
        hands, free_port(), logs=("{{ paths.logs }}/*.log", "/var/log/x/*.log"), metrics=(":9100/metrics",)
    )
    source = hands.sources()[0]
    globs = [log["glob"] for log in source["logs"]]
    logs = state / "services" / WEB / "logs"
    assert globs == [f"{logs}/stdout.log", f"{logs}/stderr.log", f"{logs}/*.log", "/var/log/x/*.log"]
    assert (source["replica"], source["service"], source["metrics"]) == (WEB, "web", [":9100/metrics"])


def test_an_output_that_has_grown_is_begun_anew(
    hands: Executor, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weatherglass.deploy.jobs.KEEP_OUTPUT", 1000)
    talk = "import time, sys\nwhile True: print('x' * 99, flush=True); time.sleep(0.01)"
    wanted = made(site(service("talk", command=("python3", "-c", talk), runtime="process", stop_grace_s=1.0)))
    assert hands.converge(body(wanted), quiet)["ok"]
    log = state / "services/talk.1@h1/logs/stdout.log"
    until(lambda: log.stat().st_size > 2000)
    hands.observe()
    assert log.stat().st_size < 2000
    until(lambda: log.stat().st_size > 0)
    assert set(log.read_text()) == {"x", "\n"}  # no hole of zeros: its writer appends


def test_the_agents_side_is_light() -> None:
    code = "import sys, weatherglass.deploy.execute; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "numpy",
        "pyarrow",
        "sqlalchemy",
        "jinja2",
        "yaml",
        "weatherglass.site",
        "weatherglass.inventory",
    }
    assert not heavy & set(loaded)


def test_a_heartbeats_look_is_cheap(hands: Executor) -> None:
    deploy(hands, free_port())
    began = time.process_time()
    for _ in range(200):
        hands.replicas()
        hands.volumes()
    assert (
        time.process_time() - began
    ) / 200 < 0.002  # s of CPU: under 0.1 % of a core at one in two seconds
