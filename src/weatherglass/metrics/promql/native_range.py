"""Functions over ranges in which native histograms lie: what each makes of one window, floats beside them or not.

Windows of floats alone are whole-array work (`over_time`); those here are gone through one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from weatherglass.metrics.histogram import (
    Histogram,
    IncompatibleSchemas,
    Reset,
    bounds_differ,
)
from weatherglass.metrics.promql.native import Say, total
from weatherglass.metrics.promql.vector import ObjectArray, held
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

if TYPE_CHECKING:
    from weatherglass.metrics.promql.windows import Windows

Cell = float | Histogram | None


@dataclass(frozen=True, slots=True)
class Window:
    """One window's samples: floats and histograms, each with their times in ms; never without a histogram."""

    times: Int64Array
    values: FloatArray
    native_times: Int64Array
    natives: list[Histogram]
    start_ms: int
    end_ms: int

    def merged(self) -> list[tuple[int, float | Histogram]]:
        """All samples in order of time."""
        floats = zip(self.times.tolist(), self.values.tolist(), strict=True)
        both: list[tuple[int, float | Histogram]] = [
            *floats,
            *zip(self.native_times.tolist(), self.natives, strict=True),
        ]
        return sorted(both, key=lambda one: one[0])


def _extrapolated(w: Window, say: Say, *, counter: bool, per_second: bool) -> Cell:
    if len(w.times):
        say("mixed range", "")
        return None
    if len(w.natives) < 2:
        return None
    rise = _rise(w.natives, say, counter=counter)
    if rise is None:
        return None
    first, last = int(w.native_times[0]), int(w.native_times[-1])
    sampled = (last - first) / 1000
    interval = sampled / (len(w.natives) - 1)
    to_start, to_end = (first - w.start_ms) / 1000, (w.end_ms - last) / 1000
    if to_start >= interval * 1.1:
        to_start = interval / 2
    if counter and rise.count > 0 and w.natives[0].count >= 0:
        to_start = min(to_start, sampled * (w.natives[0].count / rise.count))
    if to_end >= interval * 1.1:
        to_end = interval / 2
    factor = (sampled + to_start + to_end) / sampled
    return rise.scaled(factor / ((w.end_ms - w.start_ms) / 1000) if per_second else factor)


def _rise(points: list[Histogram], say: Say, *, counter: bool) -> Histogram | None:
    """How much a histogram grew from the first point to the last, resets mended (histogramRate)."""
    first, last = points[0], points[-1]
    gauges = [one.reset_hint is Reset.GAUGE for one in points]
    if counter and any(gauges):
        say("not a counter", "")
    if counter and points[1].reset_since(first):
        # the first point's own layout does not matter: all of it is gone by the second
        second = points[1]
        first = Histogram(
            second.schema, second.zero_threshold, custom_values=second.custom_values, reset_hint=Reset.UNKNOWN
        )
    points = [first, *points[1:]]
    if any(one.custom != first.custom for one in points if counter or one is last):
        say("mixed schemas", "")
        return None
    if not first.custom:
        schema = min(one.schema for one in points)
        last = last.to_schema(schema)
    if any(bounds_differ(last, one) for one in points[:-1]):
        say("bounds reconciled", "subtraction")
    out = last.minus(first)
    if counter:
        for before, now in pairwise(points):
            if now.reset_since(before):
                out = out.plus(before)
    elif not (gauges[0] and gauges[-1]):
        say("not a gauge", "")
    return _gauge(out)


def _gauge(h: Histogram) -> Histogram:
    out = h.compact()
    return Histogram(
        out.schema, out.zero_threshold, out.zero_count, out.count, out.sum, out.positive, out.negative,
        out.custom_values, Reset.GAUGE,
    )  # fmt: skip


def _last_two(w: Window, say: Say, *, rate: bool) -> Cell:
    merged = w.merged()
    if len(merged) < 2:
        return None
    (before_ms, before), (at_ms, now) = merged[-2:]
    seconds = (at_ms - before_ms) / 1000
    if not isinstance(before, Histogram) and not isinstance(now, Histogram):
        rise = now if rate and now < before else now - before
        return rise / seconds if rate else rise
    if not (isinstance(before, Histogram) and isinstance(now, Histogram)):
        say("mixed range", "")
        return None
    gauges = [one.reset_hint is Reset.GAUGE for one in (before, now)]
    if rate and any(gauges):
        say("not a counter", "")
    if not rate and not all(gauges):
        say("not a gauge", "")
    out = now
    if not rate or not now.reset_since(before):
        try:
            out = now.minus(before)
        except IncompatibleSchemas:
            say("mixed schemas", "")
            return None
        if bounds_differ(now, before):
            say("bounds reconciled", "subtraction")
    out = _gauge(out)
    return out.divided(seconds) if rate else out


