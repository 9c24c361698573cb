"""Aggregations that give numbers or events: no buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weatherglass.logs import aggs
from weatherglass.logs.aggs import Summary
from weatherglass.logs.frame import Frame
from weatherglass.logs.sorting import Best
from weatherglass.logs.values import numbers_of, values_of

if TYPE_CHECKING:
    import numpy as np


class CardinalityOf:
    def __init__(self, agg: aggs.Cardinality) -> None:
        self._field, self._seen = agg.field, set[Any]()

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        import numpy as np

        _, values, codes = values_of(frame, self._field, rows)
        self._seen.update(values[code] for code in np.unique(codes).tolist())

    def result(self) -> int:
        return len(self._seen)


class PercentilesOf:
    def __init__(self, agg: aggs.Percentiles) -> None:
        self._agg, self._parts = agg, list[Any]()

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        self._parts.append(numbers_of(frame, self._agg.field, rows)[1])

    def result(self) -> dict[float, float | None]:
        import numpy as np

        values = np.concatenate(self._parts) if self._parts else np.array([])
        if not len(values):
            return dict.fromkeys(self._agg.percents)
        found = np.percentile(values, self._agg.percents)
        return dict(zip(self._agg.percents, found.tolist(), strict=True))


class StatsOf:
    """Also every `Metric` but the count of values."""

    def __init__(self, agg: aggs.Stats | aggs.Metric) -> None:
        self._field, self._time = agg.field, agg.time
        self._of = agg.of if isinstance(agg, aggs.Metric) else ""
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        self._min: float | None = None
        self._max: float | None = None

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        _, values = numbers_of(frame, self._field, rows, time=self._time)
        if not len(values):
            return
        low, high = values.min().item(), values.max().item()
        exact = values.astype(float)
        self._count += len(values)
        self._sum += float(exact.sum())
        self._squares += float((exact * exact).sum())
        self._min = low if self._min is None else min(self._min, low)
        self._max = high if self._max is None else max(self._max, high)

    def result(self) -> Summary | float | None:
        if not self._of:
            return Summary(self._count, self._min, self._max, self._sum, self._squares)
        if self._of == "sum":
            return self._sum
        if self._of == "avg":
            return self._sum / self._count if self._count else None
        return self._min if self._of == "min" else self._max


class ValueCountOf:
    def __init__(self, agg: aggs.Metric) -> None:
        self._field, self._count = agg.field, 0

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        self._count += len(values_of(frame, self._field, rows)[0])

    def result(self) -> int:
        return self._count


class TopHitsOf:
    def __init__(self, agg: aggs.TopHits) -> None:
        self._best = Best(agg.sort, agg.size)

    def collect(self, frame: Frame, rows: np.ndarray | None) -> None:
        self._best.add(frame, rows)

    def result(self) -> Any:
        return self._best.hits()
