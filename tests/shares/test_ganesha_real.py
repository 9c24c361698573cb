"""The whole matrix against a real nfs-ganesha: tenant × uid × path × operation, stolen and made-up handles, changes.

What the server does is held against what the second reader says that its configuration does, and both against the policy.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shares import nfs4
from shares.nfs4 import Client
from shares.nfsd import IDS, LEGS, Nfsd, fill, policy, without
from weatherglass.shares import exports, ganesha, nfsproof
from weatherglass.shares.nids import read_range

UIDS = (0, 1000, 20001, 20002, 65534)
ADDRESS = {name: read_range(f"{leg}.5@tcp1").low for name, leg in LEGS.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nfsd]:
    folder = tmp_path_factory.mktemp("ganesha")
    for one in (folder, *folder.parents):
        if one.name.startswith(("ganesha", "pytest")):
            one.chmod(0o755)
    fill(folder / "data")
    made = Nfsd(folder, policy(folder / "data"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def calling(server: Nfsd, who: str, uid: int = 1000) -> Client:
    return Client(server.spaces.connect(who, (f"{LEGS[who]}.1", 2049)), uid, uid)


def handle_of(server: Nfsd, tenant: str, file: str) -> bytes:
    with calling(server, tenant) as client:
        status, handle = client.handle(tenant, file)
        assert status == nfs4.OK
        return handle


@pytest.mark.parametrize("uid", UIDS)
@pytest.mark.parametrize("path", IDS)
@pytest.mark.parametrize("who", LEGS)
def test_the_matrix(server: Nfsd, who: str, path: str, uid: int) -> None:
    config = exports.read((server.folder / "ganesha.conf").read_text())
    export = next(one for one in config.exports if one.pseudo == f"/{path}")
    said = config.access(export, ADDRESS[who])
    assert (said.kind != "none") == (who == path)
    with calling(server, who, uid) as client:
        status, handle = client.handle(path, "secret.txt")
        if said.kind == "none":
            assert status == nfs4.NOENT  # not even its name
            assert client.compound(nfs4.PUTROOT, nfs4.READDIR)[1].count(path.encode()) == 0
            return
        assert status == nfs4.OK
        root = client.handle(path)[1]
        done = {
            "read": client.compound(nfs4.putfh(handle), nfs4.READ)[0],
            "getattr": client.compound(nfs4.putfh(handle), nfs4.GETATTR)[0],
            "write": client.compound(nfs4.putfh(handle), nfs4.write(b"secret.txt"))[0],
            "setattr": client.compound(nfs4.putfh(handle), nfs4.chmod(0o600))[0],
            "create": client.compound(nfs4.putfh(root), nfs4.mkdir(f"made-by-{uid}"))[0],
        }
        for operation, status in done.items():
            allowed = nfsproof.allows(said.kind, operation)
            assert status == (nfs4.OK if allowed else nfs4.ROFS), operation
        made = server.folder / "data" / path / f"made-by-{uid}"
        assert made.exists() == nfsproof.allows(said.kind, "create")
        if made.exists():
            assert (made.stat().st_uid, made.stat().st_gid) == (
                said.identity("uid", uid),
                said.identity("gid", uid),
            )
            assert client.compound(nfs4.putfh(root), nfs4.remove(made.name))[0] == nfs4.OK


@pytest.mark.parametrize("uid", UIDS)
@pytest.mark.parametrize(
    ("thief", "owner"), [("genomics", "imaging"), ("imaging", "genomics"), ("stranger", "genomics")]
)
def test_a_stolen_handle_is_refused(server: Nfsd, thief: str, owner: str, uid: int) -> None:
    for file in ("secret.txt", "open.txt", "wild.txt"):
        stolen = handle_of(server, owner, file)
        with calling(server, thief, uid) as client:
            for operation in (nfs4.GETATTR, nfs4.access(1), nfs4.READ, nfs4.write(b"mine")):
                assert client.compound(nfs4.putfh(stolen), operation)[0] == nfs4.ACCESS
    assert (server.folder / "data" / owner / "wild.txt").read_text() == f"wild.txt of {owner}\n"


@pytest.mark.parametrize("uid", UIDS)
def test_a_made_up_handle_is_stopped_by_mode_and_owner_alone(server: Nfsd, uid: int) -> None:
    """A handle with the thief's own export in it: the server cannot see that the file lies elsewhere. So `ASSUMED`."""
    numbers = ganesha.export_ids(IDS)

    def made_up(file: str) -> bytes:
        stolen = handle_of(server, "imaging", file)
        assert struct.unpack_from(">H", stolen, 2)[0] == numbers["imaging"]
        return stolen[:2] + struct.pack(">H", numbers["genomics"]) + stolen[4:]

    with calling(server, "genomics", uid) as client:
        for operation in (nfs4.READ, nfs4.write(b"mine"), nfs4.chmod(0o777)):
            assert client.compound(nfs4.putfh(made_up("secret.txt")), operation)[0] in (
                nfs4.ACCESS,
                nfs4.PERM,
            )
        opened, text = client.compound(nfs4.putfh(made_up("open.txt")), nfs4.READ)
        assert (opened, b"open.txt of imaging" in text) == (nfs4.OK, True)
        assert any("made up" in one for one in nfsproof.ASSUMED)
    assert (server.folder / "data" / "imaging" / "secret.txt").read_text() == "secret.txt of imaging\n"


