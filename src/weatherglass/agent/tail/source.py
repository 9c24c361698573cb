"""One open log file: bytes → text → events, and where it stands. No knowledge of rotation or of batches.

Decoding and framing are reversible (surrogateescape, and a Framer that changes nothing), so what is held back
can be counted in bytes: the cursor is what was read less what is held.
"""

from __future__ import annotations

import codecs
import os

from weatherglass.agent.tail.cursor import HEAD_BYTES, Cursor, Identity, head, same_head
from weatherglass.agent.tail.unwrap import Unwrap, byte_length
from weatherglass.logs.framing import Framer, RawText

READ_BYTES = 128 << 10
IDLE_S = 1.0
"""An event is given out when the next begins, or after this long without a byte."""


def readable(text: str) -> str:
    """Text as every store takes it: escaped bytes (surrogateescape) become `\\xNN`."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Source:
    """An open file and its framer. `fd` is owned here."""

    def __init__(self, path: str, fd: int, kind: str, wrapped: bool, kept: Cursor | None) -> None:
        """Go on where `kept` stands if this is still that file, else begin at its beginning."""
        self.path, self._fd, self._kind, self._wrapped = path, fd, kind, wrapped
        told = os.fstat(fd)
        self.identity: Identity = (told.st_dev, told.st_ino)
        self._at = 0
        self.known = False
        """Whether `kept` is this file's."""
        if kept is not None and kept.offset <= told.st_size and same_head(fd, kept.head_bytes, kept.head_crc):
            self._at, self.known = kept.offset, True
        self._head = head(fd)
        self._mtime_ns = told.st_mtime_ns
        self.at_end = False
        self.quiet_since_ns: int | None = None
        self._restart()

    def _restart(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._framer = Framer(self._kind)
        self._unwrap = Unwrap() if self._wrapped else None

    def _feed(self, data: bytes, now_ns: int, epoch_ns: int, final: bool = False) -> list[RawText]:
        text = self._decoder.decode(data, final)
        if self._unwrap is None:
            return self._framer.feed(text, now_ns)
        events: list[RawText] = []
        for piece, at_ns in self._unwrap.feed(text, final):
            seen_ns = now_ns if at_ns is None else min(now_ns, at_ns - epoch_ns)
            events += self._framer.feed(piece, seen_ns)
        return events

    @property
    def held(self) -> int:
        """Bytes read and not yet given out."""
        pending, undecoded = self._framer.pending, len(self._decoder.getstate()[0])
        if self._unwrap is not None:
            return self._unwrap.bytes_behind(len(pending)) + undecoded
        return byte_length(pending) + undecoded

    @property
    def mtime_ns(self) -> int:
        return self._mtime_ns

    def cursor(self) -> Cursor:
        dev, inode = self.identity
        return Cursor(self.path, dev, inode, self._at - self.held, *self._head, self._mtime_ns)

    def read(self, now_ns: int, epoch_ns: int) -> list[RawText]:
        """The events that the next piece completes. `at_end` says whether the file's end was reached.

        `epoch_ns`: what makes times since the epoch of the monotonic ones here. An event was seen when it was read,
        or when the container's runtime wrote it.
        """
        told = os.fstat(self._fd)
        events: list[RawText] = []
        if told.st_mtime_ns != self._mtime_ns or told.st_size < self._at:
            self._mtime_ns = told.st_mtime_ns
            # Cut (copytruncate), and perhaps grown past where we were since: its first bytes tell.
            if told.st_size < self._at or not same_head(self._fd, *self._head):
                events += self.finish(now_ns, epoch_ns)
                self._at = 0
                self._restart()
                self._head = head(self._fd)
        if told.st_size == self._at:
            self.at_end = True
            if self.quiet_since_ns is None:
                self.quiet_since_ns = now_ns
            return events + self._framer.flush(now_ns, IDLE_S)
        data = os.pread(self._fd, READ_BYTES, self._at)
        self._at += len(data)
        self.at_end, self.quiet_since_ns = len(data) < READ_BYTES, None
        if self._head[0] < HEAD_BYTES:
            self._head = head(self._fd)
        return events + self._feed(data, now_ns, epoch_ns)

    def finish(self, now_ns: int, epoch_ns: int) -> list[RawText]:
        """Everything that is held: nothing more will come."""
        events = self._feed(b"", now_ns, epoch_ns, final=True)
        return events + self._framer.flush(now_ns, 0)

    def close(self) -> None:
        os.close(self._fd)
