"""The kernels of windows and folds against plain numpy, on any small data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.kernels import folds, windows
from weatherglass.metrics.types import STALE_BITS

number = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-5, 5).map(float), st.sampled_from((np.nan, np.inf, -np.inf))
)


@st.composite
def columns(draw, values=number):
    """Flat columns of a few series, and the steps that ask."""
    times, held, lengths = [], [], []
    for _ in range(draw(st.integers(1, 4))):
        mine = sorted(draw(st.sets(st.integers(0, 60), max_size=14)))
        times += mine
        held += [draw(values) for _ in mine]
        lengths.append(len(mine))
    starts = np.cumsum([0, *lengths[:-1]])
    ends = np.array(sorted(draw(st.lists(st.integers(-5, 70), min_size=1, max_size=12))), np.int64)
    width = draw(st.integers(1, 80))
    return (
        np.array([*times, 0], np.int64), np.array([*held, 0.0]), starts.astype(np.int64),
        np.array(lengths, np.int64), ends, width,
    )  # fmt: skip


def each(data):
    """(series, step, the values in the window)."""
    times, values, starts, lengths, ends, width = data
    for i, (a, n) in enumerate(zip(starts, lengths, strict=True)):
        t, v = times[a : a + n], values[a : a + n]
        for k, end in enumerate(ends):
            yield i, k, v[(t > end - width) & (t <= end)]


def cut(data):
    times, _, starts, lengths, ends, width = data
    return windows.edges(times, starts, lengths, ends, width)


@given(columns())
def test_edges_cut_what_lies_in_each_window(data):
    clock_of, lo, hi = cut(data)
    for i, k, inside in each(data):
        a, b = lo[clock_of[i], k], hi[clock_of[i], k]
        assert np.array_equal(data[1][data[2][i] + a : data[2][i] + b], inside, equal_nan=True)


@pytest.mark.parametrize("largest", [True, False])
@given(data=columns())
def test_extremes(largest, data):
    out = np.empty((len(data[2]), len(data[4])))
    windows.extremes(data[1], data[2], *cut(data), largest, out, 0, len(out))
    for i, k, inside in each(data):
        real = inside[~np.isnan(inside)]
        wanted = (max(real) if largest else min(real)) if len(real) else (np.nan if len(inside) else 0.0)
        assert np.array_equal(out[i, k], wanted, equal_nan=True)


@given(columns(st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float)))
def test_sums_and_variances(data):
    shape = len(data[2]), len(data[4])
    out, spread = np.empty(shape), np.empty(shape)
    windows.sums(data[1], data[2], *cut(data), out, 0, len(out))
    windows.variances(data[1], data[2], *cut(data), spread, 0, len(out))
    for i, k, inside in each(data):
        assert np.isclose(out[i, k], inside.sum(), rtol=1e-12, atol=1e-9)
        assert np.isclose(spread[i, k], inside.var() if len(inside) else 0.0, rtol=1e-9, atol=1e-9)


@given(columns(st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float)), st.floats(0, 1))
def test_quantiles(data, q):
    out = np.empty((len(data[2]), len(data[4])))
    windows.quantiles(data[1], data[2], *cut(data), np.full(len(data[4]), q), out, 0, len(out))
    for i, k, inside in each(data):
        assert np.isclose(out[i, k], np.quantile(inside, q) if len(inside) else 0.0, rtol=1e-9, atol=1e-9)


def test_a_stale_marker_is_seen_and_no_other_nan():
    stale = np.array([STALE_BITS], np.int64).view(np.float64)
    assert windows.ended(np.append(np.ones(9), stale)) and not windows.ended(np.array([np.nan, 1.0]))


def test_series_outside_the_columns_are_refused():
    times = np.zeros(3, np.int64)
    with pytest.raises(IndexError):
        windows.edges(times, np.array([0, 2]), np.array([2, 2]), np.array([1]), 5)
    with pytest.raises(IndexError):
        folds.extremes(np.zeros((1, 1)), np.ones((1, 1), np.uint8), np.array([1]), True, np.zeros((1, 1)))


@st.composite
def table(draw):
    rows, steps, groups = draw(st.integers(1, 8)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    cells = st.lists(number, min_size=steps, max_size=steps)
    values = np.array(draw(st.lists(cells, min_size=rows, max_size=rows)))
    there = draw(
        st.lists(st.lists(st.booleans(), min_size=steps, max_size=steps), min_size=rows, max_size=rows)
    )
    of = draw(st.lists(st.integers(0, groups - 1), min_size=rows, max_size=rows))
    return values, np.array(there, np.uint8), np.array(of, np.int64), groups


@given(table(), st.integers(0, 5), st.booleans())
def test_tops(made, wanted, largest):
    values, present, of, groups = made
    steps = values.shape[1]
    best, rows = np.empty((groups, steps, 5)), np.empty((groups, steps, 5), np.int64)
    held = np.zeros((groups, steps), np.int64)
    folds.tops(values, present, of, np.full(steps, wanted, np.int64), largest, best, rows, held)
    for g in range(groups):
        for k in range(steps):
            mine = [i for i in range(len(of)) if of[i] == g and present[i, k]]
            mine.sort(
                key=lambda i, k=k: (np.isnan(values[i, k]), -values[i, k] if largest else values[i, k], i)
            )
            assert rows[g, k, : held[g, k]].tolist() == mine[:wanted]


@given(table())
def test_folded_sums_and_extremes(made):
    values, present, of, groups = made
    shape = groups, values.shape[1]
    out, lost, count, most = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.full(shape, np.nan)
    folds.sums(values, present, of, out, lost, count)
    folds.extremes(values, present, of, True, most)
    for g in range(groups):
        for k in range(shape[1]):
            mine = values[(of == g) & (present[:, k] == 1), k]
            assert count[g, k] == len(mine)
            if np.isfinite(mine).all():
                assert np.isclose(out[g, k] + lost[g, k], mine.sum(), rtol=1e-12, atol=1e-9)
            real = mine[~np.isnan(mine)]
            assert np.array_equal(most[g, k], max(real) if len(real) else np.nan, equal_nan=True)