def test_noise_for_a_handle_is_refused(server: Nfsd) -> None:
    with calling(server, "genomics") as client:
        own = handle_of(server, "genomics", "secret.txt")
        for cut in (b"", own[:5], own + b"\0", bytes(len(own)), os.urandom(len(own))):
            assert client.compound(nfs4.putfh(cut), nfs4.READ)[0] not in (nfs4.OK,)


def test_libnfs_reads_and_writes_its_own_and_no_other(server: Nfsd, tmp_path: Path) -> None:
    local = tmp_path / "sample.txt"
    local.write_text("ACGT\n" * 100)  # libnfs 4.0 cannot write more at once over NFS 4
    at = "nfs://10.51.0.1/genomics"
    server.spaces.inside("genomics", "nfs-cp", str(local), f"{at}/sample.txt?version=4")
    there = server.folder / "data" / "genomics" / "sample.txt"
    assert there.read_text() == local.read_text() and there.stat().st_uid == IDS["genomics"]
    assert "secret.txt" in server.spaces.inside("genomics", "nfs-ls", f"{at}?version=4")
    assert (
        server.spaces.inside("genomics", "nfs-cat", f"{at}/secret.txt?version=4")
        == "secret.txt of genomics\n"
    )
    for who, url in (
        ("genomics", "nfs://10.51.0.1/imaging?version=4"),
        ("stranger", "nfs://10.53.0.1/genomics?version=4"),
    ):
        assert "secret.txt" not in server.spaces.inside(who, "nfs-ls", url, check=False)
    refused = server.spaces.inside(
        "imaging", "nfs-cp", str(local), "nfs://10.52.0.1/imaging/sample.txt?version=4", check=False
    )
    assert "copied" not in refused and not (server.folder / "data" / "imaging" / "sample.txt").exists()


def test_a_new_tenant_is_declared_mounted_and_verified_in_time(server: Nfsd) -> None:
    """Also back: what is taken out of the policy is gone, and its handles with it."""
    whole = server.fs
    fewer = without(whole, "imaging")
    kept = handle_of(server, "imaging", "secret.txt")
    server.configure(fewer)
    until = time.monotonic() + 10
    with calling(server, "imaging") as client:
        while client.handle("imaging")[0] == nfs4.OK and time.monotonic() < until:
            time.sleep(0.02)
        assert client.compound(nfs4.putfh(kept), nfs4.READ)[0] != nfs4.OK
    began = time.monotonic()
    assert nfsproof.prove(whole, ganesha.compiled(whole)).proven
    server.configure(whole)
    while "secret.txt" not in server.spaces.inside(
        "imaging", "nfs-ls", "nfs://10.52.0.1/imaging?version=4", check=False
    ):
        assert time.monotonic() < began + 5
        time.sleep(0.02)
    with calling(server, "genomics") as client:
        assert client.handle("imaging")[0] == nfs4.NOENT
    assert time.monotonic() < began + 5
