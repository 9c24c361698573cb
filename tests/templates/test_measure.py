"""The formulas, on cases worked out by hand."""

import pytest

from templates.measure import scores, template_of


def test_all_right():
    assert scores(["a", "a", "b"], [1, 1, 2], ["a", "a", "b"]) == (1, 1, 1, 1)


def test_one_group_split_in_two():
    # Right: b alone. Predicted groups 3, true 2: F1 = 2·1/5.
    assert scores(["a", "a", "b"], [1, 3, 2], ["a", "a", "b"]) == pytest.approx((1 / 3, 0.4, 1, 0.4))


def test_two_groups_made_one():
    assert scores(["a", "b", "c"], [1, 1, 2], ["a", "a", "c"]) == pytest.approx((1 / 3, 0.4, 2 / 3, 0.4))


def test_right_group_with_another_text():
    assert scores(["a", "a", "b"], [1, 1, 2], ["x", "x", "b"]) == pytest.approx((1, 1, 1 / 3, 0.5))


def test_nothing_right():
    assert scores(["a", "b"], [1, 1], ["c", "c"]) == (0, 0, 0, 0)


def test_directives_are_variables():
    assert (
        template_of("took %0.2f of 100%% on %(host)s: %r", formatted=True) == "took <*> of 100% on <*>: <*>"
    )
    assert template_of("100%s", formatted=False) == "100%s"
