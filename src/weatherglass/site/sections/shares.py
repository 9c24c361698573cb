"""`shares:` parts of shared file systems, by tenant: what each sees, as whom, and by which way it comes.

What is read here are texts and numbers; what they mean for Lustre or NFS, and whether tenants could meet, is the shares
room's to say (`shares.declared`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from typing import Any, NamedTuple

from weatherglass.base.ids import entity
from weatherglass.site.fields import (
    BOOLEAN,
    COUNT,
    FILLED,
    NAME,
    REQUIRED,
    SIZE,
    At,
    Field,
    ListOf,
    MapOf,
    Record,
    Scalar,
    integer,
    plain_name,
    whole,
)
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Site
from weatherglass.site.section import Context, Section

LAST_ID = 2**32 - 2


class Leg(NamedTuple):
    nid: str
    interface: str


class Router(NamedTuple):
    """`nid` on the servers' net, one leg a tenant net."""

    nid: str
    interface: str
    legs: Mapping[str, Leg]
    owner: str
    guard: bool


class Ids(NamedTuple):
    uid: int
    gid: int


class Maps(NamedTuple):
    uid: Mapping[int, int]
    gid: Mapping[int, int]


class Offset(NamedTuple):
    base: int
    limit: int


class Quota(NamedTuple):
    bytes: int
    files: int


class Via(NamedTuple):
    router: str
    net: str
    network: str
    addresses: tuple[str, ...]
    interface: str


class Part(NamedTuple):
    """One tenant's part; `where` is its place in the declaration."""

    root: str
    squash: Ids
    maps: Maps
    offset: Offset | None
    read_only: bool
    quota: Quota
    via: Via
    where: str = ""


class Lustre(NamedTuple):
    version: str
    mgs: str
    servers: tuple[str, ...]


class Nfs(NamedTuple):
    server: str
    port: int


class Shared(NamedTuple):
    """One file system: by Lustre, or a tree that nfs-ganesha exports."""

    lustre: Lustre | None
    nfs: Nfs | None
    mount: str
    routers: Mapping[str, Router]
    tenants: Mapping[str, Part]
    where: str = ""


_VERSION = re.compile(r"\d{1,2}\.\d{1,2}(\.\d{1,3})?")


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise ValueError(f'{text!r} is not a version of Lustre; write one like "2.15", in quotes')
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} is not a whole path")
    return text


def _nid(text: str) -> str:
    address, at, net = text.partition("@")
    if not (address and at and net):
        raise ValueError(f"{text!r} is no NID; write one like 10.0.0.2@tcp0")
    return text


def _cidr(text: str) -> str:
    try:
        IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IPv4 network like 10.20.0.0/24: {error}") from None
    return text


def _id(text: str) -> int:
    value = integer(text)
    if not 0 <= value <= LAST_ID:
        raise ValueError(f"{value} is no id of a user or group")
    return value


def _interface(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:@-]{1,15}", text):
        raise ValueError(f"{text!r} is not the name of an interface")
    return text


_ONE = ListOf(Scalar(_nid, {"type": "string"}, "a NID like 10.0.0.2@tcp0"), single=True, least=1)
NID = Scalar(_nid, {"type": "string"}, "a NID like 10.0.0.2@tcp0")
PATH = Scalar(_path, {"type": "string"}, "a path like /genomics")
CIDR = Scalar(_cidr, {"type": "string"}, "a network like 10.20.0.0/24")
INTERFACE = Scalar(_interface, {"type": "string"}, "an interface like eth0")
VERSION = Scalar(_version, {"type": ["string", "number"]}, "a version like 2.15")
FS_ID = whole(1, LAST_ID)


class _IdMap:
    """Client id → id on the file system; keys are read as numbers."""

    def read(self, at: At) -> Any:
        found = MapOf(FS_ID, key=_id).read(at)
        return {_id(key): value for key, value in found.items()} if isinstance(found, dict) else found

    def schema(self) -> dict[str, Any]:
        return {"type": ["object", "null"], "additionalProperties": FS_ID.schema()}


