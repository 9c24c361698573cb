"""Native histograms in queries: selectors, operators, aggregations, functions, and what is said about them."""

import math
import struct

import numpy as np
import pytest

from promql.compare import shape
from weatherglass.base.errors import Invalid
from weatherglass.metrics.histogram import CUSTOM, Histogram, Reset, side
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.promql import EXPERIMENTAL, evaluate, parse
from weatherglass.metrics.types import STALE_BITS, Selection

STEP = 15_000
STALE = struct.unpack("<d", struct.pack("<q", STALE_BITS))[0]


def exponential(count, at=2, schema=0, total=None, hint=Reset.UNKNOWN):
    """All of `count` observations in bucket `at`."""
    return Histogram(
        schema,
        0.001,
        0.0,
        float(count),
        float(count if total is None else total),
        side([at], [count]),
        reset_hint=hint,
    )


def custom(counts, bounds, total=1.0):
    return Histogram(
        CUSTOM,
        count=float(sum(counts)),
        sum=total,
        positive=side(range(len(counts)), counts),
        custom_values=bounds,
    )


WORLD = {
    "requests": [exponential(4 * k) for k in range(8)],
    "restarted": [exponential(10), exponential(20), exponential(5), exponential(15)],
    "gauge": [exponential(k, hint=Reset.GAUGE) for k in (8, 4, 2)],
    "mixed": [exponential(4), 7.0, exponential(8)],
    "float": [1.0] * 8,
    "custom": [custom([0, 3 * k, k, 0], (1.0, 2.0, 4.0)) for k in range(8)],
    "ended": [exponential(4), Histogram(sum=STALE)],
    "odd": [Histogram(0, 0.001, 0, 4.0, math.nan, side([2], [3]))],
    "two_sided": [Histogram(0, 0.5, 2.0, 8.0, 3.0, side([1, 2], [2, 1]), side([1, 2], [2, 1]))],
}


def select(matchers, start_ms, end_ms):
    labels, times, values, natives = [], [], [], []
    for name, cells in WORLD.items():
        if not all(accepts(m)({"__name__": name}.get(m.name, "")) for m in matchers):
            continue
        kept = [(k * STEP, one) for k, one in enumerate(cells) if start_ms <= k * STEP <= end_ms]
        floats = [(t, one) for t, one in kept if isinstance(one, float)]
        held = [(t, one) for t, one in kept if isinstance(one, Histogram)]
        if not kept:
            continue
        labels.append((("__name__", name),))
        times.append(np.array([t for t, _ in floats], np.int64))
        values.append(np.array([v for _, v in floats], np.float64))
        natives.append((np.array([t for t, _ in held], np.int64), [one for _, one in held]))
    return Selection(labels, times, values, natives)


def ask(query, at=105_000, options=EXPERIMENTAL):
    return evaluate(parse(query, options), select, at, at, 1, options)


def only(query, at=105_000):
    """The single cell that a query comes to: a float or a Histogram; None where there is none."""
    found = ask(query, at)
    if not len(found.series):
        return None
    assert len(found.series) == 1 and found.present.all()
    cell = None if found.histograms is None else found.histograms[0, 0]
    return float(found.values[0, 0]) if cell is None else cell


@pytest.mark.parametrize(
    ("query", "at", "count"),
    [
        ("requests", 105, 28), ("requests offset 15s", 105, 24), ("requests @ 30", 105, 8), ("-requests", 15, -4),
        ("requests * 2", 15, 8), ("2 * requests", 15, 8), ("requests / 2", 15, 2), ("requests + requests", 15, 8),
        ("requests - (requests offset 15s)", 45, 4), ("sum(requests)", 15, 4), ("avg({__name__=~'requests|restarted'})", 15, 12),
        ("rate(requests[1m])", 105, 12 / 45 * (60 / 60)), ("increase(requests[1m])", 105, 16),
        ("delta(gauge[45s])", 30, -9), ("irate(requests[1m])", 105, 4 / 15), ("idelta(gauge[1m])", 30, -2),
        ("sum_over_time(requests[1m])", 105, 28 + 24 + 20 + 16), ("avg_over_time(requests[1m])", 105, 22),
        ("last_over_time(requests[1m])", 105, 28), ("first_over_time(requests[1m])", 105, 16),
        ("last_over_time(requests[1m:15s])", 105, 28), ("requests and float", 15, 4), ("requests == requests", 15, 4),
        ("label_replace(requests, 'a', 'b', '', '')", 15, 4),
    ],
)  # fmt: skip
def test_histograms_come_through(query, at, count):
    found = only(query, at * 1000)
    assert isinstance(found, Histogram)
    expected = {"rate(requests[1m])": 16 / 60}.get(query, count)
    assert math.isclose(found.count, expected)
    assert math.isclose(sum(b.count for b in found.buckets()), expected)


