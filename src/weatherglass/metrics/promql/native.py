"""What PromQL makes of native histograms cell by cell: operators, quantiles, fractions, variances, aggregation.

The algebra itself is in `metrics/histogram`. Over ranges see `native_range`; the functions' table is `functions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from weatherglass.metrics.histogram import (
    Bucket,
    Histogram,
    IncompatibleSchemas,
    Reset,
    bounds_differ,
    hints_collide,
)
from weatherglass.metrics.histogram import side as side_of

Say = Callable[[str, str], None]
"""(kind, word) of an annotation: a key of `notes.WARNINGS` or `INFOS`, told where the caller stands."""
Cell = float | Histogram


def added(a: Histogram, b: Histogram, say: Say, doing: str, factor: float = 1.0) -> Histogram:
    """`a ± b`, told where reset hints contradict each other or bounds were reconciled. Raises IncompatibleSchemas."""
    out = a.plus(b, factor)
    if hints_collide(a, b):
        say("reset collision", doing)
    if bounds_differ(a, b):
        say("bounds reconciled", doing)
    return out


def operated(op: str, a: Cell, b: Cell, say: Say) -> Cell | bool | None:
    """One binary operator on two cells, one of them a histogram. A bool of a comparison; None: nothing is left."""
    kinds = tuple("histogram" if isinstance(one, Histogram) else "float" for one in (a, b))
    if isinstance(a, Histogram) and isinstance(b, Histogram):
        if op in ("==", "!="):
            return (a == b) == (op == "==")
        if op in ("+", "-"):
            try:
                doing = "addition" if op == "+" else "subtraction"
                out = added(a, b, say, doing, 1.0 if op == "+" else -1.0)
            except IncompatibleSchemas:
                say("bucket layout", op)
                return None
            # a difference is no counter any more
            return replace(out.compact(), reset_hint=Reset.GAUGE if op == "-" else out.reset_hint)
    elif isinstance(a, Histogram) and isinstance(b, float):
        if op == "*":
            return a.scaled(b).compact()
        if op == "/":
            return a.divided(b).compact()
        if op in ("</", ">/"):
            return trimmed(a, b, upper=op == "</")
    elif isinstance(b, Histogram) and isinstance(a, float) and op == "*":
        return b.scaled(a).compact()
    say(f"binary types {kinds[0]} {kinds[1]}", op)
    return None


def total(members: Iterable[Histogram], say: Say, doing: str) -> tuple[Histogram, int]:
    """(sum, how many). Raises IncompatibleSchemas; there is at least one."""
    out: Histogram | None = None
    hints: set[Reset] = set()
    n = 0
    for one in members:
        n += 1
        hints.add(one.reset_hint)
        if out is None:
            out = one
            continue
        if bounds_differ(out, one):
            say("bounds reconciled", doing)
        out = out.plus(one)
    assert out is not None
    if {Reset.YES, Reset.NO} <= hints:
        say("reset collision", doing)
    return out.compact(), n


def mean_of(h: Histogram) -> float:
    return h.sum / h.count if h.count else math.nan


def variance_of(h: Histogram) -> float:
    """Estimated: every observation of a bucket stands at its middle (of exponential ones the geometric)."""
    if not h.count:
        return math.nan
    mean, out = h.sum / h.count, []
    for bucket in h.buckets():
        if bucket.count == 0:
            continue
        if h.custom:
            middle = (bucket.upper + bucket.lower) / 2
        elif bucket.lower <= 0 <= bucket.upper:
            middle = 0.0
        else:
            middle = math.copysign(math.sqrt(bucket.upper * bucket.lower), bucket.upper)
        out.append(bucket.count * (middle - mean) ** 2)
    return math.fsum(out) / h.count if all(map(math.isfinite, out)) else sum(out) / h.count


def _one_sided(h: Histogram, lower: float, upper: float) -> tuple[float, float]:
    """The zero bucket's bounds, where all other observations lie on one side of it."""
    if len(h.positive.index) and not len(h.negative.index):
        return 0.0, upper
    if len(h.negative.index) and not len(h.positive.index):
        return lower, 0.0
    return lower, upper


