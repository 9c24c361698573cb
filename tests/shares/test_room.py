"""The room: proofs with their date, a live file system (a fake lctl) planned for, changed, verified; the page that tells it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from portal import fake_cloud
from portal.pages import client

from shares.fake_kit import SITE, FakeKit, site
from weatherglass.base.errors import Conflict, Unavailable
from weatherglass.shares.room import Shares


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKit:
    lctl = tmp_path / "lctl"
    lctl.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_lctl.py")} "$@"\n')
    lctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("FAKE_LCTL", str(tmp_path / "done"))
    return FakeKit(tmp_path)


def test_a_live_file_system_is_changed_once_and_read_back(kit: FakeKit) -> None:
    room = Shares(kit)  # type: ignore[arg-type]
    assert len(room.plan("lus01")) == len(room.apply("lus01", "mira", "first"))
    assert room.plan("lus01") == []
    assert room.apply("lus01", "mira") == []
    assert {host for host, _ in kit.work.sent} == {"mds-1"}
    [entry] = kit.entries
    assert (entry.who, entry.what, entry.entity) == ("mira", "shares.apply", "share/lus01")
    assert entry.after["differs"] == [] and "lctl nodemap_activate 1" in entry.after["commands"]
    kit.declared = site(SITE.replace("uid: 21, gid: 21", "uid: 23, gid: 21"))
    assert [str(change.command) for change in room.apply("lus01", "mira")] == [
        "lctl nodemap_modify --name genomics --property squash_uid --value 23"
    ]


def test_the_first_failure_ends_it_and_is_told(kit: FakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_LCTL_FAILS", "nodemap_add genomics")
    with pytest.raises(Conflict, match="Operation not permitted"):
        Shares(kit).apply("lus01", "mira")  # type: ignore[arg-type]
    [entry] = kit.entries
    assert entry.after["failed"] == ["lctl", "nodemap_add", "genomics"]
    assert "genomics" in entry.after["differs"]


def test_no_other_program_runs(kit: FakeKit) -> None:
    work = kit.work.send("mds-1", "shares-run", {"commands": [["sh", "-c", "touch /tmp/never"]]})
    assert kit.work.wait("mds-1", work, 1).status == "failed"


def test_a_management_server_that_is_no_host_is_told(kit: FakeKit) -> None:
    kit.declared = site(SITE.replace("address: 10.0.0.2}", "address: 10.0.0.3}"))
    with pytest.raises(Unavailable, match=r"10\.0\.0\.2"):
        Shares(kit).plan("lus01")  # type: ignore[arg-type]


def test_each_declaration_is_proven_in_the_background(kit: FakeKit) -> None:
    room = Shares(kit)  # type: ignore[arg-type]
    room.start()
    try:
        room.on_site(kit.declared, 7)
        until = time.monotonic() + 20
        while (not room.proofs() or room.proofs()[0].generation != 7) and time.monotonic() < until:
            time.sleep(0.01)
        [proven] = room.proofs()
        assert proven.verdict.proven and proven.at_ns == kit.clock.now_ns()
    finally:
        room.stop()


def test_the_page_tells_the_way_the_checks_and_the_proof(kit: FakeKit) -> None:
    room = Shares(kit)  # type: ignore[arg-type]
    room.prove()
    rooms = fake_cloud.rich()
    rooms.more = {"shares": room}
    page = client(rooms).get("/shares")
    assert page.status_code == 200
    for words in ("Proven", "nodemap genomics", "10.20.0.[0-255]@tcp5", "a NID is its peer", "50 TB"):
        assert words.replace("'", "&#39;") in page.text
    assert "1 user mapped, root is 22:22" in page.text
    tenants = client(rooms).get("/shares?lens=imaging").text
    assert "nodemap imaging" in tenants and "nodemap genomics" not in tenants


def test_the_page_of_a_house_without_shares_teaches() -> None:
    text = client(fake_cloud.rich()).get("/shares").text
    assert "No share is declared" in text


def test_the_executors_are_as_light_as_the_agent() -> None:
    heavy = "import sys, weatherglass.shares.executors; print([m for m in ('numpy', 'yaml', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_tenants_did_becomes_samples(kit: FakeKit) -> None:
    room = Shares(kit)  # type: ignore[arg-type]
    assert room.collect("lus01") > 0
    assert {host for host, _ in kit.work.sent} == {"mds-1"}
    [(tenant, batch)] = kit.written
    named = {dict(labels)["__name__"] for labels in batch.series}
    assert tenant == "site" and "weatherglass_share_bytes_total" in named
    assert all(dict(labels)["host"] == "mds-1" for labels in batch.series)
