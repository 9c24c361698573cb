"""Native histograms that come in: out of a remote-write body, or from inside the house. Pure; nothing is stored here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weatherglass.engine.protocols import Labels, Samples
from weatherglass.kernels import labels, wire
from weatherglass.metrics import histogram_wire
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.histogram_blocks import Packed
from weatherglass.metrics.intake import checked, from_samples
from weatherglass.metrics.types import BoolArray, Int64Array


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


def from_request(raw: bytes, batch: Any) -> Native:
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
    return of_batch(batch, found)


def of_batch(batch: Any, found: Sequence[tuple[int, list[tuple[int, Histogram]]]]) -> Native:
    """Histograms, (ms since the epoch, value) each, by the place of their series in a `wire.Batch`. Raises Invalid."""
    places = np.array([place for place, _ in found], np.int64)
    other = wire.Batch()
    other.raw, other.metadata, other.histograms = batch.raw, 0, 0
    other.starts, other.sizes = batch.starts[places], batch.sizes[places]
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
    return Native(checked(batch), [histogram.pack() for one in many for _, histogram in one])
