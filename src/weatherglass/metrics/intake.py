"""What comes in, as columns: a remote-write body or a batch from inside the house. Pure; nothing is stored here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np

from weatherglass.base.errors import Invalid, TooLarge
from weatherglass.engine.protocols import Labels, Samples
from weatherglass.kernels import labels, wire
from weatherglass.metrics import histogram_wire
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.histogram_blocks import Packed
from weatherglass.metrics.index import canonical_key
from weatherglass.metrics.reading import FIRST_MS, LAST_MS
from weatherglass.metrics.types import BoolArray, Int64Array

BODY_MAX = 32 << 20
"""Bytes of one write, before and after decompression."""

_KINDS = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")


def inflate(body: bytes, encoding: str) -> Any:
    """The decompressed body, bytes-like. Its size is known, and bounded, before a byte is unpacked. Raises Invalid, TooLarge."""
    if len(body) > BODY_MAX:
        raise TooLarge(f"a write of {len(body)} bytes; at most {BODY_MAX}", mend="send smaller batches")
    if encoding in ("", "identity"):
        return body
    if encoding != "snappy":
        raise Invalid(f"Content-Encoding {encoding!r} is not known here", mend="send snappy (block format)")
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > BODY_MAX:
            raise TooLarge(
                f"a write of {size} bytes when decompressed; at most {BODY_MAX}", mend="send smaller batches"
            )
        return cramjam.snappy.decompress_raw(body) if body else b""
    except cramjam.DecompressionError as error:
        raise Invalid("the body is not snappy", mend="send snappy in block format, not framed") from error


def from_wire(raw: bytes) -> Any:
    """A `wire.Batch` of a decompressed WriteRequest. Raises Invalid."""
    return _checked(wire.decode(raw))


def from_samples(samples: Samples) -> Any:
    """A `wire.Batch` of a batch from inside the house. Raises Invalid."""
    keys = [canonical_key(tuple(sorted(one))) for one in samples.series]
    counts = [len(times) for times in samples.times_ms]
    if len(samples.times_ms) != len(keys) or [len(values) for values in samples.values] != counts:
        raise Invalid("series, times and values of a batch differ in length")
    batch = wire.Batch()
    batch.raw = b"".join(keys)
    batch.sizes = np.array([len(key) for key in keys], np.int64)
    batch.starts = np.cumsum(batch.sizes) - batch.sizes
    batch.hashes = np.array([wire.hash_of(key) for key in keys], np.uint64)
    batch.counts = np.array(counts, np.uint32)
    batch.times = np.array([time for times in samples.times_ms for time in times], np.int64)
    batch.values = np.array([value for values in samples.values for value in values], np.float64)
    batch.metadata = batch.histograms = 0
    return _checked(batch)


def _checked(batch: Any) -> Any:
    times = batch.times
    if len(times) and (times.min() < FIRST_MS or times.max() > LAST_MS):
        raise Invalid("a timestamp is beyond ±2^53 ms", mend="timestamps are milliseconds since the epoch")
    return batch


def metadata(raw: bytes) -> Mapping[str, tuple[str, str, str]]:
    """Metric family → (type, help, unit), where a WriteRequest carries metadata. Raises Invalid."""
    found = {}
    for number, message in labels.read_fields(bytes(raw)):
        if number != 3 or not isinstance(message, bytes):
            continue
        fields = dict(labels.read_fields(message))
        try:
            name, text, unit = (_text(fields.get(number, b"")) for number in (2, 4, 5))
        except UnicodeDecodeError as error:
            raise Invalid("metadata that is not UTF-8") from error
        kind = fields.get(1, 0)
        known = _KINDS[kind] if isinstance(kind, int) and kind < len(_KINDS) else "unknown"
        found[name] = (known, text, unit)
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def only(batch: Any, keep: BoolArray) -> int:
    """Takes the other samples out of the batch; how many."""
    gone = len(keep) - int(keep.sum())
    if gone:
        owner = np.repeat(np.arange(len(batch.counts)), batch.counts)
        batch.counts = np.bincount(owner[keep], minlength=len(batch.counts)).astype(np.uint32)
        batch.times, batch.values = batch.times[keep], batch.values[keep]
    return gone


# --- native histograms -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NativeSamples:
    """As `engine.protocols.Samples`, of native histograms."""

    series: Sequence[Labels]
    times_ms: Sequence[Sequence[int]]
    values: Sequence[Sequence[Histogram]]


@dataclass(frozen=True, slots=True)
class Native:
    """Histograms of a batch: `batch` has their series and times (its values are none), `packed` one each in step."""

    batch: Any
    packed: list[bytes]

    def only(self, keep: BoolArray) -> Native:
        """The histograms where `keep` is true; the batch is the caller's to cut."""
        return Native(self.batch, [one for one, kept in zip(self.packed, keep.tolist(), strict=True) if kept])

    def numbered(self, numbers: Int64Array) -> list[Packed]:
        """With their series' numbers."""
        owners = np.repeat(numbers, self.batch.counts).tolist()
        return list(zip(owners, self.batch.times.tolist(), self.packed, strict=True))


def native(raw: bytes, batch: Any) -> Native:
    """The histograms of a decompressed WriteRequest that `batch` was made of. Raises Invalid."""
    found: list[tuple[int, list[tuple[int, Histogram]]]] = []
    place = -1
    for number, message in labels.read_fields(bytes(raw)):
        if number != 1 or not isinstance(message, bytes):
            continue
        place += 1
        many = [
            histogram_wire.decode(one)
            for field, one in labels.read_fields(message)
            if field == 4 and isinstance(one, bytes)
        ]
        if many:
            found.append((place, many))
    places = np.array([place for place, _ in found], np.int64)
    other = wire.Batch()
    other.raw, other.metadata, other.histograms = batch.raw, 0, 0
    other.starts, other.sizes, other.hashes = batch.starts[places], batch.sizes[places], batch.hashes[places]
    return _native(other, [many for _, many in found])


def from_native(samples: NativeSamples) -> Native:
    """A batch of histograms from inside the house. Raises Invalid."""
    none: list[list[float]] = [[] for _ in samples.series]
    batch = from_samples(Samples(samples.series, none, none))  # type: ignore[arg-type]
    many = [list(zip(*pair, strict=True)) for pair in zip(samples.times_ms, samples.values, strict=True)]
    return _native(batch, many)


def _native(batch: Any, many: list[list[tuple[int, Histogram]]]) -> Native:
    batch.counts = np.array([len(one) for one in many], np.uint32)
    batch.times = np.array([time for one in many for time, _ in one], np.int64)
    batch.values = np.zeros(len(batch.times))
    return Native(_checked(batch), [histogram.pack() for one in many for _, histogram in one])
