"""Shares: what each tenant reaches of shared file systems, by which way, with every check on it; the proof with its date."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.portal.kit import Desk, Page


class Step(NamedTuple):
    """One station between a machine and its data, and what is checked there."""

    place: str
    checks: tuple[str, ...]


class Row(NamedTuple):
    """One tenant's part."""

    tenant: str
    entity: str
    root: str
    becomes: str
    access: str
    quota: str
    way: tuple[Step, ...]


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/shares")
    def shares(request: Request) -> Response:
        visit = desk.open(request)
        room = visit.rooms.more.get("shares")
        seen = []
        for proven in room.proofs() if room is not None else ():
            mine = [one for one in proven.fs.shares if visit.lens.operator or one.tenant == visit.lens.tenant]
            if mine or visit.lens.operator:
                seen.append(
                    (proven, [row(proven.fs, one) for one in mine], finding(proven, visit.lens.tenant))
                )
        return visit.render("shares/page.html", current=PAGE.name, systems=seen)

    return router


def finding(proven: Any, tenant: str) -> str:
    """The shortest story of what is wrong; to a tenant only its own is told."""
    for one in proven.verdict.findings:
        if not tenant or one.tenant == tenant:
            return str(one)
    return "" if proven.verdict.proven else "what was found concerns others"


def row(fs: Any, share: Any) -> Row:
    """One share as the page shows it."""
    bounds = []
    if share.quota_bytes:
        bounds.append(f"{share.quota_bytes / 1e12:g} TB")
    if share.quota_files:
        bounds.append(f"{share.quota_files:,} files")
    becomes = f"{share.uid}:{share.gid}"
    if share.offset:
        becomes = f"{share.offset.base} … {share.offset.base + share.offset.limit - 1}"
    elif share.mapped:
        becomes = f"{len(share.uids)} {'user' if len(share.uids) == 1 else 'users'} mapped, root is {becomes}"
    return Row(
        share.tenant,
        f"export/{fs.name}/{share.tenant}",
        share.root,
        becomes,
        "reads" if share.read_only else "reads and writes",
        ", ".join(bounds),
        way(fs, share),
    )


def way(fs: Any, share: Any) -> tuple[Step, ...]:
    """From a tenant's machine to its data."""
    router = fs.routers[share.router]
    machine = Step(
        f"a machine on {', '.join(str(one) for one in share.ranges)}",
        ("port security: a port speaks with its own address",),
    )
    leg = router.legs.get(share.net, "")
    rules = ["a source outside the tenant's addresses is dropped", "nothing passes to another tenant's leg"]
    if not fs.nfs and router.guard:
        rules.append("the guard: a NID is its peer's own, in the HELLO and in every header")
    if router.owner:
        rules.append(f"the machine is {router.owner}'s own: its guard is its owner's to stop")
    at = Step(f"router {router.name}, leg {leg}" if leg else f"router {router.name}", tuple(rules))
    if fs.nfs:
        end = Step(
            f"nfs-ganesha on {fs.address}",
            ("the export names these addresses and no others", "everybody becomes the tenant's user"),
        )
    else:
        end = Step(
            f"the servers, nodemap {share.nodemap}",
            ("ids are mapped or refused", f"the mount shows {share.root} alone"),
        )
    return machine, at, end, Step(f"{fs.mount}{share.root}", ("mode and owner: nothing for others",))


PAGE = Page("Shares", "/shares", routes, icon="M4 6h6l2 2h8v10H4zM8 13h8", key="f", order=57)
