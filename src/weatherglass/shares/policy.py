"""What is declared of shares: file systems, tenants' shares, routers. Values and their checks; pure.

Nothing here knows a command. What a policy means for a client is `expected`, in a few lines, so that a reader can
hold it against SHARES' promise; compilers and the proof are held against it.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from weatherglass.base.errors import Invalid, Problem
from weatherglass.shares.nids import Range

NOBODY = 65534
NFS = (0, 0)
"""The version of what is no Lustre."""
LAST_ID = 2**32 - 2  # 2**32 - 1 is no id
_ROOT = re.compile(r"(/[A-Za-z0-9_.:+-]+)+")
NAME_BYTES = 16
"""Lustre's LUSTRE_NODEMAP_NAME_LENGTH, without the NUL."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Client ids 0 … limit-1 are fs ids base … base+limit-1 (Lustre 2.16: nodemap_add_offset)."""

    base: int
    limit: int


@dataclass(frozen=True, slots=True)
class Share:
    """One tenant's part of a file system.

    Every client id becomes `uid`/`gid` (squash), unless `uids`/`gids` map it (client id → fs id; what is not mapped
    is refused then, root becomes the squash id) or `offset` shifts it (what is beyond, and root, becomes the squash
    id). `ranges` are the NIDs from which the tenant comes: its provider network on its own LNet net.
    """

    tenant: str
    root: str
    uid: int
    gid: int
    ranges: tuple[Range, ...]
    router: str
    uids: Mapping[int, int] = field(default_factory=dict)
    gids: Mapping[int, int] = field(default_factory=dict)
    offset: Offset | None = None
    read_only: bool = False
    network: str = ""
    quota_bytes: int = 0
    quota_files: int = 0
    interface: str = "eth0"  # of the clients, on their own net
    where: str = ""

    @property
    def net(self) -> str:
        return self.ranges[0].net

    @property
    def mapped(self) -> bool:
        return bool(self.uids or self.gids)

    @property
    def nodemap(self) -> str:
        """The nodemap's name: the tenant's, or the beginning of it and a digest where it is too long for Lustre."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", self.tenant)
        if plain == self.tenant and len(plain) <= NAME_BYTES and plain not in ("default", "srv"):
            return plain
        return f"{plain[:9]}_{hashlib.sha256(self.tenant.encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True)
class Router:
    """An LNet router: its NIDs, who owns the machine ("" is the site), whether it carries the origin guard."""

    name: str
    server_nid: str
    legs: Mapping[str, str]  # tenant net → the router's own NID on it
    owner: str = ""
    guard: bool = True
    interfaces: Mapping[str, str] = field(default_factory=dict)  # net → the router's interface on it

    @property
    def server_net(self) -> str:
        return self.server_nid.partition("@")[2]

    def interface(self, net: str) -> str:
        return self.interfaces.get(net, "eth0" if net == self.server_net else "eth1")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One Lustre file system of a version, or (`NFS`) a tree that nfs-ganesha exports, and who reaches what of it."""

    name: str
    version: tuple[int, int]
    servers: tuple[Range, ...]
    shares: tuple[Share, ...]
    routers: Mapping[str, Router]
    mount: str = "/lustre"
    mgs: str = ""
    address: str = ""  # nfs-ganesha's own; "" is every one of its machine
    port: int = 2049
    where: str = ""

    @property
    def nfs(self) -> bool:
        return self.version == NFS

    def share(self, tenant: str) -> Share:
        return next(share for share in self.shares if share.tenant == tenant)


class Denied(str):
    """No access; the text says why."""


DENIED = Denied("denied")


def expected(share: Share, kind: str, client_id: int) -> int | Denied:
    """The fs id that the policy gives a client's id (`kind`: uid or gid) of this share."""
    squash = share.uid if kind == "uid" else share.gid
    if share.offset:
        inside = 0 < client_id < share.offset.limit
        return share.offset.base + client_id if inside else squash
    if not share.mapped:
        return squash
    maps = share.uids if kind == "uid" else share.gids
    if client_id in maps:
        return maps[client_id]
    return squash if client_id == 0 else DENIED


def owned(share: Share, kind: str) -> list[tuple[int, int]]:
    """The fs ids a share's clients can act as: intervals, both ends included."""
    squash = share.uid if kind == "uid" else share.gid
    if share.offset:
        return [(share.offset.base, share.offset.base + share.offset.limit - 1)]
    maps = share.uids if kind == "uid" else share.gids
    return sorted({(value, value) for value in (squash, *maps.values())})


