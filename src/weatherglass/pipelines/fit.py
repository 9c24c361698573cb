"""Which law the runs follow, its coefficients, and how sure one can be of what it says about other n. Pure.

Noise is taken as a factor (log-normal): a run twice as long varies twice as much. Coefficients come from least
squares of relative errors without negative coefficients (Venkataraman et al., Ernest, NSDI 2016), solved for all
resamples at once by trying each set of terms: at most four terms, so at most fifteen sets. The law is chosen by
the error at scales that were left out; bands come from a parametric bootstrap over every law that is still
plausible, so that not knowing the law widens them too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from weatherglass.pipelines.laws import LAWS, FloatArray, Law, matrix
from weatherglass.pipelines.runs import Runs

DRAWS = 2000
BAND = 0.90
_PRIOR_SIGMA, _PRIOR_RUNS = 0.03, 2.0
"""Runs on a quiet cloud vary by some per cent: worth two runs' knowledge where there are few."""
_FLOOR = 1e-4  # relative error below which laws are not told apart
_SHARPNESS, _PER_TERM = 0.25, 0.5  # measured: docs/pipelines.md, `python -m benchmarks pipelines_scale`
_KEPT = 0.02  # a law with less weight says nothing of use


@dataclass(frozen=True, slots=True)
class Fitted:
    """One law on some runs. `theta` (terms,); `sigma` the relative noise; `held_out` its error at scales left out."""

    name: str
    theta: FloatArray
    sigma: float
    held_out: float
    weight: float


@dataclass(frozen=True, slots=True)
class Draws:
    """Resampled coefficients of one law: `theta` (draws, terms), `sigma` (draws,)."""

    name: str
    theta: FloatArray
    sigma: FloatArray

    def seconds(self, n: FloatArray, s: FloatArray) -> FloatArray:
        """(draws, len(n)): each draw's expected seconds."""
        return self.theta @ matrix(LAWS[self.name], n, s).T


@dataclass(frozen=True, slots=True)
class Fit:
    """What the runs tell: the laws with their weights, the chosen one first, and draws of all that are plausible."""

    runs: Runs
    laws: tuple[Fitted, ...]
    draws: tuple[Draws, ...]

    @property
    def best(self) -> Fitted:
        return self.laws[0]

    def seconds(self, n: FloatArray, size: float = 1.0) -> FloatArray:
        """(len(n),) expected seconds at the relative size: the middle of what the plausible laws say."""
        return np.asarray(np.median(self.sampled(n, size), axis=0))

    def sampled(self, n: FloatArray, size: float = 1.0, *, noisy: bool = False) -> FloatArray:
        """(all draws, len(n)) seconds; `noisy` gives what a single run would take."""
        s = np.full_like(n, size)
        parts = [(one.seconds(n, s), one.sigma) for one in self.draws]
        drawn = np.concatenate([seconds for seconds, _ in parts])
        if noisy:
            sigma = np.concatenate([sigma for _, sigma in parts])
            drawn = drawn * np.exp(sigma[:, None] * _noise(drawn.shape, seed=2))
        return drawn

    def band(self, n: FloatArray, size: float = 1.0) -> tuple[FloatArray, FloatArray]:
        """(low, high), each (len(n),): within them lies a run at n with probability `BAND`."""
        return _between(self.sampled(n, size, noisy=True))


