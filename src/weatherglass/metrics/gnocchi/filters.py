"""Search in both syntaxes: JSON checked to be a filter, text parsed to the same tree. Pure; SQL is in `conditions`.

A filter is `{op: {attribute: value}}`, `{"and": […]}`, `{"or": […]}` or `{"not": filter}`; values of `id` are made
UUIDs on the way, as resources' ids are.
"""

from __future__ import annotations

import re
from typing import Any

import voluptuous as v

from weatherglass.metrics.gnocchi.attributes import resource_id
from weatherglass.metrics.gnocchi.errors import Bad, unfit

Filter = dict[str, Any]

COMPARISONS = {
    "=": "=", "==": "=", "eq": "=",
    "<": "<", "lt": "<",
    ">": ">", "gt": ">",
    "<=": "<=", "≤": "<=", "le": "<=",
    ">=": ">=", "≥": ">=", "ge": ">=",
    "!=": "!=", "≠": "!=", "ne": "!=",
}  # fmt: skip
"""Every spelling of a comparison → the one that is used inside."""

JOINS = {"and": "and", "∧": "and", "or": "or", "∨": "or"}

_DEPTH = 32
_SCALAR = v.Any(str, float, int, bool, None)
_OTHER = v.All(str, v.NotIn(["id"]))


def schema_for(creator: str | None) -> v.Schema:
    """The schema of a JSON filter."""

    def identity(value: Any) -> str:
        try:
            return resource_id(value, creator)
        except ValueError as error:
            raise v.Invalid(str(error)) from error

    def again(value: Any) -> Any:
        return schema(value)

    schema = v.Schema(
        v.All(
            v.Length(min=0, max=1),
            {
                v.Any(*COMPARISONS): v.All(v.Length(min=1, max=1), {"id": identity, _OTHER: _SCALAR}),
                "like": v.All(v.Length(min=1, max=1), {_OTHER: _SCALAR}),
                "in": v.All(
                    v.Length(min=1, max=1),
                    {
                        "id": v.All([identity], v.Length(min=1)),
                        _OTHER: v.All([_SCALAR], v.Length(min=1)),
                    },
                ),
                v.Any(*JOINS): v.All([again], v.Length(min=1)),
                "not": again,
            },
        ),
        required=False,
    )
    return schema


def checked(tree: Any, creator: str | None) -> Filter:
    """The tree as a filter, ids made UUIDs. Raises Bad."""
    try:
        fit: Filter = schema_for(creator)(tree)
    except v.Invalid as error:
        raise unfit(error) from error
    except RecursionError:
        raise Bad("Invalid filter: nested too deeply") from None
    return fit


# --- the text syntax -------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"[^"\n]*"|'[^'\n]*')
    | (?P<uuid>[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9A-Za-z_]))
    | (?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    | (?P<op>>=|<=|!=|>|<|=|≠|≥|≤|∧|∨)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>[()\[\],])
    )""",
    re.VERBOSE,
)
_CONSTANTS = {"none": None, "null": None, "true": True, "false": False}
_WORD_OPS = frozenset({"eq", "ne", "lt", "gt", "ge", "le", "in", "like"})


class _Text:
    """A recursive descent over `not`, `and`, `or` (binding in that order), comparisons and parentheses."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.tokens: list[tuple[str, str, int]] = []  # (kind, text, place)
        place = 0
        stripped = text.rstrip()
        while place < len(stripped):
            found = _TOKEN.match(stripped, place)
            if found is None:
                raise self._expected("term", place)
            kind = found.lastgroup or ""
            self.tokens.append((kind, found.group(kind), found.start(kind)))
            place = found.end()

    def _expected(self, what: str, place: int) -> Bad:
        return Bad(
            f"Invalid filter: Expected {what}, found {self.text[place : place + 20]!r}  "
            f"(at char {place}), (line:1, col:{place + 1})"
        )

    def _fail(self, what: str) -> Bad:
        return self._expected(what, self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text))

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _take(self, *texts: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at][1] in texts and not self._quoted():
            self.at += 1
            return True
        return False

    def _quoted(self) -> bool:
        return self.tokens[self.at][0] == "string"

    def whole(self) -> Filter:
        tree = self._any(0)
        if self.at < len(self.tokens):
            raise self._fail("end of text")
        return tree

    def _any(self, depth: int) -> Filter:
        return self._joined("or", ("or", "∨"), self._all, depth)

    def _all(self, depth: int) -> Filter:
        return self._joined("and", ("and", "∧"), self._not, depth)

    def _joined(self, name: str, spellings: tuple[str, ...], part: Any, depth: int) -> Filter:
        parts = [part(depth)]
        while self._take(*spellings):
            parts.append(part(depth))
        return parts[0] if len(parts) == 1 else {name: parts}

    def _not(self, depth: int) -> Filter:
        if depth > _DEPTH:
            raise Bad("Invalid filter: nested too deeply")
        if self._take("not"):
            return {"not": self._not(depth + 1)}
        if self._take("("):
            tree = self._any(depth + 1)
            if not self._take(")"):
                raise self._fail("')'")
            return tree
        return self._condition()

    def _condition(self) -> Filter:
        left = self._term()
        op = self._peek()
        if not op or self._quoted() or not (op in COMPARISONS or op in _WORD_OPS):
            raise self._fail("operator")
        self.at += 1
        right = self._term()
        if not isinstance(left, str):
            raise self._fail("an attribute before the operator")
        return {op: {left: right}}

    def _term(self) -> Any:
        if self.at >= len(self.tokens):
            raise self._fail("term")
        kind, text, _ = self.tokens[self.at]
        if kind in ("op", "mark") and text != "[":
            raise self._fail("term")
        self.at += 1
        if text == "[":
            return self._list()
        if kind == "string":
            return text[1:-1]
        if kind == "number":
            return float(text)
        if kind == "word" and text.lower() in _CONSTANTS:
            return _CONSTANTS[text.lower()]
        return text

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while not self._take("]"):
            found.append(self._term())
            if not self._take(",") and self._peek() != "]":
                raise self._fail("']'")
        return found


def parsed(text: str, creator: str | None) -> Filter:
    """The filter of `a = "x" and (b > 3 or not c like "y%")`. Raises Bad."""
    return checked(_Text(text).whole(), creator)
