"""Series → the body of a Prometheus remote write 1.0: protobuf by hand, then snappy (raw). Pure.

Source: prometheus/prompb/remote.proto and types.proto.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator

import cramjam

from weatherglass.base.errors import Invalid
from weatherglass.client.results import NAME, Series

SAMPLES_AT_MOST = 20_000
"""Samples of one request; more go in several."""
_DOUBLE = struct.Struct("<d")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(tag: bytes, body: bytes) -> bytes:
    return tag + _varint(len(body)) + body


def _labels(series: Series) -> bytes:
    if not series.labels.get(NAME):
        raise Invalid("a series without a name cannot be written", where=str(series), mend=f"give it {NAME}")
    if bad := [name for name in series.labels if not _LABEL.fullmatch(name)]:
        raise Invalid(f"{bad[0]!r} is no name for a label", where=str(series), mend="letters, digits and _")
    return b"".join(
        _field(b"\x0a", _field(b"\x0a", name.encode()) + _field(b"\x12", value.encode()))
        for name, value in sorted(series.labels.items())
        if value
    )


def bodies(series: Iterable[Series]) -> Iterator[bytes]:
    """Compressed bodies of at most SAMPLES_AT_MOST samples each. Raises Invalid."""
    raw, samples = bytearray(), 0
    for one in series:
        if len(one.times_ms) != len(one.values):
            raise Invalid(
                f"{len(one.times_ms)} instants and {len(one.values)} values",
                where=str(one),
                mend="give one for each",
            )
        labels, start = _labels(one), 0
        while start < len(one.values):
            end = min(len(one.values), start + SAMPLES_AT_MOST - samples)
            cells = b"".join(
                _field(b"\x12", b"\x09" + _DOUBLE.pack(value) + b"\x10" + _varint(time))
                for time, value in zip(one.times_ms[start:end], one.values[start:end], strict=True)
            )
            raw += _field(b"\x0a", labels + cells)
            samples, start = samples + end - start, end
            if samples >= SAMPLES_AT_MOST:
                yield _packed(raw)
                raw, samples = bytearray(), 0
    if samples:
        yield _packed(raw)


def _packed(raw: bytearray) -> bytes:
    return bytes(cramjam.snappy.compress_raw(bytes(raw)))
