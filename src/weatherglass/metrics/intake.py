"""What comes in, as columns: a remote-write body or a batch from inside the house. Pure; nothing is stored here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cramjam
import numpy as np

from weatherglass.base.errors import Invalid, TooLarge
from weatherglass.engine.protocols import Samples
from weatherglass.kernels import labels, wire
from weatherglass.metrics.formats.taken import Family
from weatherglass.metrics.index import canonical_key
from weatherglass.metrics.reading import FIRST_MS, LAST_MS
from weatherglass.metrics.types import BoolArray

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
    return checked(wire.decode(raw))


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
    batch.counts = np.array(counts, np.uint32)
    batch.times = np.array([time for times in samples.times_ms for time in times], np.int64)
    batch.values = np.array([value for values in samples.values for value in values], np.float64)
    batch.metadata = batch.histograms = 0
    return checked(batch)


def checked(batch: Any) -> Any:
    """The batch. Raises Invalid for a time that is not accepted."""
    times = batch.times
    if len(times) and (times.min() < FIRST_MS or times.max() > LAST_MS):
        raise Invalid("a timestamp is beyond ±2^53 ms", mend="timestamps are milliseconds since the epoch")
    return batch


def metadata(raw: bytes) -> Mapping[str, Family]:
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
        found[name] = Family(known, text, unit)
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