@pytest.mark.parametrize(
    ("query", "at", "value"),
    [
        ("histogram_count(requests)", 15, 4), ("histogram_sum(requests)", 15, 4), ("histogram_avg(requests)", 15, 1),
        ("histogram_quantile(0.5, requests)", 15, 2 * math.sqrt(2)), ("histogram_quantile(1, requests)", 15, 4),
        ("histogram_quantile(0, two_sided)", 0, -4), ("histogram_quantile(0.5, two_sided)", 0, 0),
        ("histogram_quantile(0.5, custom)", 15, 1 + 2 / 3), ("histogram_quantile(-1, requests)", 15, -math.inf),
        ("histogram_fraction(2, 4, requests)", 15, 1), ("histogram_fraction(0, 2, requests)", 15, 0),
        ("histogram_fraction(-Inf, 2 * 2 ^ 0.5, requests)", 15, 0.5), ("histogram_fraction(1, 2, custom)", 15, 0.75),
        ("histogram_stdvar(custom)", 15, (3 * 1.25**2 + 2.75**2) / 4), ("count(requests)", 15, 1), ("group(requests)", 15, 1),
        ("changes(requests[2m])", 105, 7), ("resets(restarted[1m])", 45, 1), ("changes(mixed[1m])", 30, 2),
        ("resets(mixed[1m])", 30, 2), ("count_over_time(mixed[1m])", 30, 3), ("present_over_time(requests[1m])", 15, 1),
        ("ts_of_last_over_time(requests[1m])", 30, 30), ("timestamp(requests)", 20, 15), ("requests == bool requests", 15, 1),
        ("requests != bool requests", 15, 0), ("max_over_time(mixed[1m])", 30, 7), ("absent(float)", 999_999, 1),
    ],
)  # fmt: skip
def test_histograms_come_to_numbers(query, at, value):
    assert math.isclose(only(query, at * 1000), value, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("ended", 15), ("abs(requests)", 15), ("requests > 1", 15), ("requests + 1", 15), ("1 / requests", 15),
        ("requests and on() ended", 15), ("absent(requests)", 15), ("rate(mixed[1m])", 30), ("vector(scalar(requests)) == 4", 15),
        ("sum({__name__=~'requests|float'})", 15), ("sum({__name__=~'requests|custom'})", 15), ("requests != requests", 15),
        ("max(requests)", 15), ("topk(1, requests)", 15), ("sort(requests)", 15), ("deriv(requests[1m])", 105),
    ],
)  # fmt: skip
def test_nothing_is_left(query, at):
    assert only(query, at * 1000) is None


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rate(mixed[1m])", 'PromQL warning: encountered a mix of histograms and floats for metric name "mixed" (1:6)'),
        ("rate(gauge[1m])", 'PromQL warning: this native histogram metric is not a counter: "gauge" (1:6)'),
        ("delta(restarted[1m])", 'PromQL warning: this native histogram metric is not a gauge: "restarted" (1:7)'),
        ("sum({__name__=~'requests|float'})", "PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)"),
        ("requests + custom", "PromQL warning: incompatible bucket layout encountered for binary operator + (1:1)"),
        ("requests + on() float", 'PromQL info: incompatible sample types encountered for binary operator "+": histogram + float (1:1)'),
        ("1 / requests", 'PromQL info: incompatible sample types encountered for binary operator "/": float / histogram (1:1)'),
        ("max(requests)", "PromQL info: ignored histogram in max aggregation (1:5)"),
        ("max_over_time(mixed[1m])", 'PromQL info: ignored histograms in a range containing both floats and histograms for metric name "mixed" (1:15)'),
        ("histogram_quantile(1, odd)", 'PromQL info: input to histogram_quantile has NaN observations, result is NaN for metric name "odd" (1:23)'),
        ("histogram_quantile(0.1, odd)", 'PromQL info: input to histogram_quantile has NaN observations, result is skewed higher for metric name "odd" (1:25)'),
    ],
)  # fmt: skip
def test_what_is_said(query, said):
    found = ask(query, 0 if "odd" in query else 30_000)
    assert said in found.warnings + found.infos, (found.warnings, found.infos)


def test_resets_are_mended_in_rates():
    # 10 → 20, restart, 5 → 15: 10 and 5 and 10, over 45 s; both edges lie a window's half interval off at most
    grown = only("increase(restarted[46s])", 45_000)
    assert math.isclose(grown.count, 25 * (45 + 1) / 45)
    assert grown.reset_hint is Reset.GAUGE


def test_a_range_query_has_a_histogram_a_step():
    found = evaluate(parse("requests"), select, 0, 45_000, STEP)
    assert [one.count for one in found.histograms[0]] == [0, 4, 8, 12]
    raw = evaluate(parse("mixed[1m]"), select, 30_000, 30_000, 1)
    assert raw.present.all() and [one is None for one in raw.histograms[0]] == [False, True, False]


def test_trimming_shares_a_bucket_out():
    below, above = only("custom </ 1.5", 15_000), only("custom >/ 1.5", 15_000)
    assert below.count == 1.5 and above.count == 2.5
    assert only("requests </ 2", 15_000).count == 0 and only("requests >/ 2", 15_000).count == 4


def test_quantiles_at_once():
    found = shape(ask('histogram_quantiles(custom, "q", 0.5, 1)', 15_000))
    assert {dict(one)["q"] for one in found} == {"0.5", "1"}


def test_anchored_windows_of_histograms_are_refused():
    with pytest.raises(Invalid, match="do not work with native histograms"):
        ask("increase(requests[1m] anchored)")
