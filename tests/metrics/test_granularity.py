"""Aggregates of a granularity against a plain definition, a group at a time."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.metrics.granularity import METHODS, aggregate

PLAIN = {
    "mean": statistics.fmean,
    "sum": math.fsum,
    "last": lambda values: values[-1],
    "max": max,
    "min": min,
    "std": statistics.stdev,
    "median": statistics.median,
    "first": lambda values: values[0],
    "count": len,
    "95pct": lambda values: float(np.percentile(values, 95)),
    "1pct": lambda values: float(np.percentile(values, 1)),
}

series = st.lists(
    st.tuples(st.integers(-10_000, 10_000), st.floats(-1e6, 1e6)),
    unique_by=lambda pair: pair[0],
    max_size=40,
).map(sorted)


def plainly(samples, granularity, method):
    """{start: aggregate} of one series, by the definition."""
    plain = method.removeprefix("rate:")
    if method.startswith("rate:"):
        samples = [(t, v - before) for (_, before), (t, v) in pairwise(samples)]
    groups = defaultdict(list)
    for t, v in samples:
        groups[math.floor(t / granularity) * granularity].append(v)
    return {t: PLAIN[plain](v) for t, v in groups.items() if plain != "std" or len(v) > 1}


@settings(max_examples=150, deadline=None)
@given(st.lists(series, min_size=1, max_size=5), st.integers(1, 5_000), st.sampled_from(["", "rate:"]))
def test_as_the_definition_says(many, granularity, prefix):
    bounds = np.cumsum([0] + [len(one) for one in many])
    flat = [pair for one in many for pair in one]
    times = np.array([t for t, _ in flat], np.int64)
    values = np.array([v for _, v in flat], np.float64)
    methods = [prefix + method for method in PLAIN]
    together = aggregate(times, values, granularity, methods, bounds)
    for k, one in enumerate(many):
        alone = aggregate(
            times[bounds[k] : bounds[k + 1]], values[bounds[k] : bounds[k + 1]], granularity, methods
        )
        part = slice(together.bounds[k], together.bounds[k + 1])
        assert together.starts[part].tolist() == alone.starts.tolist()
        assert together.counts[part].tolist() == alone.counts.tolist()
        for method in methods:
            expected = plainly(one, granularity, method)
            starts, found = alone.of(method)
            assert starts.tolist() == sorted(expected)
            assert found == pytest.approx([expected[t] for t in starts.tolist()], rel=1e-9, abs=1e-6)
            np.testing.assert_array_equal(together.columns[method][part], alone.columns[method])


def test_nothing_comes_of_nothing():
    found = aggregate(np.empty(0, np.int64), np.empty(0), 60, ["mean", "std", "rate:last"])
    assert found.of("mean")[0].tolist() == found.of("rate:last")[0].tolist() == []
    assert found.bounds.tolist() == [0, 0]


def test_every_method_is_computed():
    methods = [*METHODS, *(f"rate:{method}" for method in METHODS)]
    assert len(methods) == 216
    found = aggregate(np.array([0, 1, 61], np.int64), np.array([1.0, 2.0, 4.0]), 60, methods)
    assert set(found.columns) == set(methods)
    assert found.of("std") == (pytest.approx([0]), pytest.approx([math.sqrt(0.5)]))
    assert found.of("rate:mean") == (pytest.approx([0, 60]), pytest.approx([1.0, 2.0]))


@pytest.mark.parametrize("method", ["", "avg", "100pct", "0pct", "rate:rate:mean", "rate:"])
def test_no_such_method(method):
    with pytest.raises(Invalid):
        aggregate(np.array([0], np.int64), np.array([1.0]), 60, [method])


def test_no_such_granularity():
    with pytest.raises(Invalid):
        aggregate(np.array([0], np.int64), np.array([1.0]), 0, ["mean"])
