"""The operations language: s-expressions or nested lists, checked to a tree and computed over a grid. Pure.

What there is to compute is in tables; the check, the evaluator and the reference page read them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import voluptuous as v

from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.errors import Bad
from weatherglass.metrics.types import FloatArray

Node = list[Any]
Statistic = Callable[..., Any]

STATISTICS: dict[str, Statistic] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "std": np.nanstd,
    "min": np.nanmin,
    "max": np.nanmax,
    "sum": np.nansum,
    "var": np.nanvar,
    "count": lambda values, axis: np.count_nonzero(~np.isnan(values), axis=axis).astype(np.float64),
}
"""What `aggregate` and `rolling` compute, and as `rate:…` the differences of it from point to point."""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("=", "==", "eq"), np.equal),
    **dict.fromkeys(("<", "lt"), np.less),
    **dict.fromkeys((">", "gt"), np.greater),
    **dict.fromkeys(("<=", "≤", "le"), np.less_equal),
    **dict.fromkeys((">=", "≥", "ge"), np.greater_equal),
    **dict.fromkeys(("!=", "≠", "ne"), np.not_equal),
    **dict.fromkeys(("%", "mod"), np.mod),
    **dict.fromkeys(("+", "add"), np.add),
    **dict.fromkeys(("-", "sub"), np.subtract),
    **dict.fromkeys(("*", "×", "mul"), np.multiply),
    **dict.fromkeys(("/", "÷", "div"), np.true_divide),
    **dict.fromkeys(("**", "^", "pow"), np.float_power),
    "clip_min": lambda values, low: np.clip(values, low, None),
    "clip_max": lambda values, high: np.clip(values, None, high),
    "max": np.fmax,
}
TERNARY: dict[str, Callable[[Any, Any, Any], Any]] = {"clip": np.clip}
UNARY: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("abs", "absolute"), np.absolute),
    **dict.fromkeys(("neg", "negative"), np.negative),
    "cos": np.cos,
    "sin": np.sin,
    "tan": np.tan,
    "floor": np.floor,
    "ceil": np.ceil,
}


def _change(times_ns: Any, values: FloatArray) -> tuple[Any, FloatArray]:
    return times_ns[1:], np.diff(values, axis=0)


def _change_a_second(times_ns: Any, values: FloatArray) -> tuple[Any, FloatArray]:
    found = np.full_like(values, np.nan, dtype=np.float64)
    if len(times_ns) > 1:
        found[1:] = np.diff(values, axis=0) / (np.diff(times_ns)[:, None] / times.SECOND_NS)
    return times_ns, found


CHANGES: dict[str, Callable[[Any, FloatArray], tuple[Any, FloatArray]]] = {
    "rateofchange": _change,
    "rateofchangesec": _change_a_second,
}
OVER = {*STATISTICS, *(f"rate:{name}" for name in STATISTICS)}
RESAMPLE = (OVER - {"var", "rate:var"}) | {"first", "last"} | {f"{n}pct" for n in range(1, 100)}


# --- from text to a tree ---------------------------------------------------------------------------------

_TOKENS = re.compile(r"""\s*(?:([()])|"([^"]*)"|'([^']*)'|([^\s()]+))""")


def read(text: str) -> Any:
    """Nested lists of the first s-expression. Raises Bad."""
    stack: list[list[Any]] = []
    text = text.rstrip()
    place = 0
    while place < len(text):
        found = _TOKENS.match(text, place)
        if found is None:
            raise _unread(text, place, "term")
        mark, word = found[1], found[2] or found[3] or found[4]
        if mark == "(":
            if len(stack) > 64:
                raise _unread(text, place, "fewer parentheses")
            stack.append([])
        elif not stack:
            raise _unread(text, place, "'('")
        elif mark == ")":
            done = stack.pop()
            if not stack:
                return done
            stack[-1].append(done)
        else:
            stack[-1].append(word)
        place = found.end()
    raise _unread(text, len(text), "')'")


def _unread(text: str, place: int, wanted: str) -> Bad:
    seen = repr(text[place]) if place < len(text) else "end of text"
    return Bad(
        {
            "cause": "Invalid operations",
            "reason": "Fail to parse the operations string",
            "detail": f"Expected {wanted}, found {seen}  (at char {place}), (line:1, col:{place + 1})",
        }
    )


# --- the check -------------------------------------------------------------------------------------------


def _metric(value: Any) -> Node:
    if not isinstance(value, list | tuple):
        raise v.Invalid(f"Expected a tuple/list, got a {type(value)}")
    if not value:
        raise v.Invalid("Operation must not be empty")
    if len(value) < 2:
        raise v.Invalid("Operation need at least one argument")
    if value[0] != "metric":
        raise v.Invalid(f"'{value[0]}' operation invalid")
    pair = v.ExactSequence([str, str])
    rest = v.Schema(v.Any(pair, v.All(v.Length(min=1), [pair])), required=True)(list(value[1:]))
    return ["metric", *rest]


def _part(value: Any) -> Any:
    return _PART(value)


def _sequence(names: Any, *rest: Any) -> v.ExactSequence:
    return v.ExactSequence([names if isinstance(names, str) else v.Any(*names), *rest])


def _span(value: Any) -> int:
    try:
        return times.span(value)
    except ValueError as error:
        raise v.Invalid(str(error)) from error


_FORMS = (
    _metric,
    _sequence(TERNARY, _part, _part, _part),
    _sequence(BINARY, _part, _part),
    _sequence(TERNARY, _part, _part),
    _sequence(UNARY, _part),
    _sequence(CHANGES, _part),
    _sequence("aggregate", v.Any(*sorted(OVER)), _part),
    _sequence("resample", v.Any(*sorted(RESAMPLE)), _span, _part),
    _sequence("rolling", v.Any(*sorted(OVER)), v.All(v.Coerce(int), v.Range(min=1)), _part),
)
_PART = v.Schema(v.Any(*_FORMS, v.Coerce(float)), required=True)
_WHOLE = v.Schema(v.Any(*_FORMS), required=True)


def checked(value: Any) -> Node:
    """A tree of a request's `operations`. Raises Bad (text that is no s-expression), voluptuous.Invalid."""
    tree = read(value) if isinstance(value, str) else value
    if isinstance(tree, list) and len(tree) > 3 and tree[0] == "aggregate":
        # Aodh appends metrics to the list; one `metric` of them all is what it means
        several = tree[2:]
        if all(isinstance(one, list) and len(one) == 3 and one[0] == "metric" for one in several):
            tree = [*tree[:2], ["metric", *([one[1], one[2]] for one in several)]]
    try:
        found: Node = _WHOLE(tree)
    except RecursionError:
        raise v.Invalid("Operation is nested too deeply") from None
    return found


def references(tree: Node) -> list[tuple[str, str]]:
    """(metric, aggregation) of everything that is named, once each, in order."""
    found: dict[tuple[str, str], None] = {}
    if tree[0] == "metric":
        pairs = tree[1:] if isinstance(tree[1], list) else [tree[1:]]
        return list(dict.fromkeys((str(name), str(method)) for name, method in pairs))
    for part in tree[1:]:
        if isinstance(part, list):
            found |= dict.fromkeys(references(part))
    return list(found)


def names_of(tree: Node) -> Sequence[tuple[str, str]]:
    """As `references`, of one `metric` node."""
    return [tuple(pair) for pair in (tree[1:] if isinstance(tree[1], list) else [tree[1:]])]
