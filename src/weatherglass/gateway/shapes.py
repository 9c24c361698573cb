"""Values from JSON into the dataclasses that cross rooms, strictly, and back. Pure.

What the reader accepts is read off the dataclass' own annotations, so a field is declared once. Unknown keys are
left aside (a newer agent may say more); a wrong type is a Problem with its JSON path.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

from weatherglass.base.errors import Invalid, Problem

T = TypeVar("T")
_INT64 = 1 << 63


class _WrongError(Exception):
    """One value that does not fit; carries its path."""

    def __init__(self, where: str, wanted: str) -> None:
        self.where, self.wanted = where, wanted
        super().__init__(where, wanted)


def read(kind: type[T], value: Any, where: str = "") -> T:
    """A dataclass `kind` from a JSON object. Raises Invalid with every wrong field at once."""
    problems: list[Problem] = []
    made: T = _dataclass(kind, value, where, problems)
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)
    return made


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _dataclass(kind: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    if not isinstance(value, dict):
        problems.append(Problem(f"this is not an object but {_named(value)}", where or "body"))
        return None
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        path = f"{where}.{field.name}" if where else field.name
        if field.name not in value:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                problems.append(Problem(f"{field.name} is missing", path))
            continue
        try:
            found[field.name] = _value(_hints(kind)[field.name], value[field.name], path, problems)
        except _WrongError as error:
            problems.append(Problem(f"this is not {error.wanted}", error.where))
    return None if problems else kind(**found)


def _value(hint: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    if hint is Any:
        return value
    if isinstance(hint, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _value(typing.get_args(hint)[0], value, where, problems)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in args:
            raise _WrongError(where, f"one of {', '.join(args)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _WrongError(where, "a list")
        return tuple(_value(args[0], one, f"{where}[{at}]", problems) for at, one in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _WrongError(where, "an object")
        return {name: _value(args[1], one, f"{where}.{name}", problems) for name, one in value.items()}
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, value, where, problems)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if issubclass(hint, StrEnum):
        if value not in set(hint):
            raise _WrongError(where, f"one of {', '.join(hint)}")
        return hint(value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return value
    if (
        hint is float
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < 1e300
    ):
        return float(value)
    wanted = {bool: "true or false", str: "a text", int: "a whole number", float: "a number"}
    raise _WrongError(where, wanted[hint])


def _named(value: Any) -> str:
    kinds = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value"}
    return kinds.get(type(value), "nothing")


def wire(value: Any) -> Any:
    """Any value of the rooms as JSON can hold it: dataclasses as objects, NaN and infinities as null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "to_json"):
        return wire(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: wire(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(wire(name)): wire(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return wire(value.tolist())
    if isinstance(value, np.generic):
        return wire(value.item())
    if isinstance(value, (Sequence, set, frozenset)):
        return [wire(one) for one in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, (PurePath, Enum)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form on the wire")
