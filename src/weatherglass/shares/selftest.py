"""What a site with a real Lustre runs to see that commands, nodemaps, mounts and the guard do what is claimed. Pure.

Nothing of Lustre's kernel modules runs where this is developed: these lines are where the model meets the thing. Each
check is a command and what it must say, so that a person or a program can go through them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from weatherglass.shares.lustre.compile import commands, text
from weatherglass.shares.nids import dotted, nid
from weatherglass.shares.policy import DENIED, FileSystem, Share, expected
from weatherglass.shares.routing import script as router_script

MOUNT = "/mnt/weatherglass-selftest"


class Check(NamedTuple):
    """A command, where it runs, and what must be seen: its output, or (`fails`) that it does not succeed."""

    where: str
    command: str
    sees: str
    fails: bool = False


def checks(fs: FileSystem) -> Iterator[Check]:
    """Everything to be seen on a live file system once the commands have run, in order."""
    for one in fs.servers:
        yield Check("mgs", f"lctl nodemap_test_nid {nid(one.low, one.net)}", "srv")
    for share in fs.shares:
        yield from _nodemap(share)
    for share in fs.shares:
        yield from _mounted(fs, share)


def _nodemap(share: Share) -> Iterator[Check]:
    for one in share.ranges:
        for address, name in ((one.low, share.nodemap), (one.high, share.nodemap), (one.high + 1, "default")):
            yield Check("mgs", f"lctl nodemap_test_nid {nid(address, one.net)}", name)
    inside = nid(share.ranges[0].low + 1, share.net)
    for kind, maps in (("uid", share.uids), ("gid", share.gids)):
        for client in sorted({0, 1000, *maps}):
            meant = expected(share, kind, client)
            if meant != DENIED:
                yield Check(
                    "mgs", f"lctl nodemap_test_id --nid {inside} --idtype {kind} --id {client}", str(meant)
                )


def _mounted(fs: FileSystem, share: Share) -> Iterator[Check]:
    where = f"clients {share.tenant}"
    file = f"{MOUNT}/weatherglass-selftest"
    yield Check(where, f"mkdir -p {MOUNT} && mount -t lustre {fs.mgs}:/{fs.name} {MOUNT}", "")
    if share.read_only:
        yield Check(where, f"touch {file}", "Read-only file system", True)
    else:
        yield Check(where, f"umask 077 && echo {share.tenant} > {file}", "")
        yield Check(
            "admin",
            f"stat -c '%u %g %a' {fs.mount}{share.root}/weatherglass-selftest",
            f"{share.uid} {share.gid} 600",
        )
    for other in fs.shares:
        if other.tenant != share.tenant:
            yield Check(where, f"ls -d {MOUNT}{other.root}", "No such file or directory", True)
    if not share.read_only:
        yield Check(where, f"rm {file}", "")
    yield Check(where, f"umount {MOUNT}", "")


def script(fs: FileSystem, policy: str) -> str:
    """The whole as text: what runs where, and what must be seen."""
    out = [
        f"# Selftest of {fs.name}: Lustre {fs.version[0]}.{fs.version[1]}. `policy` is {policy}.",
        "# 1. Routers' packets, before any leg is up.",
    ]
    for router in fs.routers.values():
        out += [f"# on router {router.name}", router_script(fs, router).rstrip()]
    out += [
        "",
        "# 2. The commands. `modprobe lnet` first where LNet is not loaded.",
        text(commands(fs)).rstrip(),
    ]
    out += [
        "", "# 3. Read back: exit code 0, nothing to change.", "# on mgs",
        "lctl get_param -R 'nodemap.*' > nodemaps.txt",
        f"weatherglass shares plan {shlex.quote(policy)} --only {fs.name} --live nodemaps.txt",
        "", "# 4. What must be seen.",
    ]  # fmt: skip
    where = ""
    for check in checks(fs):
        if check.where != where:
            where = check.where
            out.append(f"# on {where}")
        says = f"says {check.sees}" if check.sees else "succeeds"
        out += [check.command, f"#   {'fails: ' + check.sees if check.fails else says}"]
    out += ["", "# 5. The guard, from a machine of each tenant: every attempt as told, exit code 0."]
    for share in fs.shares:
        leg = fs.routers[share.router].legs[share.net]
        own = nid(share.ranges[0].low + 1, share.net)
        out += [
            f"# on clients {share.tenant} (its own NID for {own}; LNet down there: lustre_rmmod)",
            f"weatherglass shares selftest {shlex.quote(policy)} --only {fs.name} --call {leg} --own {own}",
        ]
    out += [
        "", "# 6. Clients that had mounted before a fileset changed: evict, then mount again.",
        "# on servers", "for nid in $(lctl get_param -N 'mdt.*.exports.*' | sed 's/.*exports\\.//'); do echo $nid; done",
        f"#   none from {', '.join(dotted(one.low) for share in fs.shares for one in share.ranges)} … before its tenant mounts anew",
    ]  # fmt: skip
    return "\n".join(out) + "\n"