def check(fs: FileSystem) -> None:
    """Raises Invalid with everything in the policy itself that would let tenants reach each other."""
    problems: list[Problem] = []

    def bad(share: Share, message: str, mend: str) -> None:
        problems.append(Problem(message, share.where or f"{fs.name}.{share.tenant}", mend))

    for share in fs.shares:
        if not _ROOT.fullmatch(share.root) or posixpath.normpath(share.root) != share.root:
            bad(share, f"{share.root!r} is not the path of a share's root", "one like /genomics, no .. in it")
        for kind, maps, squash in (("uid", share.uids, share.uid), ("gid", share.gids, share.gid)):
            for value in (squash, *maps.values()):
                if not 0 < value <= LAST_ID:
                    bad(
                        share, f"{kind} {value} on the file system would be root or no id at all", "1 or more"
                    )
            for value in maps:
                if not 0 <= value <= LAST_ID:
                    bad(share, f"{value} is no client {kind}", "a number from 0")
            targets = [*maps.values(), *([squash] if maps and 0 not in maps else [])]
            if len(set(targets)) < len(targets):
                bad(
                    share,
                    f"two client {kind}s on one {kind} of the file system",
                    "one each: maps go both ways",
                )
        if share.offset:
            _check_offset(fs, share, bad)
        if fs.nfs and (share.mapped or share.offset):
            bad(share, "nfs-ganesha cannot map ids one by one", "squash: {uid, gid} alone")
        if share.read_only and not fs.nfs and fs.version < (2, 16):
            bad(
                share,
                f"Lustre {fs.version[0]}.{fs.version[1]} cannot keep a share read-only on the server",
                "2.16 or newer, or a share that may be written",
            )
        if not share.ranges:
            bad(share, "the share has no addresses to come from", "via.network or via.addresses")
        elif len({one.net for one in share.ranges}) > 1:
            bad(share, "the share's ranges lie on several nets", "one LNet net a tenant")
        if share.router not in fs.routers:
            bad(share, f"there is no router {share.router}", "declare it")
        elif (owner := fs.routers[share.router].owner) not in ("", share.tenant):
            bad(share, f"router {share.router} belongs to {owner}", "a router of the site or of the tenant")
    problems += _collisions(fs)
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)


def _check_offset(fs: FileSystem, share: Share, bad: object) -> None:
    assert callable(bad) and share.offset is not None
    if not fs.nfs and fs.version < (2, 16):
        bad(share, "an offset needs Lustre 2.16", "maps, or a squash")
    if share.mapped:
        bad(share, "an offset and maps in one share", "one of them")
    if (
        share.offset.base < 1
        or share.offset.base + share.offset.limit - 1 > LAST_ID
        or share.offset.limit < 2
    ):
        bad(share, "the offset's ids begin at 0, end beyond the last id, or are none", "base 1 or more")
    for kind, value in (("uid", share.uid), ("gid", share.gid)):
        if not share.offset.base < value < share.offset.base + share.offset.limit:
            bad(share, f"squash {kind} {value} lies outside the offset's own ids", "one of the tenant's ids")


def _collisions(fs: FileSystem) -> Iterable[Problem]:
    """What two tenants may not share: ids, roots, nets, addresses, nodemap names."""
    for kind in ("uid", "gid"):
        spans = [(low, high, share) for share in fs.shares for low, high in owned(share, kind)]
        spans.sort(key=lambda span: span[:2])
        reached, holder = -1, None
        for low, high, share in spans:
            if holder is not None and low <= reached and holder.tenant != share.tenant:
                yield Problem(
                    f"{kind} {low} belongs to {holder.tenant} and to {share.tenant}",
                    share.where or f"{fs.name}.{share.tenant}",
                    "ids on the file system that no two tenants share: a fileset holds only at the mount",
                )
            if high > reached:
                reached, holder = high, share
    outer = None
    for share in sorted(fs.shares, key=lambda share: f"{share.root}/"):
        if outer is None or not f"{share.root}/".startswith(f"{outer.root}/"):
            outer = share
        else:
            yield Problem(
                f"{share.root} of {share.tenant} lies in {outer.root} of {outer.tenant}",
                share.where or f"{fs.name}.{share.tenant}",
                "roots beside each other",
            )
    # NFS knows addresses and no nets.
    spans_of = [
        (one._replace(net="") if fs.nfs else one, share) for share in fs.shares for one in share.ranges
    ]
    spans_of.sort(key=lambda pair: (pair[0].net, pair[0].low))
    for (one, first), (two, second) in pairwise(spans_of):
        if one.overlaps(two):
            yield Problem(
                f"{two} of {second.tenant} overlaps {one} of {first.tenant}",
                second.where or f"{fs.name}.{second.tenant}",
                "addresses that no two tenants share",
            )
        elif one.net and one.net == two.net and first.tenant != second.tenant:
            yield Problem(
                f"{first.tenant} and {second.tenant} share the net {one.net}",
                second.where or f"{fs.name}.{second.tenant}",
                "one LNet net a tenant: a client's NID is its own claim",
            )
    for share in fs.shares:
        for one in share.ranges:
            for server in fs.servers:
                if one.net == server.net:
                    yield Problem(
                        f"{share.tenant} is on the servers' net {server.net}",
                        share.where or f"{fs.name}.{share.tenant}",
                        "a net of the tenant's own behind a router",
                    )
    names: dict[str, str] = {}
    for share in fs.shares:
        other = names.setdefault(share.nodemap, share.tenant)
        if other != share.tenant:
            yield Problem(
                f"{share.tenant} and {other} would have one nodemap name, {share.nodemap}",
                share.where or f"{fs.name}.{share.tenant}",
                "another name for one of them",
            )
