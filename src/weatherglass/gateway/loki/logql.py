"""LogQL, as far as log panels and counts over time use it: text → what is asked. Pure.

`{app="x"} |= "word" != "other" |~ "expr" | json | status >= 500`, and over it `count_over_time` and `rate`, with
`sum by (…)` around. What is not spoken says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from weatherglass.base.errors import Invalid
from weatherglass.base.units import parse_duration
from weatherglass.gateway.loki.wire import unquoted
from weatherglass.logs import fields as known
from weatherglass.logs import filter as ask
from weatherglass.logs.filter import Filter

_STRING = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
_MATCHER = re.compile(rf"\s*,?\s*([A-Za-z_][\w.]*)\s*(=~|!~|!=|=)\s*({_STRING})")
_LINE = re.compile(rf"\s*(\|=|!=|\|~|!~)\s*({_STRING})")
_PARSER = re.compile(r"\s*\|\s*(json|logfmt|unpack)\b")
_LABEL = re.compile(rf"\s*\|\s*([A-Za-z_][\w.]*)\s*(==|=~|!~|!=|>=|<=|=|>|<)\s*({_STRING}|-?[\d.]+\w*)")
_OVER = re.compile(r"\s*(count_over_time|rate|bytes_over_time|bytes_rate)\s*\(")
_AGGREGATE = re.compile(r"\s*(sum|min|max|avg|count)\s*(?:(by|without)\s*\(([^)]*)\)\s*)?\(")
_AFTER = re.compile(r"\s*(by|without)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\s*\[\s*([\w.]+)\s*\]\s*\)")


_HOUSE = frozenset(("level", "detected_level", "logger", "format", *known.SPAN))


@dataclass(frozen=True, slots=True)
class Asked:
    """`over` and `range_ns` where it is a count over time; `by`: labels kept by the aggregation (None: all of them)."""

    holds: Filter
    over: str = ""
    range_ns: int = 0
    outer: str = ""
    by: tuple[str, ...] | None = None


def field_of(label: str) -> str:
    """The store's name for a label: those of the house have a column, others lie together."""
    if label in known.LABELS or label in _HOUSE:
        return label
    return f"label.{label}"


def read(text: str) -> Asked:
    """Raises Invalid."""
    text = text.strip()
    found = _AGGREGATE.match(text)
    if found:
        if found[1] != "sum":
            raise _unspoken(found[1])
        inner, rest = _closed(text, found.end())
        asked = _metric(inner)
        by = found[3] if found[2] == "by" else None
        if found[2] == "without":
            raise _unspoken("without")
        after = _AFTER.match(rest)
        if after and found[2] is None:
            if after[1] == "without":
                raise _unspoken("without")
            by, rest = after[2], rest[after.end() :]
        if rest.strip():
            raise _unspoken(rest.strip()[:40])
        names = tuple(one.strip() for one in by.split(",") if one.strip()) if by is not None else ()
        return Asked(asked.holds, asked.over, asked.range_ns, found[1], names)
    return _metric(text) if _OVER.match(text) else Asked(_pipeline(text))


def _closed(text: str, at: int) -> tuple[str, str]:
    """(what is inside the bracket that was opened before `at`, what follows)."""
    depth, inside = 1, ""
    for number in range(at, len(text)):
        one = text[number]
        if inside:
            if one == inside and text[number - 1] != "\\":
                inside = ""
        elif one in '"`':
            inside = one
        elif one == "(":
            depth += 1
        elif one == ")":
            depth -= 1
            if not depth:
                return text[at:number], text[number + 1 :]
    raise Invalid("a bracket is not closed", where="query")


def _metric(text: str) -> Asked:
    found = _OVER.match(text)
    if found is None:
        raise _unspoken(text.strip()[:40])
    if found[1].startswith("bytes"):
        raise _unspoken(found[1])
    at = text.rfind("[")
    end = _RANGE.match(text, at) if at > 0 else None
    if end is None or text[end.end() :].strip():
        raise Invalid("a count over time ends in [5m])", where="query")
    try:
        seconds = parse_duration(end[1])
    except ValueError as error:
        raise Invalid(str(error), where="query") from None
    if seconds <= 0:
        raise Invalid("a range is longer than nothing", where="query")
    return Asked(_pipeline(text[found.end() : at]), found[1], int(seconds * 1e9))