_VIA = Record(
    {
        "router": Field(NAME, "the LNet router it comes by", REQUIRED),
        "net": Field(FILLED, "its own LNet net, like tcp32769", REQUIRED),
        "network": Field(NAME, "the tenant's network, whose subnets are its addresses", ""),
        "addresses": Field(ListOf(CIDR, single=True), "its addresses, where no network is named", ()),
        "interface": Field(INTERFACE, "the clients' interface on that network", "eth0"),
    },
    Via,
)
_PART = Record(
    {
        "root": Field(PATH, "the part of the file system that it sees as its own /", REQUIRED),
        "squash": Field(
            Record(
                {
                    "uid": Field(FS_ID, "the user everybody becomes", REQUIRED),
                    "gid": Field(FS_ID, "the group", REQUIRED),
                },
                Ids,
            ),
            "who its clients' users become, where nothing maps them",
            REQUIRED,
        ),
        "maps": Field(
            Record(
                {
                    "uid": Field(_IdMap(), "client uid → uid on the file system", {}),
                    "gid": Field(_IdMap(), "client gid → gid on the file system", {}),
                },
                Maps,
            ),
            "users who keep an id of their own; the others are refused then",
            Maps({}, {}),
            "default: none",
        ),
        "offset": Field(
            Record(
                {
                    "base": Field(FS_ID, "the first id on the file system", REQUIRED),
                    "limit": Field(FS_ID, "how many", REQUIRED),
                },
                Offset,
            ),
            "a range of ids of its own, client id 0 first (Lustre 2.16)",
            None,
        ),
        "read_only": Field(BOOLEAN, "whether it may only read", False),
        "quota": Field(
            Record(
                {
                    "bytes": Field(SIZE, "how much it may hold", 0, "default: no bound"),
                    "files": Field(COUNT, "how many files", 0, "default: no bound"),
                },
                Quota,
            ),
            "how much it may fill",
            Quota(0, 0),
            "default: no bound",
        ),
        "via": Field(_VIA, "the way by which it comes", REQUIRED),
    },
    Part,
)
_ROUTER = Record(
    {
        "nid": Field(NID, "its NID on the servers' net", "", "default: its host's address there"),
        "interface": Field(INTERFACE, "its interface to the servers", "eth0"),
        "legs": Field(
            MapOf(
                Record(
                    {
                        "nid": Field(
                            NID, "its own NID on that net", "", "default: the last host address there"
                        ),
                        "interface": Field(INTERFACE, "its interface to the tenant", "eth1"),
                    },
                    Leg,
                )
            ),
            "tenant net → its leg on it",
            {},
            "default: each net of its tenants, on eth1, eth2, …",
        ),
        "owner": Field(NAME, "the tenant whose machine it is", "", "default: the site"),
        "guard": Field(BOOLEAN, "whether it carries the origin guard", True),
    },
    Router,
)
_SHARED = Record(
    {
        "lustre": Field(
            Record(
                {
                    "version": Field(VERSION, "of the servers, 2.9 to 2.17", REQUIRED),
                    "mgs": Field(NID, "the management server", REQUIRED),
                    "servers": Field(_ONE, "all servers' NIDs, as ranges", REQUIRED),
                },
                Lustre,
            ),
            "a Lustre file system",
            None,
        ),
        "nfs": Field(
            Record(
                {
                    "server": Field(FILLED, "the address that nfs-ganesha listens on", REQUIRED),
                    "port": Field(whole(1, 65535), "its port", 2049),
                },
                Nfs,
            ),
            "a tree that nfs-ganesha exports",
            None,
        ),
        "mount": Field(PATH, "where it is mounted, or the tree lies", "/lustre"),
        "routers": Field(MapOf(_ROUTER, key=plain_name, nullable=True), "the LNet routers between", {}),
        "tenants": Field(MapOf(_PART, key=plain_name), "each tenant's part", {}),
    },
    Shared,
)


def _finish(context: Context) -> dict[str, Shared]:
    done: dict[str, Shared] = {}
    for name, written in context.values["shares"].items():
        path = f"shares.{name}"
        if (written.lustre is None) == (written.nfs is None):
            context.report.add(path, "give lustre: or nfs:, one of them", "lustre: {version, mgs, servers}")
            continue
        parts = {
            tenant: _part(context, f"{path}.tenants.{tenant}", tenant, part)
            for tenant, part in written.tenants.items()
        }
        routers = dict(written.routers)
        for part in parts.values():
            routers.setdefault(part.via.router, Router("", "eth0", {}, "", True))
        for router, one in routers.items():
            routers[router] = _router(context, f"{path}.routers.{router}", router, one, written, parts)
        done[name] = written._replace(routers=routers, tenants=parts, where=context.report.place(path))
    return done


