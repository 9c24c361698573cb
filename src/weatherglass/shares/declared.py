"""From the declaration's `shares:` to policies, and a backend's name to a policy for it. Pure.

`check` is what `weatherglass check` and every door ask: all that is wrong in all file systems at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from weatherglass.base.errors import Invalid, Problem
from weatherglass.shares import policy
from weatherglass.shares.lustre.features import NEWEST, OLDEST
from weatherglass.shares.nids import Range, net_name, of_cidr, read_range
from weatherglass.shares.policy import FileSystem, Offset, Router, Share
from weatherglass.site.sections import shares as section

GANESHA = "ganesha"
BACKENDS = (*(f"lustre-2.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)), GANESHA)


def of(sections: Mapping[str, Any]) -> list[FileSystem]:
    """The file systems of a declaration, not yet checked against themselves. Raises Invalid with all problems."""
    problems: list[Problem] = []
    found = []
    for name, shared in sections.get("shares", {}).items():
        try:
            found.append(_file_system(name, shared))
        except Invalid as error:
            problems += [Problem(one.message, one.where or shared.where, one.mend) for one in error.problems]
    _raise(problems)
    return found


def check(systems: Iterable[FileSystem]) -> None:
    """Raises Invalid with everything in the policies that would let tenants meet, or that the backend cannot do."""
    problems: list[Problem] = []
    for fs in systems:
        try:
            policy.check(fs)
        except Invalid as error:
            problems += error.problems
    _raise(problems)


def backend_of(fs: FileSystem) -> str:
    return f"lustre-{fs.version[0]}.{fs.version[1]}" if not fs.nfs else GANESHA


def with_backend(fs: FileSystem, backend: str) -> FileSystem:
    """The same policy for another backend. Raises Invalid for one that is not known."""
    if backend not in BACKENDS:
        raise Invalid(
            f"{backend[:40]!r} is not a backend", where="--backend", mend=f"one of {', '.join(BACKENDS)}"
        )
    if backend == GANESHA:
        return replace(fs, version=policy.NFS)
    if not fs.servers:
        raise Invalid(
            f"{fs.name} is declared as NFS: there are no Lustre servers", where=fs.where, mend="lustre: {…}"
        )
    return replace(fs, version=_version(backend.removeprefix("lustre-")))


def _raise(problems: list[Problem]) -> None:
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)


def _version(text: str) -> tuple[int, int]:
    parts = [int(part) for part in text.split(".")[:2]]
    version = (parts[0], parts[1])
    if not OLDEST <= version <= NEWEST:
        raise Invalid(
            f"Lustre {text} is not known here",
            mend=f"2.{OLDEST[1]} to 2.{NEWEST[1]}: commands differ by version",
        )
    return version


def _nid(text: str) -> str:
    """A NID with its net's full name."""
    one = read_range(text)
    if one.low != one.high:
        raise Invalid(f"{text!r} is a range, not one NID", mend="one like 10.0.0.20@tcp0")
    return str(one)


def _file_system(name: str, shared: section.Shared) -> FileSystem:
    lustre = shared.lustre
    return FileSystem(
        name,
        _version(lustre.version) if lustre else policy.NFS,
        tuple(read_range(one) for one in lustre.servers) if lustre else (),
        tuple(_share(tenant, part) for tenant, part in shared.tenants.items()),
        {router: _router(router, one) for router, one in shared.routers.items()},
        mount=shared.mount,
        mgs=_nid(lustre.mgs) if lustre else "",
        address=shared.nfs.server if shared.nfs else "",
        port=shared.nfs.port if shared.nfs else 2049,
        where=shared.where,
    )


def _share(tenant: str, part: section.Part) -> Share:
    try:
        ranges: tuple[Range, ...] = tuple(of_cidr(one, part.via.net) for one in part.via.addresses)
    except Invalid as error:
        raise Invalid(error.message, where=part.where, mend=error.mend) from None
    return Share(
        tenant,
        part.root,
        part.squash.uid,
        part.squash.gid,
        ranges,
        part.via.router,
        uids=part.maps.uid,
        gids=part.maps.gid,
        offset=Offset(part.offset.base, part.offset.limit) if part.offset else None,
        read_only=part.read_only,
        network=part.via.network,
        quota_bytes=part.quota.bytes,
        quota_files=part.quota.files,
        interface=part.via.interface,
        where=part.where,
    )


def _router(name: str, one: section.Router) -> Router:
    legs = {net_name(net): leg for net, leg in one.legs.items()}
    server_nid = _nid(one.nid) if one.nid else ""
    interfaces = {net: leg.interface for net, leg in legs.items()}
    if server_nid:
        interfaces[server_nid.partition("@")[2]] = one.interface
    return Router(
        name,
        server_nid,
        {net: _nid(leg.nid) for net, leg in legs.items()},
        one.owner,
        one.guard,
        interfaces,
    )
