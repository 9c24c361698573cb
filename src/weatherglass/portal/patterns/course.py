"""How unusual the end of a course is, and how far two counts lie apart. Pure arithmetic over counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from weatherglass.base.bursts import burst_log10

BUCKETS = 48
RECENT = 6
"""The last eighth of a span is held against what came before."""


def bursting(counts: Sequence[int]) -> float:
    """-log10 of the probability of the last buckets, were the rate that of those before; 0 for what has no past.

    A template that comes in clumps is not bursting for every clump: its rate is at least the most that as many
    buckets held before.
    """
    past, recent = list(counts[:-RECENT]), sum(counts[-RECENT:])
    if len(past) < RECENT or not recent:
        return 0.0
    windows = [sum(past[at : at + RECENT]) for at in range(len(past) - RECENT + 1)]
    return burst_log10(recent, max(*windows, 0.5))


def shifted(now: int, before: int) -> float:
    """How far two counts lie apart, in standard deviations of their difference (Poisson); signless."""
    return abs(now - before) / math.sqrt(now + before) if now + before else 0.0
