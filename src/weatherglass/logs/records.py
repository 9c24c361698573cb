"""What one write looks like in the log: version, then zstd of two JSON lines and the texts, end to end. Pure.

Texts are raw: parsing is repeated at replay, so that nothing is stored twice before it is sealed. Strings are
UTF-8 in which a lone surrogate (a byte that was no UTF-8 where it was read) keeps its place, so that what comes
out is what went in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.protocols import Labels, RawEvent

VERSION = 1
_LEVEL = 1  # the log is trimmed within the hour; three times the speed of level 3


class Record(NamedTuple):
    """One write of one tenant: when it was received, a digest that tells a repetition, bytes of text, its events."""

    tenant: str
    at_ns: int
    digest: str
    size: int
    events: Sequence[RawEvent]


def pack(tenant: str, at_ns: int, events: Sequence[RawEvent]) -> tuple[Record, bytes]:
    """A write as a record, and its bytes."""
    numbers: dict[Labels, int] = {}
    texts = [event.text.encode("utf-8", "surrogatepass") for event in events]
    sizes = [len(text) for text in texts]
    head = {
        "seen": [event.seen_ns for event in events],
        "labelled": [numbers.setdefault(event.labels, len(numbers)) for event in events],
        "sizes": sizes,
        "labels": list(numbers),
    }
    line, blob = json.dumps(head, separators=(",", ":")).encode(), b"".join(texts)
    digest = blake2b(line, digest_size=16)
    digest.update(blob)
    record = Record(tenant, at_ns, digest.hexdigest(), sum(sizes), events)
    own = json.dumps({"tenant": tenant, "at": at_ns, "digest": record.digest}).encode()
    body = b"\n".join((own, line, blob))
    return record, bytes([VERSION]) + zstandard.ZstdCompressor(level=_LEVEL).compress(body)


def name_of(data: bytes) -> tuple[str, str, int]:
    """(tenant, digest, how many events) of a record's bytes: what tells a repetition. Raises as `unpack`."""
    own, head, _ = _parts(data)
    return own["tenant"], own["digest"], len(head["sizes"])


def _parts(data: bytes) -> tuple[Any, Any, bytes]:
    if not data or data[0] != VERSION:
        raise Corrupt(
            f"log record of format {data[0] if data else 'none'}, this program knows {VERSION}",
            mend="run the version of Weatherglass that wrote it, or a newer one",
        )
    first, second, texts = zstandard.ZstdDecompressor().decompress(data[1:]).split(b"\n", 2)
    return json.loads(first), json.loads(second), texts


def unpack(data: bytes) -> Record:
    """The record of its bytes. Raises Corrupt for a version that this program does not know."""
    own, head, texts = _parts(data)
    labels = [tuple((name, value) for name, value in one) for one in head["labels"]]
    events, at = [], 0
    for seen_ns, number, size in zip(head["seen"], head["labelled"], head["sizes"], strict=True):
        text = texts[at : at + size].decode("utf-8", "surrogatepass")
        events.append(RawEvent(seen_ns, labels[number], text))
        at += size
    return Record(own["tenant"], own["at"], own["digest"], at, events)
