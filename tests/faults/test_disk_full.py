"""A full disk for real: a small ext4 file system of its own under the state, filled under load and freed again.

Writes are answered 503 with what is wrong, reads go on, and once there is room writes go on by themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from faults.load import Writer, writers
from faults.served import Server

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="needs root and mkfs.ext4"
    ),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    image, at = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    at.mkdir()
    done = subprocess.run(
        ["mount", "-t", "ext4", "-o", "loop", image, at], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file can be mounted here: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@pytest.fixture
def server(disk: Path) -> Iterator[Server]:
    one = Server(disk / "state")
    # Its own words must not need room on the full disk.
    one.log = disk.parent / "server.log"
    yield one
    one.kill()


def fill(disk: Path) -> Path:
    """A file that takes what room there is; again and again, because journals give some back late."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            try:
                file.write(bytes(1 << 20))
            except OSError:
                break
        while True:
            file.write(bytes(4096))
    return filler


def until(what: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def reads_go_on(client: httpx.Client, load: list[Writer]) -> None:
    for path in ("/api/v1/status", "/api/v1/ledger", "/api/v1/states", "/-/metrics", "/-/ready"):
        answer = client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
    for one in load:
        one.check(client)


def test_a_full_disk_is_told_and_survived(server: Server, disk: Path) -> None:
    server.start()
    load = writers(server)
    try:
        with server.client() as client:
            until(lambda: all(one.acknowledged > 50 for one in load))
            filler = fill(disk)
            began = time.monotonic()
            while not all(one.unavailable for one in load):
                fill(disk)
                time.sleep(0.1)
                assert time.monotonic() - began < 60, [(one.name, one.unavailable[:1]) for one in load]
            full_s = time.monotonic() - began
            reads_go_on(client, load)
            told = {one.name: json.loads(one.unavailable[-1].partition(" ")[2]) for one in load}
            assert told["samples0"]["errorType"] == "unavailable"
            assert told["events0"]["error"] == told["ledger0"]["error"] == "unavailable"
            for name, said in told.items():
                text = said["message"] if "message" in said else said["error"]
                assert "space" in text or "full" in text, (name, said)

            filler.unlink()
            freed, before = time.monotonic(), {one.name: one.acknowledged for one in load}
            until(lambda: all(one.acknowledged > before[one.name] + 20 for one in load))
            print(
                f"\nall refused after {full_s:.1f} s, all written again {time.monotonic() - freed:.1f} s after"
            )
            reads_go_on(client, load)

            # Killed while full: nothing is lost, and it says what is wrong or runs.
            filler = fill(disk)
            time.sleep(1)
            fill(disk)
            server.kill()
            for one in load:
                one.goes_on.clear()
            fill(disk)
            server.begin()
            process = server.process
            assert process is not None
            until(lambda: server.ready() or process.poll() is not None, 90)
            said = server.log.read_text()
            assert "Traceback" not in said, said[-3000:]
            if process.poll() is not None:
                assert process.returncode in (1, 5), said[-2000:]
                print(f"on a full disk it ends with {process.returncode}: {said.strip().splitlines()[-2:]}")
            server.kill()
            filler.unlink()
            server.start()
            reads_go_on(client, load)
            for one in load:
                one.goes_on.set()
            before = {one.name: one.acknowledged for one in load}
            until(lambda: all(one.acknowledged > before[one.name] for one in load))
    finally:
        for one in load:
            one.done.set()
        for one in load:
            one.join(35)
    with server.client() as client:
        for one in load:
            one.check(client, whole=True)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]
