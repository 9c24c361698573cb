"""docs/rooms.md as it stands: its files are put into a copy of the package, and the house runs with the new room."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?:python|html) file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SITE = """\
site: board
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [idle]}
services: {idle: {command: [sleep, "1000"], runtime: process}}
notices: {power: {text: the feed is tested, when: Friday}}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the files of the page added; none may replace one of ours."""
    root = tmp_path_factory.mktemp("kit")
    copy = root / "weatherglass"
    shutil.copytree(ROOT / "src" / "weatherglass", copy, ignore=shutil.ignore_patterns("__pycache__"))
    files = FENCE.findall((ROOT / "docs" / "rooms.md").read_text())
    assert len(files) == 9
    for name, text in files:
        path = copy / name
        assert not path.exists(), f"{name} is somebody else's file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.suffix == ".py":
            (path.parent / "__init__.py").touch()
    return root


def weatherglass(package: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(package)}
    argv = [sys.executable, "-m", "weatherglass", *arguments]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=60, check=False, **options
    )  # type: ignore[call-overload, no-any-return]


def test_the_room_of_the_page_is_found_by_all(package: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "site.yaml").write_text(SITE)
    state = tmp_path / "state"
    up = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "weatherglass",
            "up",
            str(tmp_path / "site.yaml"),
            "--state",
            str(state),
            "--listen",
            f"127.0.0.1:{port}",
        ],
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        said = ""
        while "READY" not in said:
            line = up.stdout.readline()
            assert line, f"the house ended: {said}"
            said += line
        assert "NOT READY" not in said
        token = (state / "token").read_text().strip()
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}
        )
        expected = ["power: the feed is tested (Friday)"]
        assert client.get("/api/v1/notices").json() == {"notices": expected}
        assert client.get("/notices", headers={"accept": "text/html"}).text.count(expected[0]) == 1
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/notices").status_code == 401
        verb = weatherglass(package, "notices", "--json", "--state", str(state))
        assert json.loads(verb.stdout) == {"notices": expected}, verb.stderr
        until = time.monotonic() + 20
        while not (state / "agent" / "notices.txt").exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert (state / "agent" / "notices.txt").read_text() == expected[0]
    finally:
        up.terminate()
        up.wait(20)
        down = weatherglass(package, "down", "--state", str(state))
        assert down.returncode == 0, down.stderr


def test_a_mistake_in_its_section_has_a_line(package: Path, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace("text:", "txt:"))
    check = weatherglass(package, "check", str(tmp_path / "site.yaml"))
    assert check.returncode == 1
    assert "site.yaml:5" in check.stdout + check.stderr
    assert "text" in check.stdout + check.stderr
