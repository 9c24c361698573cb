"""A segmented, append-only log: durable on return, read back from any offset, dropped from its old end.

Rooms give the encoding of their records; this knows bytes only. Stdlib alone: the agent carries it too.

On disk, little-endian. A segment is `<base offset, 20 digits>.log`: a header (`WGLOG\\0`, version u16, base u64,
crc32) and frames. A frame is one `append`, whole or not at all: magic, count u32, length u32, first offset u64,
durable u64, crc32 of the body, crc32 of these; its body is `count` times (length u32, payload).

- *durable* is the length of the segment that was known to be synced when the frame was written. It tells a torn
  tail from decay: a bad frame with a good one behind it that was written after the bad one had been synced is
  `Corrupt`; a bad frame with none such is what a crash tore, was never acknowledged, and is cut at open.
  (Decay of the very last group written is therefore indistinguishable from a tear.)
- Segments come into being by rename, header synced, so that a bad header is never a tear.
- After a failed write or sync the segment is abandoned at its acknowledged length and the next append starts a
  new one: a retried fsync proves nothing (the kernel may have dropped the pages and forgotten). Whatever the
  abandoned one holds at or past the base of the next was never acknowledged, and is not read.
- Frames of several threads share one write and one sync: the first to come leads, the others wait for it, and
  no lock is held meanwhile.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from weatherglass.base.errors import Corrupt, TooLarge, Unavailable
from weatherglass.engine.files import TEMPORARY, AppendFile, Files, RealFiles

VERSION = 1
SUFFIX = ".log"

_HEADER = struct.Struct("<6sHQ")
_HEADER_BYTES = _HEADER.size + 4
_MAGIC = b"WGLOG\0"
_FRAME = struct.Struct("<4sIIQQI")
_FRAME_BYTES = _FRAME.size + 4
_FRAME_MAGIC = b"\xf5WGf"
_U32 = struct.Struct("<I")

_MAX_BODY = 1 << 30
_GROUP_BYTES = 16 << 20  # what one sync may carry, so that a leader's memory has a bound
_PIECE = 1 << 20
_MARK_BYTES = 256 << 10


@dataclass(slots=True)
class _Segment:
    base: int
    path: Path
    end: int = 0  # offset after its last acknowledged record
    length: int = 0  # bytes acknowledged
    marks: list[tuple[int, int]] = field(default_factory=list)  # (offset, position), sparse


@dataclass(slots=True)
class _Pending:
    body: bytes
    count: int
    crc: int
    last: int = -1
    done: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Frame:
    position: int
    end: int  # position behind it
    offset: int
    count: int
    durable: int
    body: bytes


def _header(base: int) -> bytes:
    head = _HEADER.pack(_MAGIC, VERSION, base)
    return head + _U32.pack(crc32(head))


def _base_of(files: Files, path: Path) -> int:
    head = files.read(path, 0, _HEADER_BYTES)
    if len(head) < _HEADER_BYTES or head[:6] != _MAGIC or crc32(head[:-4]) != _U32.unpack(head[-4:])[0]:
        raise Corrupt("not the header of a log segment", where=f"{path}:0", mend="restore it from a backup")
    _, version, base = _HEADER.unpack(head[:-4])
    if version != VERSION:
        raise Corrupt(
            f"log format {version}, this program knows {VERSION}",
            where=f"{path}:0",
            mend="run the version of Weatherglass that wrote it, or a newer one",
        )
    return int(base)


def _frame_at(data: bytes, at: int, position: int) -> _Frame | int:
    """The frame at `data[at:]`, or how many bytes from `at` it takes to tell; 0 says that there is none."""
    if len(data) - at < _FRAME_BYTES:
        return _FRAME_BYTES
    magic, count, length, offset, durable, body_crc = _FRAME.unpack_from(data, at)
    head_crc = _U32.unpack_from(data, at + _FRAME.size)[0]
    if magic != _FRAME_MAGIC or head_crc != crc32(data[at : at + _FRAME.size]) or length > _MAX_BODY:
        return 0
    end = at + _FRAME_BYTES + length
    if len(data) < end:
        return _FRAME_BYTES + int(length)
    body = data[at + _FRAME_BYTES : end]
    if crc32(body) != body_crc:
        return 0
    return _Frame(position, position + _FRAME_BYTES + length, offset, count, durable, body)


def _frames(files: Files, path: Path, position: int, limit: int) -> Iterator[_Frame]:
    """Good frames from `position`, up to the first that is not, or to `limit`. Memory: a piece and a frame."""
    data, at = b"", 0
    while position < limit:
        found = _frame_at(data, at, position)
        if isinstance(found, _Frame):
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


def _decayed_at(files: Files, path: Path, bad: int, size: int) -> bool:
    """Whether a good frame behind `bad` was written when `bad` was already durable."""
    position, data = bad + 1, b""
    while position < size:
        data = files.read(path, position, _PIECE + _FRAME_BYTES)
        at = data.find(_FRAME_MAGIC)
        while 0 <= at < _PIECE:
            frame = next(_frames(files, path, position + at, size), None)
            if frame and frame.durable > bad:
                return True
            at = data.find(_FRAME_MAGIC, at + 1)
        position += _PIECE
    return False


def _records(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        (length,) = _U32.unpack_from(body, at)
        yield body[at + 4 : at + 4 + length]
        at += 4 + length


def sound_length(files: Files, path: Path) -> int:
    """Bytes of a segment, from its beginning, that check out (for copies of a log that is being written)."""
    _base_of(files, path)
    length = _HEADER_BYTES
    for frame in _frames(files, path, length, files.size(path)):
        length = frame.end
    return length


class Log:
    """One folder, one owner; any number of threads may append and replay at once."""

    def __init__(
        self,
        folder: Path | str,
        *,
        files: Files | None = None,
        segment_bytes: int = 64 << 20,
        name: str = "",
    ) -> None:
        """Opens or makes it. Raises Corrupt, Unavailable."""
        self._folder, self._files = Path(folder), files or RealFiles()
        self._name = name or self._folder.name
        self._segment_bytes = segment_bytes
        self._changed = threading.Condition()
        self._queue: list[_Pending] = []
        self._leading = self._closed = False
        self._file: AppendFile | None = None
        self._segments: list[_Segment] = []
        try:
            self._open()
        except OSError as error:
            raise Unavailable(
                f"log {self._name} cannot be opened: {error}", where=str(self._folder)
            ) from error

    # --- opening -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._files.mkdir(self._folder)
        for name in self._files.listdir(self._folder):
            path = self._folder / name
            if name.endswith(TEMPORARY):
                self._files.unlink(path)
            elif name.endswith(SUFFIX):
                base = _base_of(self._files, path)
                if name != _file_name(base):
                    raise Corrupt(
                        f"this segment begins at {base}", where=f"{path}:0", mend="give it back its name"
                    )
                self._segments.append(_Segment(base, path))
        # Its length is not known before it is read; it ends where the next begins.
        for segment, following in zip(self._segments, self._segments[1:], strict=False):
            segment.end, segment.length = following.base, self._files.size(segment.path)
        if not self._segments:
            self._next = 0
            self._start_segment()
            return
        self._recover_tail(self._segments[-1])

    def _recover_tail(self, segment: _Segment) -> None:
        size = self._files.size(segment.path)
        segment.end, segment.length = segment.base, _HEADER_BYTES
        for frame in _frames(self._files, segment.path, _HEADER_BYTES, size):
            if frame.offset != segment.end:
                raise self._corrupt(
                    segment, frame.position, f"record {frame.offset} where {segment.end} belongs"
                )
            self._mark(segment, frame.offset, frame.position)
            segment.end, segment.length = frame.offset + frame.count, frame.end
        if segment.length < size and _decayed_at(self._files, segment.path, segment.length, size):
            raise self._corrupt(segment, segment.length, "stored bytes do not check out")
        self._next = segment.end
        if segment.end == segment.base:
            # Its name may not be durable (the sync of the folder failed, or its maker was killed): made again.
            self._start_segment()
            return
        self._file = self._files.open_append(segment.path)
        if segment.length < size:
            self._file.truncate(segment.length)
        # What a killed process wrote but had not synced is readable here; it must be durable before it is shown.
        self._file.sync()

    def _start_segment(self) -> None:
        """A new segment beginning at `next`, taking the place of an abandoned empty one of the same base."""
        path = self._folder / _file_name(self._next)
        temporary = path.with_name(path.name + TEMPORARY)
        if self._files.exists(temporary):
            self._files.unlink(temporary)
        file = self._files.create(temporary)
        try:
            file.write(_header(self._next))
            file.sync()
            self._files.rename(temporary, path)
            self._files.sync_dir(self._folder)
        except OSError:
            file.close()
            raise
        if self._file:
            self._file.close()
        segment = _Segment(self._next, path, self._next, _HEADER_BYTES)
        with self._changed:
            kept = [one for one in self._segments if one.base != segment.base]
            self._file, self._segments = file, [*kept, segment]

    # --- writing -----------------------------------------------------------------------------------------

    def append(self, records: Sequence[bytes]) -> int:
        """The offset of the last of `records`; all of them are durable on return, or none is in the log.

        Raises Unavailable (disk full, failed, log closed), TooLarge. An append that raised may be tried again.
        """
        if not records:
            return self.next - 1
        body = b"".join(part for record in records for part in (_U32.pack(len(record)), record))
        if len(body) > _MAX_BODY:
            raise TooLarge(f"{len(body)} bytes in one append to log {self._name}; at most {_MAX_BODY}")
        mine = _Pending(body, len(records), crc32(body))
        with self._changed:
            if self._closed:
                raise Unavailable(f"log {self._name} is closed")
            self._queue.append(mine)
            while self._leading and not mine.done:
                self._changed.wait()
            if not mine.done:
                self._leading = True
                group = self._take_group()
        if not mine.done:
            self._lead(group)
        if mine.error:
            raise Unavailable(f"log {self._name}: {mine.error}", where=str(self._folder))
        return mine.last

    def _take_group(self) -> list[_Pending]:
        size = taken = 0
        for pending in self._queue:
            size += len(pending.body)
            taken += 1
            if size >= _GROUP_BYTES:
                break
        group, self._queue = self._queue[:taken], self._queue[taken:]
        return group

    def _lead(self, group: list[_Pending]) -> None:
        failure = "interrupted"
        try:
            self._commit(group)
            failure = ""
        except OSError as error:
            failure = error.strerror or str(error)
        finally:
            try:
                if failure:
                    self._abandon()
            finally:
                with self._changed:
                    for pending in group:
                        pending.done, pending.error = True, failure
                    self._leading = False
                    self._changed.notify_all()

    def _commit(self, group: list[_Pending]) -> None:
        # Only the leader comes here: `_file`, `_segments[-1]` and `_next` change in one thread at a time.
        if self._file is None or self._segments[-1].length >= self._segment_bytes:
            self._start_segment()
        file, segment = self._file, self._segments[-1]
        assert file is not None
        parts, offset, position = [], self._next, segment.length
        marks = []
        for pending in group:
            head = _FRAME.pack(
                _FRAME_MAGIC, pending.count, len(pending.body), offset, segment.length, pending.crc
            )
            parts += [head, _U32.pack(crc32(head)), pending.body]
            marks.append((offset, position))
            offset += pending.count
            position += _FRAME_BYTES + len(pending.body)
            pending.last = offset - 1
        file.write(b"".join(parts))
        file.sync()
        with self._changed:
            for mark in marks:
                self._mark(segment, *mark)
            segment.end, segment.length, self._next = offset, position, offset

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file:
            # To give the space back; correctness rests on the next segment's base, not on this.
            with contextlib.suppress(OSError):
                file.truncate(self._segments[-1].length)
            with contextlib.suppress(OSError):
                file.close()

    # --- reading -----------------------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """The oldest offset that is still here (or `next`, when none is)."""
        with self._changed:
            return self._segments[0].base

    @property
    def next(self) -> int:
        """The offset that the next record will get."""
        with self._changed:
            return self._next

    @property
    def size_bytes(self) -> int:
        """What the segments hold on disk."""
        with self._changed:
            return sum(segment.length for segment in self._segments)

    @property
    def segments(self) -> list[tuple[int, int]]:
        """(first offset, bytes) of every segment, oldest first."""
        with self._changed:
            return [(segment.base, segment.length) for segment in self._segments]

    def replay(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """(offset, record) from `start`, or from the oldest that is left, to the last one acknowledged.

        Records acknowledged meanwhile come too; what is trimmed meanwhile is passed over. Raises Corrupt.
        """
        while True:
            with self._changed:
                segment = next((one for one in self._segments if one.end > start), None)
                if segment is None:
                    return
                end, limit = segment.end, segment.length
                offset, position = self._seek(segment, start)
            try:
                for frame in _frames(self._files, segment.path, position, limit):
                    if frame.offset != offset:
                        raise self._corrupt(segment, frame.position, f"record {frame.offset}, not {offset}")
                    self._mark_safely(segment, offset, frame.position)
                    for number, record in enumerate(_records(frame.body), offset):
                        if number >= start:
                            yield number, record
                    offset, position = offset + frame.count, frame.end
                    if offset >= end:
                        break
            except FileNotFoundError:
                if start >= self.first:
                    raise
                start = self.first
                continue
            if offset < end:
                with self._changed:
                    if segment not in self._segments:
                        start = max(start, self._segments[0].base)
                        continue
                raise self._corrupt(segment, position, "stored bytes do not check out")
            start = offset

    def wait_past(self, offset: int, timeout_s: float) -> bool:
        """Whether a record at `offset` or later is there, after at most `timeout_s`; False when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._next > offset or self._closed, timeout_s)
            return self._next > offset and not self._closed

    def _seek(self, segment: _Segment, start: int) -> tuple[int, int]:
        index = bisect_right(segment.marks, (start, 1 << 62)) - 1
        return segment.marks[index] if index >= 0 else (segment.base, _HEADER_BYTES)

    def _mark_safely(self, segment: _Segment, offset: int, position: int) -> None:
        if not segment.marks or position >= segment.marks[-1][1] + _MARK_BYTES:
            with self._changed:
                self._mark(segment, offset, position)

    @staticmethod
    def _mark(segment: _Segment, offset: int, position: int) -> None:
        if not segment.marks or position >= segment.marks[-1][1] + _MARK_BYTES:
            segment.marks.append((offset, position))

    @staticmethod
    def _corrupt(segment: _Segment, position: int, what: str) -> Corrupt:
        return Corrupt(what, where=f"{segment.path}:{position}", mend="restore this file from a backup")

    # --- dropping ----------------------------------------------------------------------------------------

    def trim(self, before: int) -> None:
        """Drops whole segments all of whose records are below `before`. Raises Unavailable."""
        while True:
            with self._changed:
                if len(self._segments) < 2 or self._segments[1].base > before:
                    return
                oldest = self._segments.pop(0)
            try:
                # One at a time: were two unlinks to reach the disk in the wrong order, a gap would be left.
                self._files.unlink(oldest.path)
                self._files.sync_dir(self._folder)
            except OSError as error:
                raise Unavailable(
                    f"log {self._name} cannot be trimmed: {error}", where=str(oldest.path)
                ) from error

    def close(self) -> None:
        """Wakes whoever waits; appends after it raise Unavailable. What was acknowledged stays."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._leading and not self._queue)
            file, self._file = self._file, None
        if file:
            file.close()


def _file_name(base: int) -> str:
    return f"{base:020d}{SUFFIX}"
