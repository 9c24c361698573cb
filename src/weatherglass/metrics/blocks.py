"""Block files: a tenant's samples of a stretch of time, written once, read in place.

    "WGBLOCK\\0", version u16, zero u16, zero u32                     16 bytes
    value pages: zstd(value chunks of up to 64 series)
    time pages:  zstd(time chunks of up to 64 streams)
    directory:   zstd(counts and tables, see `_Directory`)
    directory offset u64, size u32, raw size u32, crc32 u32, "WGBLOCK\\0"   28 bytes

Series that were scraped together have the same times: each distinct run is one *stream*, stored once. Pages
hold neighbours by label bytes, so that one metric's series lie together. Every page and the directory have a
crc32. A block's place in the order is its sequence number; its name says nothing of time.
Not here: which blocks there are (`catalogue`), when they are written and dropped (`sealing`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.files import AppendFile, Files
from weatherglass.kernels import stitch
from weatherglass.metrics.cache import Cache
from weatherglass.metrics.cores import shared_out
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

VERSION = 1
CHUNK = 480
PAGE_SERIES = 64
TICK_NS = 1_000_000

_MAGIC = b"WGBLOCK\0"
_HEADER = struct.Struct("<8sHHI")
_FOOTER = struct.Struct("<QIII8s")
_COUNTS = struct.Struct("<IIIIQ")  # chunks, value pages, streams, time pages, nanoseconds a tick
_PAGE = np.dtype([("offset", "<u8"), ("size", "<u4"), ("raw", "<u4"), ("crc", "<u4"), ("first", "<u4")])
_STREAM = np.dtype([("first", "<i8"), ("last", "<i8"), ("at", "<u4"), ("count", "<u4")])
_RAW_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Columns:
    """Series after series: `numbers` int64 (n), `bounds` int64 (n + 1) into `times` and `values`."""

    numbers: Int64Array
    bounds: Int64Array
    times: Int64Array
    values: FloatArray

    @property
    def owners(self) -> Int64Array:
        """(n_samples,) the place in `numbers` of each sample's series."""
        return np.repeat(np.arange(len(self.numbers), dtype=np.int64), np.diff(self.bounds))

    def only(self, keep: BoolArray, owners: Int64Array | None = None) -> Columns:
        """The samples where `keep` is true; all series stay, some perhaps empty."""
        owners = self.owners if owners is None else owners
        bounds = np.zeros(len(self.numbers) + 1, np.int64)
        np.cumsum(np.bincount(owners[keep], minlength=len(self.numbers)), out=bounds[1:])
        return Columns(self.numbers, bounds, self.times[keep], self.values[keep])

    def without_empty(self) -> Columns:
        """Without the series that have no samples."""
        there = np.diff(self.bounds) > 0
        if there.all():
            return self
        return Columns(
            self.numbers[there], np.append(self.bounds[:-1][there], self.bounds[-1]), self.times, self.values
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What a block holds, for the catalogue."""

    first_ms: int
    last_ms: int
    series: int
    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What a block is, for the catalogue. Where two hold a sample of one instant, the higher `position` wins.

    A roll-up (`granularity_ms` is not 0) holds the columns of `methods`: series n has them under the numbers
    n x len(methods), n x len(methods) + 1 and so on. `rolled`: the roll-ups know of these samples.
    """

    position: int
    policy: str = ""
    granularity_ms: int = 0
    methods: tuple[str, ...] = ()
    rolled: bool = False


class Writer:
    """A block under way: groups of up to 64 series are added, `finish` makes it whole. Raises OSError."""

    def __init__(self, file: AppendFile) -> None:
        self._file, self._compress = file, zstandard.ZstdCompressor(level=1).compress
        header = _HEADER.pack(_MAGIC, VERSION, 0, 0)
        file.write(header)
        self._position = len(header)
        self._value_pages: list[tuple[int, int, int, int, int]] = []
        self._columns: list[tuple[Int64Array, Int64Array, Int64Array]] = []  # numbers, counts, value at
        self._stream_of: list[int] = []
        self._streams: dict[tuple[bytes, int], int] = {}
        self._spans: list[tuple[int, int]] = []
        self._chunks = self.samples = 0
        self._numbers: list[Int64Array] = []

    def add(self, group: Columns) -> None:
        """Series that are neighbours, times strictly ascending in each; none without samples."""
        owner, sizes, time_bytes, time_bounds, value_bytes, value_bounds = stitch.encode_chunks(
            group.times, group.values, group.bounds, CHUNK
        )
        page = self._compress(value_bytes)
        self._file.write(page)
        self._value_pages.append((self._position, len(page), len(value_bytes), crc32(page), self._chunks))
        self._position += len(page)
        starts = np.cumsum(sizes) - sizes  # chunks cover the group without a gap
        edges = time_bounds.tolist()
        for chunk, (count, start) in enumerate(zip(sizes.tolist(), starts.tolist(), strict=True)):
            key = (time_bytes[edges[chunk] : edges[chunk + 1]], count)
            stream = self._streams.get(key)
            if stream is None:
                stream = self._streams[key] = len(self._streams)
                self._spans.append((int(group.times[start]), int(group.times[start + count - 1])))
            self._stream_of.append(stream)
        self._columns.append((group.numbers[owner], sizes, value_bounds[:-1]))
        self._numbers.append(group.numbers)
        self._chunks += len(sizes)
        self.samples += len(group.times)

    def finish(self) -> Summary:
        """The rest of the file; synced on return. To be called once, with at least one sample added."""
        table, time_pages, position = _write_times(
            self._file, self._streams, self._spans, self._position, self._compress
        )
        columns = zip(*self._columns, strict=True)
        raw = b"".join(
            (
                _COUNTS.pack(self._chunks, len(self._value_pages), len(table), len(time_pages), TICK_NS),
                np.array(self._value_pages, _PAGE).tobytes(),
                np.array(time_pages, _PAGE).tobytes(),
                table.tobytes(),
                *(np.concatenate(column).astype("<u4").tobytes() for column in columns),
                np.array(self._stream_of, "<u4").tobytes(),
            )
        )
        directory = self._compress(raw)
        self._file.write(directory)
        self._file.write(_FOOTER.pack(position, len(directory), len(raw), crc32(directory), _MAGIC))
        self._file.sync()
        return Summary(
            min(span[0] for span in self._spans),
            max(span[1] for span in self._spans),
            len(np.unique(np.concatenate(self._numbers))),
            self.samples,
            position + len(directory) + _FOOTER.size,
        )


def _write_times(
    file: AppendFile,
    streams: dict[tuple[bytes, int], int],
    spans: list[tuple[int, int]],
    position: int,
    compress: Any,
) -> tuple[np.ndarray[Any, Any], list[tuple[int, int, int, int, int]], int]:
    table = np.zeros(len(streams), _STREAM)
    pages = []
    keys = list(streams)
    for first in range(0, len(keys), PAGE_SERIES):
        group = keys[first : first + PAGE_SERIES]
        at = 0
        for stream, (data, count) in enumerate(group, first):
            table[stream] = (*spans[stream], at, count)
            at += len(data)
        page = compress(b"".join(data for data, _ in group))
        file.write(page)
        pages.append((position, len(page), at, crc32(page), first))
        position += len(page)
    return table, pages, position


@dataclass(frozen=True, slots=True)
class _Directory:
    value_pages: np.ndarray[Any, Any]
    time_pages: np.ndarray[Any, Any]
    streams: np.ndarray[Any, Any]
    numbers: np.ndarray[Any, Any]  # per chunk, in the file's order
    counts: np.ndarray[Any, Any]
    value_at: np.ndarray[Any, Any]
    stream_of: np.ndarray[Any, Any]
    order: np.ndarray[Any, Any]  # chunks by series number; those of one series in order of time
    ordered: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which chunks answer: `series` (positions in the numbers asked for, ascending) and `chunks`, `counts` in step."""

    series: Int64Array
    chunks: Int64Array
    counts: Int64Array


class Block:
    """One block file, open for reading. Safe from any thread. Raises Corrupt where the bytes do not check out."""

    def __init__(
        self, path: Path, sequence: int, summary: Summary, files: Files, cache: Cache, meta: Meta
    ) -> None:
        self.path, self.sequence, self.summary, self.meta = path, sequence, summary, meta
        self._files, self._cache = files, cache

    def known_to_rollups(self) -> Block:
        """The same block, from now on marked `rolled`."""
        meta = replace(self.meta, rolled=True)
        return Block(self.path, self.sequence, self.summary, self._files, self._cache, meta)

    def numbers(self) -> Int64Array:
        """int64: the series in here, ascending."""
        return np.unique(self.series(self._directory().numbers.astype(np.int64)))

    def series(self, numbers: Int64Array) -> Int64Array:
        """The series that columns of a roll-up belong to; of raw samples the same."""
        return numbers // max(len(self.meta.methods), 1)

    def neighbours(self) -> Int64Array:
        """int64: the series (of a roll-up its columns) in the file's order, each once."""
        numbers = self._directory().numbers
        _, first = np.unique(numbers, return_index=True)
        return numbers[np.sort(first)].astype(np.int64)

    def spans(self, plan: Plan) -> tuple[Int64Array, Int64Array]:
        """(first, last) instant of each chunk of a plan."""
        directory = self._directory()
        streams = directory.streams[directory.stream_of[plan.chunks]]
        return streams["first"], streams["last"]

    def verify(self) -> None:
        """Reads every page and decodes every chunk. Raises Corrupt at the first that does not check out."""
        directory = self._directory()
        numbers = np.unique(directory.numbers).astype(np.int64)
        for first in range(0, len(numbers), 4 * PAGE_SERIES):
            plan = self.plan(numbers[first : first + 4 * PAGE_SERIES], -(1 << 62), 1 << 62)
            offsets = np.cumsum(plan.counts) - plan.counts
            size = int(plan.counts.sum())
            times, values = np.empty(size, np.int64), np.empty(size, np.float64)
            self.fill(plan, offsets, times, values)
            low, high = self.spans(plan)
            ends = offsets + plan.counts - 1
            if (times[offsets] != low).any() or (times[ends] != high).any():
                raise self._corrupt(0)
        self._cache.drop(self.sequence)

    def plan(self, numbers: Int64Array, start_ms: int, end_ms: int) -> Plan:
        """The chunks of `numbers` (ascending) that overlap the span."""
        directory = self._directory()
        low = np.searchsorted(directory.ordered, numbers, "left")
        count = np.searchsorted(directory.ordered, numbers, "right") - low
        series = np.repeat(np.arange(len(numbers)), count)
        within = np.arange(len(series)) - np.repeat(np.cumsum(count) - count, count)
        chunks = directory.order[np.repeat(low, count) + within].astype(np.int64)
        streams = directory.streams[directory.stream_of[chunks]]
        keep = (streams["first"] <= end_ms) & (streams["last"] >= start_ms)
        chunks = chunks[keep]
        return Plan(series[keep], chunks, directory.counts[chunks].astype(np.int64))

    def fill(self, plan: Plan, offsets: Int64Array, times: Int64Array, values: FloatArray) -> None:
        """Decodes the plan's chunks to their `offsets` in the flat columns."""
        directory = self._directory()
        wanted, place = np.unique(directory.stream_of[plan.chunks], return_inverse=True)
        sizes = directory.streams["count"][wanted].astype(np.int64)
        starts = np.cumsum(sizes) - sizes
        flat = np.empty(int(sizes.sum()), np.int64)
        at = directory.streams["at"][wanted].astype(np.int64)
        for page, some in _by_page(directory.time_pages["first"], wanted):
            data = self._page("t", page, directory.time_pages[page])
            stitch.decode_times(data, at[some], sizes[some], starts[some], flat)
        stitch.spread(flat, starts[place], plan.counts, offsets, times)
        at = directory.value_at[plan.chunks].astype(np.int64)
        pages = list(_by_page(directory.value_pages["first"], plan.chunks))

        def decode(first: int, last: int) -> None:
            for page, some in pages[first:last]:
                data = self._page("v", page, directory.value_pages[page])
                stitch.decode_values(data, at[some], plan.counts[some], offsets[some], values)

        shared_out(decode, len(pages), int(plan.counts.sum()))

    def _page(self, kind: str, number: int, entry: Any) -> bytes:
        key = (self.sequence, kind, number)
        data = self._cache.get(key)
        if data is None:
            data = self._read(int(entry["offset"]), int(entry["size"]), int(entry["raw"]), int(entry["crc"]))
            self._cache.put(key, data, len(data) + 200)
        return data  # type: ignore[no-any-return]

    def _read(self, offset: int, size: int, raw: int, crc: int) -> bytes:
        packed = self._files.read(self.path, offset, size)
        if len(packed) != size or crc32(packed) != crc or raw > _RAW_MAX:
            raise self._corrupt(offset)
        try:
            data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=raw)
        except zstandard.ZstdError as error:
            raise self._corrupt(offset) from error
        if len(data) != raw:
            raise self._corrupt(offset)
        return data

    def _corrupt(self, offset: int) -> Corrupt:
        return Corrupt(
            "stored samples do not check out",
            where=f"{self.path}:{offset}",
            mend="restore this file from a backup",
        )

    def _directory(self) -> _Directory:
        key = (self.sequence, "d", 0)
        found = self._cache.get(key)
        if found is None:
            found = self._load()
            self._cache.put(key, found, 24 * len(found.numbers) + 24 * len(found.streams) + 1000)
        return found  # type: ignore[no-any-return]

    def _load(self) -> _Directory:
        size = self._files.size(self.path)
        head = self._files.read(self.path, 0, _HEADER.size)
        tail = self._files.read(self.path, max(size - _FOOTER.size, 0), _FOOTER.size)
        if len(head) < _HEADER.size or len(tail) < _FOOTER.size or head[:8] != _MAGIC or tail[-8:] != _MAGIC:
            raise self._corrupt(0)
        _, version, zero, rest = _HEADER.unpack(head)
        if zero or rest:
            raise self._corrupt(8)
        if version != VERSION:
            raise Corrupt(
                f"block format {version}, this program knows {VERSION}",
                where=str(self.path),
                mend="run the version of Weatherglass that wrote it, or a newer one",
            )
        offset, packed, raw, crc, _ = _FOOTER.unpack(tail)
        if offset + packed + _FOOTER.size != size:
            raise self._corrupt(size - _FOOTER.size)
        data = self._read(offset, packed, raw, crc)
        chunks, value_pages, streams, time_pages, tick = _COUNTS.unpack_from(data)
        if tick != TICK_NS:
            raise Corrupt(f"a tick of {tick} ns, this program knows {TICK_NS}", where=str(self.path))
        at = _COUNTS.size
        parts = []
        for kind, count in (
            (_PAGE, value_pages),
            (_PAGE, time_pages),
            (_STREAM, streams),
            *[(np.dtype("<u4"), chunks)] * 4,
        ):
            parts.append(np.frombuffer(data, kind, count, at))
            at += kind.itemsize * count
        value_table, time_table, stream_table, numbers, counts, value_at, stream_of = parts
        order = np.argsort(numbers, kind="stable").astype(np.uint32)
        return _Directory(
            value_table, time_table, stream_table, numbers, counts, value_at, stream_of, order, numbers[order]
        )


def _by_page(firsts: Any, items: Any) -> Iterable[tuple[int, Int64Array]]:
    """(page, positions in `items`) for items numbered on from page to page."""
    pages = np.searchsorted(firsts, items, "right") - 1
    order = np.argsort(pages, kind="stable")
    edges = np.flatnonzero(np.diff(pages[order])) + 1
    for some in np.split(order, edges):
        if len(some):
            yield int(pages[some[0]]), some
