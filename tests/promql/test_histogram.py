"""Native histograms: bytes and algebra."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt, Invalid
from weatherglass.metrics.histogram import (
    CUSTOM,
    Histogram,
    IncompatibleSchemas,
    Reset,
    bound,
    bounds_differ,
    checked,
    hints_collide,
    side,
    unpack,
)


@st.composite
def sides(draw, low=-40, high=40):
    counts = draw(st.dictionaries(st.integers(low, high), st.integers(0, 1000), max_size=8))
    return side(sorted(counts), [counts[k] for k in sorted(counts)])


@st.composite
def exponential(draw):
    positive, negative, zero = draw(sides()), draw(sides()), draw(st.integers(0, 100))
    total = float(positive.count.sum() + negative.count.sum() + zero)
    return checked(
        Histogram(
            draw(st.integers(-4, 8)), draw(st.sampled_from((0.0, 1e-9, 0.001, 1.0))), float(zero), total,
            draw(st.integers(-1000, 1000).map(float)), positive, negative, (), draw(st.sampled_from(Reset)),
        )
    )  # fmt: skip


@st.composite
def custom(draw):
    bounds = tuple(sorted(draw(st.sets(st.integers(-20, 20).map(float), max_size=6))))
    positive = draw(sides(0, len(bounds)))
    return checked(
        Histogram(CUSTOM, count=float(positive.count.sum()), sum=1.0, positive=positive, custom_values=bounds)
    )


anything = exponential() | custom()


@given(anything)
def test_bytes_come_back(one):
    again = unpack(one.pack())
    assert again == one and again.reset_hint is one.reset_hint and again.pack() == one.pack()


@given(anything, st.data())
def test_cut_bytes_are_refused(one, data):
    packed = one.pack()
    with pytest.raises(Corrupt):
        unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])


@given(anything)
def test_buckets_ascend_and_count_up_to_the_whole(one):
    found = list(one.buckets())
    assert sum(b.count for b in found) == one.count
    assert all(b.lower <= b.upper for b in found)
    if one.zero_threshold:  # buckets may lie inside the zero bucket until it is widened
        return
    assert [b.upper for b in found if b.count] == sorted(b.upper for b in found if b.count)


@given(exponential(), exponential())
def test_what_is_added_can_be_taken_away(a, b):
    whole = a.plus(b)
    assert whole.count == a.count + b.count and whole.schema == min(a.schema, b.schema)
    assert math.isclose(sum(x.count for x in whole.buckets()), whole.count)
    assert whole.zero_threshold >= max(a.zero_threshold, b.zero_threshold)
    assert whole == b.plus(a)
    left = whole.minus(b)
    assert left.count == a.count and left.sum == a.sum


@given(custom(), custom())
def test_custom_bounds_are_reconciled(a, b):
    whole = a.plus(b)
    assert whole.count == sum(x.count for x in whole.buckets()) == a.count + b.count
    assert set(whole.custom_values) == set(a.custom_values) & set(b.custom_values)
    assert bounds_differ(a, b) == (a.custom_values != b.custom_values)


@given(exponential())
def test_nothing_is_reset_since_itself_and_more_of_it(one):
    plain = Histogram(
        one.schema, one.zero_threshold, one.zero_count, one.count, one.sum, one.positive, one.negative
    )
    assert not plain.reset_since(plain) and not plain.plus(plain).reset_since(plain)
    if plain.count:
        assert plain.reset_since(plain.plus(plain))


def test_schemas_do_not_mix():
    with pytest.raises(IncompatibleSchemas):
        Histogram().plus(Histogram(CUSTOM))


def test_bounds():
    assert [bound(0, i) for i in (-1, 0, 1, 2)] == [0.5, 1, 2, 4]
    assert [bound(-1, i) for i in (0, 1, 2)] == [1, 4, 16]
    assert bound(1, 1) == math.sqrt(2) and bound(8, 256) == 2
    assert bound(0, 1024) == np.finfo(float).max and bound(0, 1025) == math.inf
    assert [bound(CUSTOM, i, (1.0, 2.0)) for i in (-1, 0, 1, 2)] == [-math.inf, 1, 2, math.inf]


def test_hints():
    a, b = Histogram(reset_hint=Reset.YES), Histogram(reset_hint=Reset.NO)
    assert hints_collide(a, b) and a.plus(b).reset_hint is Reset.UNKNOWN
    assert a.plus(Histogram(reset_hint=Reset.GAUGE)).reset_hint is Reset.GAUGE
    assert a.scaled(-1).reset_hint is Reset.GAUGE
    assert a.reset_since(a) and not b.reset_since(Histogram(count=5))


@pytest.mark.parametrize("wrong", [
    Histogram(9), Histogram(0, positive=side([2, 1], [1, 1])), Histogram(CUSTOM, custom_values=(2.0, 1.0)),
    Histogram(0, custom_values=(1.0,)), Histogram(CUSTOM, positive=side([2], [1]), custom_values=(1.0,)),
])  # fmt: skip
def test_what_is_no_histogram_is_refused(wrong):
    with pytest.raises(Invalid):
        checked(wrong)
