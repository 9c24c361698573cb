"""The shares' local doors: a policy's file in, commands, verdicts and plans out. No server is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.house.texts import text_of
from weatherglass.shares import declared, ganesha, nfsproof, proof, routing, strays
from weatherglass.shares import selftest as checks
from weatherglass.shares.guard import attempts, wire
from weatherglass.shares.lustre import compile as lustre
from weatherglass.shares.lustre import live, plan
from weatherglass.shares.lustre.lnetconf import files
from weatherglass.shares.lustre.state import Refused
from weatherglass.shares.nids import read_range
from weatherglass.shares.policy import FileSystem
from weatherglass.site import parse_part


def policies(path: Path, backend: str = "", only: str = "") -> list[FileSystem]:
    """The file systems that a file declares, for `backend` where one is named. Raises Invalid, NotFound."""
    found = declared.of(parse_part(text_of(path), path.name))
    if only:
        found = [fs for fs in found if fs.name == only]
        if not found:
            raise NotFound(f"no file system {only} is declared", where=str(path))
    if not found:
        raise Invalid(
            "no shares are declared", where=str(path), mend="shares: {lus01: {lustre: …, tenants: …}}"
        )
    return [declared.with_backend(fs, backend) if backend else fs for fs in found]


def commands_of(fs: FileSystem) -> str:
    """What carries the policy out: commands by place, or a ganesha.conf."""
    return ganesha.compiled(fs) if fs.nfs else lustre.text(lustre.commands(fs))


def compiled(path: Path, backend: str = "", only: str = "") -> list[dict[str, Any]]:
    """Per file system: its commands and files. Raises Invalid with all that is wrong in the policies."""
    systems = policies(path, backend, only)
    declared.check(systems)
    return [_compiled(fs) for fs in systems]


def _compiled(fs: FileSystem) -> dict[str, Any]:
    told: dict[str, Any] = {"name": fs.name, "backend": declared.backend_of(fs), "text": commands_of(fs)}
    if fs.nfs:
        return {**told, "commands": [], "files": {"ganesha.conf": told["text"]}}
    listed = [{"where": one.where, "argv": list(one.argv)} for one in lustre.commands(fs)]
    return {
        **told,
        "commands": listed,
        "files": {f"{place}: lnet.conf": text for place, text in files(fs).items()},
    }


def verdict_of(fs: FileSystem, text: str) -> proof.Verdict:
    return nfsproof.prove(fs, text) if fs.nfs else proof.prove(fs, text)


def assumed_of(fs: FileSystem) -> tuple[str, ...]:
    return nfsproof.ASSUMED if fs.nfs else proof.ASSUMED


def verified(path: Path, commands: Path | None, backend: str = "", only: str = "") -> list[dict[str, Any]]:
    """Per file system: whether the commands (those in a file, or our own) are its policy, or how they are not."""
    systems = policies(path, backend, only)
    if commands is not None and len(systems) > 1:
        raise Invalid(f"{path} declares {len(systems)} file systems", where="--commands", mend="--only NAME")
    found = []
    for fs in systems:
        verdict = verdict_of(fs, text_of(commands) if commands else _ours(fs))
        found.append(
            {
                "name": fs.name,
                "backend": declared.backend_of(fs),
                "proven": verdict.proven,
                "tenants": len(fs.shares),
                "cases": verdict.cells,
                "told": proof.told(verdict, fs, assumed_of(fs)),
                "assumed": list(assumed_of(fs)),
                "findings": [
                    {"kind": one.kind, "tenant": one.tenant, "line": one.line, "story": list(one.story)}
                    for one in verdict.findings[:100]
                ],
                "others": max(len(verdict.findings) - 100, 0),
            }
        )
    return found


def _ours(fs: FileSystem) -> str:
    declared.check([fs])
    return commands_of(fs)


def planned(path: Path, listing: Path, only: str = "") -> dict[str, Any]:
    """What leads from a listing of live nodemaps to the policy, whether it does, and whether that is proven."""
    systems = [fs for fs in policies(path, only=only) if not fs.nfs]
    declared.check(systems)
    if len(systems) != 1:
        raise Invalid(
            f"{path} declares {len(systems)} Lustre file systems", where="--only", mend="--only NAME"
        )
    [fs] = systems
    text = text_of(listing)
    changes = plan.plan(fs, live.parse(text, fs.version))
    lnet = [one for one in lustre.commands(fs) if one.where != "mgs"]
    steps = [change.command for change in changes]
    # Where it is open already, no order closes it sooner: then the steps alone are asked, and what they come to.
    now = proof.prove(fs, lustre.text(lnet), live.parse(text, fs.version))
    is_open = any(one.kind in ("attack", "window") for one in now.findings)
    wholly = lustre.text([*steps, *lnet] if is_open else [*lnet, *steps])
    try:
        leads = not plan.same(plan.after(live.parse(text, fs.version), changes), plan.wanted(fs))
    except Refused as error:
        raise Invalid(f"the live nodemaps refuse the plan: {error}", where=str(listing)) from error
    verdict = proof.prove(fs, wholly, live.parse(text, fs.version))
    return {
        "name": fs.name,
        "changes": [
            {"where": one.command.where, "argv": list(one.command.argv), "why": one.why, "evict": one.evict}
            for one in changes
        ],
        "leads": leads,
        "open_now": is_open,
        "proven": verdict.proven,
        "told": proof.told(verdict, fs),
    }


def strayed(path: Path, mount: Path | None, only: str = "") -> list[dict[str, Any]]:
    """Per file system: what a scan of its tenants' trees found."""
    found = []
    for fs in policies(path, only=only):
        scan = strays.scan(fs, mount)
        found.append(
            {
                "name": fs.name,
                "files": scan.files,
                "counts": [
                    {"tenant": tenant, "kind": kind, "count": count}
                    for (tenant, kind), count in sorted(scan.counts.items())
                ],
                "strays": [one._asdict() for one in scan.strays],
            }
        )
    return found


def routed(path: Path, router: str, only: str = "") -> str:
    """The nft rules and kernel settings of one router. Raises NotFound."""
    systems = policies(path, only=only)
    declared.check(systems)
    for fs in systems:
        if router in fs.routers:
            return routing.script(fs, fs.routers[router])
    raise NotFound(f"no router {router} is declared", where=str(path))


def selftest(path: Path, only: str = "") -> str:
    """The selftest of each Lustre file system of a policy, as text."""
    systems = [fs for fs in policies(path, only=only) if not fs.nfs]
    declared.check(systems)
    return "\n".join(checks.script(fs, str(path)) for fs in systems)


def attempted(path: Path, leg: str, own: str, port: int, only: str = "") -> list[dict[str, Any]]:
    """What a guarded leg says to every attempt of a tenant's machine. Raises Invalid, Unavailable."""
    fs = next(one for one in policies(path, only=only))
    if not fs.servers:
        raise Invalid(f"{fs.name} has no Lustre servers", where=str(path))
    server = fs.servers[0]
    outcomes = attempts.run(read_range(leg), read_range(own), wire.packed(server.low, server.net), port)
    return [one._asdict() for one in outcomes]
