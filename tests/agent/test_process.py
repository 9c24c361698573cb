"""The agent as a process of its own: what it imports, how it ends, what it says when it is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from agent import agent_process
from weatherglass.agent.command import main

HEAVY = [
    "numpy",
    "pyarrow",
    "sqlalchemy",
    "yaml",
    "jinja2",
    "typer",
    "rich",
    "fastapi",
    "starlette",
    "pydantic",
    "uvicorn",
    "scipy",
    "networkx",
    "alembic",
    "click",
]


def test_it_carries_nothing_heavy():
    code = (
        "import json, sys; from weatherglass.agent.command import builder; builder(); "
        "print(json.dumps(sorted(name for name, module in sys.modules.items() if module)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert loaded & set(HEAVY) == set()
    assert {"zstandard", "cramjam"} <= loaded
    rooms = {name.split(".")[1] for name in json.loads(run.stdout) if name.startswith("weatherglass.")}
    assert rooms <= {"agent", "base", "engine", "deploy", "logs", "site"}


def test_it_holds_its_state_alone_stops_on_sigterm_and_comes_back_as_another_boot(sink, tmp_path):
    agent = agent_process.start(sink.url, tmp_path)
    sink.wait(lambda: sink.heartbeats and sink.writes)
    second = agent_process.start(sink.url, tmp_path)
    second.wait(10)
    code, said = agent_process.end(second)
    assert code == 4
    assert "another agent runs on this state" in said
    began = time.monotonic()
    code, said = agent_process.end(agent)
    assert (code, said) == (0, "")
    assert time.monotonic() - began < 2.5
    boot = sink.heartbeats[-1]["boot"]
    agent = agent_process.start(sink.url, tmp_path)
    try:
        sink.wait(lambda: sink.heartbeats[-1]["boot"] != boot)
    finally:
        assert agent_process.end(agent)[0] == 0


def test_a_refused_token_ends_it_with_a_sentence(sink, tmp_path):
    agent = agent_process.start(sink.url, tmp_path, token="wg_wrong_token")
    agent.wait(10)
    code, said = agent_process.end(agent)
    assert code == 3
    assert "this token is revoked" in said
    assert "weatherglass token create --role agent --host here" in said
    assert "wg_wrong_token" not in said
    assert "Traceback" not in said


def test_wrong_arguments_say_what_is_wrong(tmp_path, capsys):
    token = tmp_path / "token"

    def run(server):
        asked = [
            "--server",
            server,
            "--token-file",
            str(token),
            "--state",
            str(tmp_path / "s"),
            "--host",
            "h",
        ]
        return main(asked), capsys.readouterr().err

    token.write_text("wg_test_secret")
    code, said = run("nowhere")
    assert (code, "http://HOST:8700" in said) == (2, True)
    token.write_text("two words")
    code, said = run("http://127.0.0.1:9")
    assert (code, "holds no token" in said) == (2, True)
    token.unlink()
    code, said = run("http://127.0.0.1:9")
    assert (code, str(token) in said) == (2, True)


def test_it_starts_and_waits_without_a_server(tmp_path):
    agent = agent_process.start("http://127.0.0.1:9", tmp_path)
    told = agent.stderr.readline().decode()
    assert "no answer from 127.0.0.1:9" in told
    time.sleep(0.3)
    assert agent.poll() is None
    assert agent_process.end(agent) == (0, ""), "once is enough"
