"""What every format comes to: series with their samples, what is known of families, exemplars, what was passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from weatherglass.engine.protocols import Labels, Samples


class Family(NamedTuple):
    """What a sender says of a metric family. `kind` as Prometheus names it, `unknown` where nothing is said."""

    kind: str = "unknown"
    help: str = ""
    unit: str = ""


class Exemplar(NamedTuple):
    """One example of what a sample counted: its labels (a trace id, mostly), its value, ms since the epoch or None."""

    series: Labels
    labels: Labels
    value: float
    time_ms: int | None


@dataclass(slots=True)
class Taken:
    """One body's content. `times_ms[i]` is None where the format gave no time: the receiver's clock counts then.

    `skipped` counts what the format knows and a store of samples cannot hold, by a word for it.
    """

    series: list[Labels] = field(default_factory=list)
    times_ms: list[int | None] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    families: dict[str, Family] = field(default_factory=dict)
    exemplars: list[Exemplar] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def add(self, series: Labels, time_ms: int | None, value: float) -> None:
        self.series.append(series)
        self.times_ms.append(time_ms)
        self.values.append(value)

    def skip(self, what: str) -> None:
        self.skipped[what] = self.skipped.get(what, 0) + 1

    def samples(self, now_ms: int) -> Samples:
        """As a batch for the store: each series once, its samples in order of time, the last of one instant kept."""
        rows: dict[Labels, dict[int, float]] = {}
        for series, time_ms, value in zip(self.series, self.times_ms, self.values, strict=True):
            rows.setdefault(series, {})[now_ms if time_ms is None else time_ms] = value
        ordered: list[Sequence[tuple[int, float]]] = [sorted(row.items()) for row in rows.values()]
        return Samples(
            list(rows),
            [[time for time, _ in row] for row in ordered],
            [[value for _, value in row] for row in ordered],
        )
