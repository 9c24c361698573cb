"""Mounted file systems: who is mounted from the mount table, how full from statvfs(2)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from weatherglass.agent.remote_write import Sample

# What stores nothing of anyone's; overlay mounts of containers repeat the file system beneath them.
IGNORED_TYPES = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "fusectl",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "procfs",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tracefs",
        "ramfs",
    ]
)
IGNORED_MOUNTS = re.compile(r"/(dev|proc|sys|run/credentials/.+|var/lib/containers/.+/shm)($|/)")
# statvfs on these waits for a server; a hung one would hang the round, so they are left to their own rooms.
REMOTE_TYPES = frozenset(["nfs", "nfs4", "cifs", "smb3", "lustre", "ceph", "fuse.sshfs", "9p"])
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    device: str
    point: str
    kind: str
    read_only: bool


def parse_mounts(table: str) -> Iterator[Mount]:
    """The mounts worth telling of, from a /proc/…/mounts table; a point mounted over twice is told once."""
    found: dict[str, Mount] = {}
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 4:
            continue
        device, point = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), text) for text in fields[:2])
        if fields[2] in IGNORED_TYPES | REMOTE_TYPES or IGNORED_MOUNTS.match(point):
            continue
        found[point] = Mount(device, point, fields[2], "ro" in fields[3].split(","))
    yield from found.values()


def filesystem(proc: Path) -> Iterator[Sample]:
    for mount in parse_mounts((proc / "self" / "mounts").read_text(errors="surrogateescape")):
        if not mount.point.isprintable():
            continue
        labels = (("device", mount.device), ("fstype", mount.kind), ("mountpoint", mount.point))
        try:
            told = os.statvfs(mount.point)
        except OSError:
            yield Sample("node_filesystem_device_error", labels, 1)
            continue
        yield Sample("node_filesystem_size_bytes", labels, told.f_blocks * told.f_frsize)
        yield Sample("node_filesystem_free_bytes", labels, told.f_bfree * told.f_frsize)
        yield Sample("node_filesystem_avail_bytes", labels, told.f_bavail * told.f_frsize)
        yield Sample("node_filesystem_files", labels, told.f_files)
        yield Sample("node_filesystem_files_free", labels, told.f_ffree)
        yield Sample("node_filesystem_readonly", labels, float(mount.read_only))
