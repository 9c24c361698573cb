"""Remote write 2.0 written plainly, as protobuf: the other side of `kernels.wire2` in tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from kernels.protobuf import field, varint

KINDS = ("", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def plain(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


class Symbols(list[str]):
    """The table of texts; the first is empty."""

    def __init__(self) -> None:
        super().__init__([""])

    def ref(self, text: str) -> int:
        if text not in self:
            self.append(text)
        return self.index(text)

    def refs(self, labels: Iterable[tuple[str, str]]) -> bytes:
        return field(1, b"".join(varint(self.ref(text)) for pair in labels for text in pair))


def sample(time: int, value: float) -> bytes:
    return field(2, double(1, value) + plain(2, time))


def histogram(time: int, schema: int, buckets: Mapping[int, int], total: float) -> bytes:
    """Of whole positive buckets that stand side by side."""
    first, counts = min(buckets), [buckets[one] for one in sorted(buckets)]
    deltas = [now - before for before, now in zip([0, *counts], counts, strict=False)]
    span = plain(1, zigzag(first)) + plain(2, len(counts))
    body = plain(1, sum(counts)) + double(3, total) + plain(4, zigzag(schema))
    body += field(11, span) + field(12, b"".join(varint(zigzag(one)) for one in deltas)) + plain(15, time)
    return field(3, body)


def exemplar(symbols: Symbols, labels: Sequence[tuple[str, str]], value: float, time: int) -> bytes:
    return field(4, symbols.refs(labels) + double(2, value) + plain(3, time))


def metadata(symbols: Symbols, kind: str, text: str, unit: str) -> bytes:
    told = plain(1, KINDS.index(kind)) + plain(3, symbols.ref(text)) + plain(4, symbols.ref(unit))
    return field(5, told)


def created(time: int) -> bytes:
    return plain(6, time)


def series(*parts: bytes) -> bytes:
    return field(5, b"".join(parts))


def request(symbols: Symbols, *many: bytes) -> bytes:
    return b"".join(field(4, one.encode()) for one in symbols) + b"".join(many)
