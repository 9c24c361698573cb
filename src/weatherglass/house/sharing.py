"""The shares' local doors: a policy's file in, commands, verdicts and plans out. No server is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.house.texts import text_of
from weatherglass.shares import declared, ganesha, nfsproof, proof
from weatherglass.shares.lustre import compile as lustre
from weatherglass.shares.lustre.lnetconf import files
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
