"""The one seam to durable files: whatever must survive a power cut is written through `Files`.

`RealFiles` is the machine's own; `tests/engine/powercut.py` has a model of a disk behind the same interface,
which loses whatever was not synced. Formats do not live here. Reading in bulk (mmap, Parquet) may go around
this seam by path: a read makes nothing durable.

What is promised: bytes are durable after `AppendFile.sync`, a directory's entries (create, rename, unlink)
after `sync_dir`; `write_atomic` and `mkdir` are durable on return. Everything raises `OSError` as the system
does. Files are made for their owner alone (0600, folders 0700): states hold secrets.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import Protocol

PathLike = str | Path


class AppendFile(Protocol):
    """An open file that grows at its end. One owner at a time; not for several threads at once."""

    def write(self, data: bytes) -> None:
        """All of `data` at the end, or OSError with any part of it written."""
        ...

    def sync(self) -> None:
        """Everything written is durable on return. After an OSError nothing since the last sync may be trusted:
        a second sync that succeeds proves nothing."""
        ...

    def tell(self) -> int:
        """The length in bytes."""
        ...

    def truncate(self, size: int) -> None: ...

    def close(self) -> None: ...


class Files(Protocol):
    """Durable files and folders."""

    def create(self, path: PathLike, mode: int = 0o600) -> AppendFile:
        """A new file; FileExistsError where there is one. Its name is durable after `sync_dir` of its folder."""
        ...

    def open_append(self, path: PathLike) -> AppendFile:
        """An existing file, to go on at its end; made when it is not there."""
        ...

    def read(self, path: PathLike, offset: int = 0, size: int = -1) -> bytes:
        """Bytes from `offset`: up to `size` of them, fewer at the end of the file; all when negative."""
        ...

    def size(self, path: PathLike) -> int: ...

    def exists(self, path: PathLike) -> bool: ...

    def is_dir(self, path: PathLike) -> bool: ...

    def listdir(self, path: PathLike) -> list[str]:
        """Names in a folder, sorted."""
        ...

    def write_atomic(self, path: PathLike, data: bytes, mode: int = 0o600) -> None:
        """The whole file is `data`, durable on return; whoever reads meanwhile sees the old or the new."""
        ...

    def rename(self, source: PathLike, target: PathLike) -> None:
        """Replaces `target`. Durable after `sync_dir` of the folders concerned."""
        ...

    def unlink(self, path: PathLike) -> None: ...

    def rmdir(self, path: PathLike) -> None: ...

    def mkdir(self, path: PathLike) -> None:
        """The folder and those above it, durable on return; nothing when it is there."""
        ...

    def sync_dir(self, path: PathLike) -> None: ...


TEMPORARY = ".tmp"
"""How names of unfinished files end: what a crash left of them is nobody's, and may be removed."""

_counter = itertools.count()


def write_atomic(files: Files, path: PathLike, data: bytes, mode: int = 0o600) -> None:
    """`Files.write_atomic` from the other operations: temporary beside it, sync, rename, sync of the folder."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}{TEMPORARY}")
    file = files.create(temporary, mode)
    try:
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
        files.rename(temporary, path)
    except OSError:
        if files.exists(temporary):
            files.unlink(temporary)
        raise
    files.sync_dir(path.parent)


class _RealAppendFile:
    def __init__(self, path: PathLike, flags: int, mode: int) -> None:
        self._fd = os.open(path, flags | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, mode)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def sync(self) -> None:
        # fdatasync flushes the length too when it grew; it only leaves out times.
        os.fdatasync(self._fd)

    def tell(self) -> int:
        return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class RealFiles:
    """The machine's own file systems."""

    def create(self, path: PathLike, mode: int = 0o600) -> AppendFile:
        return _RealAppendFile(path, os.O_CREAT | os.O_EXCL, mode)

    def open_append(self, path: PathLike) -> AppendFile:
        return _RealAppendFile(path, os.O_CREAT, 0o600)

    def read(self, path: PathLike, offset: int = 0, size: int = -1) -> bytes:
        with Path(path).open("rb", buffering=0) as file:
            left = file.seek(0, os.SEEK_END) - offset if size < 0 else size
            file.seek(offset)
            pieces = []
            while left > 0 and (piece := file.read(left)):
                pieces.append(piece)
                left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def size(self, path: PathLike) -> int:
        return Path(path).stat().st_size

    def exists(self, path: PathLike) -> bool:
        return Path(path).exists()

    def is_dir(self, path: PathLike) -> bool:
        return Path(path).is_dir()

    def listdir(self, path: PathLike) -> list[str]:
        return sorted(entry.name for entry in Path(path).iterdir())

    def write_atomic(self, path: PathLike, data: bytes, mode: int = 0o600) -> None:
        write_atomic(self, path, data, mode)

    def rename(self, source: PathLike, target: PathLike) -> None:
        Path(source).replace(target)

    def unlink(self, path: PathLike) -> None:
        Path(path).unlink()

    def rmdir(self, path: PathLike) -> None:
        Path(path).rmdir()

    def mkdir(self, path: PathLike) -> None:
        path = Path(path)
        if path.is_dir():
            # Whoever made it may have been killed before its name was synced.
            with contextlib.suppress(PermissionError):
                self.sync_dir(path.parent)
            return
        self.mkdir(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            self.sync_dir(path.parent)
        except OSError:
            path.rmdir()  # or the next call would take it for a durable one
            raise

    def sync_dir(self, path: PathLike) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
