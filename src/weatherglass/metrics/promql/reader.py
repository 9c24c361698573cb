"""A cursor over tokens, and the small phrases that have no tree of their own: durations, timestamps, label lists, matchings.

What they are put together into is in `parser`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NoReturn

from weatherglass.metrics.promql import lexer
from weatherglass.metrics.promql.ast import Matching, Node
from weatherglass.metrics.promql.durations import Duration, Span, seconds
from weatherglass.metrics.promql.lexer import Token
from weatherglass.metrics.promql.options import Options

MAX_DEPTH = 100  # nested deeper than this is hostile, and would exhaust the stack of what walks the tree
_MOST_S = 9.2e9  # about 292 years, Prometheus' longest duration; in ms far within int64


def say(token: Token) -> str:
    return "end of input" if token.kind == "end" else f"{token.kind} {token.text!r}"


class Reader:
    """Where in a query's tokens the parser stands."""

    def __init__(self, text: str, options: Options) -> None:
        self.text = text
        self.options = options
        self.tokens = lexer.tokens(text)
        self.i = 0
        self.depth = 0
        self.loose = False  # whether a selector may match every series

    @property
    def token(self) -> Token:
        return self.tokens[self.i]

    def fail(self, message: str, token: Token | Node | None = None, mend: str = "") -> NoReturn:
        raise lexer.error(self.text, (token or self.token).start, message, mend)

    def next(self) -> Token:
        token = self.token
        self.i += token.kind != "end"
        return token

    def at(self, *words: str) -> bool:
        return self.token.kind in ("op", "ident") and self.token.text in words

    def at_word(self, *words: str) -> bool:
        return self.token.kind == "ident" and self.token.text.lower() in words

    def take(self, word: str) -> bool:
        if self.at(word):
            self.next()
            return True
        return False

    def expect(self, word: str, where: str) -> Token:
        if not self.at(word):
            self.fail(f"unexpected {say(self.token)} in {where}, expected {word!r}")
        return self.next()

    # --- phrases ---

    def duration(self, where: str) -> Span:
        """A duration that must be positive: of a range, of a sub-query's step."""
        began = self.token
        found = self._sum(where) if self.options.experimental else self._plain(where)
        if not self.options.experimental and self.at("+", "-", "*", "/", "%", "^"):
            self.fail("experimental duration expression is not enabled")
        if not isinstance(found, Duration) and not found >= 0.001:
            self.fail("duration must be greater than 0", began, mend="at least a millisecond")
        return found

    def offset(self) -> Span:
        """The duration of an `offset`, which may be negative; arithmetic stands in parentheses."""
        sign = self.token
        if self.at("-", "+"):
            self.next()
        found = self._atom("offset") if self.options.experimental else self._plain("offset")
        return self._made(sign, "neg", found) if sign.text == "-" else found

    def _plain(self, where: str) -> float:
        token = self.next()
        if token.kind not in ("duration", "number"):
            word = token.text.lower()
            if token.text in ("(", "+", "-") or word in ("step", "range", "min", "max"):
                self.fail("experimental duration expression is not enabled", token)
            self.fail(
                f"unexpected {say(token)} in {where}, expected a duration", token, mend="for example 5m"
            )
        return self.bounded(token)

    def _sum(self, where: str) -> Span:
        left = self._product(where)
        while self.at("+", "-"):
            op = self.next()
            left = self._made(op, op.text, left, self._product(where))
        return left

    def _product(self, where: str) -> Span:
        left = self._factor(where)
        while self.at("*", "/", "%"):
            op = self.next()
            left = self._made(op, op.text, left, self._factor(where))
        return left

    def _factor(self, where: str) -> Span:
        """A sign, a power, parentheses, a call, a literal."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail("the expression is nested too deeply")
        token = self.token
        if self.at("-", "+"):
            self.next()
            inner = self._factor(where)
            found = inner if token.text == "+" else self._made(token, "neg", inner)
        else:
            found = self._power(where)
        self.depth -= 1
        return found

    def _power(self, where: str) -> Span:
        base = self._atom(where)
        if self.at("^"):
            op = self.next()
            return self._made(op, "^", base, self._factor(where))
        return base

    def _atom(self, where: str) -> Span:
        token = self.token
        if self.take("("):
            inner = self._sum(where)
            self.expect(")", where)
            return inner
        if self.at_word("step", "range"):
            self.next()
            self.expect("(", where)
            self.expect(")", where)
            return self._made(token, token.text.lower())
        if self.at_word("min", "max"):
            self.next()
            self.expect("(", where)
            first = self._sum(where)
            self.expect(",", where)
            second = self._sum(where)
            self.expect(")", where)
            return self._made(token, token.text.lower(), first, second)
        return self._plain(where)

    def _made(self, token: Token, op: str, *args: Span) -> Span:
        made = Duration(op, args, lexer.position(self.text, token.start))
        if op in ("step", "range") or any(isinstance(one, Duration) for one in args):
            return made
        return seconds(made, 0.0, 0.0)

    def bounded(self, token: Token) -> float:
        """A duration's or instant's seconds. What lies farther off would not fit in milliseconds."""
        if not float(token.value) < _MOST_S:
            self.fail(f"{say(token)} is out of range", token)
        return float(token.value)

    def at_modifier(self) -> float | Literal["start", "end"]:
        if self.at_word("start", "end"):
            word = self.next().text.lower()
            self.expect("(", "@ modifier")
            self.expect(")", "@ modifier")
            return "start" if word == "start" else "end"
        sign = 1.0
        if self.at("-", "+"):
            sign = -1.0 if self.next().text == "-" else 1.0
        token = self.next()
        if token.kind != "number":
            self.fail(f"unexpected {say(token)} in @, expected timestamp", token)
        return sign * self.bounded(token)

    def label_list(self, where: str) -> tuple[str, ...]:
        self.expect("(", where)
        out: list[str] = []
        while not self.at(")"):
            token = self.next()
            if token.kind not in ("ident", "string") or (":" in token.text and token.kind == "ident"):
                self.fail(f"unexpected {say(token)} in {where}, expected a label name", token)
            out.append(str(token.value))
            if not self.take(","):
                break
        self.expect(")", where)
        return tuple(out)

    def modifiers(self) -> tuple[bool, Matching]:
        keep_bool = False
        if self.at_word("bool"):
            self.next()
            keep_bool = True
        matching = Matching()
        if self.at_word("on", "ignoring"):
            on = self.next().text.lower() == "on"
            matching = Matching(labels=self.label_list("vector matching"), on=on)
            if self.at_word("group_left", "group_right"):
                side: Literal["left", "right"] = (
                    "left" if self.next().text.lower() == "group_left" else "right"
                )
                include = self.label_list("group modifier") if self.at("(") else ()
                both = set(include) & set(matching.labels)
                if on and both:
                    self.fail(f"label {min(both)!r} must not occur in ON and GROUP clause at once")
                matching = replace(matching, group=side, include=include)
        return keep_bool, self.filled(matching)

    def filled(self, matching: Matching) -> Matching:
        """`fill(x)`, `fill_left(x)`, `fill_right(x)` after all other modifiers."""
        while self.at_word("fill", "fill_left", "fill_right") and self.tokens[self.i + 1].text == "(":
            word = self.next()
            if not self.options.experimental:
                self.fail("binop fill modifiers are experimental and not enabled", word)
            self.expect("(", "fill modifier")
            sign = -1.0 if self.at("-") else 1.0
            if self.at("-", "+"):
                self.next()
            token = self.next()
            named = token.kind == "ident" and token.text.lower() in ("inf", "nan")
            if not named and token.kind not in ("number", "duration"):
                self.fail(f"unexpected {say(token)} in fill modifier, expected a number", token)
            value = sign * float(token.value if not named else token.text.lower())
            self.expect(")", "fill modifier")
            kind = word.text.lower()
            if kind != "fill_right":
                matching = replace(matching, fill_left=value)
            if kind != "fill_left":
                matching = replace(matching, fill_right=value)
        return matching
