"""Tokens → a filter, by recursive descent. Pure.

query  = clause+                      with the default operator between clauses that have none
clause = [+ | - | NOT] (group | [field:] (group | value)) [^boost]
value  = term | phrase[~slop] | /regexp/ | range | >=bound | term~[edits]
"""

from __future__ import annotations

from collections.abc import Callable

from weatherglass.base.errors import Invalid
from weatherglass.logs import filter as f
from weatherglass.logs.fields import TIMES
from weatherglass.logs.lucene.dates import instant
from weatherglass.logs.lucene.lexer import Token, has_wildcard, tokens, unescaped

MAX_DEPTH = 60
_Made = Callable[[str], f.Filter]


def parse(
    text: str,
    default_field: str | tuple[str, ...] = "",
    *,
    operator: str = "OR",
    now_ns: int = 0,
    tz: str = "UTC",
) -> f.Filter:
    """The filter of a query. `default_field` "" (or `*`): any field. `now_ns` is what `now` means.

    Raises Invalid, with the place in the query.
    """
    fields = (default_field,) if isinstance(default_field, str) else default_field
    parser = _Parser(
        tokens(text), tuple("" if one == "*" else one for one in fields) or ("",), operator, now_ns, tz
    )
    if parser.token.kind == "END":
        return f.All()
    found = parser.disjunction(parser.fields, 0)
    if parser.token.kind != "END":
        raise parser.wrong("this does not belong here")
    return found


