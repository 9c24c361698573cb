"""The words of the language, told apart: text → tokens. Pure.

A table of token forms, tried in order at each place. Inside a range's brackets a term ends at a space or bracket
alone, so that times and addresses need no escapes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from weatherglass.base.errors import Invalid

MAX_LENGTH = 100_000


class Token(NamedTuple):
    """`kind` is one of AND OR NOT PLUS ( ) : COMPARE ( >= … ) PHRASE REGEXP RANGE TERM MARK (^ or ~) END."""

    kind: str
    text: str
    at: int
    more: tuple[str, ...] = ()


_SPACE = re.compile(r"[\s\u3000]+")
_TERM_CHARACTER = r"(?:\\.|[^\s\u3000+\-!(){}\[\]^\"~:\\/<>=&|]|&(?!&)|\|(?!\|))"
_INNER = r"(?:\\.|[^\s\u3000!(){}\[\]^\"~:\\<>=&|]|&(?!&)|\|(?!\|)|!(?!\s))"
_FORMS = (
    ("AND", re.compile(r"AND(?=[\s\u3000(\"]|$)|&&")),
    ("OR", re.compile(r"OR(?=[\s\u3000(\"]|$)|\|\|")),
    ("NOT", re.compile(r"NOT(?=[\s\u3000(\"]|$)|!|-(?=\S)")),
    ("PLUS", re.compile(r"\+(?=\S)")),
    ("(", re.compile(r"\(")),
    (")", re.compile(r"\)")),
    (
        "RANGE",
        re.compile(
            r"([\[{])\s*(\"(?:\\.|[^\"\\])*\"|[^\s\]}]+)\s+TO\s+(\"(?:\\.|[^\"\\])*\"|[^\s\]}]+)\s*([\]}])"
        ),
    ),
    ("PHRASE", re.compile(r"\"((?:\\.|[^\"\\])*)\"", re.DOTALL)),
    ("REGEXP", re.compile(r"/((?:\\.|[^/\\])+)/(?=[\s)~^]|$)")),
    ("COMPARE", re.compile(r">=|<=|>|<|=")),
    ("MARK", re.compile(r"([~^])(\d*\.?\d*)")),
    (":", re.compile(r":")),
    ("TERM", re.compile(rf"(?:{_TERM_CHARACTER}|[/=<>\-]){_INNER}*", re.DOTALL)),
)

_BOUND = (*(form for form in _FORMS if form[0] == "PHRASE"), ("TERM", re.compile(r"[^\s()\[\]{}\"]+")))
"""After a comparison stands its bound, in which instants need no escapes."""


def tokens(text: str) -> list[Token]:
    """Ends with END. Raises Invalid."""
    if len(text) > MAX_LENGTH:
        raise Invalid(f"a query of {len(text)} characters; at most {MAX_LENGTH}", where="query")
    out: list[Token] = []
    at = 0
    while at < len(text):
        space = _SPACE.match(text, at)
        if space:
            at = space.end()
            continue
        for kind, form in _BOUND if out and out[-1].kind == "COMPARE" else _FORMS:
            found = form.match(text, at)
            if found is None or (kind == "COMPARE" and not (out and out[-1].kind == ":")):
                continue
            shown = found[1] if kind in ("PHRASE", "REGEXP", "MARK") else found[0]
            more = (
                tuple(found.groups()[1:])
                if kind == "MARK"
                else tuple(found.groups())
                if kind == "RANGE"
                else ()
            )
            out.append(Token(kind, shown, at, more))
            at = found.end()
            break
        else:
            raise Invalid(
                f"the query cannot be read from {text[at : at + 20]!r} on",
                where=f"query:{at + 1}",
                mend='write special characters with a backslash, or put quotes around: "…"',
            )
    return [*out, Token("END", "", len(text))]


def unescaped(text: str) -> str:
    """Without the backslashes; `\\u0041` is a character by its number."""

    def plain(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else found[2]

    if "\\" not in text:
        return text
    dangling = (len(text) - len(text.rstrip("\\"))) % 2  # one that escapes nothing is nothing
    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", plain, text[:-1] if dangling else text, flags=re.DOTALL)


def has_wildcard(text: str) -> bool:
    """Whether `*` or `?` stands in it, not escaped."""
    return re.search(r"(?<!\\)(?:\\\\)*[*?]", text) is not None
