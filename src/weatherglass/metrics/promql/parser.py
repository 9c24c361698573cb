"""Tokens → typed tree, by precedence climbing (Pratt). Every refusal has a position and says what was expected."""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from weatherglass.base.errors import Invalid
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.promql.aggregate import AGGREGATORS
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
from weatherglass.metrics.promql.durations import Span
from weatherglass.metrics.promql.functions import FUNCTIONS
from weatherglass.metrics.promql.lexer import Token
from weatherglass.metrics.promql.options import EXPERIMENTAL, STABLE, Options
from weatherglass.metrics.promql.reader import MAX_DEPTH, Reader, say
from weatherglass.metrics.types import Matcher, MatchOp

SCALAR, VECTOR, MATRIX, STRING = ValueType.SCALAR, ValueType.VECTOR, ValueType.MATRIX, ValueType.STRING

PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2,
    "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3, "</": 3, ">/": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">="))
_RESERVED = frozenset(
    ("atan2", "bool", "on", "ignoring", "group_left", "group_right")
)  # the words that name no metric
SET_OPERATORS = frozenset(("and", "or", "unless"))
TRIMS = frozenset(("</", ">/"))
ANCHORED_SAFE = ("changes", "delta", "increase", "rate", "resets")
SMOOTHED_SAFE = ("delta", "increase", "rate")
MAX_CHAIN = 5000  # operators in one chain a + b + c …; the tree leans left as far, and what walks it goes down in a loop


def parse(text: str, options: Options = STABLE) -> Node:
    """The typed tree of a query. Raises Invalid whose `where` is `line:column`."""
    return _parsed(text, EXPERIMENTAL if options.experimental else STABLE)


@lru_cache(512)
def _parsed(text: str, options: Options) -> Node:
    parser = _Parser(text, options)
    tree = parser.expression(0)
    if parser.token.kind != "end":
        parser.fail(f"unexpected {say(parser.token)}")
    return tree