def _between(drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = np.quantile(drawn, [(1 - BAND) / 2, (1 + BAND) / 2], axis=0)
    return low, high


def _noise(shape: tuple[int, ...], seed: int) -> FloatArray:
    # The same runs give the same answer each time.
    return np.random.default_rng(seed).standard_normal(shape)


def solve(terms: FloatArray, seconds: FloatArray) -> FloatArray:
    """Non-negative coefficients (sets, k) of least relative error for each row of `seconds` (sets, runs).

    `terms` is (runs, k). Each error counts against the seconds observed, then against those fitted.
    """
    found = _least(terms, seconds, 1.0 / np.median(seconds, axis=0))
    for _ in range(2):
        fitted = np.median(found, axis=0) @ terms.T
        found = _least(terms, seconds, 1.0 / np.maximum(fitted, 1e-12 * seconds.max()))
    return found


def _least(terms: FloatArray, seconds: FloatArray, weights: FloatArray) -> FloatArray:
    weighted, wanted = terms * weights[:, None], seconds * weights
    count = terms.shape[1]
    best = np.full(len(seconds), np.inf)
    found = np.zeros((len(seconds), count))
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            part = weighted[:, chosen]
            theta = wanted @ np.linalg.pinv(part).T
            rest = ((theta @ part.T - wanted) ** 2).sum(axis=1)
            # A larger set that gains nothing but rounding is no better.
            better = (theta >= 0).all(axis=1) & (rest < best * (1 - 1e-9) - 1e-24)
            best[better] = rest[better]
            found[better] = 0.0
            found[np.ix_(better, np.array(chosen))] = theta[better]
    return found


def _candidates(runs: Runs) -> list[str]:
    """Laws that these runs could speak of. One scale alone tells nothing of n: Amdahl's stands for not knowing."""
    if len(np.unique(runs.n)) < 2:
        return ["amdahl"]
    return [name for name, law in LAWS.items() if runs.sized or not law.sized]


def _terms(law: Law, runs: Runs) -> FloatArray:
    return matrix(law, runs.n, runs.size)


def _held_out(law: Law, runs: Runs) -> float:
    """Root mean square log error at levels left out one by one, and at the largest scales left out together.

    The second is what is asked of a law most: to speak of scales beyond those that were run.
    """
    levels, terms = runs.levels(), _terms(law, runs)
    errors: list[FloatArray] = []
    groups = [levels == level for level in range(int(levels.max()) + 1)]
    scales = np.unique(runs.n)
    if len(scales) > 4:
        groups += [runs.n >= scales[-2]]
    for left_out in groups:
        kept = ~left_out
        if len(np.unique(levels[kept])) < min(2, len(law.terms)):
            continue
        theta = solve(terms[kept], runs.seconds[kept][None])[0]
        predicted = np.maximum(terms[left_out] @ theta, 1e-12)
        errors.append(np.log(predicted / runs.seconds[left_out]))
    if not errors:
        return float("inf")
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def _sigma(runs: Runs, terms: FloatArray, theta: FloatArray) -> tuple[float, float]:
    """(sum of squared relative errors, degrees of freedom), the prior's share in both."""
    residuals = np.log(np.maximum(terms @ theta, 1e-12) / runs.seconds)
    freedom = max(len(runs.seconds) - int((theta > 0).sum()), 0)
    return float((residuals**2).sum()) + _PRIOR_RUNS * _PRIOR_SIGMA**2, freedom + _PRIOR_RUNS


def fit(runs: Runs, laws: Sequence[str] = (), draws: int = DRAWS) -> Fit:
    """The laws on these runs, the one with the least held-out error first (a simpler one where they tie)."""
    names = list(laws) or _candidates(runs)
    held = {name: max(_held_out(LAWS[name], runs), _FLOOR) for name in names}
    thetas = {name: solve(_terms(LAWS[name], runs), runs.seconds[None])[0] for name in names}
    weights = _weights(runs, held, thetas)
    order = sorted(names, key=lambda name: -weights[name])
    fitted, drawn = [], []
    for name in order:
        terms = _terms(LAWS[name], runs)
        squares, freedom = _sigma(runs, terms, thetas[name])
        fitted.append(
            Fitted(name, thetas[name], float(np.sqrt(squares / freedom)), held[name], weights[name])
        )
        share = round(draws * weights[name])
        if weights[name] >= _KEPT or name == order[0]:
            drawn.append(_bootstrap(name, runs, thetas[name], squares, freedom, max(share, 1)))
    return Fit(runs, tuple(fitted), tuple(drawn))


def _weights(runs: Runs, held: Mapping[str, float], thetas: Mapping[str, FloatArray]) -> dict[str, float]:
    """Shares of belief, from the held-out errors and the terms used.

    Far flatter than a likelihood would be: with a handful of scales a held-out error is itself mostly noise, and
    believing it left three quarters of runs beyond the last scale inside a band of 90 % (`_SHARPNESS` 1 a level).
    Errors under one per cent are not told apart.
    """
    levels = int(runs.levels().max()) + 1
    worst = max((value for value in held.values() if np.isfinite(value)), default=1.0) * 2
    score = {
        name: -_SHARPNESS * levels * np.log(max(min(error, worst), 0.01))
        - _PER_TERM * (thetas[name] > 0).sum()
        for name, error in held.items()
    }
    best = max(score.values())
    raw = {name: float(np.exp(max(value - best, -60.0))) for name, value in score.items()}
    return {name: value / sum(raw.values()) for name, value in raw.items()}


def _bootstrap(name: str, runs: Runs, theta: FloatArray, squares: float, freedom: float, draws: int) -> Draws:
    """Refits to runs drawn anew about the fitted law, each with a noise drawn from what is known of it."""
    terms = _terms(LAWS[name], runs)
    random = np.random.default_rng(1)
    sigma = np.sqrt(squares / random.chisquare(freedom, draws))
    if len(np.unique(runs.n)) < 2:
        # Any share may be serial; each draw goes through what was measured.
        serial = random.random(draws)
        theta = np.stack([serial, (1 - serial)], axis=1)
        scale = np.median(runs.seconds / (theta @ terms.T), axis=1)
        return Draws(name, theta * (scale * np.exp(sigma * random.standard_normal(draws)))[:, None], sigma)
    fitted = np.maximum(terms @ theta, 1e-12)
    again = fitted * np.exp(sigma[:, None] * random.standard_normal((draws, len(fitted))))
    weights = 1.0 / fitted
    return Draws(name, _least(terms, again, weights), sigma)
