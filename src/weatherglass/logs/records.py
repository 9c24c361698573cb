"""What one write looks like in the log: version, what names it as JSON, then zstd of its events. Pure.

Texts are as they came: parsing is repeated at replay, so that nothing is stored twice before it is sealed. Strings
are UTF-8 in which a lone surrogate (a byte that was no UTF-8 where it was read) keeps its place, so that what comes
out is what went in.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.protocols import Labels, RawEvent
from weatherglass.logs import first
from weatherglass.logs.documents import Document

VERSION = 2
_LEVEL = 1  # the log is trimmed within the hour; three times the speed of level 3
_SIZES = struct.Struct("<III")
Given = RawEvent | Document


class Record(NamedTuple):
    """One write of one tenant: when it was received, a digest that tells a repetition, bytes of text, its events.

    They are all of one kind: `RawEvent`s or `Document`s.
    """

    tenant: str
    at_ns: int
    digest: str
    size: int
    events: Sequence[Given]


def pack(tenant: str, at_ns: int, events: Sequence[Given]) -> tuple[Record, bytes]:
    """A write as a record, and its bytes."""
    numbers: dict[Labels, int] = {}
    # Found by identity, numbered by what they are: equal writes have equal bytes.
    places = {
        key: numbers.setdefault(labels, len(numbers))
        for key, labels in {id(event.labels): event.labels for event in events}.items()
    }
    labelled = array("I", [places[id(event.labels)] for event in events])
    seen = array("q", [event.seen_ns for event in events])
    texts = [event.text for event in events]
    lengths = array("I", map(len, texts))
    blob = "".join(texts).encode("utf-8", "surrogatepass")
    meta: dict[str, Any] = {"labels": list(numbers)}
    if events and isinstance(events[0], Document):
        documents = cast(Sequence[Document], events)
        meta["documents"] = [[one.time_ns, one.fields, one.index, one.id, one.form] for one in documents]
    line = json.dumps(meta, separators=(",", ":")).encode()
    sizes = _SIZES.pack(len(events), len(line), len(blob))
    body = b"".join((sizes, seen.tobytes(), labelled.tobytes(), lengths.tobytes(), line, blob))
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    # The packed bytes tell a repetition as well as the texts do, and are a tenth of them.
    record = Record(tenant, at_ns, blake2b(packed, digest_size=16).hexdigest(), len(blob), events)
    own = {"tenant": tenant, "at": at_ns, "digest": record.digest, "events": len(events)}
    return record, b"".join((bytes([VERSION]), json.dumps(own).encode(), b"\n", packed))


def name_of(data: bytes) -> tuple[str, str, int]:
    """(tenant, digest, how many events) of a record's bytes: what tells a repetition. Raises as `unpack`."""
    if data[:1] == bytes([first.VERSION]):
        own, head, _ = first.parts(data)
        return own["tenant"], own["digest"], len(head["sizes"])
    own, _ = _parts(data)
    return own["tenant"], own["digest"], own["events"]


def _parts(data: bytes) -> tuple[Any, bytes]:
    if not data or data[0] != VERSION:
        raise Corrupt(
            f"log record of format {data[0] if data else 'none'}, this program knows {VERSION}",
            mend="run the version of Weatherglass that wrote it, or a newer one",
        )
    end = data.index(b"\n")
    return json.loads(data[1:end]), data[end + 1 :]


def unpack(data: bytes) -> Record:
    """The record of its bytes. Raises Corrupt for a version that this program does not know."""
    if data[:1] == bytes([first.VERSION]):
        own, head, texts = first.parts(data)
        return Record(
            own["tenant"], own["at"], own["digest"], len(texts), first.events_of_record(head, texts)
        )
    own, packed = _parts(data)
    body = zstandard.ZstdDecompressor().decompress(packed)
    count, line_size, blob_size = _SIZES.unpack_from(body)
    at = _SIZES.size
    columns = []
    for kind in "qII":
        column = array(kind)
        column.frombytes(body[at : at + count * column.itemsize])
        at += count * column.itemsize
        columns.append(column)
    meta = json.loads(body[at : at + line_size])
    text = body[at + line_size : at + line_size + blob_size].decode("utf-8", "surrogatepass")
    labels = [tuple((name, value) for name, value in one) for one in meta["labels"]]
    documents = meta.get("documents")
    events: list[Given] = []
    begin = 0
    for number, (seen_ns, label, length) in enumerate(zip(*columns, strict=True)):
        one = text[begin : begin + length]
        begin += length
        if documents is None:
            events.append(RawEvent(seen_ns, labels[label], one))
        else:
            time_ns, fields, index, id_, form = documents[number]
            events.append(Document(one, seen_ns, time_ns, labels[label], fields, index, id_, form))
    return Record(own["tenant"], own["at"], own["digest"], blob_size, events)
