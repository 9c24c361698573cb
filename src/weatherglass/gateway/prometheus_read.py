"""`/prometheus/api/v1/read`: remote read, snappy protobuf both ways, answered with samples (prompb/remote.proto).

Streamed chunks are not spoken; a reader that would like them takes samples as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import cramjam
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Invalid, LimitExceeded, TooLarge
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.limits import body_of

if TYPE_CHECKING:
    from weatherglass.metrics.histogram import Histogram
    from weatherglass.metrics.types import Matcher

_OPS = {0: "=", 1: "!=", 2: "=~", 3: "!~"}
_MOST_BYTES = 1 << 20
_MOST_SAMPLES = 50_000_000
_SIX_BYTES = (1 << 35, 1 << 42)  # instants from 1971 to 2109, in ms: all their varints are of six bytes


def routes(context: Context, prefix: str) -> Iterable[BaseRoute]:
    rooms, pool = context.rooms, context.pool

    async def read(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        body = await body_of(request)

        def answer() -> bytes:
            results = []
            for start, end, matchers in queries(body):
                found = rooms.metrics.select(tenant, matchers, start, end)
                if sum(map(len, found.times)) > _MOST_SAMPLES:
                    raise LimitExceeded(f"more than {_MOST_SAMPLES:,} samples", mend="ask for a shorter span")
                results.append(_message(1, b"".join(_series(found))))
            return bytes(cramjam.snappy.compress_raw(b"".join(results)))

        found = await pool.run(answer)
        return Response(found, media_type="application/x-protobuf", headers={"Content-Encoding": "snappy"})

    return [Route(f"{prefix}/read", read, methods=["POST"])]


# --- the request ---


def queries(body: bytes) -> list[tuple[int, int, list[Matcher]]]:
    """(start, end, matchers) of every query of a ReadRequest. Raises Invalid, TooLarge."""
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > _MOST_BYTES:
            raise TooLarge("the body decompresses to more than its bound", where="body")
        raw = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise Invalid("the body is not snappy", where="body") from None
    return [_query(value) for number, value in _fields(raw) if number == 1 and isinstance(value, bytes)]


def _query(raw: bytes) -> tuple[int, int, list[Matcher]]:
    from weatherglass.metrics.matching import accepts
    from weatherglass.metrics.types import Matcher

    start = end = 0
    matchers: list[Matcher] = []
    for number, value in _fields(raw):
        if number == 1 and isinstance(value, int):
            start = _signed(value)
        elif number == 2 and isinstance(value, int):
            end = _signed(value)
        elif number == 3 and isinstance(value, bytes):
            parts: dict[int, Any] = dict(_fields(value))
            kind = parts.get(1, 0)
            if kind not in _OPS:
                raise Invalid(f"{kind} is no type of a matcher", where="matchers")
            name, wanted = (_text(parts.get(k, b"")) for k in (2, 3))
            matchers.append(Matcher(name, _OPS[kind], wanted))  # type: ignore[arg-type]
            accepts(matchers[-1])
    return start, end, matchers


def _text(value: Any) -> str:
    try:
        if not isinstance(value, bytes):
            raise TypeError
        return value.decode()
    except (UnicodeDecodeError, TypeError):
        raise Invalid("a text of the request is not UTF-8", where="matchers") from None


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of a message's fields: whole numbers and bytes; fixed ones are passed over. Raises Invalid."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(raw, at)
            if at + size > len(raw):
                raise Invalid("the protobuf is cut short", where="body")
            yield key >> 3, raw[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise Invalid("the body is no protobuf", where="body")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise Invalid("the protobuf is cut short", where="body")
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise Invalid("the body is no protobuf", where="body")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


# --- the answer ---


def _series(found: Any) -> Iterator[bytes]:
    natives = found.histograms or [((), ())] * len(found.labels)
    for labels, times, values, (own_times, own) in zip(
        found.labels, found.times, found.values, natives, strict=True
    ):
        parts = [_message(1, _string(1, key) + _string(2, value)) for key, value in labels]
        parts.append(samples(times, values))
        parts += [_message(4, native(one, int(at))) for at, one in zip(own_times, own, strict=True)]
        yield _message(1, b"".join(parts))


def samples(times: Any, values: Any) -> bytes:
    """The `samples` (field 2) of a TimeSeries."""
    import numpy as np

    if not len(times):
        return b""
    if _SIX_BYTES[0] <= int(times.min()) and int(times.max()) < _SIX_BYTES[1]:
        out = np.empty((len(times), 18), np.uint8)
        out[:, 0], out[:, 1], out[:, 2], out[:, 11] = 0x12, 16, 0x09, 0x10
        out[:, 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
        for k in range(6):
            out[:, 12 + k] = (times >> (7 * k)) & 127 | (128 if k < 5 else 0)
        return out.tobytes()
    return b"".join(
        _message(2, _double(1, value) + _whole(2, at))
        for at, value in zip(times.tolist(), values.tolist(), strict=True)
    )


def native(h: Histogram, at_ms: int) -> bytes:
    """A Histogram of prompb, of float counts."""
    out = [_double(2, h.count), _double(3, h.sum), _whole(4, _zigzag(h.schema)), _double(5, h.zero_threshold)]
    out.append(_double(7, h.zero_count))
    for spans, counts, one in ((8, 10, h.negative), (11, 13, h.positive)):
        out += [_message(spans, body) for body in _spans(one.index.tolist())]
        if len(one.count):
            out.append(_message(counts, one.count.astype("<f8").tobytes()))
    out += [_whole(14, int(h.reset_hint)), _whole(15, at_ms)]
    if h.custom_values:
        out.append(_message(16, struct.pack(f"<{len(h.custom_values)}d", *h.custom_values)))
    return b"".join(out)


def _spans(index: list[int]) -> Iterator[bytes]:
    """BucketSpans of ascending indices: how far from the end of the last, how many."""
    end = at = 0
    while at < len(index):
        first = at
        while at + 1 < len(index) and index[at + 1] == index[at] + 1:
            at += 1
        yield _whole(1, _zigzag(index[first] - end)) + _whole(2, at - first + 1)
        end, at = index[at] + 1, at + 1


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _packed(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _whole(number: int, value: int) -> bytes:
    return _packed(number << 3) + _packed(value)


def _double(number: int, value: float) -> bytes:
    return _packed(number << 3 | 1) + struct.pack("<d", value)


def _message(number: int, body: bytes) -> bytes:
    return _packed(number << 3 | 2) + _packed(len(body)) + body


def _string(number: int, text: str) -> bytes:
    return _message(number, text.encode())
