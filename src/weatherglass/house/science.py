"""The pipelines' local doors: files in, plain values out, for the command line. No server is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.house.texts import text_of
from weatherglass.pipelines import pricelist, runs
from weatherglass.pipelines.answers import Answer, Interval, answer
from weatherglass.pipelines.fit import Fit, fit
from weatherglass.pipelines.laws import LAWS
from weatherglass.pipelines.price import Choice, offer


def _plain(interval: Interval) -> dict[str, float | None]:
    """An interval for JSON, in which there is no infinity: null."""
    return {name: value if math.isfinite(value) else None for name, value in asdict(interval).items()}


def fitted(path: Path, predict: Sequence[float], size: float | None, most: int = 0) -> dict[str, Any]:
    """What the runs in a CSV tell. Raises Invalid."""
    for n in predict:
        if not (math.isfinite(n) and n >= 1):
            raise Invalid(f"{n:g} instances cannot be predicted", where="--predict", mend="1 or more")
    if size is not None and not (math.isfinite(size) and size > 0):
        raise Invalid(f"{size:g} is no size", where="--size", mend="more than 0")
    return told_of(runs.read_csv(text_of(path), str(path)), predict, most, size)


def told_of(
    measured: runs.Runs, predict: Sequence[float], most: int = 0, size: float | None = None
) -> dict[str, Any]:
    """What runs tell: the laws, and the answers on them."""
    found = fit(measured)
    told = answer(found, predict, measured.relative(size), most)
    return {**_laws(found), **_answers(told)}


def _laws(found: Fit) -> dict[str, Any]:
    def one(number: int) -> dict[str, Any]:
        law = found.laws[number]
        return {
            "law": law.name,
            "parameters": dict(LAWS[law.name].parameters(law.theta)),
            "held_out_error": law.held_out if math.isfinite(law.held_out) else None,
            "weight": law.weight,
        }

    best = one(0)
    return {
        **best,
        "noise": found.best.sigma,
        "others": [one(number) for number in range(1, len(found.laws))],
    }


def _answers(told: Answer) -> dict[str, Any]:
    return {
        "n_star": _plain(told.n_star),
        "knee": _plain(told.knee),
        "stop_paying": _plain(told.stop_paying),
        "predictions": [asdict(one) for one in told.predictions],
        "enough": told.enough,
        "why": told.why,
        "next": asdict(told.next) if told.next else None,
    }


def priced(
    path: Path,
    prices: Path,
    *,
    deadline_s: float | None,
    budget: float | None,
    size: float | None,
    confidence: float,
    most: int = 0,
) -> dict[str, Any]:
    """What to choose for the runs in a CSV at the prices of a table. Raises Invalid."""
    table = pricelist.read(text_of(prices), str(prices))
    measured = runs.read_flavours(text_of(path), str(path))
    fits = {flavour: fit(one) for flavour, one in measured.items()}
    strangers = sorted(set(fits) - {"", *table.flavours})
    if strangers:
        raise Invalid(
            f"{strangers[0]} has runs and no price",
            where=str(prices),
            mend=f"a flavour {strangers[0]} with its price",
        )
    first = next(iter(measured.values()))
    found = offer(
        table,
        fits,
        deadline_s=math.inf if deadline_s is None else deadline_s,
        budget=math.inf if budget is None else budget,
        size=first.relative(size),
        confidence=confidence,
        most=most,
    )
    return {
        "currency": table.currency,
        "choice": _choice(found.chosen),
        "why": found.why,
        "pareto": [_choice(one) for one in found.pareto],
        "on_site": _choice(found.on_site),
        "left_out": dict(found.left_out),
    }


def _choice(one: Choice | None) -> dict[str, Any] | None:
    return asdict(one) if one else None
