"""What dm-log-writes has logged, read and played back onto an image. No test here.

Source: Linux drivers/md/dm-log-writes.c. Little-endian. The first sector of the log device is a super (magic,
version, entries, sector size); then for each entry a sector that holds (sector, sectors, flags, length of data) and, of
a mark, its text; behind it the sectors that were written. The target logs a write when a flush that came after its
completion completes, or at once where it is FUA. So the log up to a flush or FUA entry is a disk whose power went
right after it and that kept nothing else; what stands between two flushes may be there in any part.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


class Entry(NamedTuple):
    """One logged request: where in the log its bytes lie, where on the disk they went."""

    number: int
    flags: int
    at: int  # bytes into the log
    to: int  # bytes into the disk
    size: int
    mark: str = ""


def entries(log: Path) -> Iterator[Entry]:
    """Every entry in order. Raises ValueError where it is no log."""
    with log.open("rb") as file:
        magic, version, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError(f"{log} is no log of writes: {magic:#x}, version {version}")
        position = sector
        for number in range(count):
            file.seek(position)
            block = file.read(sector)
            to, sectors, flags, length = _ENTRY.unpack_from(block)
            position += sector
            if flags & MARK:
                text = block[_ENTRY.size : _ENTRY.size + length].decode()
                yield Entry(number, flags, position, 0, 0, text)
                continue
            yield Entry(number, flags, position, to * sector, sectors * sector)
            if not flags & DISCARD:
                position += sectors * sector


class Player:
    """Plays entries onto an image, each over what came before."""

    def __init__(self, log: Path, image: Path) -> None:
        self._log, self._image = os.open(log, os.O_RDONLY), os.open(image, os.O_RDWR)

    def play(self, entry: Entry) -> None:
        left, at, to = entry.size, entry.at, entry.to
        while left:
            piece = (
                bytes(min(left, 1 << 20))
                if entry.flags & DISCARD
                else os.pread(self._log, min(left, 1 << 20), at)
            )
            assert piece, "the log ends amid an entry"
            os.pwrite(self._image, piece, to)
            left, at, to = left - len(piece), at + len(piece), to + len(piece)

    def close(self) -> None:
        os.close(self._log)
        os.close(self._image)
