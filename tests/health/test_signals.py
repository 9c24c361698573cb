"""The arithmetic of signals, against known values, other implementations and laws it must keep."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from weatherglass.health import signals

seconds = st.floats(0.0, 1e4, allow_nan=False)


@pytest.mark.parametrize(("deviations", "phi"), [(3, 2.9), (4, 4.5), (5, 6.5), (6, 9.0)])
def test_phi_is_that_of_the_normal_tail(deviations: int, phi: float) -> None:
    rhythm = signals.Rhythm()
    for beat in range(50):
        rhythm.beat(beat * 2.0, 2.0)
    # An even sender's deviation is the floor: 10 % of 2 s.
    assert rhythm.phi(98 + 2.0 + deviations * 0.2) == pytest.approx(phi, abs=0.06)


def test_early_heartbeats_tell_nothing_of_the_rhythm() -> None:
    even, lively = signals.Rhythm(), signals.Rhythm()
    for beat in range(50):
        even.beat(beat * 2.0, 2.0)
        lively.beat(beat * 2.0, 2.0)
        lively.beat(beat * 2.0 + 0.1, 2.0)
    assert lively.phi(98.1 + 5) == pytest.approx(even.phi(98 + 5), rel=0.2)


@given(st.lists(st.floats(0.5, 10), min_size=1, max_size=50), st.floats(0, 100), st.floats(0, 100))
def test_phi_never_falls_while_nothing_comes(gaps: list[float], one: float, more: float) -> None:
    rhythm, at = signals.Rhythm(), 0.0
    for gap in [0.0, *gaps]:
        at += gap
        rhythm.beat(at, 2.0)
    assert 0 <= rhythm.phi(at + one) <= rhythm.phi(at + one + more) < math.inf


def test_phi_is_finite_after_a_year_of_silence() -> None:
    assert 1e6 < signals.normal_tail_log10(1e6) < math.inf


@pytest.mark.parametrize(
    ("good", "total", "low", "high"),
    [(1, 10, 0.0179, 0.4042), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_against_published_values(good: int, total: int, low: float, high: float) -> None:
    assert signals.wilson(good, total) == pytest.approx((low, high), abs=2e-4)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_wilson_holds_the_share_within_zero_and_one(good: int, bad: int) -> None:
    low, high = signals.wilson(good, good + bad)
    assert 0 <= low <= high <= 1
    if good + bad:
        assert low - 1e-9 <= good / (good + bad) <= high + 1e-9


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.floats(-1e3, 1e3)),
        min_size=5,
        max_size=50,
        unique_by=lambda p: p[0],
    )
)
def test_theil_sen_is_that_of_scipy(points: list[tuple[int, float]]) -> None:
    points.sort()
    theirs = stats.theilslopes([y for _, y in points], [x for x, _ in points]).slope
    assert signals.theil_sen([(float(x), y) for x, y in points]) == pytest.approx(theirs, abs=1e-9)


def test_time_to_a_limit() -> None:
    rising = [(float(t), 0.5 + t / 1000) for t in range(0, 100, 5)]
    assert signals.time_to(rising, 0.95) == pytest.approx(355, rel=0.01)
    assert signals.time_to([(t, 0.5) for t, _ in rising], 0.95) == math.inf
    assert signals.time_to([], 1) == math.inf


@given(st.integers(0, 100_000), st.floats(0, 1000))
def test_a_burst_is_never_less_likely_than_it_is(count: int, mean: float) -> None:
    told = signals.burst_log10(count, mean)
    exact = -stats.poisson.logsf(count - 1, max(mean, 1e-3)) / math.log(10)
    assert told <= exact + 1e-6


def test_ten_errors_where_none_are_usual_are_a_burst_and_one_more_than_usual_is_not() -> None:
    assert signals.burst_log10(10, 0.1) > 4
    assert signals.burst_log10(12, 10) < 1


def test_a_robust_score_is_not_moved_by_an_outlier_of_the_past() -> None:
    calm = [0.10, 0.11, 0.09, 0.10, 0.12, 0.10]
    assert signals.robust_z(0.5, calm, 0.02) > 3.9
    assert signals.robust_z(0.5, [*calm, 50.0], 0.02) > 3.9
    assert signals.robust_z(0.5, calm[:3], 0.02) == 0
