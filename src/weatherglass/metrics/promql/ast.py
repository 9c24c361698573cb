"""The typed tree. Every node knows its span in the query and the type of what it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Literal

from weatherglass.metrics.promql.durations import Span
from weatherglass.metrics.types import Matcher


class ValueType(StrEnum):
    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    start: int
    end: int
    type: ValueType
    source: str = field(default="", repr=False, compare=False)  # the whole query, for positions


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberLiteral(Node):
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StringLiteral(Node):
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Where in time a selector or sub-query looks: `offset` (s, may be negative) and `@`."""

    offset_s: Span = 0.0
    at: float | Literal["start", "end"] | None = None  # seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector(Node):
    """A vector selector; a matrix selector where it has a `range_s`."""

    matchers: tuple[Matcher, ...]
    range_s: Span = 0.0
    shift: Shift = Shift()
    edges: Literal["", "anchored", "smoothed"] = ""  # how a range's edges, or an instant, are met


@dataclass(frozen=True, slots=True, kw_only=True)
class Subquery(Node):
    expr: Node
    range_s: Span
    step_s: Span  # 0: the default, one minute
    shift: Shift = Shift()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation(Node):
    op: str
    expr: Node
    parameter: Node | None
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How two vectors are joined: on/ignoring, and which side may have many."""

    labels: tuple[str, ...] = ()
    on: bool = False
    group: Literal["", "left", "right"] = ""
    include: tuple[str, ...] = ()
    fill_left: float | None = None  # what stands in for a series that is missing on that side
    fill_right: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Node):
    op: str
    left: Node
    right: Node
    bool_modifier: bool
    matching: Matching


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Node):
    expr: Node  # negated


def selectors(node: Node) -> Iterator[Selector]:
    """Every selector in a tree, left to right."""
    if isinstance(node, Selector):
        yield node
        return
    for one in fields(node):
        value = getattr(node, one.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Node):
                yield from selectors(child)
