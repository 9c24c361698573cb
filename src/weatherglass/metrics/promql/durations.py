"""Durations that are worked out when a query runs: `[5m * 2]`, `[step()]`, `offset (1h / 2)`. Pure; the tree is the parser's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from weatherglass.base.errors import Invalid

_MOST_S = 9.2e9


@dataclass(frozen=True, slots=True)
class Duration:
    """One operation on durations, in seconds; `where` is its `line:column`."""

    op: str  # + - * / % ^, neg, min, max, step, range
    args: tuple[Span, ...]
    where: str


Span = float | Duration
"""Seconds, known or still to be worked out."""


def _modulo(a: float, b: float) -> float:
    if b == 0:
        raise ZeroDivisionError
    return math.fmod(a, b)


_OPS: dict[str, Callable[..., float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": _modulo,
    "^": lambda a, b: a**b,
    "neg": lambda a: -a,
    "min": min,
    "max": max,
}


def seconds(span: Span, step_s: float, range_s: float, *, positive: bool = False) -> float:
    """The seconds of a span in a query of that step and range. Raises Invalid, with the position."""
    if not isinstance(span, Duration):
        return span
    try:
        found = _work_out(span, step_s, range_s)
    except ZeroDivisionError:
        raise Invalid("division by zero in a duration", where=span.where) from None
    if isinstance(found, complex) or not math.isfinite(found) or abs(found) > _MOST_S:
        raise Invalid("duration out of range", where=span.where)
    if positive and found < 0.001:
        raise Invalid("duration must be greater than 0", where=span.where)
    return found


def _work_out(span: Span, step_s: float, range_s: float) -> float:
    if not isinstance(span, Duration):
        return span
    if span.op == "step":
        return step_s
    if span.op == "range":
        return range_s
    try:
        return _OPS[span.op](*(_work_out(one, step_s, range_s) for one in span.args))
    except OverflowError:
        return math.inf
