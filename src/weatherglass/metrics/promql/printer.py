"""A tree as text, laid out as Prometheus lays it out, and as the JSON of its `parse_query`. Pure.

Parentheses are no nodes of the tree: they are read back from the query's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weatherglass.metrics.promql.aggregate import number
from weatherglass.metrics.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Matching,
    Node,
    NumberLiteral,
    Selector,
    Shift,
    StringLiteral,
    Subquery,
    Unary,
    ValueType,
)
from weatherglass.metrics.promql.durations import Duration, Span
from weatherglass.metrics.promql.functions import FUNCTIONS
from weatherglass.metrics.promql.lexer import tokens
from weatherglass.metrics.promql.vector import quoted
from weatherglass.metrics.types import Matcher

WIDTH = 100
_UNITS = (
    ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
    ("ms", 1),
)  # fmt: skip
_EXACT = frozenset(("y", "w"))  # years and weeks are written only where nothing is left over
_TYPES = {
    ValueType.SCALAR: "scalar",
    ValueType.VECTOR: "vector",
    ValueType.MATRIX: "matrix",
    ValueType.STRING: "string",
}


def duration(span: Span) -> str:
    """`1h30m`; an expression of durations in parentheses."""
    if isinstance(span, Duration):
        return _expression(span)
    left = round(abs(span) * 1000)
    out = "-" if span < 0 else ""
    if not left:
        return "0s"
    for unit, size in _UNITS:
        if left >= size and not (unit in _EXACT and left % size):
            count, left = divmod(left, size)
            out += f"{count}{unit}"
    return out


def _expression(span: Span) -> str:
    if not isinstance(span, Duration):
        return duration(span)
    words = [_expression(one) for one in span.args]
    if span.op in ("step", "range", "min", "max"):
        return f"{span.op}({', '.join(words)})"
    return f"-{words[0]}" if span.op == "neg" else f"({words[0]} {span.op} {words[1]})"


def plain(name: str) -> bool:
    """Whether a label's name needs no quotes."""
    return name.isascii() and name.isidentifier()


def _label(name: str) -> str:
    return name if plain(name) else quoted(name)


def _selector(node: Selector) -> str:
    name = next((m.value for m in node.matchers if m.name == "__name__" and m.op == "="), "")
    bare = plain(name.replace(":", "_"))
    inside = [] if bare or not name else [quoted(name)]
    rest = [
        m for m in node.matchers if not (m.name == "__name__" and m.op == "=" and m.value == name and name)
    ]
    inside += [f"{_label(m.name)}{m.op}{quoted(m.value)}" for m in rest]
    return (name if bare else "") + (f"{{{','.join(inside)}}}" if inside else "")


def _shift(shift: Shift) -> str:
    out = ""
    if shift.at is not None:
        out += f" @ {shift.at}()" if isinstance(shift.at, str) else f" @ {shift.at:.3f}"
    if shift.offset_s != 0:
        out += f" offset {duration(shift.offset_s)}"
    return out


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(_label(name) for name in names)


def _matching(node: Binary) -> str:
    m, out = node.matching, " bool" if node.bool_modifier else ""
    if m.on or m.labels:
        out += f" {'on' if m.on else 'ignoring'} ({_names(m.labels)})"
    if m.group:
        out += f" group_{m.group} ({_names(m.include)})"
    if m.fill_left is not None and m.fill_left == m.fill_right:
        return out + f" fill ({number(m.fill_left)})"
    for hand, value in (("left", m.fill_left), ("right", m.fill_right)):
        out += f" fill_{hand} ({number(value)})" if value is not None else ""
    return out


def _grouping(node: Aggregation) -> str:
    if node.without:
        return f"{node.op} without ({_names(node.labels)}) "
    return f"{node.op} by ({_names(node.labels)}) " if node.labels else node.op


