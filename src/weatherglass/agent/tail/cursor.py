"""Where in which file. Values, and the few system calls that tell one file from another.

A path is only a name: rotation gives it to another file. A file is (dev, inode), and because inodes are used
again, its first bytes as well.
"""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

HEAD_BYTES = 256

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything before `offset` has been given out. `head_crc` is the CRC-32 of the first `head_bytes` bytes."""

    path: str
    dev: int
    inode: int
    offset: int
    head_bytes: int
    head_crc: int
    mtime_ns: int = 0

    @property
    def identity(self) -> Identity:
        return self.dev, self.inode

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Cursor:
        return cls(**value)


def head(fd: int) -> tuple[int, int]:
    """Length and CRC-32 of the first bytes of a file, at most `HEAD_BYTES` of them."""
    first = os.pread(fd, HEAD_BYTES, 0)
    return len(first), crc32(first)


def same_head(fd: int, length: int, crc: int) -> bool:
    """Whether a file still begins as it did. One that had no bytes then is taken at its inode's word."""
    first = os.pread(fd, length, 0)
    return len(first) == length and crc32(first) == crc


def identity(path: str) -> tuple[Identity, os.stat_result] | None:
    """Which regular file a path names now; None for anything else."""
    try:
        told = Path(path).stat()
    except OSError:
        return None
    return ((told.st_dev, told.st_ino), told) if stat.S_ISREG(told.st_mode) else None