def _part(context: Context, path: str, tenant: str, part: Part) -> Part:
    if context.values.get("tenants") or context.names.get("tenants"):
        context.refer(path, "tenants", tenant)
    addresses = part.via.addresses
    if not addresses and part.via.network:
        addresses = _subnets(context, f"{path}.via.network", part.via.network)
    elif not addresses:
        context.report.add(f"{path}.via", "the share has no addresses to come from", "network: or addresses:")
    where = f"{context.report.place(path)}.{path}"
    return part._replace(via=part.via._replace(addresses=tuple(addresses)), where=where)


def _subnets(context: Context, path: str, network: str) -> tuple[str, ...]:
    """The IPv4 subnets of a declared network, whatever else that section says of it."""
    if "networks" not in context.values:
        context.report.add(path, "networks: is not yet in this version", "give addresses: [10.20.0.0/24]")
        return ()
    if not context.refer(path, "networks", network):
        return ()
    declared = context.values["networks"][network]
    subnets = getattr(declared, "subnets", ())
    listed = list(subnets.values()) if isinstance(subnets, Mapping) else list(subnets)
    prefixes = [ip_network(str(getattr(one, "prefix", getattr(one, "cidr", one)))) for one in listed]
    found = tuple(str(one) for one in prefixes if one.version == 4)
    if not found:
        context.report.add(path, f"network {network} has no IPv4 subnet", "LNet speaks IPv4: give it one")
    return found


def _router(
    context: Context, path: str, name: str, one: Router, fs: Shared, parts: Mapping[str, Part]
) -> Router:
    """A router with what was left out filled in: its NID from its host, its legs from its tenants."""
    hosts = context.values.get("hosts") or {}
    nid = one.nid
    if not nid and fs.lustre is not None:
        if name in hosts:
            nid = f"{hosts[name].address}@{fs.lustre.servers[0].partition('@')[2]}"
        else:
            context.report.add(
                path, f"router {name} has no NID", f"routers: {{{name}: {{nid: 10.0.0.20@tcp0}}}}, or a host"
            )
    legs = dict(one.legs)
    served = [part for part in parts.values() if part.via.router == name and part.via.addresses]
    for number, part in enumerate(served, 1):
        given = legs.get(part.via.net, Leg("", f"eth{number}"))
        last = IPv4Network(part.via.addresses[0])[
            -2 if IPv4Network(part.via.addresses[0]).prefixlen < 31 else -1
        ]
        legs[part.via.net] = Leg(given.nid or f"{last}@{part.via.net}", given.interface)
    return one._replace(nid=nid, legs=legs)


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    """`share/lus01`, `export/lus01/genomics`: the share on its routers' hosts, the export part of it and of its tenant."""
    entities: list[Entity] = []
    edges: list[Edge] = []
    for name, shared in site.sections.get("shares", {}).items():
        share = entity("share", name)
        kind = "lustre" if shared.lustre else "nfs"
        labels = {"site": site.name}
        entities.append(Entity(share, "share", name, labels, {"kind": kind, "mount": shared.mount}))
        for tenant, part in shared.tenants.items():
            export = entity("export", f"{name}/{tenant}")
            attributes = {"root": part.root, "read_only": part.read_only, "router": part.via.router}
            entities.append(Entity(export, "export", f"{name}/{tenant}", labels, attributes))
            edges.append(Edge(export, "needs", share))
            if part.via.router in site.hosts:
                edges.append(Edge(export, "served_by", site.hosts[part.via.router].entity))
            if tenant in site.tenants:
                edges.append(Edge(site.tenants[tenant].entity, "needs", export))
    return entities, edges


SECTION = Section(
    name="shares",
    type=MapOf(_SHARED, key=plain_name),
    doc="Parts of shared file systems, by tenant: what each sees, as whom, and by which way it comes.",
    after=("tenants", "hosts", "networks"),
    finish=_finish,
    entities=_entities,
)
