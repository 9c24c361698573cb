"""`up` by parts: a server alone, its agent beside it, and a start without a word of what is deployed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from house.test_stopping import free_port

SITE = """\
site: parts
hosts: {{here: {{address: 127.0.0.1, roles: [all]}}}}
roles: {{all: [web]}}
services:
  web:
    command: [python3, -m, http.server, "{port}", --bind, 127.0.0.1]
    runtime: process
    ports: {{http: {port}}}
    probe: {{http: /}}
"""


@contextmanager
def up(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        argv = [sys.executable, "-m", "weatherglass", "up", *arguments]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def until(true: object, seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def test_server_and_agent_as_two_processes_and_then_without_a_site(tmp_path: Path) -> None:
    port, state, site = free_port(), tmp_path / "state", tmp_path / "site.yaml"
    site.write_text(SITE.format(port=port))
    log, beside = tmp_path / "server.log", tmp_path / "agent.log"
    listen = ("--listen", f"127.0.0.1:{free_port()}", "--state", str(state))
    try:
        with up(log, str(site), "--only", "server", *listen) as server:
            until(lambda: (state / "agent" / "arguments.json").exists(), 20, log)
            until(lambda: "portal" in log.read_text(), 20, log)
            assert not answers(port), "nobody was there to start it"
            with up(beside, "--only", "agent", "--state", str(state)) as agent:
                until(lambda: "READY" in log.read_text(), 40, log)
                assert answers(port)
                command = Path(f"/proc/{agent.pid}/cmdline").read_bytes().decode().split("\0")
                assert "weatherglass.agent" in command, "it became an agent, and is as light as one"
            assert server.poll() is None
        assert answers(port), "services outlive both"
        with up(log, *listen):  # what was deployed last is taken up, and its agent with it
            until(lambda: "READY" in log.read_text(), 20, log)
            agent_lock = state / "agent" / "lock"
            until(lambda: holder(agent_lock) != 0, 10, log)
            os.kill(web_pid(port), signal.SIGKILL)
            until(lambda: not answers(port), 5, log)
            until(lambda: answers(port), 30, log)
    finally:
        down = [sys.executable, "-m", "weatherglass", "down", "--state", str(state)]
        done = subprocess.run(down, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not answers(port)


def test_an_agent_alone_where_no_server_ever_was_says_what_to_do(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "weatherglass", "up", "--only", "agent", "--state", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "--only server" in done.stderr


def holder(lock: Path) -> int:
    """The pid that holds a lock file, or 0."""
    inode = str(lock.stat().st_ino)
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
            return int(fields[4])
    return 0


def web_pid(port: int) -> int:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"http.server" in command and str(port).encode() in command:
                return int(folder.name)
    pytest.fail("the service does not run")
