"""Native histograms in remote write: protobuf messages to values. Pure; the same message in protocol 1.0 and 2.0.

Bytes come from outside: what does not parse, or is no histogram, is Invalid. Source: prometheus/prompb/types.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import accumulate

from weatherglass.base.errors import Invalid
from weatherglass.metrics.histogram import Histogram, Reset, Side, checked, side

_DOUBLE = struct.Struct("<d")

Field = tuple[int, int | bytes]
"""(number, a varint, or the bytes of a double or of a length-delimited field)"""

SPANS_MAX = 100_000
"""Buckets of one side: a span says a length in a few bytes."""


def decode(message: bytes) -> tuple[int, Histogram]:
    """(ms since the epoch, histogram). Raises Invalid."""
    plain: dict[int, int | bytes] = {}
    many: dict[int, list[int | bytes]] = {}
    for number, value in fields(message):
        plain[number] = value
        many.setdefault(number, []).append(value)
    schema = _signed(_int(plain.get(4, 0)))
    if schema >= 1 << 31 or schema < -(1 << 31):
        raise _broken()
    reset = _int(plain.get(14, 0))
    histogram = Histogram(
        schema=schema,
        zero_threshold=_double(plain.get(5)),
        zero_count=_count(plain, 6, 7),
        count=_count(plain, 1, 2),
        sum=_double(plain.get(3)),
        positive=_side(many.get(11, []), many.get(12, []), many.get(13, [])),
        negative=_side(many.get(8, []), many.get(9, []), many.get(10, [])),
        custom_values=tuple(_doubles(many.get(16, []))),
        reset_hint=Reset(reset) if reset in tuple(Reset) else Reset.UNKNOWN,
    )
    return _time(_int(plain.get(15, 0))), checked(histogram)


def _side(spans: list[int | bytes], deltas: list[int | bytes], counts: list[int | bytes]) -> Side:
    indices: list[int] = []
    at = 0
    for span in spans:
        if not isinstance(span, bytes):
            raise _broken()
        said = dict(fields(span))
        length = _int(said.get(2, 0))
        at += _signed(_int(said.get(1, 0)))
        if len(indices) + length > SPANS_MAX or not -(1 << 31) <= at <= (1 << 31) - 1 - length:
            raise Invalid("a native histogram has too many buckets, or some out of range")
        indices += range(at, at + length)
        at += length
    absolute = [float(one) for one in accumulate(_signed(one) for one in varints(deltas))]
    values = absolute or _doubles(counts)
    if len(values) != len(indices):
        raise Invalid("the spans of a native histogram do not fit its buckets")
    return side(indices, values)


def _count(plain: dict[int, int | bytes], whole: int, real: int) -> float:
    return _double(plain[real]) if real in plain else float(_int(plain.get(whole, 0)))


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise _broken()
    return value


def _signed(value: int) -> int:
    """zigzag"""
    return (value >> 1) ^ -(value & 1)


def _time(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _double(value: int | bytes | None) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, bytes) or len(value) != 8:
        raise _broken()
    return float(_DOUBLE.unpack(value)[0])


def _doubles(values: list[int | bytes]) -> list[float]:
    """Packed or one by one."""
    found: list[float] = []
    for value in values:
        if not isinstance(value, bytes) or len(value) % 8:
            raise _broken()
        found += [one for (one,) in _DOUBLE.iter_unpack(value)]
    return found


def varints(values: list[int | bytes]) -> list[int]:
    """Packed or one by one. Raises Invalid."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            one, at = _varint(value, at)
            found.append(one)
    return found


def fields(message: bytes) -> Iterator[Field]:
    """A message's fields as they come. Raises Invalid."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        size = 8 if wire == 1 else 4 if wire == 5 else -1
        if wire == 2:
            size, at = _varint(message, at)
        if size < 0 or at + size > len(message) or number == 0:
            raise _broken()
        yield number, message[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            if value >= 1 << 64:
                raise _broken()
            return value, at
        shift += 7
    raise _broken()


def _broken() -> Invalid:
    return Invalid(
        "a native histogram does not parse", mend="send prometheus.Histogram, remote write 1.0 or 2.0"
    )
