"""Samples → a Prometheus remote write 1.0 body: protobuf by hand, then snappy (raw).

Source: prometheus/prompb/remote.proto and types.proto. Nothing here reads a clock or a file. The bytes of a
series' labels are built once and kept, because an agent says the same few hundred series every five seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import cramjam

from weatherglass.engine.protocols import Labels


class Sample(NamedTuple):
    """One value of one series: its name, its own labels (any order), the value."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


_DOUBLE = struct.Struct("<d")
_SAMPLES_TAG, _VALUE_TAG, _TIME_TAG = b"\x12", b"\x09", b"\x10"
KINDS = {"counter": 1, "gauge": 2, "histogram": 3, "summary": 5}
"""MetricMetadata.MetricType of prompb."""


def varint(value: int) -> bytes:
    """Base-128 of an int64; a negative one takes ten bytes, as protobuf has it."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes_field(tag: bytes, body: bytes) -> bytes:
    return tag + varint(len(body)) + body


def encode_labels(labels: Labels) -> bytes:
    """The `labels` fields of a TimeSeries. Labels come sorted by name; empty values are left out."""
    out = bytearray()
    for name, value in labels:
        if value:
            pair = _bytes_field(b"\x0a", name.encode()) + _bytes_field(b"\x12", value.encode())
            out += _bytes_field(b"\x0a", pair)
    return bytes(out)


def join(name: str, own: Iterable[tuple[str, str]], attached: Mapping[str, str]) -> Labels:
    """Name, own and attached labels as one sorted set; an own label that says otherwise becomes `exported_…`.

    The rule is Prometheus' own (`honor_labels: false`), so what a service calls itself is kept.
    """
    merged = {"__name__": name, **attached}
    for key, value in own:
        merged["exported_" + key if attached.get(key, value) != value else key] = value
    return tuple(sorted((k, v) for k, v in merged.items() if v))


class Encoder:
    """Builds bodies; keeps the label bytes of the series it has seen, at most `limit` of them."""

    def __init__(self, attached: Mapping[str, str], limit: int = 20_000) -> None:
        self.attached = dict(attached)
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}
        self._limit = limit

    def _head(self, name: str, own: tuple[tuple[str, str], ...]) -> bytes:
        head = self._heads.get((name, own))
        if head is None:
            if len(self._heads) >= self._limit:
                self._heads.clear()
            head = self._heads[(name, own)] = encode_labels(join(name, own, self.attached))
        return head

    def encode(self, samples: Iterable[Sample], at_ms: int, metadata: bytes = b"") -> bytes:
        """A WriteRequest, snappy-compressed, with every sample at `at_ms`."""
        time = _TIME_TAG + varint(at_ms)
        opening = _SAMPLES_TAG + varint(9 + len(time)) + _VALUE_TAG
        tail_length = len(opening) + 8 + len(time)
        pack = _DOUBLE.pack
        parts: list[bytes] = []
        for name, own, value in samples:
            head = self._head(name, own)
            parts += (b"\x0a", varint(len(head) + tail_length), head, opening, pack(value), time)
        return bytes(cramjam.snappy.compress_raw(b"".join(parts) + metadata))


def encode_metadata(families: Mapping[str, tuple[str, str]]) -> bytes:
    """MetricMetadata fields of a WriteRequest from `{name: (type, help)}`."""
    out = bytearray()
    for name, (kind, text) in families.items():
        body = b"\x08" + varint(KINDS.get(kind, 0)) + _bytes_field(b"\x12", name.encode())
        out += _bytes_field(b"\x1a", body + _bytes_field(b"\x22", text.encode()))
    return bytes(out)
