"""The laws by which a run's time falls and rises with the number of instances: a table. Pure.

Every law here is a sum of terms with coefficients that cannot be negative, so that one solver (`fit`) serves all.
A new law is a row. `n` is the number of instances (nodes, workers, cores: whatever was varied), `s` the size of the
input relative to the reference run; both are float64 arrays of one shape, and so is what a term gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Term = Callable[[FloatArray, FloatArray], FloatArray]


def _usl(theta: FloatArray) -> dict[str, float]:
    first, contention, coherency = (float(value) for value in theta)
    return {
        "t1": first,
        "sigma": contention / first if first else 0.0,
        "kappa": coherency / first if first else 0.0,
    }


def _amdahl(theta: FloatArray) -> dict[str, float]:
    serial, parallel = float(theta[0]), float(theta[1])
    whole = serial + parallel
    return {"t1": whole, "sigma": serial / whole if whole else 0.0}


def _gustafson(theta: FloatArray) -> dict[str, float]:
    serial, parallel = float(theta[0]), float(theta[1])
    whole = serial + parallel
    return {"t1": whole, "serial_s": serial, "alpha": serial / whole if whole else 0.0}


def _ernest(theta: FloatArray) -> dict[str, float]:
    return dict(zip(("fixed_s", "parallel_s", "tree_s", "each_s"), map(float, theta), strict=True))


class Bends(NamedTuple):
    """T(n) = rest + falls/n + slows·log n + rises·n: what of a law depends on n; scalars or arrays of one shape."""

    falls: FloatArray
    slows: FloatArray
    rises: FloatArray


class Law(NamedTuple):
    """One law: its terms, how it bends (coefficients (…, terms), size → `Bends`), its parameters, what it says.

    `sized`: told apart from the others only by inputs of several sizes.
    """

    terms: tuple[Term, ...]
    bends: Callable[[FloatArray, float], Bends]
    parameters: Callable[[FloatArray], Mapping[str, float]]
    doc: str
    sized: bool = False


LAWS: dict[str, Law] = {
    "amdahl": Law(
        (lambda n, s: s, lambda n, s: s / n),
        lambda theta, s: Bends(theta[..., 1] * s, 0.0 * theta[..., 0], 0.0 * theta[..., 0]),
        _amdahl,
        "T = T1 (σ + (1−σ)/n): a serial share σ that no instance shortens (Amdahl 1967).",
    ),
    "gustafson": Law(
        (lambda n, s: np.ones_like(n), lambda n, s: s / n),
        lambda theta, s: Bends(theta[..., 1] * s, 0.0 * theta[..., 0], 0.0 * theta[..., 0]),
        _gustafson,
        "T = a + b s/n: the serial part stays as it is while the input grows (Gustafson 1988).",
        sized=True,
    ),
    "usl": Law(
        (lambda n, s: s / n, lambda n, s: s * (1.0 - 1.0 / n), lambda n, s: s * (n - 1.0)),
        lambda theta, s: Bends((theta[..., 0] - theta[..., 1]) * s, 0.0 * theta[..., 0], theta[..., 2] * s),
        _usl,
        "T = T1 (1 + σ(n−1) + κn(n−1))/n: contention σ and coherency κ (Gunther 2007).",
    ),
    "ernest": Law(
        (lambda n, s: np.ones_like(n), lambda n, s: s / n, lambda n, s: np.log(n), lambda n, s: n),
        lambda theta, s: Bends(theta[..., 1] * s, theta[..., 2], theta[..., 3]),
        _ernest,
        "T = a + b s/n + c log n + d n: fixed, parallel, tree-shaped and all-to-one work "
        "(Venkataraman et al. 2016).",
    ),
    "sublinear": Law(
        (lambda n, s: np.ones_like(n), lambda n, s: s / n, lambda n, s: s / np.sqrt(n)),
        lambda theta, s: Bends((theta[..., 1] + theta[..., 2]) * s, 0.0 * theta[..., 0], 0.0 * theta[..., 0]),
        lambda theta: dict(zip(("fixed_s", "parallel_s", "root_s"), map(float, theta), strict=True)),
        "T = a + b s/n + c s/√n: work whose pieces meet at edges, so that each instance helps a little less.",
    ),
}


def matrix(law: Law, n: FloatArray, s: FloatArray) -> FloatArray:
    """(len(n), terms) float64: the law's terms at each point."""
    return np.stack([term(n, s) for term in law.terms], axis=1)
