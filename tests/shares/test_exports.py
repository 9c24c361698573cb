"""Exports that are the policy are proven; every change of their effect is caught. The reader takes any text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shares.world import small
from weatherglass.base.errors import Invalid
from weatherglass.shares import exports, ganesha, nfsproof
from weatherglass.shares.nfsproof import OPERATIONS, allows, prove
from weatherglass.shares.policy import NFS, FileSystem


def policy() -> FileSystem:
    fs = small()
    shares = tuple(replace(one, uids={}, gids={}, read_only=one.tenant == "chem") for one in fs.shares)
    return replace(fs, version=NFS, servers=(), shares=shares, mount="/srv/data", address="10.0.0.9")


FS = policy()
TEXT = ganesha.compiled(FS)


def everything(text: str) -> object:
    """All that anybody gets, by looking: every address near the declared ones × every export × small ids × operations."""
    try:
        config = exports.read(text)
    except Invalid:
        return "it does not start"
    defaults = {
        "nfs_core_param.protocols": ("3", "4"),
        "nfs_core_param.nfs_port": ("2049",),
        "nfs_core_param.bind_addr": ("0.0.0.0",),
        "nfsv4.delegations": ("false",),
    }
    core = {name: config.core.get(name, otherwise) for name, otherwise in defaults.items()}
    seen: list[object] = [len(config.refused), core]
    for export in config.exports:
        bases = [one.low & ~0xFF for share in FS.shares for one in share.ranges] + [0, 0xC0A80000]
        for address in (base + step for base in bases for step in (*range(16), 255)):
            access = config.access(export, address)
            ways = [allows(access.kind, one) for one in OPERATIONS]
            if any(ways):
                ids = [
                    (access.identity("uid", one), access.identity("gid", one)) for one in (*range(90), 65534)
                ]
                seen.append((export.path, export.pseudo, export.fsal, address, ways, ids))
    return seen


def edits() -> Iterator[tuple[str, str]]:
    """Every line out, and every word of a line made another."""
    lines = TEXT.splitlines()
    for at, line in enumerate(lines):
        yield f"without {line.strip()}", "\n".join(lines[:at] + lines[at + 1 :])
        for old, new in _words(line):
            changed = line.replace(old, new, 1)
            if changed != line:
                yield (
                    f"{line.strip()} → {changed.strip()}",
                    "\n".join([*lines[:at], changed, *lines[at + 1 :]]),
                )


def _words(line: str) -> Iterator[tuple[str, str]]:
    for one in FS.shares:
        for other in FS.shares:
            yield one.root, other.root
        yield one.root, ""
        yield one.root, f"{one.root}/inner"
    for number in re.findall(r"(?<== )\d+(?=;)", line):
        for new in ("0", "1", str(int(number) + 1), "21", "23"):
            yield number, new
    for prefix in re.findall(r"/(\d\d)(?=[,;])", line):
        for new in ("0", "24", "29", "31", "32"):
            yield f"/{prefix}", f"/{new}"
    for words in (
        ("RW", "RO", "None", "MDONLY", "MDONLY_RO"),
        ("Squash = All", "Squash = Root_Squash", "Squash = No_Root_Squash", "Squash = Root_Id_Squash"),
        ("Protocols = 4", "Protocols = 3", "Protocols = 3, 4"), ("SecType = sys", "SecType = krb5"),
        ("10.20.0.", "10.21.0.", "10.22.0.", "*, 10.20.0.", "10.20.0.9, 10.20.0."),
        ("Anonymous_Uid", "Anonymous_Gid"), ("VFS", "MEM"), ("Access_Type", "Access_Typo"),
        ("Delegations = false", "Delegations = true"), ("10.0.0.9", "0.0.0.0"),
    ):  # fmt: skip
        for old in words:
            for new in words:
                yield old, new


def test_what_is_compiled_is_proven() -> None:
    verdict = prove(FS, TEXT)
    assert verdict.proven, verdict.findings
    assert verdict.cells > 150


def test_every_edit_that_changes_the_effect_is_caught() -> None:
    meant = everything(TEXT)
    changing, missed = 0, []
    for name, mutant in edits():
        if everything(mutant) != meant:
            changing += 1
            if prove(FS, mutant).proven:
                missed.append(name)
    assert changing > 150
    assert not missed


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("10.20.0.0/30;", "10.20.0.0/30, 10.21.0.0/30;", "/srv/data/genomics"),
        ("Path = /srv/data/genomics;", "Path = /srv/data;", "genomics, imaging, chem"),
        ("    Access_Type = None;\n    SecType", "    Access_Type = RW;\n    SecType", "anybody"),
    ],
)
def test_the_story_says_who_sees_whose_files(old: str, new: str, words: str) -> None:
    # The default counts where the export itself says nothing.
    text = TEXT.replace(old, new, 1)
    text = text.replace("    Access_Type = None;\n    FSAL", "    FSAL") if "SecType" in old else text
    first = prove(FS, text).findings[0]
    assert first.kind == "attack" and words in str(first)


def test_an_exports_id_follows_its_tenant() -> None:
    whole = ganesha.export_ids(["a", "b", "c"])
    assert {name: ganesha.export_ids([name])[name] for name in whole} == whole
    many = ganesha.export_ids(f"t{number}" for number in range(3000))
    assert len(set(many.values())) == 3000 and min(many.values()) >= 1 and max(many.values()) <= 65535


@pytest.mark.parametrize(
    ("maps", "words"), [({"uids": {1: 2}}, "cannot map"), ({"gids": {1: 2}}, "cannot map")]
)
def test_what_ganesha_cannot_do_is_refused(maps: dict[str, dict[int, int]], words: str) -> None:
    fs = replace(FS, shares=(replace(FS.shares[0], **maps), *FS.shares[1:]))
    assert any(words in str(one) for one in prove(fs, ganesha.compiled(fs)).findings)


@given(st.text(alphabet=st.sampled_from('EXPORT{}=;,#"\n Clients10./*RWPathPseudo%include\\'), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert not prove(FS, text).proven


def test_rules_of_ids_are_ganeshas() -> None:
    config = exports.read(
        "EXPORT { Export_Id = 1; Path = /a; Pseudo = /a; Access_Type = RO; Squash = Root_Id_Squash; }"
    )
    access = config.access(config.exports[0], 5)
    assert (access.identity("uid", 0), access.identity("gid", 0)) == (exports.ANON, 0)
    assert access.kind == "ro" and nfsproof.allows("ro", "read") and not nfsproof.allows("ro", "rename")
