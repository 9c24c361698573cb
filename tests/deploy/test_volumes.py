"""Volumes: a folder anywhere; as root a file system of its own size that fills, grows and keeps its data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.support import body, made, quiet, service, site
from weatherglass.base.errors import Conflict, Invalid
from weatherglass.deploy.execute import Executor
from weatherglass.deploy.plan import plan
from weatherglass.deploy.volumes import Volumes
from weatherglass.site.model import Volume

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MIB = 1 << 20


def store(volume: Volume):
    declared = service(
        "db", command=("sleep", "60"), runtime="process", volumes={"/data": "db"}, stop_grace_s=0.5
    )
    return made(site(declared, volumes=(volume,)))


def test_without_a_size_it_is_a_plain_folder(hands: Executor, state: Path) -> None:
    wanted = store(Volume("db"))
    assert hands.converge(body(wanted), quiet)["ok"]
    (state / "volumes/db/row").write_text("1")
    assert not plan(wanted, hands.observe())
    [seen], host = hands.volumes(), os.statvfs(state)
    assert seen.size_bytes == host.f_blocks * host.f_frsize, "its file system is the host's"
    assert 0 < seen.free_bytes < seen.size_bytes and seen.attached_to == ("db.1@" + hands.host,)
    with pytest.raises(Invalid, match="has no size"):
        hands.act({"action": "grow", "volume": "db"}, quiet)
    assert hands.converge({"remove": [f"volume:db@{hands.host}"]}, quiet)["ok"]
    assert (state / "volumes/db/row").read_text() == "1"


@pytest.mark.parametrize("why", ["sized volumes need root (to mount them)"])
def test_a_size_that_cannot_be_held_is_refused(
    tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Invalid, match="need root"):
        Volumes(tmp_path).make("db", 64 * MIB, 64 * MIB)


@pytest.mark.root
@needs_root
def test_a_sized_one_fills_grows_and_comes_back(hands: Executor, state: Path) -> None:
    wanted = store(Volume("db", 32 * MIB, 64 * MIB))
    answer = hands.converge(body(wanted), quiet)
    assert answer["ok"], answer["failed"]
    path = state / "volumes/db"
    with pytest.raises(OSError, match="No space"):
        (path / "big").write_bytes(bytes(40 * MIB))
    [seen] = hands.volumes()
    assert seen.free_bytes < MIB < seen.size_bytes == 32 * MIB and seen.attached_to == ("db.1@h1",)
    done = hands.act({"action": "grow", "volume": "db"}, quiet)
    assert (done["before"], done["after"]) == (32 * MIB, 48 * MIB)
    assert hands.volumes()[0].free_bytes > 10 * MIB
    assert not plan(wanted, hands.observe())  # a declared size is a floor
    assert hands.act({"action": "grow", "volume": "db", "size": 999 * MIB}, quiet)["after"] == 64 * MIB
    with pytest.raises(Invalid, match="at its most"):
        hands.act({"action": "grow", "volume": "db"}, quiet)
    (path / "big").unlink()
    (path / "row").write_text("kept")
    hands.act({"action": "down"}, quiet)
    assert not (path / "row").exists()
    assert [c.action for c in plan(wanted, hands.observe()).changes] == ["mount", "start"]
    wider = store(Volume("db", 96 * MIB, 128 * MIB))  # more than it was made for: extended as it is mounted
    assert hands.converge(body(wider), quiet)["ok"]
    assert (path / "row").read_text() == "kept"
    assert 93 * MIB < hands.volumes()[0].free_bytes < 96 * MIB
    assert not plan(wider, hands.observe())


@pytest.mark.root
@needs_root
def test_a_folder_with_data_is_not_hidden_under_a_mount(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db/row").touch()
    with pytest.raises(Conflict, match="holds data already"):
        Volumes(tmp_path).make("db", 64 * MIB, 64 * MIB)
    with pytest.raises(Invalid, match="too small"):
        Volumes(tmp_path).make("new", MIB, MIB)
