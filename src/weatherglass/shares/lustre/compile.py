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
    """One command and where it runs: `mgs`, `servers`, `router NAME`, `clients TENANT`."""

    where: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.argv)


def commands(fs: FileSystem) -> list[Command]:
    """All commands for an empty configuration, in order."""
    return [*_mgs(fs), *_servers(fs), *_routers(fs), *_clients(fs)]


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


def _servers(fs: FileSystem) -> Iterator[Command]:
    if has(fs.version, "drop_asym_route"):
        yield Command("servers", ("lnetctl", "set", "drop_asym_route", "1"))
    for share in fs.shares:
        router = fs.routers[share.router]
        yield Command(
            "servers", ("lnetctl", "route", "add", "--net", share.net, "--gateway", router.server_nid)
        )


def _routers(fs: FileSystem) -> Iterator[Command]:
    for name, router in fs.routers.items():
        yield from _router(fs, name, router)


def _router(fs: FileSystem, name: str, router: Router) -> Iterator[Command]:
    where = f"router {name}"
    _, _, server_net = router.server_nid.partition("@")
    served = [share for share in fs.shares if share.router == name]
    if not served:
        return
    yield Command(where, ("lnetctl", "net", "add", "--net", server_net))
    yield Command(where, ("lnetctl", "set", "routing", "1"))
    for share in served:
        # The guard before the leg: no moment in which a NID is believed.
        if router.guard:
            for one in share.ranges:
                yield Command(
                    where,
                    ("weatherglass", "shares", "guard", "--leg", router.legs[share.net], "--peers", str(one)),
                )
        yield Command(where, ("lnetctl", "net", "add", "--net", share.net))


def _clients(fs: FileSystem) -> Iterator[Command]:
    for share in fs.shares:
        router = fs.routers[share.router]
        _, _, server_net = router.server_nid.partition("@")
        where = f"clients {share.tenant}"
        yield Command(where, ("lnetctl", "net", "add", "--net", share.net))
        yield Command(
            where, ("lnetctl", "route", "add", "--net", server_net, "--gateway", router.legs[share.net])
        )


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
