"""`remedies:` the guard rails of what the house may do by itself."""

from __future__ import annotations

import re

from weatherglass.base.units import parse_duration
from weatherglass.site.fields import Field, ListOf, Record, Scalar, choice, whole
from weatherglass.site.model import Remedies
from weatherglass.site.section import Section

KNOWN = ("restart", "grow", "move", "rollback", "fence")

_BUDGET = re.compile(r"(\d{1,6})/(minute|hour|day|\d+(?:ms|s|m|h|d|w))")
_SPANS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}


def _budget(text: str) -> tuple[int, float]:
    form = _BUDGET.fullmatch(text)
    span = (_SPANS.get(form[2]) or parse_duration(form[2])) if form else 0.0
    if not form or span <= 0:
        raise ValueError(f"{text!r} is not a budget; write one like 6/hour or 20/day")
    return int(form[1]), span


def _build(budget: tuple[int, float], approve: tuple[str, ...], quarantine_after: int) -> Remedies:
    return Remedies(*budget, approve, quarantine_after)


SECTION = Section(
    name="remedies",
    type=Record(
        {
            "budget": Field(
                Scalar(_budget, {"type": "string"}, "a budget like 6/hour"),
                "how many remedies in a span without a person's yes",
                (6, 3600.0),
                "default: 6/hour",
            ),
            "approve": Field(
                ListOf(choice(*KNOWN)),
                "remedies that wait for a yes",
                ("fence", "rollback"),
                "default: fence, rollback",
            ),
            "quarantine_after": Field(
                whole(1, 1000), "failed starts within 10 min after which a replica is left alone", 3
            ),
        },
        _build,
    ),
    doc="What the house may do by itself, and what waits for a yes.",
    empty=Remedies(),
)
