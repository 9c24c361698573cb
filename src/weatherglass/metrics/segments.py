"""Index segments: the label sets of many series in one file, written once, loaded piece by piece.

    "WGSERIE\\0", version u16, zero u16, zero u32                                 16 bytes
    pieces: raw size u32, size u32, crc32 u32, zstd(body of a record of labels); one of no bytes is the last

A piece is the body that `records` gives new label sets in the log, of up to 65,536 series; the index takes it in
one call (`Index.load`), so that a start goes through no label set in Python and never holds a whole segment.
Version 1 was one piece behind a header of its own. Not here: which segments there are (`catalogue`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.files import Files

PIECE = 65_536
"""Series in one piece."""

_MAGIC = b"WGSERIE\0"
_VERSION = 2
_HEADER = struct.Struct("<8sHHI")
_PIECE = struct.Struct("<III")
_FIRST = struct.Struct("<8sHHII")  # version 1: magic, version, zero, raw size, crc32 of what follows
_RAW_MAX = 1 << 30


def write_segment(files: Files, path: Path, bodies: Iterable[bytes]) -> int:
    """A segment of such bodies, synced, its name not yet; how many bytes. Raises OSError."""
    compress = zstandard.ZstdCompressor(level=3).compress
    file = files.create(path)
    try:
        file.write(_HEADER.pack(_MAGIC, _VERSION, 0, 0))
        for body in bodies:
            packed = compress(body)
            file.write(_PIECE.pack(len(body), len(packed), crc32(packed)) + packed)
        file.write(_PIECE.pack(0, 0, 0))
        file.sync()
        return file.tell()
    finally:
        file.close()


def read_segment(files: Files, path: Path) -> Iterator[bytes]:
    """The bodies of a segment. Raises Corrupt."""
    size = files.size(path)
    head = files.read(path, 0, _HEADER.size)
    if len(head) < _HEADER.size or head[:8] != _MAGIC or any(head[10:12]):
        raise _corrupt(path)
    _, version, _, rest = _HEADER.unpack(head)
    if version == 1:
        data = files.read(path)
        if len(data) < _FIRST.size:
            raise _corrupt(path)
        _, _, _, raw, crc = _FIRST.unpack_from(data)
        yield _inflated(path, data[_FIRST.size :], raw, crc)
        return
    if version != _VERSION or rest:
        raise Corrupt(
            f"index segment format {version}, this program knows {_VERSION}",
            where=str(path),
            mend="run the version of Weatherglass that wrote it, or a newer one",
        )
    at = _HEADER.size
    while True:
        head = files.read(path, at, _PIECE.size)
        if len(head) < _PIECE.size:
            raise _corrupt(path)
        raw, packed, crc = _PIECE.unpack(head)
        at += _PIECE.size + packed
        if not raw:
            if at != size or packed or crc:
                raise _corrupt(path)
            return
        data = files.read(path, at - packed, packed)
        if len(data) != packed:
            raise _corrupt(path)
        yield _inflated(path, data, raw, crc)


def _inflated(path: Path, packed: bytes, raw: int, crc: int) -> bytes:
    if raw > _RAW_MAX or crc32(packed) != crc:
        raise _corrupt(path)
    try:
        body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=raw)
    except zstandard.ZstdError as error:
        raise _corrupt(path) from error
    if len(body) != raw:
        raise _corrupt(path)
    return body


def _corrupt(path: Path) -> Corrupt:
    return Corrupt("an index segment does not check out", where=str(path), mend="restore it from a backup")