class Printer:
    """Texts of the nodes of one query."""

    def __init__(self, source: str) -> None:
        self._pairs: dict[int, int] = {}
        opened: list[int] = []
        for token in tokens(source):
            if token.kind == "op" and token.text == "(":
                opened.append(token.start)
            elif token.kind == "op" and token.text == ")" and opened:
                self._pairs[opened.pop()] = token.end

    def wrapped(self, node: Node) -> bool:
        """Whether a node stands in parentheses of its own."""
        return self._pairs.get(node.start) == node.end

    def line(self, node: Node) -> str:
        """On one line."""
        inner = self._line(node)
        return f"({inner})" if self.wrapped(node) else inner

    def _line(self, node: Node) -> str:
        match node:
            case NumberLiteral():
                return number(node.value)
            case StringLiteral():
                return quoted(node.value)
            case Selector():
                span = f"[{duration(node.range_s)}]" if node.type is ValueType.MATRIX else ""
                edges = f" {node.edges}" if node.edges else ""
                return _selector(node) + span + edges + _shift(node.shift)
            case Subquery():
                step = duration(node.step_s) if node.step_s else ""
                return f"{self.line(node.expr)}[{duration(node.range_s)}:{step}]{_shift(node.shift)}"
            case Unary():
                return f"-{self.line(node.expr)}"
            case Call():
                return f"{node.function}({', '.join(map(self.line, node.args))})"
            case Aggregation():
                args = [self.line(one) for one in (node.parameter, node.expr) if one is not None]
                return f"{_grouping(node)}({', '.join(args)})"
            case Binary():
                return f"{self.line(node.left)} {node.op}{_matching(node)} {self.line(node.right)}"
        return ""

    def pretty(self, node: Node, level: int = 0) -> str:
        """Over several lines where one would be too long."""
        line, indent = self.line(node), "  " * level
        if len(line) <= WIDTH:
            return indent + line
        if self.wrapped(node):
            inner = self._pretty(node, level + 1)
            return f"{indent}(\n{inner}\n{indent})"
        return self._pretty(node, level)

    def _pretty(self, node: Node, level: int) -> str:
        indent = "  " * level
        if len(self._line(node)) <= WIDTH:
            return indent + self._line(node)
        match node:
            case Binary():
                return (
                    f"{self.pretty(node.left, level + 1)}\n{indent}{node.op}{_matching(node)}\n"
                    f"{self.pretty(node.right, level + 1)}"
                )
            case Call():
                return self._listed(f"{node.function}(", list(node.args), level)
            case Aggregation():
                args = [one for one in (node.parameter, node.expr) if one is not None]
                return self._listed(f"{_grouping(node)}(", args, level)
            case Unary():
                return f"{indent}-{self.pretty(node.expr, level).lstrip()}"
            case Subquery():
                tail = self._line(node)[len(self.line(node.expr)) :]
                return self.pretty(node.expr, level) + tail
        return indent + self._line(node)

    def _listed(self, head: str, args: list[Node], level: int) -> str:
        indent = "  " * level
        inside = ",\n".join(self.pretty(one, level + 1) for one in args)
        return f"{indent}{head}\n{inside}\n{indent})"

    # --- parse_query ---

    def tree(self, node: Node) -> dict[str, Any]:
        """The JSON of Prometheus' `parse_query`."""
        inner = self._tree(node)
        return {"type": "parenExpr", "expr": inner} if self.wrapped(node) else inner

    def _tree(self, node: Node) -> dict[str, Any]:
        match node:
            case NumberLiteral():
                return {"type": "numberLiteral", "val": number(node.value)}
            case StringLiteral():
                return {"type": "stringLiteral", "val": node.value}
            case Selector():
                return _selector_tree(node)
            case Subquery():
                return {
                    "type": "subquery", "expr": self.tree(node.expr), "range": _ms(node.range_s),
                    "step": _ms(node.step_s), **_shift_tree(node.shift),
                }  # fmt: skip
            case Unary():
                return {"type": "unaryExpr", "op": "-", "expr": self.tree(node.expr)}
            case Call():
                function = FUNCTIONS[node.function]
                return {
                    "type": "call",
                    "func": {
                        "name": node.function, "argTypes": [_TYPES[one] for one in function.args],
                        "variadic": -1 if function.variadic else function.optional,
                        "returnType": _TYPES[function.returns],
                    },
                    "args": [self.tree(one) for one in node.args],
                }  # fmt: skip
            case Aggregation():
                return {
                    "type": "aggregation", "op": node.op, "expr": self.tree(node.expr),
                    "param": None if node.parameter is None else self.tree(node.parameter),
                    "grouping": list(node.labels), "without": node.without,
                }  # fmt: skip
            case Binary():
                vectors = node.left.type is ValueType.VECTOR and node.right.type is ValueType.VECTOR
                return {
                    "type": "binaryExpr", "op": node.op, "lhs": self.tree(node.left), "rhs": self.tree(node.right),
                    "matching": _matching_tree(node.op, node.matching) if vectors else None,
                    "bool": node.bool_modifier,
                }  # fmt: skip
        return {"type": "unknown"}


def _ms(span: Span) -> Any:
    return _expression(span) if isinstance(span, Duration) else round(span * 1000)


def _shift_tree(shift: Shift) -> Mapping[str, Any]:
    at = shift.at
    return {
        "offset": _ms(shift.offset_s), "timestamp": round(at * 1000) if isinstance(at, float) else None,
        "startOrEnd": at if isinstance(at, str) else None,
    }  # fmt: skip


def _selector_tree(node: Selector) -> dict[str, Any]:
    name = next((m.value for m in node.matchers if m.name == "__name__" and m.op == "="), "")

    def told(m: Matcher) -> Mapping[str, str]:
        return {"type": m.op, "name": m.name, "value": m.value}

    out: dict[str, Any] = {
        "type": "vectorSelector", "name": name, "matchers": [told(m) for m in node.matchers],
        "anchored": node.edges == "anchored", "smoothed": node.edges == "smoothed", **_shift_tree(node.shift),
    }  # fmt: skip
    if node.type is ValueType.MATRIX:
        out |= {"type": "matrixSelector", "range": _ms(node.range_s)}
    return out


def _matching_tree(op: str, m: Matching) -> Mapping[str, Any]:
    card = {"left": "many-to-one", "right": "one-to-many"}.get(m.group, "one-to-one")
    if op in ("and", "or", "unless"):
        card = "many-to-many"
    return {
        "card": card, "labels": list(m.labels), "on": m.on, "include": list(m.include),
        "fillValues": {"lhs": m.fill_left, "rhs": m.fill_right},
    }  # fmt: skip
