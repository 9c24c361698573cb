"""Remote write 2.0: a request's body as columns, histograms, exemplars, families. Pure; nothing is stored here.

What cannot be taken of a request is left out and told (2.0 §Invalid Samples: a partial write), the rest is taken.
Source: the Prometheus Remote-Write 2.0 specification. `created_timestamp` is read and not stored, as Prometheus does
without `created-timestamp-zero-ingestion`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.kernels import wire2
from weatherglass.kernels.labels import read_fields, read_labels
from weatherglass.metrics import histogram_wire
from weatherglass.metrics.formats.taken import Exemplar, Family
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.intake import checked, only
from weatherglass.metrics.native import Native, of_batch
from weatherglass.metrics.reading import FIRST_MS, LAST_MS
from weatherglass.metrics.types import BoolArray

_KINDS = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
_TOLD = 3
"""How many of the things that are wrong are told by name."""
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}


@dataclass(slots=True)
class Request:
    """What a request held and can be taken; `wrong` says what was left out, `left_out` how many series or values."""

    batch: Any
    native: Native | None
    exemplars: list[Exemplar] = field(default_factory=list)
    families: dict[str, Family] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    left_out: int = 0

    def leave_out(self, why: str, many: int = 1) -> None:
        self.left_out += many
        if len(self.wrong) < _TOLD and why not in self.wrong:
            self.wrong.append(why)


def request(raw: bytes) -> Request:
    """A decompressed Request. Raises Invalid where it is none, TooLarge."""
    found = wire2.decode(raw)
    taken = Request(found.batch, None)
    flags = found.series[:, 2]
    _left_out(taken, flags & wire2.BAD > 0, "a series without a name, or whose labels_refs lead nowhere")
    _left_out(
        taken,
        (flags & wire2.EMPTY > 0) & (flags & wire2.BAD == 0),
        "a series without samples and without histograms",
    )
    good: BoolArray = flags & (wire2.BAD | wire2.EMPTY) == 0
    batch = found.batch
    late: BoolArray = (batch.times >= FIRST_MS) & (batch.times <= LAST_MS)
    if not late.all():
        taken.leave_out("a timestamp beyond ±2^53 ms", only(batch, late))
    held = np.flatnonzero(good & (flags & (wire2.HISTOGRAMS | wire2.EXEMPLARS) > 0)).tolist()
    many: list[tuple[int, list[tuple[int, Histogram]]]] = []
    for place in held:
        start, size = found.series[place, :2].tolist()
        fields = read_fields(bytes(found.raw[start : start + size]))
        if histograms := _histograms(fields, taken):
            if batch.counts[place]:
                taken.leave_out("a series with samples and histograms", len(histograms))
            else:
                many.append((place, histograms))
        if any(number == 4 for number, _ in fields):
            _exemplars(taken, found, place, fields)
    if many:
        taken.native = of_batch(batch, many)
    _families(taken, found, good)
    if not good.all():
        only(batch, np.repeat(good, batch.counts))
        batch.starts, batch.sizes, batch.counts = batch.starts[good], batch.sizes[good], batch.counts[good]
    checked(batch)
    return taken


def _left_out(taken: Request, which: BoolArray, why: str) -> None:
    if which.any():
        taken.leave_out(why, int(which.sum()))


def _histograms(fields: list[tuple[int, bytes | int]], taken: Request) -> list[tuple[int, Histogram]]:
    found = []
    for number, message in fields:
        if number != 3 or not isinstance(message, bytes):
            continue
        try:
            time_ms, histogram = histogram_wire.decode(message)
            if not FIRST_MS <= time_ms <= LAST_MS:
                raise Invalid("a timestamp beyond ±2^53 ms")
        except Invalid as error:
            taken.leave_out(error.message)
            continue
        found.append((time_ms, histogram))
    return found


def _exemplars(
    taken: Request, found: wire2.Request, place: int, fields: list[tuple[int, bytes | int]]
) -> None:
    batch = found.batch
    start = int(batch.starts[place])
    pairs, _ = read_labels(bytes(batch.raw[start : start + int(batch.sizes[place])]))
    series = tuple(sorted(pair for pair in pairs if pair[1]))
    for number, message in fields:
        if number == 4 and isinstance(message, bytes):
            try:
                taken.exemplars.append(_exemplar(found, series, message))
            except (Invalid, UnicodeDecodeError, IndexError, struct.error):
                taken.leave_out("an exemplar that does not parse, or whose labels_refs lead nowhere")


def _exemplar(found: wire2.Request, series: Labels, message: bytes) -> Exemplar:
    refs: list[int] = []
    value, time_ms = 0.0, 0
    for number, payload in histogram_wire.fields(message):
        if number == 1:
            refs += [payload] if isinstance(payload, int) else histogram_wire.varints([payload])
        elif number == 2 and isinstance(payload, bytes):
            (value,) = struct.unpack("<d", payload)
        elif number == 3 and isinstance(payload, int):
            time_ms = payload - (1 << 64) if payload >> 63 else payload
    if len(refs) % 2:
        raise Invalid("a label without a value")
    texts = [_text(found, ref) for ref in refs]
    return Exemplar(series, tuple(sorted(zip(texts[::2], texts[1::2], strict=True))), value, time_ms)


def _text(found: wire2.Request, ref: int) -> str:
    start = int(found.texts[ref])
    return bytes(found.raw[start : start + int(found.lengths[ref])]).decode()


def _families(taken: Request, found: wire2.Request, good: BoolArray) -> None:
    told = found.series[good & (found.series[:, 4:7] != 0).any(axis=1)][:, 3:7]
    _, first = np.unique(told[:, 0], return_index=True)  # every series of a name says the same
    for name_ref, kind, help_ref, unit_ref in told[first].tolist():
        try:
            name, text, unit = (_text(found, ref) for ref in (name_ref, help_ref, unit_ref))
        except UnicodeDecodeError:
            taken.leave_out("metadata that is not UTF-8")
            continue
        known = _KINDS[kind] if kind < len(_KINDS) else "unknown"
        for suffix in _PARTS.get(known, ()):
            name = name.removesuffix(suffix)
        taken.families[name] = Family(known, text, unit)
