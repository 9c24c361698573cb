"""A policy's commands, by version, in the order that never opens a window. Pure.

The order: the servers' own nodemap, then the default shut, then each tenant's nodemap whole before any NID falls into
it (its range comes last), then nodemap on, then the servers' routes, and the routers' legs at the very end: until its
leg is up nobody of a tenant reaches anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from weatherglass.shares.lustre.features import has
from weatherglass.shares.policy import NOBODY, FileSystem, Router, Share

SERVERS = "srv"


class Command(NamedTuple):
    """One command and where it runs: `mgs`, `admin` (a client among the servers), `servers`, `router NAME`, `clients TENANT`."""

    where: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.argv)


def commands(fs: FileSystem) -> list[Command]:
    """All commands for an empty configuration, in order."""
    return [*_mgs(fs), *_quotas(fs), *_servers(fs), *_routers(fs), *_clients(fs)]


def _modify(name: str, **properties: object) -> Iterator[Command]:
    for key, value in properties.items():
        yield _on_mgs("nodemap_modify", "--name", name, "--property", key, "--value", str(value))


def _on_mgs(*argv: str) -> Command:
    return Command("mgs", ("lctl", *argv))


def _mgs(fs: FileSystem) -> Iterator[Command]:
    yield _on_mgs("nodemap_add", SERVERS)
    yield from _modify(SERVERS, admin=1, trusted=1)
    for servers in fs.servers:
        yield _on_mgs("nodemap_add_range", "--name", SERVERS, "--range", str(servers))
    yield from _modify("default", admin=0, trusted=0, squash_uid=NOBODY, squash_gid=NOBODY, deny_unknown=1)
    if has(fs.version, "deny_mount"):
        yield from _modify("default", deny_mount=1)
    for share in fs.shares:
        yield from tenant(fs.version, share)
    yield _on_mgs("nodemap_activate", "1")


def tenant(version: tuple[int, int], share: Share) -> Iterator[Command]:
    """One tenant's nodemap; its range last, so that no NID ever falls into a nodemap that is half made."""
    name = share.nodemap
    yield _on_mgs("nodemap_add", name)
    yield from _modify(name, admin=0, trusted=int(share.offset is not None))
    base = share.offset.base if share.offset else 0
    yield from _modify(name, squash_uid=share.uid - base, squash_gid=share.gid - base)
    yield from _modify(name, deny_unknown=int(share.mapped))
    if share.offset:
        yield _on_mgs(
            "nodemap_add_offset", "--name", name,
            "--offset", str(share.offset.base), "--limit", str(share.offset.limit),
        )  # fmt: skip
    if share.mapped:
        for kind, maps, squash in (("uid", share.uids, share.uid), ("gid", share.gids, share.gid)):
            # Where root is unknown and the unknown are denied, the mount itself fails.
            for client, on_fs in sorted({0: squash, **maps}.items()):
                yield _on_mgs(
                    "nodemap_add_idmap", "--name", name, "--idtype", kind, "--idmap", f"{client}:{on_fs}"
                )
    if has(version, "rbac"):
        yield from _modify(name, rbac="file_perms")
    if has(version, "readonly_mount"):
        yield from _modify(name, readonly_mount=int(share.read_only))
    if has(version, "fileset_add"):
        yield _on_mgs("nodemap_fileset_add", "--name", name, "--fileset", share.root)
    else:
        # The first holds at once, the second after the MGS is started anew.
        yield _on_mgs("set_param", f"nodemap.{name}.fileset={share.root}")
        yield _on_mgs("set_param", "-P", f"nodemap.{name}.fileset={share.root}")
    for one in share.ranges:
        yield _on_mgs("nodemap_add_range", "--name", name, "--range", str(one))


def _quotas(fs: FileSystem) -> Iterator[Command]:
    for share in fs.shares:
        yield from quota(fs, share)


def quota(fs: FileSystem, share: Share) -> Iterator[Command]:
    """A bound on what lies beneath a share's root, by project (2.10) or, before, by its user. KiB and files; 0 is none."""
    if not (share.quota_bytes or share.quota_files):
        return
    bounds = ("-b", "0", "-B", str(-(-share.quota_bytes // 1024)), "-i", "0", "-I", str(share.quota_files))
    if has(fs.version, "project quota"):
        root = f"{fs.mount}{share.root}"
        yield Command("admin", ("lfs", "project", "-p", str(share.uid), "-r", "-s", root))
        yield Command("admin", ("lfs", "setquota", "-p", str(share.uid), *bounds, fs.mount))
    else:
        yield Command("admin", ("lfs", "setquota", "-u", str(share.uid), *bounds, fs.mount))


def _net_add(where: str, net: str, interface: str) -> Command:
    return Command(where, ("lnetctl", "net", "add", "--net", net, "--if", interface))


def _route_add(where: str, net: str, gateway: str) -> Command:
    return Command(where, ("lnetctl", "route", "add", "--net", net, "--gateway", gateway))


def _servers(fs: FileSystem) -> Iterator[Command]:
    if has(fs.version, "drop_asym_route"):
        yield Command("servers", ("lnetctl", "set", "drop_asym_route", "1"))
    for share in fs.shares:
        yield _route_add("servers", share.net, fs.routers[share.router].server_nid)


def _routers(fs: FileSystem) -> Iterator[Command]:
    for name, router in fs.routers.items():
        yield from _router(fs, name, router)


def _router(fs: FileSystem, name: str, router: Router) -> Iterator[Command]:
    where = f"router {name}"
    served = [share for share in fs.shares if share.router == name]
    if not served:
        return
    yield Command(where, ("lnetctl", "lnet", "configure"))
    yield _net_add(where, router.server_net, router.interface(router.server_net))
    yield Command(where, ("lnetctl", "set", "routing", "1"))
    for share in served:
        # The guard before the leg: no moment in which a NID is believed.
        if router.guard:
            yield guard(fs, router, share, where)
        yield _net_add(where, share.net, router.interface(share.net))


def guard(fs: FileSystem, router: Router, share: Share, where: str) -> Command:
    """The origin guard on one leg: whose NIDs it admits, and to which they may speak."""
    argv = ["weatherglass", "shares", "guard", "--leg", router.legs[share.net]]
    for one in share.ranges:
        argv += ["--peers", str(one)]
    for one in fs.servers:
        argv += ["--to", str(one)]
    return Command(where, tuple(argv))


def _clients(fs: FileSystem) -> Iterator[Command]:
    for share in fs.shares:
        router = fs.routers[share.router]
        where = f"clients {share.tenant}"
        yield Command(where, ("lnetctl", "lnet", "configure"))
        yield _net_add(where, share.net, share.interface)
        yield _route_add(where, router.server_net, router.legs[share.net])


def text(found: list[Command]) -> str:
    """The commands as a file: a line each, under `# on PLACE` where the place changes."""
    out: list[str] = []
    where = ""
    for command in found:
        if command.where != where:
            where = command.where
            out.append(f"{chr(10) if out else ''}# on {where}")
        out.append(str(command))
    return "\n".join(out) + "\n"
