"""The typed tree. Every node knows its span in the query and the type of what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberLiteral(Node):
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StringLiteral(Node):
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Where in time a selector or sub-query looks: `offset` (s, may be negative) and `@`."""

    offset_s: float = 0.0
    at: float | Literal["start", "end"] | None = None  # seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector(Node):
    """A vector selector; with `range_s` > 0 a matrix selector."""

    matchers: tuple[Matcher, ...]
    range_s: float = 0.0
    shift: Shift = Shift()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subquery(Node):
    expr: Node
    range_s: float
    step_s: float  # 0: the default, one minute
    shift: Shift = Shift()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    function: str
    args: tuple[Node, ...]
    source: str  # the whole query, for positions in annotations


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation(Node):
    op: str
    expr: Node
    parameter: Node | None
    labels: tuple[str, ...]
    without: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How two vectors are joined: on/ignoring, and which side may have many."""

    labels: tuple[str, ...] = ()
    on: bool = False
    group: Literal["", "left", "right"] = ""
    include: tuple[str, ...] = ()


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
