"""A copy of a running state in one file, and a state from such a copy. When copies are made, and where they go, is not decided here.

The copy is a `tar.zst`; its last member is the manifest (format version, and size, mode and sha256 of every file).
It holds the secrets and the tokens, and is made for its owner alone.

What makes it consistent while the server writes, with nothing stopped:

1. every file is hard-linked aside, so that nothing trimmed or compacted from now on is missed;
2. databases are copied with SQLite's online backup;
3. files that came or were replaced meanwhile are linked too, and then all are read, logs up to their last whole
   frame. So the logs reach from before the databases to after them: whatever a database says was sealed from a
   log is found, and no log ends below an offset that a database already counts as sealed.

Left out: the lock and the address of the running server, and what the agent makes again or what is not the house's
own (see `LEFT_OUT`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import zstandard

from weatherglass.base.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from weatherglass.base.time import Clock, SystemClock
from weatherglass.engine.files import TEMPORARY, AppendFile, RealFiles
from weatherglass.engine.segments import SUFFIX, sound_length

FORMAT = "weatherglass-backup"
VERSION = 1
MANIFEST = "manifest.json"

LEFT_OUT = ("lock", "server.json", "volumes", "services", "agent/run", "agent/volumes", "agent/services")
"""Paths in a state that no copy holds: of this run, rendered again, or data of services (which they back up)."""

_STAGING = ".backup-"
_DATABASE = b"SQLite format 3\0"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds, or a restore brought back."""

    files: int
    bytes: int  # of the files, before compression
    created_ns: int


def backup(state: Path, target: Path, *, clock: Clock | None = None) -> Copied:
    """Copy the state, running or not, into the new file `target`; durable on return.

    Raises NotFound (no such state), Conflict (target is there), Corrupt (a log's header), Unavailable (disk).
    """
    if not state.is_dir():
        raise NotFound(f"there is no state in {state}", where=str(state))
    if target.exists():
        raise Conflict(f"{target} is there already", where=str(target), mend="name a new file")
    if state.resolve() in target.resolve().parents:
        raise Invalid(
            "a copy within the state would go with it", where=str(target), mend="name a file elsewhere"
        )
    created_ns = (clock or SystemClock()).now_ns()
    _sweep(state)
    staging = state / f"{_STAGING}{os.getpid()}"
    unfinished = target.with_name(f".{target.name}{TEMPORARY}")
    try:
        staging.mkdir(mode=0o700)
        _stage(state, staging)
        unfinished.unlink(missing_ok=True)
        copied = _pack(staging, unfinished, created_ns)
        unfinished.replace(target)
        RealFiles().sync_dir(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"the state could not be copied: {error}", where=str(target)) from error
    finally:
        unfinished.unlink(missing_ok=True)
        shutil.rmtree(staging, ignore_errors=True)
    return copied


def _sweep(state: Path) -> None:
    """Removes what killed backups left aside."""
    for path in state.glob(f"{_STAGING}*"):
        if not Path("/proc", path.name.removeprefix(_STAGING)).exists():
            shutil.rmtree(path, ignore_errors=True)


def _stage(state: Path, staging: Path) -> None:
    databases = [path for path in _files(state, state) if not _link(state / path, staging / path)]
    for path in databases:
        _copy_database(state / path, staging / path)
    for path in _files(state, state):
        if path not in databases:
            _link(state / path, staging / path)


def _files(state: Path, folder: Path) -> Iterator[Path]:
    """Paths within the state of the files that belong in a copy."""
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = Path(entry.path).relative_to(state)
        if path.as_posix() in LEFT_OUT or entry.name.startswith(_STAGING):
            continue
        if entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                yield from _files(state, Path(entry.path))
        elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(
            (TEMPORARY, "-wal", "-shm", "-journal")
        ):
            yield path


def _link(source: Path, target: Path) -> bool:
    """Whether it is set aside (or gone meanwhile); False for a database, which cannot be copied this way."""
    try:
        with source.open("rb") as file:
            if file.read(len(_DATABASE)) == _DATABASE:
                return False
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = target.with_name(target.name + TEMPORARY)
        try:
            beside.hardlink_to(source)
        except (PermissionError, NotImplementedError):  # a file system without hard links
            shutil.copy2(source, beside)
        beside.replace(target)
        beside.unlink(missing_ok=True)  # rename does nothing where both are the same file already
    except FileNotFoundError:
        return True
    return True


