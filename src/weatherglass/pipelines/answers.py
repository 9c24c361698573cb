"""What people ask of a fit: the best n, the knee, the n past which instances are paid for nothing, what to run next.

Pure. Every answer is an interval over the draws of `fit`, or says that there is not enough data and which run would
tell most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weatherglass.pipelines.fit import BAND, Fit
from weatherglass.pipelines.laws import LAWS, FloatArray

FARTHEST = 1_000_000
"""Beyond this many instances a best n is called unbounded."""
_WIDE = 2.0  # a band whose ends differ by more than this factor is no prediction
_LEAST_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Interval:
    """A number of instances, and where it lies with probability 90 %. `inf`: no such n within `FARTHEST`."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run at n: expected seconds; a single run lies between low and high with probability 90 %."""

    n: float
    seconds: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NextRun:
    """The run that would tell most: how much of the doubt (variance of log seconds) it takes, what it costs."""

    n: int
    takes_away: float
    instance_seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """All of it, for one input size (relative)."""

    n_star: Interval
    knee: Interval
    stop_paying: Interval
    predictions: tuple[Prediction, ...]
    enough: bool
    why: str
    next: NextRun | None


def answer(fit: Fit, ask: Sequence[float] = (), size: float = 1.0, most: int = 0) -> Answer:
    """The answers on a fit. `ask`: the n to predict; `most`: how many instances there are (0: four times the runs')."""
    at = np.array(ask, dtype=np.float64)
    predictions: tuple[Prediction, ...] = ()
    if len(at):
        low, high = fit.band(at, size)
        middle = fit.seconds(at, size)
        predictions = tuple(Prediction(*map(float, row)) for row in zip(at, middle, low, high, strict=True))
    star = best_n(fit, size)
    why = _doubt(fit, predictions, star)
    targets = at if len(at) else np.unique(np.array([fit.runs.n.max() * 2, _finite(star.at, fit)]))
    most = most or int(fit.runs.n.max() * 4)
    return Answer(
        star,
        knee(fit, size),
        stop_paying(fit, size),
        predictions,
        not why,
        why,
        next_run(fit, targets, most, size) if why else None,
    )


def _finite(n: float, fit: Fit) -> float:
    return n if math.isfinite(n) else float(fit.runs.n.max() * 4)


def _doubt(fit: Fit, predictions: Sequence[Prediction], star: Interval) -> str:
    scales = len(np.unique(fit.runs.n))
    if scales < _LEAST_LEVELS:
        return f"{scales} scale{'s' * (scales != 1)} measured; a law needs {_LEAST_LEVELS} or more"
    wide = [one for one in predictions if one.high > _WIDE * one.low]
    if wide:
        one = wide[0]
        return f"at n = {one.n:g} a run may take {one.low:.3g} to {one.high:.3g} s: too wide to plan on"
    if math.isfinite(star.at) and star.high > 4 * star.low and star.low < fit.runs.n.max():
        return f"the best n lies anywhere from {star.low:.0f} to {_words(star.high)}"
    return ""


def _words(n: float) -> str:
    return f"{n:.0f}" if math.isfinite(n) else "no bound"


def _interval(drawn: FloatArray) -> Interval:
    """Middle and ends of what the draws say. Infinite draws are kept at their rank."""
    ordered = np.sort(drawn)
    ranks = [(1 - BAND) / 2, 0.5, (1 + BAND) / 2]
    low, at, high = (float(ordered[min(int(rank * len(ordered)), len(ordered) - 1)]) for rank in ranks)
    return Interval(at, low, high)


def _lowest(falls: FloatArray, slows: FloatArray, rises: FloatArray) -> FloatArray:
    """The n of least time: where −falls/n² + slows/n + rises = 0; 1 where nothing falls, inf where nothing rises."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(slows**2 + 4 * rises * falls)
        # The form without a difference of like numbers.
        n = 2 * falls / (slows + root)
    n = np.where(falls <= 0, 1.0, n)
    return np.where(np.isfinite(n) & (n <= FARTHEST), np.maximum(n, 1.0), np.inf)


def best_n(fit: Fit, size: float = 1.0) -> Interval:
    """n*: where a run takes the least time (USL: √((1−σ)/κ), Gunther 2007)."""
    found = [_lowest(*LAWS[draws.name].bends(draws.theta, size)) for draws in fit.draws]
    return _interval(np.concatenate(found))


def _grid() -> FloatArray:
    """Whole numbers of instances, every one to 64, then by 3 %."""
    return np.unique(np.concatenate([np.arange(1, 65), np.round(np.geomspace(64, FARTHEST, 330))]))


def _times(fit: Fit, size: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    grid = _grid()
    return grid, fit.sampled(grid, size), np.concatenate([one.sigma for one in fit.draws])


def knee(fit: Fit, size: float = 1.0) -> Interval:
    """The n of greatest power: speed-up times efficiency, so the least n·T² (Kleinrock 1979)."""
    grid, times, _ = _times(fit, size)
    best = grid[np.argmin(grid * times**2, axis=1)]
    return _interval(np.where(best >= grid[-1], np.inf, best))


def stop_paying(fit: Fit, size: float = 1.0) -> Interval:
    """The n past which all further instances together buy less than one run differs from the next (1 % at least)."""
    grid, times, sigma = _times(fit, size)
    least = times.min(axis=1, keepdims=True)
    enough = times <= least * (1 + np.maximum(sigma, 0.01)[:, None])
    return _interval(grid[np.argmax(enough, axis=1)])


def next_run(fit: Fit, targets: FloatArray, most: int, size: float = 1.0) -> NextRun:
    """The run that takes most doubt away at the targets for its cost: optimal design over the draws of all laws.

    Doubt is the variance of log seconds; seeing a run at c takes cov(t, c)² / (var(c) + σ²) of it away. A run costs
    its instance-seconds; doubt is weighed against the square root of that, so that small runs alone never win.
    """
    tried = np.unique(np.round(np.geomspace(1, max(most, 2), 24)))
    floor = 1e-9 * float(fit.runs.seconds.max())
    seen = np.log(np.maximum(fit.sampled(tried, size), floor))
    wanted = np.log(np.maximum(fit.sampled(targets, size), floor))
    seen, wanted = seen - seen.mean(axis=0), wanted - wanted.mean(axis=0)
    sigma = float(np.median(np.concatenate([one.sigma for one in fit.draws])))
    shared = (seen.T @ wanted / len(seen)) ** 2 / ((seen**2).mean(axis=0) + sigma**2)[:, None]
    gained = shared.sum(axis=1) / max(float((wanted**2).mean(axis=0).sum()), 1e-12)
    cost = tried * np.median(fit.sampled(tried, size), axis=0)
    chosen = int(np.argmax(gained / np.sqrt(cost)))
    return NextRun(int(tried[chosen]), float(gained[chosen]), float(cost[chosen]))


def first_runs(most: int) -> list[int]:
    """Where to begin when nothing was run: three scales, spread as the terms of the laws differ most."""
    return sorted({1, 2, min(4, max(most, 1)), min(8, max(most, 1))} - ({8} if most < 8 else set()))
