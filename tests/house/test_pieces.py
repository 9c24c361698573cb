"""The house's own small pieces: the hold on a state, secrets, tokens, the listening socket, the local agent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from weatherglass.base.errors import Conflict, Invalid, NotFound
from weatherglass.base.time import SystemClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.protocols import Role
from weatherglass.engine.tables import Tables
from weatherglass.house import tokens
from weatherglass.house.costs import Costs, process_cost
from weatherglass.house.hold import Hold, default_state, server_of
from weatherglass.house.local_agent import end_orphan
from weatherglass.house.main import run
from weatherglass.house.secrets import Secrets
from weatherglass.house.serve import listen, url_of
from weatherglass.identity import ROOM, Identity


def test_a_state_is_held_by_one_and_says_by_whom(tmp_path: Path) -> None:
    first = Hold(tmp_path / "state")
    first.announce("http://127.0.0.1:8700", 1)
    with pytest.raises(Conflict) as refused:
        Hold(tmp_path / "state")
    assert f"pid {os.getpid()}" in refused.value.message
    assert "--state" in refused.value.mend
    first.release()
    assert server_of(tmp_path / "state") is None
    Hold(tmp_path / "state").release()


def test_a_state_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from weatherglass.house.hold import Hold;"
        "h = Hold(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Conflict):
        Hold(tmp_path)
    holder.kill()
    holder.wait()
    Hold(tmp_path).release()


def test_a_state_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid) as refused:
        Hold(tmp_path / "file" / "state")
    assert "--state" in refused.value.mend


def test_where_the_state_is_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_state() == Path("/var/lib/weatherglass")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ada/.state")
    assert default_state() == Path("/home/ada/.state/weatherglass")


def test_secrets_are_made_once_kept_and_private(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets", RealFiles())
    value, print_ = secrets.value("db"), secrets.fingerprint("db")
    again = Secrets(tmp_path / "secrets", RealFiles())
    assert (again.value("db"), again.fingerprint("db")) == (value, print_)
    assert len(value) >= 32
    assert value not in print_
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / "db").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secrets" / "db").write_text("changed by hand")
    assert again.fingerprint("db") != print_


def test_a_secret_never_named_is_not_made_by_asking_whether_it_is_there(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets", RealFiles())
    with pytest.raises(NotFound):
        secrets.existing("db")
    assert not (tmp_path / "secrets" / "db").exists()


@pytest.mark.parametrize("name", ["../token", "/etc/passwd", "", ".fingerprints", "A b", "a" * 64])
def test_a_secrets_name_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        Secrets(tmp_path / "secrets", RealFiles()).value(name)


def test_standing_tokens_survive_a_start_and_are_replaced_when_lost(tmp_path: Path) -> None:
    tables = Tables(tmp_path / "tables.db")
    tables.migrate(ROOM)
    identity = Identity(tables, SystemClock(), FileLedger(tmp_path / "ledger"))
    admin = tokens.admin(identity, tmp_path)
    assert (admin.role, admin.tenants) == (Role.ADMIN, ("*",))
    text = (tmp_path / "token").read_text()
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    tokens.admin(identity, tmp_path)
    assert (tmp_path / "token").read_text() == text
    (tmp_path / "token").unlink()
    tokens.admin(identity, tmp_path)
    assert (tmp_path / "token").read_text() != text
    assert [one.name for one in identity.list()] == ["admin"]
    agent = identity.resolve(tokens.local_agent(identity, tmp_path, "lab").read_text().strip())
    assert (agent.role, agent.host) == (Role.AGENT, "host/lab")


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Invalid) as refused:
        listen(address)
    assert "8700" in refused.value.mend


def test_a_port_is_not_shared() -> None:
    bound = listen("127.0.0.1:0")
    try:
        assert url_of(bound).startswith("http://127.0.0.1:")
        assert bound.proto == socket.IPPROTO_TCP
        with pytest.raises(Invalid) as refused:
            listen(url_of(bound).removeprefix("http://"))
        assert "--listen" in refused.value.mend
    finally:
        bound.close()


def test_an_orphaned_agent_is_ended_and_nobody_else(tmp_path: Path) -> None:
    """An agent that outlived its server holds its lock; another process that holds it is left alone."""
    state = tmp_path / "agent"
    state.mkdir()
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1] + '/lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(60)"
    )
    for name, ended in (("weatherglass.agent", True), ("somebody.else", False)):
        argv = [sys.executable, "-c", code, str(state), name]
        holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        end_orphan(state / "lock", grace_s=1.0)
        time.sleep(0.1)
        assert (holder.poll() == -signal.SIGTERM) is ended
        holder.kill()
        holder.wait()


def test_what_the_house_costs_is_read_from_the_kernel() -> None:
    cpu, memory = process_cost(os.getpid())
    assert cpu > 0
    assert memory > 10_000_000
    assert process_cost(2**22 + 1) == (0.0, 0)
    costs = Costs(lambda: 0, lambda: 0)()
    assert costs["memory_bytes"] == pytest.approx(memory, rel=0.5)
    assert set(costs["processes"]) == {"server", "agent"}
    json.dumps(costs)


def test_a_server_starts_without_what_is_heavy() -> None:
    code = (
        "import sys, weatherglass.house.build, weatherglass.gateway.app, weatherglass.portal.app as p; p.pages();"
        "print(*{'scipy', 'pyarrow', 'networkx', 'ruptures', 'alembic', 'jsonschema'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_a_state_named_by_a_relative_path_is_made_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What builds images and mounts volumes has a working folder of its own."""
    seen: list[Path] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "weatherglass.house.foreground.foreground",
        lambda site, state, listen, **more: seen.append(state) or 0,
    )
    assert run(None, Path("state"), "127.0.0.1:0") == 0
    assert seen == [tmp_path / "state"]
