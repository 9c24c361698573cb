"""A scan of real files finds what others could read, ids that are not the tenant's, links into another's tree."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shares.nfsd import IDS, fill, policy
from weatherglass.shares.strays import entries, judge, scan

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")


@needs_root
def test_what_strays_is_found_and_mended_by_what_is_said(tmp_path: Path) -> None:
    fill(tmp_path)
    fs = policy(tmp_path)
    top = tmp_path / "genomics"
    (top / "deep").mkdir(mode=0o700)
    (top / "deep" / "it's").write_text("x")
    (top / "deep" / "it's").chmod(0o600)
    os.chown(top / "deep", 20001, 20001)
    os.chown(top / "deep" / "it's", 20002, 20001)
    (top / "away").symlink_to("/etc/passwd")
    os.lchown(top / "away", 20001, 20001)
    os.link(tmp_path / "imaging" / "secret.txt", top / "linked")
    found = scan(fs)
    told = {(one.tenant, one.kind, one.path.removeprefix(str(tmp_path))) for one in found.strays}
    assert told == {
        *((name, "others", f"/{name}/{file}") for name in IDS for file in ("open.txt", "wild.txt")),
        ("genomics", "uid", "/genomics/deep/it's"),
        ("genomics", "uid", "/genomics/linked"),
        ("genomics", "gid", "/genomics/linked"),
        ("imaging", "link", "/imaging/secret.txt"),
    }
    assert found.files == 12
    for one in found.strays:
        if one.kind in ("others", "uid"):
            assert os.system(one.mend) == 0
    kinds = {one.kind for one in scan(fs).strays}
    assert "others" not in kinds and "uid" not in {
        one.kind for one in scan(fs).strays if one.tenant == "genomics"
    }


@needs_root
def test_a_root_that_is_missing_or_a_link_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "imaging").rename(tmp_path / "elsewhere")
    (tmp_path / "imaging").symlink_to(tmp_path / "genomics")
    assert ("imaging", "root") in scan(policy(tmp_path)).counts
    (tmp_path / "imaging").unlink()
    assert ("imaging", "root") in scan(policy(tmp_path)).counts


def acl(*listed: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in listed)


def test_access_lists_count() -> None:
    share = policy(Path("/srv")).shares[0]
    owner = ((1, 7, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF))
    assert not list(judge(share, "/f", 0o100600, 20001, 20001, [acl(*owner, (2, 7, 20001), (0x20, 0, 0))]))
    for entry in ((2, 4, 20002), (8, 4, 20002), (0x20, 4, 0)):
        assert [one.kind for one in judge(share, "/f", 0o100600, 20001, 20001, [acl(*owner, entry)])] == [
            "acl"
        ]


@given(st.binary(max_size=60))
def test_any_bytes_are_an_access_list_or_none(data: bytes) -> None:
    assert all(len(one) == 3 for one in entries(data))
