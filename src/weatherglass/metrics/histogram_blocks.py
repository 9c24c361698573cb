"""Native histograms at rest and in the head: packed values by series and time. Not here: what a histogram is.

A file: "WGHISTO\\0", version u16, zero u16, zero u32; pages, each zstd(packed histograms of up to 64 series); a
directory, zstd(entries, then pages); then its offset u64, entries u32, pages u32, size u32, crc32 u32, "WGHISTO\\0".
Every page and the directory have a crc32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.files import AppendFile, Files
from weatherglass.metrics.blocks import PAGE_SERIES, Meta, Summary
from weatherglass.metrics.cache import Cache
from weatherglass.metrics.histogram import unpack
from weatherglass.metrics.types import Int64Array

VERSION = 1

_MAGIC = b"WGHISTO\0"
_HEADER = struct.Struct("<8sHHI")
_FOOTER = struct.Struct("<QIIII8s")
_ENTRY = np.dtype([("number", "<u4"), ("page", "<u4"), ("at", "<u4"), ("size", "<u4"), ("time", "<i8")])
_PAGE = np.dtype([("offset", "<u8"), ("size", "<u4"), ("raw", "<u4"), ("crc", "<u4")])
_RAW_MAX = 1 << 30

Packed = tuple[int, int, bytes]
"""(series number, ms since the epoch, `Histogram.pack` makes them)"""


class HistogramHead:
    """The newest histograms of one tenant, in order of arrival. The owner locks. `before` hands on where each series
    stood, so that late ones are told as such."""

    def __init__(self, before: HistogramHead | None = None) -> None:
        self._held: dict[int, list[tuple[int, bytes]]] = {}
        self._last: dict[int, int] = dict(before._last) if before else {}
        self.samples = self.bytes = 0
        self.first_ms, self.last_ms = 1 << 62, -(1 << 62)

    def __len__(self) -> int:
        """How many series."""
        return len(self._held)

    def append(self, many: Iterable[Packed]) -> tuple[int, int, int]:
        """(stored, duplicates, out of order); the last two are among the stored."""
        stored = duplicates = late = 0
        for number, time, packed in many:
            self._held.setdefault(number, []).append((time, packed))
            last = self._last.get(number, -(1 << 62))
            duplicates += time == last
            late += time < last
            self._last[number] = max(last, time)
            self.first_ms, self.last_ms = min(self.first_ms, time), max(self.last_ms, time)
            self.bytes += len(packed) + 100
            stored += 1
        self.samples += stored
        return stored, duplicates, late

    def numbers(self) -> Int64Array:
        """int64: the series in here, ascending."""
        return np.array(sorted(self._held), np.int64)

    def read(self, number: int, start_ms: int, end_ms: int) -> list[tuple[int, bytes]]:
        """In order of arrival."""
        return [one for one in self._held.get(number, ()) if start_ms <= one[0] <= end_ms]


def write_histograms(file: AppendFile, groups: Iterable[Sequence[Packed]]) -> Summary:
    """A file of groups of up to 64 series each, in order of time within a series; synced on return. Raises OSError."""
    compress = zstandard.ZstdCompressor(level=1).compress
    header = _HEADER.pack(_MAGIC, VERSION, 0, 0)
    file.write(header)
    position = len(header)
    entries: list[tuple[int, int, int, int, int]] = []
    pages: list[tuple[int, int, int, int]] = []
    for group in groups:
        at = 0
        for number, time, packed in group:
            entries.append((number, len(pages), at, len(packed), time))
            at += len(packed)
        page = compress(b"".join(packed for _, _, packed in group))
        file.write(page)
        pages.append((position, len(page), at, crc32(page)))
        position += len(page)
    table = np.array(entries, _ENTRY)
    directory = compress(table.tobytes() + np.array(pages, _PAGE).tobytes())
    file.write(directory)
    file.write(_FOOTER.pack(position, len(table), len(pages), len(directory), crc32(directory), _MAGIC))
    file.sync()
    size = position + len(directory) + _FOOTER.size
    times, series = table["time"], len(np.unique(table["number"]))
    return Summary(int(times.min()), int(times.max()), series, len(table), size)


@dataclass(frozen=True, slots=True)
class _Directory:
    entries: np.ndarray[Any, Any]  # ordered by series, as the file has them within one
    pages: np.ndarray[Any, Any]


class HistogramBlock:
    """One file, open for reading. Safe from any thread. Raises Corrupt where the bytes do not check out."""

    def __init__(
        self, path: Path, sequence: int, summary: Summary, files: Files, cache: Cache, meta: Meta
    ) -> None:
        self.path, self.sequence, self.summary, self.meta = path, sequence, summary, meta
        self._files, self._cache = files, cache

    def numbers(self) -> Int64Array:
        """int64: the series in here, ascending."""
        return np.unique(self._directory().entries["number"]).astype(np.int64)

    def read(self, numbers: Int64Array, start_ms: int, end_ms: int) -> list[Packed]:
        """Those of `numbers` (ascending) in the span, series after series."""
        directory = self._directory()
        entries = directory.entries
        keep = (
            np.isin(entries["number"], numbers) & (entries["time"] >= start_ms) & (entries["time"] <= end_ms)
        )
        found = []
        for number, page, at, size, time in entries[keep].tolist():
            data = self._page(page, directory.pages[page])
            if at + size > len(data):
                raise self._corrupt(int(directory.pages[page]["offset"]))
            found.append((number, time, data[at : at + size]))
        return found

    def verify(self) -> None:
        """Reads every page and every histogram. Raises Corrupt at the first that does not check out."""
        for _, _, packed in self.read(self.numbers(), -(1 << 62), 1 << 62):
            unpack(packed)
        self._cache.drop(self.sequence)

    def _page(self, number: int, entry: Any) -> bytes:
        key = (self.sequence, "h", number)
        data = self._cache.get(key)
        if data is None:
            offset, size, raw, crc = (int(entry[name]) for name in ("offset", "size", "raw", "crc"))
            data = self._read(offset, size, crc, raw)
            if len(data) != raw:
                raise self._corrupt(offset)
            self._cache.put(key, data, len(data) + 200)
        return data  # type: ignore[no-any-return]

    def _read(self, offset: int, size: int, crc: int, raw: int) -> bytes:
        packed = self._files.read(self.path, offset, size)
        if len(packed) != size or crc32(packed) != crc or raw > _RAW_MAX:
            raise self._corrupt(offset)
        try:
            return zstandard.ZstdDecompressor().decompress(packed, max_output_size=raw)
        except zstandard.ZstdError as error:
            raise self._corrupt(offset) from error

    def _corrupt(self, offset: int) -> Corrupt:
        return Corrupt(
            "stored histograms do not check out",
            where=f"{self.path}:{offset}",
            mend="restore this file from a backup",
        )

    def _directory(self) -> _Directory:
        key = (self.sequence, "d", 0)
        found = self._cache.get(key)
        if found is None:
            found = self._load()
            self._cache.put(key, found, found.entries.nbytes + found.pages.nbytes + 1000)
        return found  # type: ignore[no-any-return]

    def _load(self) -> _Directory:
        size = self._files.size(self.path)
        head = self._files.read(self.path, 0, _HEADER.size)
        tail = self._files.read(self.path, max(size - _FOOTER.size, 0), _FOOTER.size)
        if head != _HEADER.pack(_MAGIC, VERSION, 0, 0) or len(tail) < _FOOTER.size or tail[-8:] != _MAGIC:
            raise self._corrupt(0)
        offset, entries, pages, packed, crc, _ = _FOOTER.unpack(tail)
        raw = entries * _ENTRY.itemsize + pages * _PAGE.itemsize
        if offset + packed + _FOOTER.size != size:
            raise self._corrupt(size - _FOOTER.size)
        data = self._read(offset, packed, crc, raw)
        if len(data) != raw:
            raise self._corrupt(offset)
        table = np.frombuffer(data, _ENTRY, entries)
        order = np.argsort(table["number"], kind="stable")
        return _Directory(table[order], np.frombuffer(data, _PAGE, pages, entries * _ENTRY.itemsize))


def grouped(many: Sequence[Packed]) -> Iterable[list[Packed]]:
    """Groups of up to 64 series, each series in order of time; of several at one time the last one wins."""
    held: dict[int, dict[int, bytes]] = {}
    for number, time, packed in many:
        held.setdefault(number, {})[time] = packed
    numbers = sorted(held)
    for first in range(0, len(numbers), PAGE_SERIES):
        yield [
            (number, time, held[number][time])
            for number in numbers[first : first + PAGE_SERIES]
            for time in sorted(held[number])
        ]
