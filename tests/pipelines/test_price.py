"""Prices: the staircase of billing, and choices against a plain search of everything."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from weatherglass.base.errors import Invalid
from weatherglass.pipelines.fit import fit
from weatherglass.pipelines.price import Flavour, Prices, billed, offer
from weatherglass.pipelines.runs import make

SCALES = [1.0, 2, 4, 8, 16, 32]


def truth(n: float) -> float:
    return 60 + 3600 / n + 4 * n


FIT = fit(make(SCALES, [truth(n) for n in SCALES]))
SMALL = Flavour("small", 0.10, vcpus=2, memory=4 * 2**30, most=64, watts=90)
FAST = Flavour("fast", 0.35, vcpus=4, memory=16 * 2**30, speed=2.0, most=64, watts=160)


def prices(**more: object) -> Prices:
    return Prices({"small": SMALL, "fast": FAST}, **more)  # type: ignore[arg-type]


def test_billing_is_by_whole_units_and_no_less_than_the_minimum() -> None:
    table = prices(unit_s=3600, minimum_s=7200)
    assert billed(table, np.array([10.0, 7200.0, 7200.1])).tolist() == [7200, 7200, 10800]


@pytest.mark.parametrize("unit", [1.0, 60.0, 3600.0])
@pytest.mark.parametrize("deadline", [200.0, 400.0, 900.0, 4000.0])
def test_the_cheapest_within_a_deadline_is_near_the_exhaustive_optimum(unit: float, deadline: float) -> None:
    table = prices(unit_s=unit, boot_s=45)
    found = offer(table, {"": FIT}, deadline_s=deadline)
    best = math.inf
    for flavour in (SMALL, FAST):
        for n in range(1, 65):
            took = 45 + truth(n) / flavour.speed
            if took <= deadline:
                best = min(best, n * flavour.price * math.ceil(took / unit) * unit / 3600)
    if math.isinf(best):
        assert found.chosen is None and "nothing is done" in found.why
        return
    assert found.chosen is not None
    real = 45 + truth(found.chosen.n) / table.flavours[found.chosen.flavour].speed
    cost = found.chosen.n * table.flavours[found.chosen.flavour].price * math.ceil(real / unit) * unit / 3600
    assert cost <= best * 1.10
    assert real <= deadline * 1.03


def test_the_fastest_within_a_budget_costs_no_more() -> None:
    found = offer(prices(), {"": FIT}, budget=0.3)
    assert found.chosen is not None
    assert found.chosen.cost <= 0.3
    faster = [one for one in found.pareto if one.seconds < found.chosen.seconds * 0.999]
    assert all(one.cost > 0.3 for one in faster)


def test_nothing_affordable_is_said_with_what_the_cheapest_costs() -> None:
    found = offer(prices(), {"": FIT}, budget=0.001)
    assert found.chosen is None
    assert "the cheapest is" in found.why


def test_the_curve_never_gets_slower_and_dearer() -> None:
    curve = offer(prices(unit_s=600), {"": FIT}, budget=100).pareto
    assert len(curve) > 3
    for one, other in pairwise(curve):
        assert one.seconds <= other.seconds and one.cost > other.cost


def test_memory_that_does_not_fit_leaves_a_flavour_out() -> None:
    found = offer(prices(needs_memory=8 * 2**30), {"": FIT}, deadline_s=4000)
    assert found.chosen is not None and found.chosen.flavour == "fast"
    assert "do not fit" in found.left_out["small"]


def test_staging_and_own_machines_count() -> None:
    plain = offer(prices(), {"": FIT}, deadline_s=4000).chosen
    staged = offer(prices(stage_bytes=9e9, stage_rate=3e7), {"": FIT}, deadline_s=4000).chosen
    assert plain is not None and staged is not None
    assert staged.seconds >= plain.seconds + 299 or staged.n > plain.n
    own = offer(prices(on_site="small", pue=1.5, carbon=300.0), {"": FIT}, deadline_s=4000)
    assert own.on_site is not None and own.on_site.flavour == "small"
    assert own.chosen is not None and own.chosen.flavour == "fast"
    assert own.on_site.kwh == pytest.approx(own.on_site.n * 0.09 * own.on_site.seconds / 3600 * 1.5)
    assert own.on_site.carbon_g == pytest.approx(own.on_site.kwh * 300)


def test_a_price_needs_a_question() -> None:
    with pytest.raises(Invalid, match="neither a deadline nor a budget"):
        offer(prices(), {"": FIT})