def _unspoken(what: str) -> Invalid:
    return Invalid(
        f"{what!r} is not spoken here",
        where="query",
        mend='{app="x"} |= "word" | json, count_over_time, rate, sum by',
    )


def _text(token: str) -> str:
    return token[1:-1] if token.startswith("`") else unquoted(token[1:-1])


def selector(text: str) -> tuple[list[Filter], str]:
    """(the matchers, what follows) of `{…}…`. Raises Invalid."""
    text = text.strip()
    if not text.startswith("{"):
        raise Invalid("a query begins with a stream selector", where="query", mend='{app="x"}')
    at, parts = 1, []
    while True:
        found = _MATCHER.match(text, at)
        if found is None:
            break
        parts.append(_matcher(field_of(found[1]), found[2], _text(found[3])))
        at = found.end()
    rest = text[at:].lstrip(" \t\n,")
    if not rest.startswith("}"):
        raise Invalid(f"this is no matcher: {rest[:40]!r}", where="query", mend='{app="x"}')
    return parts, rest[1:]


def _matcher(field: str, how: str, value: str) -> Filter:
    if how in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as error:
            raise Invalid(f"{value[:80]!r} is no regular expression: {error}", where="query") from None
        made: Filter = ask.Regexp(field, value)
        if re.fullmatch(value, ""):
            made = ask.Or((made, ask.Not(ask.Exists(field))))
    elif value == "":
        made = ask.Not(ask.Exists(field))
    else:
        made = ask.Term(field, value, fold=field in ("level", "detected_level"))
    return ask.Not(made) if how.startswith("!") else made


def _pipeline(text: str) -> Filter:
    parts, rest = selector(text)
    while rest.strip():
        if found := _LINE.match(rest):
            parts.append(_line(found[1], _text(found[2])))
        elif found := _PARSER.match(rest):
            pass  # fields of lines that are JSON are known already
        elif found := _LABEL.match(rest):
            parts.append(_compared(found[1], found[2], found[3]))
        else:
            raise _unspoken(rest.strip()[:40])
        rest = rest[found.end() :]
    return ask.both(*parts)


def _line(how: str, text: str) -> Filter:
    """Line filters look into the raw line, letter case and all: as an expression, as they may begin within a word."""
    if not text:
        return ask.All()
    expression = re.escape(text) if how in ("|=", "!=") else text
    try:
        re.compile(expression)
    except re.error as error:
        raise Invalid(f"{text[:80]!r} is no regular expression: {error}", where="query") from None
    made = ask.Regexp("raw.keyword", rf"[\s\S]*(?:{expression})[\s\S]*")
    return ask.Not(made) if how.startswith("!") else made


def _compared(label: str, how: str, token: str) -> Filter:
    """A label or a field of the line, against a text or a number."""
    names = (label, f"label.{label}") if label not in _HOUSE else (label,)
    if token[0] in '"`':
        parts = tuple(
            _matcher(name, how.replace("==", "=").lstrip("!") if how != "!=" else "=", _text(token))
            for name in names
        )
        if how in ("!~",):
            parts = tuple(_matcher(name, "=~", _text(token)) for name in names)
        made: Filter = ask.Or(parts)
        return ask.Not(made) if how.startswith("!") else made
    try:
        number = float(token)
    except ValueError:
        try:
            number = parse_duration(token)
        except ValueError:
            raise _unspoken(token) from None
    if how in ("=", "==", "!="):
        made = ask.Or(tuple(ask.Range(name, gte=number, lte=number) for name in names))
        return ask.Not(made) if how == "!=" else made
    side = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}.get(how)
    if side is None:
        raise _unspoken(how)
    sides = {side: number}
    return ask.Or(
        tuple(
            ask.Range(name, sides.get("gte"), sides.get("gt"), sides.get("lte"), sides.get("lt"))
            for name in names
        )
    )