def _copy_database(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(source)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
    target.chmod(source.stat().st_mode & 0o777)


# --- packing ---------------------------------------------------------------------------------------------


class _Writer(io.RawIOBase):
    """An `AppendFile` as Python's libraries want to write to it."""

    def __init__(self, file: AppendFile) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(memoryview(data))  # type: ignore[arg-type]
        self._file.write(piece)
        return len(piece)


class _Measured(io.RawIOBase):
    """Reads exactly `size` bytes of a file that may grow, or (a log) lose what was not acknowledged, and sums them."""

    def __init__(self, file: IO[bytes], size: int, pad: bool) -> None:
        self._file, self._left, self._pad = file, size, pad
        self.sum = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._file.read(wanted)
        if len(piece) < wanted:
            if not self._pad:
                raise Unavailable(
                    "a file shrank while it was copied", where=self._file.name, mend="try again"
                )
            piece += bytes(wanted - len(piece))
        self._left -= len(piece)
        self.sum.update(piece)
        return piece


def _pack(staging: Path, target: Path, created_ns: int) -> Copied:
    told: dict[str, dict[str, object]] = {}
    total = 0
    file = RealFiles().create(target)
    try:
        compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        with (
            compressor.stream_writer(_Writer(file), closefd=False) as packed,  # type: ignore[arg-type]
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in _files(staging, staging):
                name = path.as_posix()
                with (staging / path).open("rb") as source:
                    status = os.fstat(source.fileno())
                    segment = name.endswith(SUFFIX) and source.read(6) == b"WGLOG\0"
                    source.seek(0)
                    size = sound_length(RealFiles(), staging / path) if segment else status.st_size
                    measured = _Measured(source, size, pad=segment)
                    archive.addfile(_member(name, size, status.st_mode & 0o777, status.st_mtime), measured)
                told[name] = {
                    "size": size,
                    "mode": status.st_mode & 0o777,
                    "sha256": measured.sum.hexdigest(),
                }
                total += size
            manifest = {"format": FORMAT, "version": VERSION, "created_ns": created_ns, "left_out": LEFT_OUT}
            text = json.dumps(manifest | {"files": told}, indent=1).encode()
            archive.addfile(_member(MANIFEST, len(text), 0o600, created_ns / 1e9), io.BytesIO(text))
        file.sync()
    finally:
        file.close()
    return Copied(len(told), total, created_ns)


def _member(name: str, size: int, mode: int, mtime: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, mode, int(mtime)
    return member


# --- restoring -------------------------------------------------------------------------------------------


def restore(archive: Path, state: Path) -> Copied:
    """Make the state anew from a copy, whole or not at all; durable on return.

    Raises Conflict (the state is not empty), Invalid (not a copy, or one of a newer version), Corrupt (it does not
    check out), NotFound, Unavailable (disk).
    """
    if not archive.is_file():
        raise NotFound(f"there is no copy {archive}", where=str(archive))
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise Conflict(f"{state} is not empty", where=str(state), mend="restore into a new folder")
    staging = state.with_name(f".{state.name}.restore-{os.getpid()}")
    try:
        RealFiles().mkdir(state.parent)
        staging.mkdir(mode=0o700)
        copied = _unpack(archive, staging)
        if state.exists():
            state.rmdir()
        staging.rename(state)
        RealFiles().sync_dir(state.parent)
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise Corrupt(
            f"this copy cannot be read: {error}", where=str(archive), mend="take another copy"
        ) from error
    except OSError as error:
        raise Unavailable(f"the state could not be made: {error}", where=str(state)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return copied


def _unpack(archive: Path, staging: Path) -> Copied:
    found: dict[str, dict[str, object]] = {}
    manifest: dict[str, object] | None = None
    folders = {staging}
    with (
        archive.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|") as members,
    ):
        for member in members:
            content = members.extractfile(member) if member.isreg() else None
            if content is None or manifest is not None or member.name in found:
                raise Invalid(f"{member.name!r} does not belong in a copy", where=str(archive))
            if member.name == MANIFEST:
                manifest = _manifest(content.read(), archive)
                continue
            path = staging / _safe(member.name, archive)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folders.update(parent for parent in path.parents if parent.is_relative_to(staging))
            found[member.name] = _write(content, path, member.mode & 0o777)
    if manifest is None:
        raise Corrupt(
            "this copy has no manifest: it was not finished", where=str(archive), mend="take another copy"
        )
    told = manifest["files"]
    for name in sorted(found.keys() | told.keys()):  # type: ignore[attr-defined]
        if found.get(name) != told.get(name):  # type: ignore[attr-defined]
            raise Corrupt("what the copy holds is not what its manifest says", where=f"{archive}:{name}")
    for folder in folders:
        RealFiles().sync_dir(folder)
    return Copied(
        len(found), sum(int(str(one["size"])) for one in found.values()), int(str(manifest["created_ns"]))
    )


def _manifest(text: bytes, archive: Path) -> dict[str, object]:
    try:
        told = json.loads(text)
        ours = told["format"] == FORMAT and isinstance(told["files"], dict)
        version = int(told["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("this is not a copy of a state", where=str(archive)) from error
    if not ours:
        raise Invalid("this is not a copy of a state", where=str(archive))
    if version > VERSION:
        raise Invalid(
            f"this copy has format {version}; this program knows {VERSION}",
            where=str(archive),
            mend="restore it with the version of Weatherglass that made it, or a newer one",
        )
    return dict(told)


def _safe(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise Invalid(f"{name!r} would leave the state", where=str(archive))
    return path


def _write(content: IO[bytes], path: Path, mode: int) -> dict[str, object]:
    digest, size = hashlib.sha256(), 0
    file = RealFiles().create(path)
    try:
        while piece := content.read(_PIECE):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.sync()
    finally:
        file.close()
    path.chmod(mode)
    return {"size": size, "mode": mode, "sha256": digest.hexdigest()}
