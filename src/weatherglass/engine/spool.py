"""The agent's disk spool: what could not be handed over yet, in order, within a bound. No network lives here.

Bodies are compressed one by one and ride an `engine.log`; the place up to which they were handed over is a small
file beside it. Over the bound the *oldest* segment is dropped and its records counted: what is newest tells most
about what goes wrong now. Memory holds one batch at a time. Stdlib and zstandard alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import zstandard

from weatherglass.base.errors import Corrupt, Invalid, TooLarge, Unavailable
from weatherglass.engine.files import Files, RealFiles
from weatherglass.engine.log import Log

_SEGMENTS = 16  # of a full spool: what is dropped at once is a sixteenth of it
_LEAST_SEGMENT = 4 << 10
_PLACE = "place.json"


class Spool:
    """Records of (kind, body), first in, first out. Any number of threads may `put`; one takes."""

    def __init__(self, folder: Path | str, limit_bytes: int = 512 << 20, files: Files | None = None) -> None:
        """`limit_bytes`: what it may hold on disk, compressed. Raises Corrupt, Unavailable."""
        self._folder, self._files = Path(folder), files or RealFiles()
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._log = Log(
            self._folder / "log",
            files=self._files,
            segment_bytes=max(limit_bytes // _SEGMENTS, _LEAST_SEGMENT),
            name="spool",
        )
        self._compress = threading.local()
        self._taken, self.dropped = self._read_place()
        # A place past the end or before the beginning is one that was not written when the log was trimmed.
        self._taken = min(max(self._taken, self._log.first), self._log.next)

    def _read_place(self) -> tuple[int, int]:
        path = self._folder / _PLACE
        if not self._files.exists(path):
            return 0, 0
        try:
            told = json.loads(self._files.read(path))
            return int(told["done"]), int(told["dropped"])
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(
                f"not a spool's place: {error}", where=str(path), mend="remove it: all is sent again"
            ) from error

    def _write_place(self, done: int, dropped: int) -> None:
        told = json.dumps({"version": 1, "done": done, "dropped": dropped}).encode()
        try:
            self._files.write_atomic(self._folder / _PLACE, told)
        except OSError as error:
            raise Unavailable(f"spool: {error}", where=str(self._folder)) from error

    @property
    def size_bytes(self) -> int:
        """What it holds on disk."""
        return self._log.size_bytes

    def __len__(self) -> int:
        """How many records wait."""
        with self._lock:
            return self._log.next - self._taken

    def put(self, kind: str, body: bytes) -> int:
        """Its offset; durable on return. Raises TooLarge (could never fit), Unavailable (disk full or failed)."""
        name = kind.encode()
        if not 0 < len(name) < 256:
            raise Invalid(f"{kind!r} cannot be a kind: 1 to 255 bytes")
        record = bytes((len(name),)) + name + self._compressor().compress(body)
        if len(record) > self._limit // 2:
            raise TooLarge(f"{len(record)} bytes in a spool of {self._limit}")
        with self._lock:
            self._drop_for(len(record))
        return self._log.append([record])

    def _compressor(self) -> zstandard.ZstdCompressor:
        # One for each thread: they must not be shared, and making one costs more than a small body.
        if not hasattr(self._compress, "zstd"):
            self._compress.zstd = zstandard.ZstdCompressor(level=3)
        made: zstandard.ZstdCompressor = self._compress.zstd
        return made

    def _drop_for(self, more: int) -> None:
        while self._log.size_bytes + more > self._limit and len(self._log.segments) > 1:
            end = self._log.segments[1][0]
            lost = max(0, end - self._taken)
            # First the account, then the loss: a crash between them counts too much, never too little.
            if lost:
                self._write_place(end, self.dropped + lost)
                self._taken, self.dropped = end, self.dropped + lost
            self._log.trim(end)

    def take(self, max_bytes: int = 1 << 20) -> list[tuple[int, str, bytes]]:
        """(offset, kind, body) of the oldest that wait: at least one where there is one, else up to `max_bytes` of
        bodies. The same ones again until `done`."""
        with self._lock:
            start = self._taken
        batch: list[tuple[int, str, bytes]] = []
        size = 0
        for each in self._read(start):
            size += len(each[2])
            if batch and size > max_bytes:
                break
            batch.append(each)
        return batch

    def after(self, offset: int) -> Iterator[tuple[int, str, bytes]]:
        """(offset, kind, body) of all that is on the disk after `offset`, oldest first, one in memory at a time.

        Also what was handed over and is not dropped yet: whoever keeps an account of what was put can mend it.
        """
        return self._read(offset + 1)

    def _read(self, start: int) -> Iterator[tuple[int, str, bytes]]:
        decompressor = zstandard.ZstdDecompressor()
        for offset, record in self._log.replay(start):
            cut = 1 + record[0]
            yield offset, record[1:cut].decode(), decompressor.decompress(record[cut:])

    def done(self, offset: int) -> None:
        """All up to and with `offset` were handed over. Durable on return; twice is once."""
        with self._lock:
            if offset < self._taken:
                return
            taken = min(offset + 1, self._log.next)
            self._write_place(taken, self.dropped)
            self._taken = taken
            self._log.trim(taken)

    def close(self) -> None:
        self._log.close()
