"""Blobs: whole immutable-by-convention files under names. What they hold, and which are still wanted, rooms know."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from weatherglass.base.errors import Invalid, NotFound, Unavailable
from weatherglass.engine.files import TEMPORARY, Files, RealFiles

_PART = re.compile(r"[A-Za-z0-9_@%+=,-][A-Za-z0-9._@%+=,-]*")


def content_key(data: bytes) -> str:
    """sha256 in hex: the name of a blob that is named after what it holds."""
    return hashlib.sha256(data).hexdigest()


class Blobs:
    """Blobs in a folder; `/` in a key makes folders. Any thread; the last `put` of a key stands."""

    def __init__(self, folder: Path | str, *, files: Files | None = None) -> None:
        self._folder, self._files = Path(folder), files or RealFiles()
        self._files.mkdir(self._folder)
        self._made = {self._folder}  # folders known to be durable

    def path(self, key: str) -> Path:
        """Where it lies, for readers that map files. Raises Invalid for a key that could leave the folder."""
        parts = key.split("/")
        if not all(_PART.fullmatch(part) and not part.endswith(TEMPORARY) for part in parts):
            raise Invalid(f"{key!r} cannot name a blob", mend="parts of letters, digits, -, _, . joined by /")
        return self._folder.joinpath(*parts)

    def put(self, key: str, data: bytes) -> None:
        """Durable on return, whole or not at all. Raises Unavailable."""
        path = self.path(key)
        try:
            if path.parent not in self._made:
                self._files.mkdir(path.parent)
                self._made.add(path.parent)
            self._files.write_atomic(path, data)
        except OSError as error:
            raise Unavailable(f"blob {key} cannot be written: {error.strerror}", where=str(path)) from error

    def get(self, key: str) -> bytes:
        """Raises NotFound."""
        path = self.path(key)
        try:
            return self._files.read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"there is no blob {key}", where=str(path)) from error

    def exists(self, key: str) -> bool:
        path = self.path(key)
        return self._files.exists(path) and not self._files.is_dir(path)

    def delete(self, key: str) -> None:
        """Gone for good on return; nothing when it is not there. Raises Unavailable."""
        path = self.path(key)
        try:
            self._files.unlink(path)
            self._files.sync_dir(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"blob {key} cannot be deleted: {error.strerror}", where=str(path)) from error

    def sweep(self) -> int:
        """Removes what unfinished writes of an earlier run left; how many. Not while another writes here."""
        return self._sweep(self._folder)

    def _sweep(self, folder: Path) -> int:
        gone = 0
        for name in self._files.listdir(folder):
            if self._files.is_dir(folder / name):
                gone += self._sweep(folder / name)
            elif name.startswith(".") and name.endswith(TEMPORARY):
                self._files.unlink(folder / name)
                gone += 1
        return gone

    def _walk(self, folder: Path, above: str, found: list[str]) -> None:
        if not self._files.is_dir(folder):
            return
        for name in self._files.listdir(folder):
            if self._files.is_dir(folder / name):
                self._walk(folder / name, f"{above}{name}/", found)
            elif not name.endswith(TEMPORARY):
                found.append(above + name)

    def list(self, prefix: str = "") -> list[str]:
        """Keys that begin with `prefix`, sorted."""
        found: list[str] = []
        folder, _, _ = prefix.rpartition("/")
        self._walk(self.path(folder) if folder else self._folder, f"{folder}/" if folder else "", found)
        return sorted(key for key in found if key.startswith(prefix))
