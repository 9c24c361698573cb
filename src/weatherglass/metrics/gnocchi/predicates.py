"""The language of the search among values: `{">=": [{"+": 23}, 50]}`, checked and made a function. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import voluptuous as v

from weatherglass.metrics.gnocchi.errors import unfit

_VALUES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("=", "==", "eq"), operator.eq),
    **dict.fromkeys(("<", "lt"), operator.lt),
    **dict.fromkeys((">", "gt"), operator.gt),
    **dict.fromkeys(("<=", "≤", "le"), operator.le),
    **dict.fromkeys((">=", "≥", "ge"), operator.ge),
    **dict.fromkeys(("!=", "≠", "ne"), operator.ne),
    **dict.fromkeys(("%", "mod"), operator.mod),
    **dict.fromkeys(("+", "add"), operator.add),
    **dict.fromkeys(("-", "sub"), operator.sub),
    **dict.fromkeys(("*", "×", "mul"), operator.mul),
    **dict.fromkeys(("/", "÷", "div"), operator.truediv),
    **dict.fromkeys(("**", "^", "pow"), operator.pow),
}
_JOINED: dict[str, Callable[[Iterable[Any]], bool]] = {"and": all, "∧": all, "or": any, "∨": any}


def _value_node(value: Any) -> Any:
    return _VALUE(value)


def _join_node(value: Any) -> Any:
    return _PREDICATE(value)


_VALUE = v.Schema(
    v.All(
        v.Length(min=1, max=1),
        {v.Any(*_VALUES): v.Any(float, int, v.All([float, int, v.Any(_value_node)], v.Length(min=2, max=2)))},
    )
)
_PREDICATE = v.Schema(v.Any(_VALUE, v.All(v.Length(min=1, max=1), {v.Any(*_JOINED, "not"): [_join_node]})))


def predicate(body: Any) -> Callable[[float], Any]:
    """Whether a value is looked for: `{">=": [{"+": 23}, 50]}`. Raises Bad."""
    try:
        tree = _PREDICATE(body)
    except v.Invalid as error:
        raise unfit(error) from error
    except RecursionError:
        raise unfit(v.Invalid("nested too deeply")) from None
    return _built(tree)


def _built(tree: Any) -> Callable[[float], Any]:
    if not isinstance(tree, dict):
        return lambda value: tree
    op, inner = next(iter(tree.items()))
    if op in _JOINED:
        parts, join = [_built(one) for one in inner], _JOINED[op]
        return lambda value: join(part(value) for part in parts)
    if op == "not":
        parts = [_built(one) for one in inner]
        return lambda value: not any(part(value) for part in parts)
    apply = _VALUES[op]
    if isinstance(inner, list):
        left, right = _built(inner[0]), _built(inner[1])
        return lambda value: _safely(apply, left(value), right(value))
    return lambda value: _safely(apply, value, inner)


def _safely(apply: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Arithmetic that has no answer answers no."""
    try:
        return apply(left, right)
    except (ZeroDivisionError, OverflowError):
        return False
