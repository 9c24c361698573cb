"""Deletions: which series, which span, and from which blocks on they no longer count. Pure but for the loading.

A deletion counts for what was stored before it: blocks of a lower position. What is written afterwards, at the very
same instants too, stands. Deleted samples are passed over by every read at once; `clean` gives their space back.
Not here: when (`store`), rewriting (`compaction`).

A file: "WGGONE\\0\\0", version u16, zero u16, crc32 of what follows u32; sequence u64, first i64, last i64, and
zstd(series numbers u32, ascending).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.metrics.types import BoolArray, Int64Array

_HEAD = struct.Struct("<8sHHI")
_BODY = struct.Struct("<Qqq")
_MAGIC, _VERSION = b"WGGONE\0\0", 1


@dataclass(frozen=True, slots=True, eq=False)
class Deletion:
    """Samples of `numbers` (ascending) with `first_ms <= t <= last_ms` in blocks of a position below `sequence`."""

    sequence: int
    first_ms: int
    last_ms: int
    numbers: Int64Array


def pack_deletion(deletion: Deletion) -> bytes:
    numbers = zstandard.ZstdCompressor(level=3).compress(deletion.numbers.astype("<u4").tobytes())
    body = _BODY.pack(deletion.sequence, deletion.first_ms, deletion.last_ms) + numbers
    return _HEAD.pack(_MAGIC, _VERSION, 0, crc32(body)) + body


def load_deletion(data: bytes, where: str) -> Deletion:
    """Raises Corrupt."""
    if len(data) >= _HEAD.size + _BODY.size:
        magic, version, zero, crc = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        if (magic, version, zero, crc) == (_MAGIC, _VERSION, 0, crc32(body)):
            sequence, first, last = _BODY.unpack_from(body)
            try:
                numbers = zstandard.ZstdDecompressor().decompress(body[_BODY.size :], max_output_size=1 << 32)
            except zstandard.ZstdError as error:
                raise Corrupt("a deletion does not check out", where=where) from error
            return Deletion(sequence, first, last, np.frombuffer(numbers, "<u4").astype(np.int64))
    raise Corrupt("a deletion does not check out", where=where, mend="restore it from a backup")


def counting(deletions: Sequence[Deletion], position: int) -> list[Deletion]:
    """Those that count for a block of this position."""
    return [one for one in deletions if one.sequence > position]


def touched(
    deletions: Sequence[Deletion], position: int, numbers: Int64Array, first: Int64Array, last: Int64Array
) -> BoolArray:
    """(n,) which of the spans `first`…`last` (of series `numbers`) lose samples, or may."""
    found = np.zeros(len(numbers), bool)
    for one in counting(deletions, position):
        found |= (last >= one.first_ms) & (first <= one.last_ms) & np.isin(numbers, one.numbers)
    return found


def covered(
    deletions: Sequence[Deletion], position: int, numbers: Int64Array, first: Int64Array, last: Int64Array
) -> BoolArray:
    """(n,) which of the spans lose everything to one deletion."""
    found = np.zeros(len(numbers), bool)
    for one in counting(deletions, position):
        found |= (first >= one.first_ms) & (last <= one.last_ms) & np.isin(numbers, one.numbers)
    return found