class _Parser:
    def __init__(
        self, found: list[Token], fields: tuple[str, ...], operator: str, now_ns: int, tz: str
    ) -> None:
        self._tokens, self._at = found, 0
        self.fields, self._and = fields, operator.upper() == "AND"
        self._now_ns, self._tz = now_ns, tz

    @property
    def token(self) -> Token:
        return self._tokens[min(self._at, len(self._tokens) - 1)]

    def wrong(self, what: str) -> Invalid:
        shown = f" ({self.token.text[:20]!r})" if self.token.text else ""
        return Invalid(
            f"the query cannot be read: {what}{shown}",
            where=f"query:{self.token.at + 1}",
            mend='write special characters with a backslash, or put quotes around: "…"',
        )

    def take(self) -> Token:
        token = self.token
        self._at += 1
        return token

    # --- groups ------------------------------------------------------------------------------------------

    def disjunction(self, fields: tuple[str, ...], depth: int) -> f.Filter:
        """… OR …, each of clauses joined by AND or standing side by side."""
        if depth > MAX_DEPTH:
            raise self.wrong(f"more than {MAX_DEPTH} groups in one another")
        parts = [self._conjunction(fields, depth)]
        while self.token.kind == "OR":
            self.take()
            parts.append(self._conjunction(fields, depth))
        return parts[0] if len(parts) == 1 else f.Or(tuple(parts))

    def _conjunction(self, fields: tuple[str, ...], depth: int) -> f.Filter:
        """Clauses that no OR parts: `AND` between some, nothing but a space between others."""
        runs: list[list[tuple[str, f.Filter]]] = [[self._clause(fields, depth)]]
        while True:
            kind = self.token.kind
            if kind == "AND":
                self.take()
                runs[-1].append(self._clause(fields, depth))
            elif kind in ("END", ")", "OR"):
                break
            else:
                runs.append([self._clause(fields, depth)])
        if len(runs) == 1 or self._and:
            return _all([one for run in runs for one in run])
        # Side by side: what has a sign must or must not be, the rest are choices, one of which must be.
        must, choices = list[tuple[str, f.Filter]](), list[f.Filter]()
        for run in runs:
            if len(run) == 1 and run[0][0]:
                must.append(run[0])
            else:
                choices.append(_all(run))
        if any(sign == "+" for sign, _ in must) or not choices:
            return _all(must)
        choice = choices[0] if len(choices) == 1 else f.Or(tuple(choices))
        return f.both(choice, _all(must)) if must else choice

    def _clause(self, fields: tuple[str, ...], depth: int) -> tuple[str, f.Filter]:
        """(`+`, `-` or nothing; what it asks, without the sign)."""
        sign = ""
        while self.token.kind in ("NOT", "PLUS"):
            token = self.take()
            sign = ("" if sign == "-" else "-") if token.kind == "NOT" else (sign or "+")
        if self.token.kind == "(":
            return sign, self._group(fields, depth)
        if self.token.kind == "TERM" and self._tokens[self._at + 1].kind == ":":
            name = unescaped(self.take().text)
            self.take()
            if name == "*" and self.token.text == "*":
                self.take()
                return sign, f.All()
            if name == "_exists_":
                return sign, self._exists()
            if self.token.kind == "(":
                return sign, self._group((name,), depth)
            return sign, self._value((name,))
        if self.token.kind == "TERM" and self.token.text == "*" and fields == self.fields:
            self.take()
            self._marks()
            return sign, f.All()
        return sign, self._value(fields)

    def _group(self, fields: tuple[str, ...], depth: int) -> f.Filter:
        self.take()
        if self.token.kind == ")":
            self.take()
            return f.Nothing()
        found = self.disjunction(fields, depth + 1)
        if self.token.kind != ")":
            raise self.wrong("a bracket is not closed")
        self.take()
        self._marks()
        return found

    def _exists(self) -> f.Filter:
        token = self.take()
        if token.kind not in ("TERM", "PHRASE"):
            self._at -= 1
            raise self.wrong("_exists_: wants the name of a field")
        return f.Exists(unescaped(token.text))

    # --- values ------------------------------------------------------------------------------------------

    def _value(self, fields: tuple[str, ...]) -> f.Filter:
        token = self.take()
        following = self.token
        if token.kind == "COMPARE" and following.kind in ("TERM", "PHRASE"):
            self.take()
        made = self._made(token, following)
        self._marks()
        parts = tuple(made(field) for field in fields)
        return parts[0] if len(parts) == 1 else f.Or(parts)

    def _made(self, token: Token, following: Token) -> _Made:
        """What a value asks of a field; of a comparison the bound is what follows."""
        if token.kind == "TERM":
            return self._term(token)
        if token.kind == "PHRASE":
            slop = int(float(self._marks() or 0))
            return lambda field: self._phrase(field, unescaped(token.text), slop)
        if token.kind == "REGEXP":
            return lambda field: f.Regexp(field, token.text.replace("\\/", "/"))
        if token.kind == "RANGE":
            opened, low, high, closed = token.more
            return lambda field: self._range(field, low, high, opened == "[", closed == "]")
        if token.kind == "COMPARE" and following.kind in ("TERM", "PHRASE"):
            how = token.text
            bound = f'"{following.text}"' if following.kind == "PHRASE" else following.text
            first, last = bound if "<" not in how else "*", bound if ">" not in how else "*"
            return lambda field: self._range(field, first, last, "=" in how, "=" in how)
        self._at -= 1
        raise self.wrong("a term is missing" if token.kind in ("END", ")") else "this does not belong here")

    def _marks(self) -> str | None:
        """The number after `~` (None where there is none); boosts are passed over."""
        fuzzy = None
        while self.token.kind == "MARK":
            token = self.take()
            if token.text == "~":
                fuzzy = token.more[0]
        return fuzzy

    def _term(self, token: Token) -> _Made:
        text = token.text
        if has_wildcard(text):
            self._marks()
            if text == "*":
                return lambda field: f.Exists(field) if field else f.All()
            return lambda field: f.Wildcard(field, text)
        fuzzy = self._marks()
        plain = unescaped(text)
        if fuzzy is not None:
            # Lucene's AUTO: short words must be nearer. A number below 1 is the old similarity.
            auto = 0 if len(plain) < 3 else 1 if len(plain) < 6 else 2
            given = float(fuzzy) if fuzzy and fuzzy != "." else None
            edits = (
                auto if given is None else int(given) if given >= 1 else min(2, int((1 - given) * len(plain)))
            )
            return lambda field: f.Fuzzy(field, plain, edits)
        return lambda field: self._phrase(field, plain, 0)

    def _phrase(self, field: str, text: str, slop: int) -> f.Filter:
        if field in TIMES:
            low, high = instant(text, self._now_ns, self._tz), instant(text, self._now_ns, self._tz, up=True)
            return f.Range(field, gte=low, lte=high)
        return f.Term(field, text) if field.endswith(".keyword") else f.Phrase(field, text, slop)

    def _range(self, field: str, low: str, high: str, low_in: bool, high_in: bool) -> f.Filter:
        def bound(text: str, up: bool) -> f.Scalar | None:
            if text == "*":
                return None
            quoted = len(text) > 1 and text[0] == text[-1] == '"'
            plain = unescaped(text[1:-1] if quoted else text)
            if field in TIMES:
                return instant(plain, self._now_ns, self._tz, up=up)
            try:
                return plain if quoted else int(plain)
            except ValueError:
                pass
            try:
                return float(plain)
            except ValueError:
                return plain

        # An instant that is not told to the end (2026-11) means all of it: above it is after its end.
        first, last = bound(low, not low_in), bound(high, high_in)
        if first is None and last is None:
            return f.Exists(field)
        return f.Range(
            field,
            gte=first if low_in else None,
            gt=None if low_in else first,
            lte=last if high_in else None,
            lt=None if high_in else last,
        )


def _all(clauses: list[tuple[str, f.Filter]]) -> f.Filter:
    return f.both(*(f.Not(one) if sign == "-" else one for sign, one in clauses))
