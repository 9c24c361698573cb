"""The bytes of a log's segments: frames, written and read, torn or decayed. Which segments there are, the log knows.

On disk, little-endian. A segment is `<base offset, 20 digits>.log`: a header (`WGLOG\\0`, version u16, base u64,
crc32) and frames. A frame is one `append`, whole or not at all: magic, count u32, length u32, first offset u64,
durable u64, crc32 of the body, crc32 of these; its body is `count` times (length u32, payload).

*durable* is the length of the segment that was known to be synced when the frame was written. It tells a torn tail
from decay: a bad frame with a good one behind it that was written after the bad one had been synced is `Corrupt`;
a bad frame with none such is what a crash tore, was never acknowledged, and is cut at open. (Decay of the very last
group written is therefore indistinguishable from a tear.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from weatherglass.base.errors import Corrupt
from weatherglass.engine.files import Files

VERSION = 1
SUFFIX = ".log"

_HEADER = struct.Struct("<6sHQ")
HEADER_BYTES = _HEADER.size + 4
_MAGIC = b"WGLOG\0"
_FRAME = struct.Struct("<4sIIQQI")
FRAME_BYTES = _FRAME.size + 4
_FRAME_MAGIC = b"\xf5WGf"
_U32 = struct.Struct("<I")

MAX_BODY = 1 << 30
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """One append: where it lies in its segment, and what it holds."""

    position: int
    end: int  # position behind it
    offset: int
    count: int
    durable: int
    body: bytes


def file_name(base: int) -> str:
    return f"{base:020d}{SUFFIX}"


def header(base: int) -> bytes:
    head = _HEADER.pack(_MAGIC, VERSION, base)
    return head + _U32.pack(crc32(head))


def base_of(files: Files, path: Path) -> int:
    """The first offset of a segment, from its header. Raises Corrupt."""
    head = files.read(path, 0, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[:6] != _MAGIC or crc32(head[:-4]) != _U32.unpack(head[-4:])[0]:
        raise Corrupt("not the header of a log segment", where=f"{path}:0", mend="restore it from a backup")
    _, version, base = _HEADER.unpack(head[:-4])
    if version != VERSION:
        raise Corrupt(
            f"log format {version}, this program knows {VERSION}",
            where=f"{path}:0",
            mend="run the version of Weatherglass that wrote it, or a newer one",
        )
    return int(base)


def body_of(records: Sequence[bytes]) -> bytes:
    return b"".join(part for record in records for part in (_U32.pack(len(record)), record))


def records_of(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        (length,) = _U32.unpack_from(body, at)
        yield body[at + 4 : at + 4 + length]
        at += 4 + length


def frame_head(count: int, length: int, offset: int, durable: int, body_crc: int) -> bytes:
    head = _FRAME.pack(_FRAME_MAGIC, count, length, offset, durable, body_crc)
    return head + _U32.pack(crc32(head))


def _frame_at(data: bytes, at: int, position: int) -> Frame | int:
    """The frame at `data[at:]`, or how many bytes from `at` it takes to tell; 0 says that there is none."""
    if len(data) - at < FRAME_BYTES:
        return FRAME_BYTES
    magic, count, length, offset, durable, body_crc = _FRAME.unpack_from(data, at)
    head_crc = _U32.unpack_from(data, at + _FRAME.size)[0]
    if magic != _FRAME_MAGIC or head_crc != crc32(data[at : at + _FRAME.size]) or length > MAX_BODY:
        return 0
    end = at + FRAME_BYTES + length
    if len(data) < end:
        return FRAME_BYTES + int(length)
    body = data[at + FRAME_BYTES : end]
    if crc32(body) != body_crc:
        return 0
    return Frame(position, position + FRAME_BYTES + length, offset, count, durable, body)


def frames(files: Files, path: Path, position: int, limit: int) -> Iterator[Frame]:
    """Good frames from `position`, up to the first that is not, or to `limit`. Memory: a piece and a frame."""
    data, at = b"", 0
    while position < limit:
        found = _frame_at(data, at, position)
        if isinstance(found, Frame):
            yield found
            at += found.end - position
            position = found.end
            continue
        if found == 0:
            return
        held = len(data) - at
        more = files.read(path, position + held, min(max(found - held, _PIECE), limit - position - held))
        if not more:
            return
        data, at = data[at:] + more, 0


def decayed_at(files: Files, path: Path, bad: int, size: int) -> bool:
    """Whether a good frame behind `bad` was written when `bad` was already durable."""
    position, data = bad + 1, b""
    while position < size:
        data = files.read(path, position, _PIECE + FRAME_BYTES)
        at = data.find(_FRAME_MAGIC)
        while 0 <= at < _PIECE:
            # Most hits are payload, and are told by the head alone.
            if _frame_at(data, at, 0):
                frame = next(frames(files, path, position + at, size), None)
                if frame and bad < frame.durable <= frame.position:
                    return True
            at = data.find(_FRAME_MAGIC, at + 1)
        position += _PIECE
    return False


def sound_length(files: Files, path: Path) -> int:
    """Bytes of a segment, from its beginning, that check out (for copies of a log that is being written)."""
    base_of(files, path)
    length = HEADER_BYTES
    for frame in frames(files, path, length, files.size(path)):
        length = frame.end
    return length
