"""A cursor over tokens, and the small phrases that have no tree of their own: durations, timestamps, label lists.

What they are put together into is in `parser`.
"""

from __future__ import annotations

from typing import Literal, NoReturn

from weatherglass.metrics.promql import lexer
from weatherglass.metrics.promql.ast import Node
from weatherglass.metrics.promql.lexer import Token

_MOST_S = 9.2e9  # about 292 years, Prometheus' longest duration; in ms far within int64


def say(token: Token) -> str:
    return "end of input" if token.kind == "end" else f"{token.kind} {token.text!r}"


class Reader:
    """Where in a query's tokens the parser stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = lexer.tokens(text)
        self.i = 0
        self.depth = 0

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

    def duration(self, where: str) -> float:
        token = self.next()
        if token.kind not in ("duration", "number"):
            self.fail(
                f"unexpected {say(token)} in {where}, expected a duration", token, mend="for example 5m"
            )
        if not float(token.value) >= 0.001:
            self.fail("duration must be greater than 0", token, mend="at least a millisecond")
        return self.bounded(token)

    def bounded(self, token: Token) -> float:
        """A duration's or instant's seconds. What lies farther off would not fit in milliseconds."""
        if not float(token.value) < _MOST_S:
            self.fail(f"{say(token)} is out of range", token)
        return float(token.value)

    def signed_duration(self, where: str) -> float:
        sign = 1.0
        if self.at("-", "+"):
            sign = -1.0 if self.next().text == "-" else 1.0
        token = self.next()
        if token.kind not in ("duration", "number"):
            self.fail(
                f"unexpected {say(token)} in {where}, expected a duration", token, mend="for example 5m"
            )
        return sign * self.bounded(token)

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
