"""A segmented, append-only log: durable on return, read back from any offset, dropped from its old end.

Rooms give the encoding of their records; this knows bytes only. Stdlib alone: the agent carries it too.

Its bytes are described in `segments`. Here:

- Segments come into being by rename, header synced, so that a bad header is never a tear.
- After a failed write or sync the segment is abandoned at its acknowledged length and the next append starts a
  new one: a retried fsync proves nothing (the kernel may have dropped the pages and forgotten). Whatever the
  abandoned one holds at or past the base of the next was never acknowledged, and is not read.
- Frames of several threads share one write and one sync: the first to come leads, the others wait for it, and
  no lock is held meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from weatherglass.base.errors import Corrupt, TooLarge, Unavailable
from weatherglass.engine.files import TEMPORARY, AppendFile, Files, RealFiles
from weatherglass.engine.segments import (
    FRAME_BYTES,
    HEADER_BYTES,
    MAX_BODY,
    SUFFIX,
    base_of,
    body_of,
    decayed_at,
    file_name,
    frame_head,
    frames,
    header,
    records_of,
)

_GROUP_BYTES = 16 << 20  # what one sync may carry, so that a leader's memory has a bound
_MARK_BYTES = 256 << 10
_CLOSING_S = 5.0


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
        self._unsure = False  # an unlink that is not surely on the disk
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
                base = base_of(self._files, path)
                if name != file_name(base):
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
        segment.end, segment.length = segment.base, HEADER_BYTES
        for frame in frames(self._files, segment.path, HEADER_BYTES, size):
            if frame.offset != segment.end:
                raise self._corrupt(
                    segment, frame.position, f"record {frame.offset} where {segment.end} belongs"
                )
            self._mark(segment, frame.offset, frame.position)
            segment.end, segment.length = frame.offset + frame.count, frame.end
        if segment.length < size and decayed_at(self._files, segment.path, segment.length, size):
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
        path = self._folder / file_name(self._next)
        temporary = path.with_name(path.name + TEMPORARY)
        if self._files.exists(temporary):
            self._files.unlink(temporary)
        file = self._files.create(temporary)
        try:
            file.write(header(self._next))
            file.sync()
            self._files.rename(temporary, path)
            self._files.sync_dir(self._folder)
        except OSError:
            file.close()
            raise
        if self._file:
            self._file.close()
        segment = _Segment(self._next, path, self._next, HEADER_BYTES)
        with self._changed:
            kept = [one for one in self._segments if one.base != segment.base]
            self._file, self._segments = file, [*kept, segment]

    # --- writing -----------------------------------------------------------------------------------------

    def append(self, records: Sequence[bytes]) -> int:
        """The offset of the last of `records`; all of them are durable on return, or none is in the log.

        Raises Unavailable (disk full, failed, log closed), TooLarge. An append that raised may be tried again; its
        records are never seen, unless the process dies before another append of this log is acknowledged.
        """
        if not records:
            return self.next - 1
        body = body_of(records)
        if len(body) > MAX_BODY:
            raise TooLarge(f"{len(body)} bytes in one append to log {self._name}; at most {MAX_BODY}")
        mine = _Pending(body, len(records), crc32(body))
        with self._changed:
            if self._closed:
                raise Unavailable(f"log {self._name} is closed")
            self._queue.append(mine)
        while not mine.done:
            with self._changed:
                try:
                    self._changed.wait_for(lambda: mine.done or not self._leading)
                except BaseException:
                    # Interrupted: nobody may be left to lead for it.
                    if mine in self._queue:
                        self._queue.remove(mine)
                    raise
                if mine.done:
                    break
                self._leading = True
                group = self._take_group()
            # A full group may end before `mine`: then this thread leads again, or another does.
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
            head = frame_head(pending.count, len(pending.body), offset, segment.length, pending.crc)
            parts += [head, pending.body]
            marks.append((offset, position))
            offset += pending.count
            position += FRAME_BYTES + len(pending.body)
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

        Records acknowledged meanwhile come too; what is trimmed meanwhile is passed over. Raises Corrupt,
        Unavailable.
        """
        while True:
            with self._changed:
                segment = next((one for one in self._segments if one.end > start), None)
                if segment is None:
                    return
                end, limit = segment.end, segment.length
                offset, position = self._seek(segment, start)
            try:
                for frame in frames(self._files, segment.path, position, limit):
                    if frame.offset != offset:
                        raise self._corrupt(segment, frame.position, f"record {frame.offset}, not {offset}")
                    self._mark_safely(segment, offset, frame.position)
                    for number, record in enumerate(records_of(frame.body), offset):
                        if number >= start:
                            yield number, record
                    offset, position = offset + frame.count, frame.end
                    if offset >= end:
                        break
            except FileNotFoundError as error:
                if start >= self.first:
                    raise self._corrupt(segment, 0, "this segment is gone") from error
                start = self.first
                continue
            except OSError as error:
                raise Unavailable(
                    f"log {self._name} cannot be read: {error}", where=str(segment.path)
                ) from error
            if offset < end:
                raise self._corrupt(segment, position, "stored bytes do not check out")
            start = offset

    def wait_past(self, offset: int, timeout_s: float) -> bool:
        """Whether a record at `offset` or later is there, after at most `timeout_s`; False when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._next > offset or self._closed, timeout_s)
            return self._next > offset and not self._closed

    def _seek(self, segment: _Segment, start: int) -> tuple[int, int]:
        index = bisect_right(segment.marks, (start, 1 << 62)) - 1
        return segment.marks[index] if index >= 0 else (segment.base, HEADER_BYTES)

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
        """Drops whole segments all of whose records are below `before`. Raises Unavailable.

        After a failed sync of the folder nothing more is dropped until the log is opened anew: the last unlink may
        come undone in a power cut, and with later ones on the disk a gap would be left.
        """
        while True:
            with self._changed:
                if len(self._segments) < 2 or self._segments[1].base > before:
                    return
                if self._unsure:
                    raise Unavailable(
                        f"log {self._name} is not trimmed any more: its folder could not be synced",
                        where=str(self._folder),
                        mend="look at the disk, then start again",
                    )
                oldest = self._segments.pop(0)
            try:
                # One at a time: were two unlinks to reach the disk in the wrong order, a gap would be left.
                self._unsure = True
                self._files.unlink(oldest.path)
                self._files.sync_dir(self._folder)
                self._unsure = False
            except OSError as error:
                raise Unavailable(
                    f"log {self._name} cannot be trimmed: {error}", where=str(oldest.path)
                ) from error

    def close(self) -> None:
        """Wakes whoever waits; appends under way finish, later ones raise Unavailable."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            idle = self._changed.wait_for(lambda: not self._leading and not self._queue, _CLOSING_S)
            file, self._file = self._file, None
        # Whoever still waits for a disk that hangs has the file in use.
        if file and idle:
            file.close()
