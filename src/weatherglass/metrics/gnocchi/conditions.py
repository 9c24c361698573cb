"""Filters, orders and pages as SQL over the tables. Builds expressions; runs nothing.

What may be named is a `Source`: columns by the name that Gnocchi's clients use, each with what its values are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.errors import Bad
from weatherglass.metrics.gnocchi.filters import COMPARISONS, JOINS, Filter

Condition = sa.ColumnElement[bool]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Source:
    """What a list is made from. `kinds` says of a column that it is a `datetime`, `number`, `bool`; else text."""

    what: str  # the resource type, for errors
    columns: Mapping[str, Any]
    kinds: Mapping[str, str]
    now_ns: int


def where(source: Source, tree: Filter) -> Condition:
    """The condition of a filter. Raises Bad."""
    if not isinstance(tree, dict) or len(tree) != 1:
        raise Bad("Unable to parse this query")
    op, inner = next(iter(tree.items()))
    if op in JOINS:
        parts = [where(source, part) for part in inner]
        return sa.and_(sa.true(), *parts) if JOINS[op] == "and" else sa.or_(*parts)
    if op == "not":
        # an empty filter holds for everything, and so does its contrary for nothing
        return sa.not_(where(source, inner)) if inner else sa.false()
    if op not in COMPARISONS and op not in ("like", "in"):
        raise Bad(f"Unknown operator `{op}'")
    if not isinstance(inner, dict) or len(inner) != 1:
        raise Bad("Unable to parse this query")
    name, value = next(iter(inner.items()))
    return _compared(source, COMPARISONS.get(op, op), name, value)


def _compared(source: Source, op: str, name: str, value: Any) -> Condition:
    if name in ("created_by_user_id", "created_by_project_id"):
        return _made_by(source, op, name, value)
    if name == "lifespan":
        try:
            span = times.span(value) // 1000
        except ValueError as error:
            raise Bad(str(error)) from error
        return _applied(source.columns["ended_at"] - source.columns["started_at"], op, span)
    column = source.columns.get(name)
    if column is None:
        raise Bad(f"Resource type {source.what} has no {name} attribute")
    kind = source.kinds.get(name, "string")
    try:
        if isinstance(value, list):
            value = [_value(kind, one, source.now_ns) for one in value]
        elif value is not None:
            value = _value(kind, value, source.now_ns)
    except (ValueError, TypeError) as error:
        raise Bad(f"Invalid value: `{value}' for field `{name}'") from error
    return _applied(column, op, value)


def _applied(column: Any, op: str, value: Any) -> Condition:
    if op == "in":
        found: Condition = column.in_(value)
    elif op == "like":
        found = column.like(value)
    elif op == "!=" and value is not None:
        found = sa.or_(column.is_(None), column != value)
    elif value is None and op in ("=", "!="):
        found = column.is_(None) if op == "=" else column.is_not(None)
    else:
        found = _OPERATORS[op](column, value)
    return found


def _made_by(source: Source, op: str, name: str, value: Any) -> Condition:
    creator = source.columns["creator"]
    pattern = f"{value}:%" if name == "created_by_user_id" else f"%:{value}"
    if op in ("=", "like"):
        found: Condition = creator.like(pattern)
        return found
    if op == "!=":
        unlike: Condition = sa.not_(creator.like(pattern))
        return unlike
    raise Bad(f"Invalid value: `{value}' for field `{name}'")


def _value(kind: str, value: Any, now_ns: int) -> Any:
    if value is None:
        return None
    if kind == "datetime":
        return times.microseconds(value, now_ns)
    if kind == "number":
        return float(value)
    if kind == "bool":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    return str(value)


# --- order and pages -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order. `nulls_first` is as the database's own order for asc, and the contrary for desc."""

    name: str
    column: Any
    descending: bool
    nulls_first: bool

    @property
    def order(self) -> Any:
        column = self.column.desc() if self.descending else self.column.asc()
        return column.nulls_first() if self.nulls_first else column.nulls_last()

    def after(self, value: Any) -> Condition:
        """What comes after `value`."""
        if value is None:
            known: Condition = self.column.is_not(None)
            return known if self.nulls_first else sa.false()
        beyond: Condition = self.column < value if self.descending else self.column > value
        return beyond if self.nulls_first else sa.or_(beyond, self.column.is_(None))

    def same(self, value: Any) -> Condition:
        found: Condition = self.column.is_(None) if value is None else self.column == value
        return found


def keys(source: Source, sorts: Sequence[str], unique: Sequence[str]) -> list[Key]:
    """The keys of `attr[:asc|desc[-nullsfirst|-nullslast]]`, made a whole order by `unique`. Raises Bad."""
    found: list[Key] = []
    for text in [*sorts, *unique]:
        name, _, direction = text.partition(":")
        name = name.strip()
        if any(key.name == name for key in found):
            continue
        way, _, nulls = (direction or "asc").partition("-")
        if way not in ("asc", "desc") or nulls not in ("", "nullsfirst", "nullslast"):
            raise Bad(
                "Invalid pagination: `Unknown sort direction, must be one of: asc-nullsfirst, asc-nullslast, "
                "desc-nullsfirst, desc-nullslast, asc, desc'"
            )
        if name not in source.columns:
            raise Bad(f"Invalid pagination: `Sort key supplied is invalid: {name}'")
        first = nulls == "nullsfirst" if nulls else way == "asc"
        found.append(Key(name, source.columns[name], way == "desc", first))
    return found


def beyond(order: Sequence[Key], marker: Sequence[Any]) -> Condition:
    """What comes after the row whose keys are `marker`."""
    ways = [
        sa.and_(
            *(key.same(value) for key, value in zip(order[:i], marker[:i], strict=True)),
            order[i].after(marker[i]),
        )
        for i in range(len(order))
    ]
    first, value = order[0], marker[0]
    if value is None or (first.nulls_first == first.descending):
        return sa.or_(*ways)
    # said once more of the first key alone, so that its index is entered at the marker
    bound = first.column <= value if first.descending else first.column >= value
    if not first.nulls_first:
        bound = sa.or_(bound, first.column.is_(None))
    return sa.and_(bound, sa.or_(*ways))