class _Parser(Reader):
    """One query's parse: every method takes a phrase from the tokens and gives its tree."""

    # --- expressions ---

    def expression(self, floor: int) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail("the expression is nested too deeply")
        left = self.unary()
        for _ in range(MAX_CHAIN):
            word = self.token.text.lower() if self.token.kind == "ident" else self.token.text
            power = PRECEDENCE.get(word, -1) if self.token.kind in ("op", "ident") else -1
            if power < max(floor, 1):
                self.depth -= 1
                return left
            self.next()
            keep_bool, matching = self.modifiers()
            # `^` binds to the right, everything else to the left.
            right = self.expression(power if word == "^" else power + 1)
            left = self.binary(word, left, right, keep_bool, matching)
        return self.fail(f"more than {MAX_CHAIN} operators in one chain")

    def unary(self) -> Node:
        if self.at("-", "+"):
            sign = self.next()
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail("the expression is nested too deeply")
            inner = self.expression(PRECEDENCE["^"]) if not self.at("-", "+") else self.unary()
            self.depth -= 1
            if inner.type not in (SCALAR, VECTOR):
                self.fail(
                    f"unary expression only allowed on expressions of type scalar or instant vector, got {inner.type}",
                    inner,
                )
            if sign.text == "+":
                return inner
            if isinstance(inner, NumberLiteral):
                return replace(inner, value=-inner.value, start=sign.start)
            return Unary(start=sign.start, end=inner.end, type=inner.type, source=self.text, expr=inner)
        return self.postfix(self.primary())

    def postfix(self, node: Node) -> Node:
        while True:
            if self.at("["):
                node = self.bracket(node)
            elif self.at_word("offset"):
                self.next()
                node = self.shifted(node, offset_s=self.offset())
            elif self.at_word("anchored", "smoothed"):
                node = self.edged(node)
            elif self.at("@"):
                self.next()
                node = self.shifted(node, at=self.at_modifier())
            else:
                return node

    def primary(self) -> Node:
        token = self.token
        if token.kind in ("number", "duration"):
            self.next()
            return NumberLiteral(
                start=token.start, end=token.end, type=SCALAR, source=self.text, value=float(token.value)
            )
        if token.kind == "string":
            self.next()
            return StringLiteral(
                start=token.start, end=token.end, type=STRING, source=self.text, value=str(token.value)
            )
        if self.at("("):
            self.next()
            inner = self.expression(0)
            close = self.expect(")", "parentheses")
            return replace(inner, start=token.start, end=close.end)
        if self.at("{"):
            return self.selector(None)
        if token.kind == "ident":
            following = self.tokens[self.i + 1]
            word = token.text.lower()
            if word in AGGREGATORS and (following.text == "(" or following.text.lower() in ("by", "without")):
                return self.aggregation()
            if following.text == "(" and following.kind == "op":
                return self.call()
            if word in _RESERVED:
                self.fail(f"unexpected {say(token)}")
            if word in ("inf", "nan"):
                self.next()
                return NumberLiteral(
                    start=token.start, end=token.end, type=SCALAR, source=self.text, value=float(word)
                )
            self.next()
            return self.selector(token)
        return self.fail(f"unexpected {say(token)}")

    # --- selectors ---

    def selector(self, name: Token | None) -> Selector:
        start = (name or self.token).start
        matchers: list[Matcher] = [Matcher("__name__", "=", name.text)] if name else []
        end = name.end if name else 0
        if self.at("{"):
            self.next()
            while not self.at("}"):
                named = any(m.name == "__name__" and m.op == "=" for m in matchers)
                matchers.append(self.matcher(bare=name is not None, named=named))
                if not self.take(","):
                    break
            end = self.expect("}", "label matching").end
        if not self.loose and all(accepts(m)("") for m in matchers):
            self.fail(
                "vector selector must contain at least one non-empty matcher",
                self.tokens[self.i - 1],
                mend="name a metric, or give one label a value",
            )
        return Selector(start=start, end=end, type=VECTOR, source=self.text, matchers=tuple(matchers))

    def matcher(self, *, bare: bool, named: bool) -> Matcher:
        token = self.next()
        if token.kind not in ("ident", "string"):
            self.fail(f"unexpected {say(token)} in label matching, expected a label name", token)
        label = str(token.value)
        if not self.at("=", "!=", "=~", "!~"):
            if token.kind == "string":  # {"metric name", …}
                if named:
                    self.fail("metric name must not be set twice", token)
                return Matcher("__name__", "=", label)
            self.fail(f"unexpected {say(self.token)} in label matching, expected one of =, !=, =~, !~")
        op: MatchOp = self.next().text  # type: ignore[assignment]
        value = self.next()
        if value.kind != "string":
            self.fail(
                f"unexpected {say(value)} in label matching, expected a string", value, mend='quote it: "…"'
            )
        # A bare name stands alone; inside the braces a second condition on it may at least be a regex.
        if label == "__name__" and (bare or (named and op == "=")):
            self.fail("metric name must not be set twice", token)
        text = str(value.value)
        if op in ("=~", "!~"):
            try:
                accepts(Matcher(label, op, text))
            except Invalid as why:
                self.fail(f"error parsing regexp: {why.message}", value, why.mend)
        return Matcher(label, op, text)

    def bracket(self, node: Node) -> Node:
        opening = self.next()
        span = self.duration("range")
        if self.take(":"):
            step: Span = 0.0 if self.at("]") else self.duration("sub-query step")
            close = self.expect("]", "sub-query")
            if node.type not in (VECTOR, SCALAR):
                self.fail(f"subquery is only allowed on instant vector, got {node.type} instead", opening)
            return Subquery(
                start=node.start,
                end=close.end,
                type=MATRIX,
                source=self.text,
                expr=node,
                range_s=span,
                step_s=step,
            )
        close = self.expect("]", "matrix selector")
        if not isinstance(node, Selector) or node.type is not VECTOR or self.text[node.start] == "(":
            self.fail("ranges only allowed for vector selectors", opening, mend="write a sub-query: […:…]")
        if node.shift != Shift():
            self.fail("no offset or @ modifiers allowed before range", opening, mend="put the range first")
        return replace(node, range_s=span, type=MATRIX, end=close.end)

    def shifted(self, node: Node, *, offset_s: Span | None = None, at: float | str | None = None) -> Node:
        word = "offset" if at is None else "@"
        if not isinstance(node, Selector | Subquery) or (
            self.text[node.start] == "(" and not isinstance(node, Subquery)
        ):
            self.fail(
                f"{word} modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                node,
            )
        if at is None:
            if node.shift.offset_s:
                self.fail("offset may not be set multiple times", node)
            return replace(
                node, shift=replace(node.shift, offset_s=offset_s or 0.0), end=self.tokens[self.i - 1].end
            )
        if node.shift.at is not None:
            self.fail("@ <timestamp> may not be set multiple times", node)
        return replace(node, shift=replace(node.shift, at=at), end=self.tokens[self.i - 1].end)  # type: ignore[arg-type]

    def edged(self, node: Node) -> Node:
        """`anchored` after a range, `smoothed` after a range or a selector."""
        word = self.next()
        kind: Literal["anchored", "smoothed"] = "anchored" if word.text.lower() == "anchored" else "smoothed"
        if not self.options.experimental:
            self.fail(f"{kind} modifier is experimental and not enabled", word)
        if not isinstance(node, Selector) or self.text[node.start] == "(":
            self.fail(f"{kind} modifier must be preceded by a selector", word)
        if node.edges:
            self.fail("anchored and smoothed modifiers may not be set multiple times", word)
        if kind == "anchored" and node.type is not MATRIX:
            self.fail("anchored modifier must be preceded by a range selector", word)
        return replace(node, edges=kind, end=word.end)

    # --- calls and aggregations ---

    def arguments(self) -> tuple[list[Node], Token]:
        self.expect("(", "function call")
        args: list[Node] = []
        while not self.at(")"):
            args.append(self.expression(0))
            if not self.take(","):
                break
            if self.at(")"):
                self.fail("trailing commas not allowed in function call args")
        return args, self.expect(")", "function call")

    def call(self) -> Node:
        name = self.next()
        function = FUNCTIONS.get(name.text)
        if function is None:
            near = difflib.get_close_matches(name.text, [*FUNCTIONS, *AGGREGATORS], 1)
            self.fail(
                f"unknown function with name {name.text!r}",
                name,
                mend=f"did you mean {near[0]}?" if near else "",
            )
        if function.experimental and not self.options.experimental:
            self.fail(f"function {name.text!r} is not enabled", name)
        self.loose = name.text == "info"  # its second argument is no selector of series by itself
        args, close = self.arguments()
        self.loose = False
        least = len(function.args) - function.optional
        most = len(function.args) if function.variadic == 0 else 10**6
        if not least <= len(args) <= most:
            bound = (
                f"{least}"
                if least == most
                else f"at least {least}"
                if len(args) < least
                else f"at most {most}"
            )
            self.fail(f"expected {bound} argument(s) in call to {name.text!r}, got {len(args)}", name)
        for i, arg in enumerate(args):
            self.want(arg, function.args[min(i, len(function.args) - 1)], f"call to function {name.text!r}")
        for arg in args:
            edges = arg.edges if isinstance(arg, Selector) and arg.type is MATRIX else ""
            safe = {"anchored": ANCHORED_SAFE, "smoothed": SMOOTHED_SAFE}.get(edges, (name.text,))
            if name.text not in safe:
                self.fail(
                    f"{edges} modifier can only be used with: {', '.join(safe)} - not with {name.text}", arg
                )
        if name.text == "info":
            if len(args) > 1 and not isinstance(args[1], Selector):
                self.fail("expected label selectors only", args[1])
            if isinstance(args[0], Selector) and all(accepts(m)("") for m in args[0].matchers):
                self.fail("vector selector must contain at least one non-empty matcher", args[0])
        return Call(
            start=name.start,
            end=close.end,
            type=function.returns,
            function=name.text,
            args=tuple(args),
            source=self.text,
        )

    def grouping(self) -> tuple[tuple[str, ...], bool] | None:
        if not self.at_word("by", "without"):
            return None
        without = self.next().text.lower() == "without"
        return self.label_list("grouping"), without

    def aggregation(self) -> Node:
        name = self.next()
        op = name.text.lower()
        if AGGREGATORS[op].experimental and not self.options.experimental:
            self.fail(
                f"{op}() is experimental and must be enabled with --promql-experimental",
                name,
            )
        group = self.grouping()
        args, close = self.arguments()
        end = close.end
        if group is None:
            group = self.grouping()
            end = self.tokens[self.i - 1].end
        labels, without = group or ((), False)
        wanted = AGGREGATORS[op].parameter
        if len(args) != (2 if wanted else 1):
            self.fail(
                f"wrong number of arguments for aggregate expression provided, expected {2 if wanted else 1}, got {len(args)}",
                name,
            )
        if wanted:
            self.want(args[0], wanted, f"aggregation parameter of {op!r}")
        self.want(args[-1], VECTOR, f"aggregation expression of {op!r}")
        return Aggregation(
            start=name.start, end=end, type=VECTOR, op=op, expr=args[-1], parameter=args[0] if wanted else None,
            labels=labels, without=without, source=self.text,
        )  # fmt: skip

    def want(self, node: Node, wanted: ValueType, where: str) -> None:
        if node.type is not wanted:
            mend = "give it a range: […]" if wanted is MATRIX and node.type is VECTOR else ""
            self.fail(f"expected type {wanted} in {where}, got {node.type}", node, mend)

    # --- binary operators ---

    def binary(self, op: str, left: Node, right: Node, keep_bool: bool, matching: Matching) -> Node:
        for side in (left, right):
            if side.type not in (SCALAR, VECTOR):
                self.fail("binary expression must contain only scalar and instant vector types", side)
        both_vectors = left.type is VECTOR and right.type is VECTOR
        if keep_bool and op not in COMPARISONS:
            self.fail("bool modifier can only be used on comparison operators", left)
        if op in COMPARISONS and not keep_bool and left.type is SCALAR and right.type is SCALAR:
            self.fail("comparisons between scalars must use BOOL modifier", left, mend=f"write {op} bool")
        filled = matching.fill_left is not None or matching.fill_right is not None
        if filled and not both_vectors:
            self.fail("filling in missing series only allowed between instant vectors", left)
        if filled and op in SET_OPERATORS:
            self.fail("filling in missing series not allowed for set operators", left)
        if op in TRIMS and not self.options.experimental:
            self.fail(f"operator {op} is experimental and not enabled", left)
        if op in SET_OPERATORS:
            if not both_vectors:
                self.fail(f"set operator {op!r} not allowed in binary scalar expression", left)
            if matching.group:
                self.fail(f"no grouping allowed for {op!r} operation", left)
        if not both_vectors and (matching.labels or matching.on or matching.group):
            self.fail("vector matching only allowed between instant vectors", left)
        return Binary(
            start=left.start, end=right.end, type=VECTOR if VECTOR in (left.type, right.type) else SCALAR,
            source=self.text, op=op, left=left, right=right, bool_modifier=keep_bool, matching=matching,
        )  # fmt: skip