def quantile_of(q: float, h: Histogram, say: Say) -> float:
    """The q-quantile: linear within zero and custom buckets, exponential within the others."""
    if q < 0 or q > 1:
        return -math.inf if q < 0 else math.inf
    if h.count == 0 or math.isnan(q):
        return math.nan
    # NaN observations are in the count and in no bucket: then only from below does a rank mean anything
    forward = math.isnan(h.sum) or q < 0.5
    rank = (q if forward else 1 - q) * h.count
    found = [bucket for bucket in h.buckets() if bucket.count]
    count, bucket = 0.0, Bucket(0.0, 0.0, False, False, 0.0)
    for bucket in found if forward else reversed(found):
        count += bucket.count
        if count >= rank:
            break
    if not found:
        return math.nan
    lower, upper = bucket.lower, bucket.upper
    if h.custom:
        if lower == -math.inf:
            if upper <= 0:
                return upper
            lower = 0.0
        elif upper == math.inf:
            return lower
    elif lower < 0 < upper:
        lower, upper = _one_sided(h, lower, upper)
    count = min(count, h.count)
    if math.isnan(h.sum):
        if count < rank:
            say("quantile NaN", "")
            return math.nan
        if sum(one.count for one in found) < h.count:
            say("quantile skewed", "")
    rank = rank - (count - bucket.count) if forward else count - rank
    fraction = rank / bucket.count
    if h.custom or lower <= 0 <= upper:
        return lower + (upper - lower) * fraction
    low, high = math.log2(abs(lower)), math.log2(abs(upper))
    if lower > 0:
        return float(2.0 ** (low + (high - low) * fraction))
    return -float(2.0 ** (high + (low - high) * (1 - fraction)))


def _rank_within(h: Histogram, bucket: Bucket, value: float) -> float:
    """How many of a bucket's observations lie at or below a value inside it."""
    lower, upper = bucket.lower, bucket.upper
    if h.custom:
        if lower == -math.inf:
            if upper <= 0:
                return bucket.count
            lower = 0.0
        if upper == math.inf:
            return 0.0
    elif lower <= 0 <= upper:
        lower, upper = _one_sided(h, lower, upper)
    else:
        low, high, at = (math.log2(abs(one)) for one in (lower, upper, value))
        share = (at - low) / (high - low) if value > 0 else 1 - (at - high) / (low - high)
        return bucket.count * share
    if value <= lower:
        return 0.0
    return bucket.count * min((value - lower) / (upper - lower), 1.0)


def fraction_of(lower: float, upper: float, h: Histogram, say: Say) -> float:
    """The share of observations between two values."""
    if h.count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    found = [bucket for bucket in h.buckets() if bucket.count]
    whole = h.count
    if math.isnan(h.sum):
        whole = sum(one.count for one in found)
        if whole < h.count:
            say("fraction NaN", "")

    def rank(value: float) -> float:
        below = 0.0
        for bucket in found:
            if bucket.upper <= value:
                below += bucket.count
            elif bucket.lower < value:
                below += _rank_within(h, bucket, value)
        return min(below, whole)

    return (rank(upper) - rank(lower)) / h.count


def trimmed(h: Histogram, at: float, *, upper: bool) -> Histogram:
    """Without the observations above (`upper`) or below a value; a bucket it lies in is shared out."""
    if math.isnan(at):
        return h
    kept: dict[bool, tuple[list[int], list[float]]] = {True: ([], []), False: ([], [])}
    count = taken = 0.0
    zero = 0.0

    def part(bucket: Bucket) -> float:
        nonlocal taken
        if bucket.upper <= at:
            below = bucket.count
        elif bucket.lower >= at:
            below = 0.0
        else:
            below = _rank_within(h, bucket, at)
        stays = below if upper else bucket.count - below
        gone = bucket.count - stays
        if gone:
            edges = (max(bucket.lower, at), bucket.upper) if upper else (bucket.lower, min(bucket.upper, at))
            taken += gone * _middle(h, *edges)
        return stays

    for sign, one in ((False, h.negative), (True, h.positive)):
        for index, n in zip(one.index.tolist(), one.count.tolist(), strict=True):
            bounds = (h.bound(index - 1), h.bound(index)) if sign else (-h.bound(index), -h.bound(index - 1))
            stays = part(Bucket(*bounds, False, True, n))
            if stays:
                kept[sign][0].append(index)
                kept[sign][1].append(stays)
                count += stays
    if h.zero_count:
        zero = part(Bucket(-h.zero_threshold, h.zero_threshold, True, True, h.zero_count))
        count += zero
    return replace(
        h,
        zero_count=zero,
        count=count,
        sum=h.sum - taken if count else 0.0,
        positive=side_of(*kept[True]),
        negative=side_of(*kept[False]),
    )


def _middle(h: Histogram, lower: float, upper: float) -> float:
    """Where observations between two bounds stand on average."""
    if math.isinf(lower):
        return 0.0 if math.isinf(upper) else upper
    if math.isinf(upper):
        return lower
    if not h.custom and lower * upper > 0:
        return math.copysign(math.sqrt(lower * upper), upper)
    return (lower + upper) / 2


def text_of(h: Histogram) -> str:
    """A histogram as Prometheus writes it in a label's value."""
    shown = [f"count:{h.count:g}", f"sum:{h.sum:g}"]
    for b in h.buckets():
        left, right = "[" if b.lower_inclusive else "(", "]" if b.upper_inclusive else ")"
        shown.append(f"{left}{b.lower:g},{b.upper:g}{right}:{b.count:g}")
    return "{" + ", ".join(shown) + "}"
