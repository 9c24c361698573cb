"""Files that a fileset does not keep apart: open to others, or with ids that are not their tenant's.

A fileset holds at the mount alone; beneath it mode and owner are the wall (SHARES' threat 4). So a tenant's tree must
have nothing for others, no id of another's, no link into another's tree. `judge` is pure; `scan` walks a tree without
following links and without leaving its file system.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from weatherglass.shares.policy import FileSystem, Share, owned

_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_USER, _GROUP, _MASK, _OTHER = 0x02, 0x08, 0x10, 0x20
TOLD = 1000
"""Findings told one by one for each tenant; the others are counted."""


class Stray(NamedTuple):
    """One file that is not as it must be; `mend` is a command."""

    tenant: str
    kind: str
    path: str
    told: str
    mend: str


@dataclass(slots=True)
class Found:
    """What a scan came to: files looked at, findings by tenant and kind, and the first of them in full."""

    files: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    strays: list[Stray] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    def add(self, one: Stray) -> None:
        self.counts[one.tenant, one.kind] += 1
        self.told[one.tenant] += 1
        if self.told[one.tenant] <= TOLD:
            self.strays.append(one)


def judge(
    share: Share, path: str, mode: int, uid: int, gid: int, acls: Iterable[bytes] = ()
) -> Iterator[Stray]:
    """What is wrong with one file of a tenant's. A symbolic link's own mode means nothing."""
    quoted = _quoted(path)
    if not stat.S_ISLNK(mode) and mode & 0o007:
        yield Stray(
            share.tenant,
            "others",
            path,
            f"mode {stat.S_IMODE(mode):04o} lets others in",
            f"chmod o= {quoted}",
        )
    for kind, value in (("uid", uid), ("gid", gid)):
        if not _own(share, kind, value):
            mend = f"{'chown' if kind == 'uid' else 'chgrp'} -h {share.uid if kind == 'uid' else share.gid} {quoted}"
            yield Stray(share.tenant, kind, path, f"{kind} {value} is not {share.tenant}'s", mend)
    for acl in acls:
        for tag, permissions, number in entries(acl):
            if tag == _OTHER and permissions:
                told = "an access list gives permissions to others"
            elif (
                tag in (_USER, _GROUP)
                and permissions
                and not _own(share, "uid" if tag == _USER else "gid", number)
            ):
                told = f"an access list names {'user' if tag == _USER else 'group'} {number}"
            else:
                continue
            yield Stray(share.tenant, "acl", path, told, f"setfacl -b {quoted}")


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _own(share: Share, kind: str, value: int) -> bool:
    return any(low <= value <= high for low, high in owned(share, kind))


def entries(acl: bytes) -> Iterator[tuple[int, int, int]]:
    """(tag, permissions, id) of each entry of a POSIX access list as the kernel stores it (version 2)."""
    if len(acl) < 4 or struct.unpack_from("<I", acl)[0] != 2:
        return
    for at in range(4, len(acl) - 7, 8):
        yield struct.unpack_from("<HHI", acl, at)


def scan(fs: FileSystem, mount: Path | None = None) -> Found:
    """Look at every tenant's tree below `mount` (the declared one where none is given)."""
    found = Found()
    top = str(mount or fs.mount).rstrip("/")
    links: dict[tuple[int, int], tuple[str, str]] = {}
    for share in fs.shares:
        root = f"{top}{share.root}"
        try:
            status = os.lstat(root)
        except OSError as error:
            found.add(
                Stray(
                    share.tenant,
                    "root",
                    root,
                    f"the root cannot be read: {error.strerror}",
                    f"mkdir -m 700 {root}",
                )
            )
            continue
        if not stat.S_ISDIR(status.st_mode):
            found.add(
                Stray(share.tenant, "root", root, "the root is no folder of its own", f"mkdir -m 700 {root}")
            )
            continue
        for path, one in _walk(root, status):
            found.files += 1
            linked = one.st_nlink > 1 and not stat.S_ISDIR(one.st_mode)
            for stray in judge(share, path, one.st_mode, one.st_uid, one.st_gid, _acls(path, one.st_mode)):
                if linked and stray.kind in ("uid", "gid"):
                    # To change the owner would give away what may be another tenant's own.
                    stray = stray._replace(mend=f"rm {_quoted(path)}")
                found.add(stray)
            if linked:
                first = links.setdefault((one.st_dev, one.st_ino), (share.tenant, path))
                if first[0] != share.tenant:
                    told = f"it is {first[1]} of {first[0]} too"
                    found.add(Stray(share.tenant, "link", path, told, f"rm {_quoted(first[1])}"))
    return found


def _walk(root: str, status: os.stat_result) -> Iterator[tuple[str, os.stat_result]]:
    yield root, status
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            listed = os.scandir(folder)
        except FileNotFoundError:
            continue  # gone since it was seen
        with listed:
            for entry in listed:
                try:
                    one = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield entry.path, one
                if stat.S_ISDIR(one.st_mode) and one.st_dev == status.st_dev:
                    waiting.append(entry.path)


def _acls(path: str, mode: int) -> list[bytes]:
    if stat.S_ISLNK(mode):
        return []
    found = []
    for name in _ACLS if stat.S_ISDIR(mode) else _ACLS[:1]:
        try:
            found.append(os.getxattr(path, name, follow_symlinks=False))
        except OSError:
            continue  # most files have none, and some file systems know none
    return found
