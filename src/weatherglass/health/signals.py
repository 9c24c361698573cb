"""Numbers from observations: φ, Wilson's interval, robust scores, slopes, bursts. Pure; no entity is known here.

Each is a few lines of the field's own arithmetic, with its source; what follows from a number is judged in
`judge.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from weatherglass.base.bursts import burst_log10 as burst_log10

Z95 = 1.959964
"""Two-sided 95 % point of the normal distribution."""

MIN_HEARTBEATS = 20
"""Below this many a rhythm is not known, and its owner is neither well nor ill (docs/health.md)."""


@dataclass(slots=True)
class Rhythm:
    """Arrivals of one sender's heartbeats, in monotonic seconds, and how late the next one is.

    φ accrual failure detector (Hayashibara et al. 2004), normal model; the standard deviation has a floor of
    max(10 % of the mean, 100 ms), so that a sender that is always on time is not condemned for a blink.
    """

    period_s: float = 2.0
    last: float | None = None
    intervals: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    count: int = 0
    _mean: float = 0.0
    _deviation: float = 0.0

    def beat(self, at: float, period_s: float) -> None:
        """A heartbeat came. One sent early because something changed tells nothing of the rhythm."""
        if period_s != self.period_s:
            self.intervals.clear()
            self.period_s = period_s
        if self.last is not None and at - self.last >= 0.5 * period_s:
            self.intervals.append(at - self.last)
            self._mean = math.fsum(self.intervals) / len(self.intervals)
            spread = math.fsum((one - self._mean) ** 2 for one in self.intervals) / len(self.intervals)
            self._deviation = max(math.sqrt(spread), 0.1 * self._mean, 0.1)
        self.last = max(at, self.last or at)
        self.count += 1

    def phi(self, now: float) -> float:
        """-log10 of the probability that the next heartbeat is still to come; 0 while the rhythm is not known."""
        if self.last is None or not self.intervals:
            return 0.0
        return normal_tail_log10((now - self.last - self._mean) / self._deviation)

    def silent_s(self, now: float) -> float:
        """Seconds since the last one."""
        return math.inf if self.last is None else now - self.last


def normal_tail_log10(z: float) -> float:
    """-log10 P(Z > z); by its asymptote where the tail underflows."""
    tail = 0.5 * math.erfc(z / math.sqrt(2))
    if tail > 1e-300:
        return max(0.0, -math.log10(tail))  # of a tail of 1 it would be -0.0
    return (z * z / 2 + math.log(z * math.sqrt(2 * math.pi))) / math.log(10)


def wilson(good: int, total: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); (0, 1) where nothing was tried."""
    if total == 0:
        return 0.0, 1.0
    share, weight = good / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def robust_z(value: float, baseline: Sequence[float], floor: float) -> float:
    """How many robust deviations (1.4826 × median absolute deviation, at least `floor`) above the median."""
    if len(baseline) < 5:
        return 0.0
    middle = median(baseline)
    spread = 1.4826 * median(abs(one - middle) for one in baseline)
    return (value - middle) / max(spread, floor)


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs of (time, value); 0 where there are fewer than five points."""
    thinned = points if len(points) <= 60 else points[:: math.ceil(len(points) / 60)]
    slopes = [
        (y2 - y1) / (x2 - x1)
        for number, (x1, y1) in enumerate(thinned)
        for x2, y2 in thinned[number + 1 :]
        if x2 > x1
    ]
    return median(slopes) if len(thinned) >= 5 and slopes else 0.0


def time_to(points: Sequence[tuple[float, float]], limit: float) -> float:
    """Seconds until a rising value reaches `limit` at its Theil–Sen slope; inf where it does not rise."""
    slope = theil_sen(points)
    if slope <= 0 or not points:
        return math.inf
    return max(0.0, (limit - points[-1][1]) / slope)
