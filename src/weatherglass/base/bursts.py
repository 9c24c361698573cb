"""How unlikely a count is at a known rate. Pure."""

from __future__ import annotations

import math


def burst_log10(count: int, mean: float) -> float:
    """-log10 P(N ≥ count) for a Poisson N: how unlikely this many error lines are."""
    if count <= 0:
        return 0.0
    mean = max(mean, 1e-3)
    if count <= mean:
        return 0.0
    # Chernoff's bound serves: it is within a factor of ten and never underflows.
    return (mean - count + count * math.log(count / mean)) / math.log(10)
