"""Files of logs, read without a server: lines → events → fields and templates, as a stream.

Memory is bounded by a batch, whatever the size of a file. Of regular files larger than a batch the templates are
learned in a first pass, so that an event at the beginning has the template that its like have at the end; what
comes from a pipe is learned as it comes.
"""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import zstandard

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import RawEvent
from weatherglass.logs.framing import Framer, RawText
from weatherglass.logs.parse import Parsed, Parser
from weatherglass.logs.templates import Miner

STDIN: Final = Path("-")
BATCH_EVENTS: Final = 65_536
BATCH_CHARACTERS: Final = 16 << 20
_CHUNK: Final = 256 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(slots=True)
class Told:
    """What was read: events of each format, lines, and events that were cut because they were too long."""

    formats: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    cut: int = 0

    @property
    def events(self) -> int:
        return self.formats.total()

    @property
    def plain(self) -> int:
        return self.formats["plain"]


class _Batch(NamedTuple):
    file: Path
    events: list[RawEvent]
    lines: list[tuple[int, int]]


def events(paths: Sequence[Path], told: Told, *, kind: str = "auto") -> Iterator[dict[str, Any]]:
    """One object an event: file, first_line, last_line, fields, template_id, template, variables (docs/log-formats.md).

    Raises NotFound, Invalid (a file that cannot be read, or is compressed and broken).
    """
    miner, parser = Miner(), Parser()
    for path in paths:
        if path != STDIN and not path.is_file():
            raise NotFound(
                f"no such file: {path}", where=str(path), mend="name a file, or - for standard input"
            )
    for path in paths:
        if path != STDIN and path.stat().st_size > BATCH_CHARACTERS // 4:
            for batch in _batches(path, kind, Told()):
                parsed = parser.parse(batch.events)
                miner.add(parsed.logger, parsed.message)
    for path in paths:
        for batch in _batches(path, kind, told):
            parsed = parser.parse(batch.events)
            told.formats.update(parsed.format)
            yield from _objects(batch, parsed, miner)


def parsed(paths: Sequence[Path], told: Told, *, kind: str = "auto") -> Iterator[Parsed]:
    """The events of files as columns, batch by batch. Raises as `events`."""
    parser = Parser()
    for path in paths:
        if path != STDIN and not path.is_file():
            raise NotFound(
                f"no such file: {path}", where=str(path), mend="name a file, or - for standard input"
            )
    for path in paths:
        for batch in _batches(path, kind, told):
            columns = parser.parse(batch.events)
            told.formats.update(columns.format)
            yield columns


def _objects(batch: _Batch, parsed: Parsed, miner: Miner) -> Iterator[dict[str, Any]]:
    mined = miner.add(parsed.logger, parsed.message)
    ids = mined.ids.tolist()
    texts = {id: miner.template(id).text for id in set(ids)}
    name = str(batch.file)
    for number, (first, last) in enumerate(batch.lines):
        # What was dated by when it was seen has no time of its own.
        at = parsed.time_ns[number]
        dated = at != batch.events[number].seen_ns
        yield {
            "file": name,
            "first_line": first,
            "last_line": last,
            "fields": {
                "time": iso_ns(at) if dated else None,
                "level": parsed.level[number] or None,
                "logger": parsed.logger[number] or None,
                "message": parsed.message[number],
                "format": parsed.format[number],
                **(parsed.fields[number] or {}),
            },
            "template_id": ids[number],
            "template": texts[ids[number]],
            "variables": list(mined.variables(number)),
        }


def iso_ns(ns: int) -> str:
    """`2026-11-22T10:01:02.123456789Z`."""
    seconds, rest = divmod(ns, SECOND_NS)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


# --- reading ---------------------------------------------------------------------------------------------


def _batches(path: Path, kind: str, told: Told) -> Iterator[_Batch]:
    """The events of one file, so many at a time."""
    if path == STDIN:
        yield from _batches_of(path, cast("IO[bytes]", sys.stdin.buffer), time.time_ns(), kind, told)
        return
    with path.open("rb") as file:
        yield from _batches_of(path, file, path.stat().st_mtime_ns, kind, told)


def _batches_of(path: Path, raw: IO[bytes], seen_ns: int, kind: str, told: Told) -> Iterator[_Batch]:
    labels = (("source", str(path)),)
    framer, line, size = Framer(kind), 1, 0
    batch = _Batch(path, [], [])
    for found in _framed(path, raw, framer, seen_ns):
        ends = found.text.count("\n")
        batch.events.append(RawEvent(seen_ns, labels, found.text))
        batch.lines.append((line, line + ends - found.text.endswith("\n")))
        line += ends
        size += len(found.text)
        told.cut += found.cut
        if len(batch.events) >= BATCH_EVENTS or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = _Batch(path, [], []), 0
    told.lines += batch.lines[-1][1] if batch.lines else line - 1
    if batch.events:
        yield batch


def _framed(path: Path, raw: IO[bytes], framer: Framer, seen_ns: int) -> Iterator[RawText]:
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    try:
        data = _opened(raw)
        while chunk := data.read(_CHUNK):
            yield from framer.feed(decoder.decode(chunk), seen_ns)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Invalid(
            f"cannot be read: {error}", where=str(path), mend="see that it is whole, and yours"
        ) from error
    yield from framer.feed(decoder.decode(b"", final=True), seen_ns)
    yield from framer.flush(seen_ns, 0)


def _opened(raw: IO[bytes]) -> IO[bytes]:
    """The bytes themselves, whether packed or not: the first bytes tell, not the name."""
    buffered = io.BufferedReader(cast("io.RawIOBase", raw), _CHUNK)
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=buffered))
    if magic == _ZSTD:
        return cast(
            "IO[bytes]", zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True)
        )
    return cast("IO[bytes]", buffered)
