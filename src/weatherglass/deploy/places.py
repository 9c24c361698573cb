"""Where a replica's things rest on its host, how the service sees them, and putting both into rendered text.

Under `process` a service sees the host's own paths; under `container` fixed ones, bound from the host's. Files
with secrets are written 0600, whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from weatherglass.base.errors import Invalid

INSIDE = {"run": "/run/weatherglass", "logs": "/var/log/weatherglass", "data": "/var/lib/weatherglass"}
"""The replica's own folders as a container sees them."""

_PLACEHOLDER = re.compile(r"@@(secret|path|file|volume):([^@\n]+)@@")


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one replica on its host: run/, logs/, data/ and files/ (what `files:` declares)."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def file(self, declared: str) -> Path:
        return self.folder / "files" / declared.lstrip("/")

    def logs_of(self, folder: str) -> Path:
        """Where the host keeps what a container writes under `folder`."""
        return self.folder / "logs" / folder.lstrip("/")

    def make(self, user: str) -> None:
        """The folders, entered by any user (their names are no secret), written by the service's own."""
        for folder in (self.folder.parent, self.folder, self.folder / "files"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        for name in ("run", "logs", "data"):
            (self.folder / name).mkdir(exist_ok=True)
            own(self.folder / name, user)


def own(path: Path, user: str) -> None:
    """Give a path to the service's user, where we may."""
    if user and os.geteuid() == 0:
        uid, gid = ids(user)
        os.chown(path, uid, gid)


def ids(user: str) -> tuple[int, int]:
    """uid and gid of `name` or `uid[:gid]`. Raises Invalid."""
    head, _, tail = user.partition(":")
    if head.isdigit():
        return int(head), int(tail) if tail.isdigit() else int(head)
    try:
        entry = pwd.getpwnam(head)
    except KeyError:
        raise Invalid(
            f"there is no user {head!r} on this host", mend="give a number, or install its package"
        ) from None
    return entry.pw_uid, entry.pw_gid


def fill(text: str, known: Mapping[str, Mapping[str, str]], secret: Callable[[str], str]) -> str:
    """Put what this host knows in the place of `@@kind:name@@`. `known` is {kind: {name: text}}."""

    def value(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if kind == "secret":
            return secret(name)
        try:
            return known[kind][name]
        except KeyError:
            raise Invalid(f"nothing here is called {kind} {name!r}") from None

    return _PLACEHOLDER.sub(value, text)


def write_private(path: Path, body: bytes, user: str = "") -> None:
    """Write a file 0600, for its user alone, durable and whole: a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(body)
            out.flush()
            own(fresh, user)
            os.fsync(out.fileno())
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def content_hash(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None when there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
