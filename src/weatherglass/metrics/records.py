"""The records that ride the log: new label sets and samples of one tenant. Pure; the log itself is `engine.log`.

`kind u8, tenant length u8, tenant, body`. LABELS: per series `number u32, size u32, canonical key`.
SAMPLES: `kernels.columns`. HISTOGRAMS: per histogram `number u32, ms i64, size u32, packed`. The version is the kind's: a new form takes a new number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from weatherglass.base.errors import Corrupt, Invalid

LABELS = 1
SAMPLES = 2
HISTOGRAMS = 3

_ENTRY = struct.Struct("<II")
_HISTOGRAM = struct.Struct("<IqI")


def wrap(kind: int, tenant: str, body: bytes) -> bytes:
    """One record. Raises Invalid for a tenant's name over 255 bytes."""
    name = tenant.encode()
    if not 0 < len(name) <= 255:
        raise Invalid(f"{tenant!r} cannot name a tenant", mend="1 to 255 bytes of UTF-8")
    return bytes((kind, len(name))) + name + body


def unwrap(record: bytes) -> tuple[int, str, bytes]:
    """(kind, tenant, body). Raises Corrupt."""
    if len(record) < 2 or len(record) < 2 + record[1] or record[0] not in (LABELS, SAMPLES, HISTOGRAMS):
        raise Corrupt("not a record of the metrics log")
    end = 2 + record[1]
    return record[0], record[2:end].decode(), record[end:]


def pack_labels(series: Iterable[tuple[int, bytes]]) -> bytes:
    """The body of LABELS (also what index segments hold): number and canonical key of each series."""
    return b"".join(_ENTRY.pack(number, len(key)) + key for number, key in series)


def unpack_labels(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Raises Corrupt."""
    at = 0
    while at < len(body):
        if len(body) - at < _ENTRY.size:
            raise Corrupt("a record of labels is cut short")
        number, size = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size + size
        if at > len(body):
            raise Corrupt("a record of labels is cut short")
        yield number, body[at - size : at]


def pack_histograms(many: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The body of HISTOGRAMS: (series number, ms, packed)."""
    return b"".join(_HISTOGRAM.pack(number, time, len(packed)) + packed for number, time, packed in many)


def unpack_histograms(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Raises Corrupt."""
    at = 0
    while at < len(body):
        if len(body) - at < _HISTOGRAM.size:
            raise Corrupt("a record of histograms is cut short")
        number, time, size = _HISTOGRAM.unpack_from(body, at)
        at += _HISTOGRAM.size + size
        if at > len(body):
            raise Corrupt("a record of histograms is cut short")
        yield number, time, body[at - size : at]
