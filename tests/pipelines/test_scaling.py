"""Laws, fits, answers: what was put in comes out, and bands hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.pipelines.answers import answer
from weatherglass.pipelines.fit import fit, solve
from weatherglass.pipelines.laws import LAWS, matrix
from weatherglass.pipelines.runs import make, read_csv

SCALES = [1.0, 2.0, 4.0, 8.0, 16.0]


@given(
    name=st.sampled_from(sorted(LAWS)),
    theta=st.lists(st.floats(0.01, 100), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
def test_coefficients_come_back_from_runs_without_noise(name: str, theta: list[float], seed: int) -> None:
    law = LAWS[name]
    random = np.random.default_rng(seed)
    n = np.array([1.0, 2, 4, 8, 16, 32] * 2)
    s = random.uniform(0.1, 1.0, len(n)) if law.sized else np.ones(len(n))
    terms = matrix(law, n, s)
    wanted = np.array(theta[: terms.shape[1]])
    seconds = terms @ wanted
    found = solve(terms, seconds[None])[0]
    assert (found >= 0).all()
    assert np.allclose(terms @ found, seconds, rtol=1e-6)


def test_the_best_n_of_the_universal_law_is_where_its_formula_says() -> None:
    sigma, kappa, t1 = 0.02, 0.0005, 300.0
    seconds = [t1 * (1 + sigma * (n - 1) + kappa * n * (n - 1)) / n for n in (*SCALES, 32.0, 64.0)]
    found = answer(fit(make([*SCALES, 32.0, 64.0], seconds)), [128.0])
    assert found.n_star.at == pytest.approx(math.sqrt((1 - sigma) / kappa), rel=0.08)
    assert found.n_star.low <= math.sqrt((1 - sigma) / kappa) <= found.n_star.high
    assert found.enough


def test_a_sum_of_fixed_parallel_and_linear_work_is_recovered() -> None:
    """The case on which Extra-P's defaults fit a constant."""
    scales = [1.0, 2, 4, 8, 16, 32]
    found = fit(make(scales, [5 + 100 / n + 0.8 * n for n in scales]))
    ernest = next(one for one in found.laws if one.name == "ernest")
    assert ernest.theta == pytest.approx([5, 100, 0, 0.8], abs=1e-6)
    assert found.seconds(np.array([64.0]))[0] == pytest.approx(5 + 100 / 64 + 0.8 * 64, rel=0.03)


def test_bands_hold_nine_runs_of_ten_beyond_what_was_run() -> None:
    random = np.random.default_rng(11)
    inside = []
    for trial in range(150):
        serial, rise, noise = random.uniform(0.01, 0.2), random.choice([0, 1e-4, 1e-3]), 0.05

        def law(n: np.ndarray, serial: float = serial, rise: float = rise) -> np.ndarray:
            return 100 * (1 + serial * (n - 1) + rise * n * (n - 1)) / n

        n = np.repeat(SCALES, 1 + trial % 2)
        runs = make(list(n), list(law(n) * np.exp(noise * random.standard_normal(len(n)))))
        beyond = np.array([32.0])
        low, high = fit(runs, draws=400).band(beyond)
        took = law(beyond) * np.exp(noise * random.standard_normal(1))
        inside.append(bool(low[0] <= took[0] <= high[0]))
    assert 0.83 <= np.mean(inside) <= 0.98


def test_too_little_is_said_with_the_run_that_tells_most() -> None:
    found = answer(fit(make([1, 2], [100, 60])), [8])
    assert not found.enough
    assert "2 scales" in found.why
    assert found.next is not None and found.next.n not in (1, 2)
    one = answer(fit(make([4], [100])), [8])
    assert not one.enough
    prediction = one.predictions[0]
    assert prediction.low < 70 and prediction.high > 95  # from perfect speed-up to none at all


def test_the_next_run_narrows_the_band() -> None:
    truth = {n: 20 + 200 / n + 0.5 * n for n in range(1, 200)}
    n = [1.0, 2.0, 4.0]
    before = answer(fit(make(n, [truth[int(one)] for one in n])), [64])
    assert before.next is not None
    n.append(float(before.next.n))
    after = answer(fit(make(n, [truth[int(one)] for one in n])), [64])
    width = [one.predictions[0].high / one.predictions[0].low for one in (before, after)]
    assert width[1] < width[0]


def test_sizes_tell_work_that_grows_from_work_that_does_not() -> None:
    n = [1.0, 1, 2, 2, 4, 4, 8, 8]
    size = [10.0, 100] * 4
    found = fit(make(n, [30 + 2 * s / k for k, s in zip(n, size, strict=True)], size))
    assert found.seconds(np.array([16.0]), found.runs.relative(200.0))[0] == pytest.approx(
        30 + 2 * 200 / 16, rel=0.15
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing in it"),
        ("nodes,seconds\n1,2\n", "no column n"),
        ("n,seconds\n", "no runs"),
        ("n,seconds\n1,2\n0,3\n", "out of range"),
        ("n,seconds\n1,-2\n", "out of range"),
        ("n,seconds\n1,nan\n", "out of range"),
        ("n,seconds\nfour,2\n", "not a number"),
        ("n,seconds\n1\n", "not a number"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read_csv(text)


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    try:
        runs = read_csv(text)
    except Invalid:
        return
    assert (runs.seconds > 0).all() and (runs.n >= 1).all()
