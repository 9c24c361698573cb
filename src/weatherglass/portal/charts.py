"""Charts as geometry: values to SVG points on the server, the same values to uPlot in the browser. Pure.

A gap in the data is a gap in the line. No colour is named here; classes carry it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

Value = float | None


@dataclass(frozen=True)
class Line:
    """One series of a chart; `values` in step with the chart's times."""

    label: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Chart:
    """A chart over time. `times` seconds since the epoch; `marks` are instants to draw in (onset, change)."""

    title: str
    unit: str
    times: tuple[float, ...]
    lines: tuple[Line, ...]
    threshold: float | None = None
    marks: tuple[tuple[float, str], ...] = ()
    query: str = ""
    note: str = ""
    state: str = "accent"
    start: float = 0.0
    end: float = 0.0
    problem: str = ""

    @property
    def empty(self) -> bool:
        return not any(value is not None for line in self.lines for value in line.values)

    @property
    def entity(self) -> str:
        """Whose lines tell what is drawn: the entity that the query itself names, "" where it names none."""
        named = dict(re.findall(r'\b(replica|service|host)="([^"\\]+)"', self.query))
        return next((f"{kind}/{named[kind]}" for kind in ("replica", "service", "host") if kind in named), "")

    def payload(self) -> str:
        """What `charts.js` draws, as JSON."""
        return json.dumps(
            {
                "unit": self.unit,
                "threshold": self.threshold,
                "marks": self.marks,
                "state": self.state,
                "span": [self.start, self.end],
                "labels": [line.label for line in self.lines],
                "data": [self.times, *(_short(line.values) for line in self.lines)],
            }
        )


def _short(values: Sequence[Value]) -> list[Value]:
    return [None if value is None else float(f"{value:.5g}") for value in values]


@dataclass(frozen=True)
class Drawing:
    """Points ready for SVG: one string of `x,y` pairs for each unbroken stretch, per line."""

    width: int
    height: int
    lines: tuple[tuple[str, ...], ...]
    threshold_y: float | None = None
    mark_xs: tuple[float, ...] = field(default_factory=tuple)
    top: float = 0.0
    bottom: float = 0.0


def draw(chart: Chart, width: int = 380, height: int = 104) -> Drawing:
    """The chart's lines fitted into width × height; zero is the floor unless values go below it."""
    every = [value for line in chart.lines for value in line.values if value is not None]
    if chart.threshold is not None:
        every.append(chart.threshold)
    bottom, top = min([0.0, *every]), max(every, default=1.0)
    scale = (top - bottom) * 1.08 or 1.0
    start = chart.start or (chart.times[0] if chart.times else 0.0)
    end = chart.end or (chart.times[-1] if chart.times else 1.0)
    length = (end - start) or 1.0

    def x(t: float) -> float:
        return round((t - start) / length * width, 1)

    def y(value: float) -> float:
        return round(height - 1 - (value - bottom) / scale * (height - 2), 1)

    return Drawing(
        width,
        height,
        tuple(
            stretches([x(t) for t in chart.times], [None if v is None else y(v) for v in line.values])
            for line in chart.lines
        ),
        None if chart.threshold is None else y(chart.threshold),
        tuple(x(t) for t, _ in chart.marks if start <= t <= end),
        top,
        bottom,
    )


def stretches(xs: Sequence[float], ys: Sequence[Value]) -> tuple[str, ...]:
    """`x,y x,y …` for each run without a gap; a lone point is drawn as a short dash."""
    runs: list[list[str]] = [[]]
    for x, y in zip(xs, ys, strict=False):
        if y is None:
            if runs[-1]:
                runs.append([])
        else:
            runs[-1].append(f"{x:g},{y:g}")
    return tuple(" ".join(run if len(run) > 1 else [run[0], run[0]]) for run in runs if run)


def spark(values: Sequence[Value], width: int = 96, height: int = 20) -> tuple[str, ...]:
    """A sparkline's stretches: the shape alone, between its own least and most (a flat line rests in the middle)."""
    known = [value for value in values if value is not None]
    if not known:
        return ()
    low, high = min(known), max(known)
    flat = high - low <= abs(high) * 0.02
    step = width / max(1, len(values) - 1)

    def y(value: float) -> float:
        return height / 2 if flat else round(height - 2 - (value - low) / (high - low) * (height - 4), 1)

    return stretches(
        [round(i * step, 1) for i in range(len(values))], [None if v is None else y(v) for v in values]
    )


def nice_step(seconds: float, points: int = 120) -> int:
    """A round step in seconds that gives about `points` points over a span."""
    want = max(1.0, seconds / points)
    for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200):
        if step >= want:
            return step
    return int(math.ceil(want / 86400) * 86400)