def _summed(w: Window, say: Say, *, mean: bool) -> Cell:
    if len(w.times):
        say("mixed range", "")
        return None
    try:
        out, n = total(w.natives, say, "aggregation")
    except IncompatibleSchemas:
        say("mixed schemas", "")
        return None
    return out.divided(float(n)) if mean else out


def _changes(w: Window, say: Say) -> Cell:
    found = 0
    for (_, before), (_, now) in pairwise(w.merged()):
        if isinstance(before, Histogram) and isinstance(now, Histogram):
            found += before != now
        elif isinstance(before, Histogram) or isinstance(now, Histogram):
            found += 1
        else:
            found += before != now and not (before != before and now != now)
    return float(found)


def _resets(w: Window, say: Say) -> Cell:
    found = 0
    for (_, before), (_, now) in pairwise(w.merged()):
        if isinstance(before, Histogram) and isinstance(now, Histogram):
            found += now.reset_since(before)
        elif isinstance(before, Histogram) or isinstance(now, Histogram):
            found += 1
        else:
            found += now < before
    return float(found)


NATIVE: dict[str, Callable[[Window, Say], Cell]] = {
    "rate": lambda w, say: _extrapolated(w, say, counter=True, per_second=True),
    "increase": lambda w, say: _extrapolated(w, say, counter=True, per_second=False),
    "delta": lambda w, say: _extrapolated(w, say, counter=False, per_second=False),
    "irate": lambda w, say: _last_two(w, say, rate=True),
    "idelta": lambda w, say: _last_two(w, say, rate=False),
    "sum_over_time": lambda w, say: _summed(w, say, mean=False),
    "avg_over_time": lambda w, say: _summed(w, say, mean=True),
    "count_over_time": lambda w, say: float(len(w.times) + len(w.natives)),
    "present_over_time": lambda w, say: 1.0,
    "last_over_time": lambda w, say: w.merged()[-1][1],
    "first_over_time": lambda w, say: w.merged()[0][1],
    "ts_of_last_over_time": lambda w, say: w.merged()[-1][0] / 1000,
    "ts_of_first_over_time": lambda w, say: w.merged()[0][0] / 1000,
    "changes": _changes,
    "resets": _resets,
}
"""Functions that see histograms. All others see floats alone, and say what they left out."""


def over_histograms(
    function: str,
    windows: Windows,
    values: FloatArray,
    present: BoolArray,
    say: Callable[[int, str, str], None],
) -> tuple[FloatArray, BoolArray, ObjectArray | None]:
    """What a function comes to, the windows that hold a histogram done anew; `say(row, kind, word)`."""
    natives = windows.natives
    if natives is None:
        return values, present, None
    values, present = np.array(values), np.array(present)
    out: ObjectArray = np.full(values.shape, None, object)
    kernel = NATIVE.get(function)
    for row, step in zip(*(axis.tolist() for axis in np.nonzero(natives.hi > natives.lo)), strict=True):
        if kernel is None:
            if windows.hi[row, step] > windows.lo[row, step]:
                say(row, "ignored in range", "")
            continue
        a, b = natives.lo[row, step], natives.hi[row, step]
        floats = slice(windows.lo[row, step], windows.hi[row, step])
        end = int(windows.ends_ms[step])
        window = Window(
            windows.times[floats], windows.values[floats], natives.times[row][a:b],
            natives.histograms[row][a:b], end - windows.range_ms, end,
        )  # fmt: skip

        def told(kind: str, word: str, row: int = row) -> None:
            say(row, kind, word)

        cell = kernel(window, told)
        present[row, step] = cell is not None
        if isinstance(cell, Histogram):
            out[row, step], values[row, step] = cell, 0.0
        elif cell is not None:
            values[row, step] = cell
    return values, present, out if held(out).any() else None
