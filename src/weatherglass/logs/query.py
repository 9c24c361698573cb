"""What people ask of the store by words, level, entity and fields, as a filter. Pure.

Names of fields are those of `fields`; a value ends in `*` to mean a beginning, `*` alone means any, "" absence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from weatherglass.base.errors import Invalid, Problem
from weatherglass.base.ids import KINDS, kind_of, name_of
from weatherglass.logs import filter as f
from weatherglass.logs.fields import LABELS
from weatherglass.logs.lucene import parse

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Key = tuple[int, int]
"""(time_ns, sequence): the one order of a tenant's events."""

_TERM = re.compile(r'"([^"]*)"?|(\S+)')


def terms_of(words: str) -> tuple[str, ...]:
    """Words, and "quoted phrases". A quote that is not closed ends with the text."""
    found = ((form[1] if form[2] is None else form[2]) for form in _TERM.finditer(words))
    return tuple(dict.fromkeys(term for term in found if term.strip()))


def make_filter(
    *,
    start_ns: int = 0,
    end_ns: int = 1 << 62,
    words: str = "",
    entity: str = "",
    level: str = "",
    fields: Mapping[str, str] | None = None,
    query: str = "",
    before: str = "",
    now_ns: int = 0,
) -> f.Filter:
    """The filter of what a person gave. `query` is in Lucene's language. Raises Invalid with everything that is wrong."""
    problems: list[Problem] = []
    parts: list[f.Filter] = [f.Phrase("", term) for term in terms_of(words)]
    if end_ns < start_ns:
        problems.append(Problem("the end lies before the start", "end", "give a later one"))
    if entity:
        kind, name = kind_of(entity), name_of(entity)
        if kind not in KINDS or not name:
            problems.append(
                Problem(f"{entity!r} is not an entity", "entity", "write one like service/keystone")
            )
        parts.append(f.Term(_label(kind), name))
    if level:
        parts.append(f.Terms("level.keyword", tuple(sorted(_levels(level, problems)))))
    for name, value in (fields or {}).items():
        parts.append(field_filter(name, value))
    if query:
        try:
            parts.append(parse(query, now_ns=now_ns))
        except Invalid as error:
            problems.extend(error.problems or [Problem(error.message, error.where, error.mend)])
    if before:
        try:
            parse_cursor(before)
        except Invalid as error:
            problems.extend(error.problems)
    if problems:
        raise Invalid(problems[0].message, problems=problems)
    return f.both(*parts)


def field_filter(name: str, value: str) -> f.Filter:
    """One field's value, as people give it."""
    keyword = f"{name}.keyword"
    if value == "*":
        return f.Exists(name)
    if value == "":
        return f.Not(f.Exists(name))
    return f.Prefix(keyword, value[:-1]) if value.endswith("*") else f.Term(keyword, value)


def _label(kind: str) -> str:

    return kind if kind in LABELS else f"label.{kind}"


def _levels(text: str, problems: list[Problem]) -> frozenset[str]:
    """`ERROR`, `ERROR,CRITICAL`, or `WARNING+` for it and what is worse."""
    chosen: set[str] = set()
    for one in text.upper().split(","):
        name = one.strip().removesuffix("+")
        if name not in LEVELS:
            problems.append(Problem(f"{name!r} is not a level", "level", f"one of {', '.join(LEVELS)}"))
        elif one.strip().endswith("+"):
            chosen.update(LEVELS[LEVELS.index(name) :])
        else:
            chosen.add(name)
    return frozenset(chosen)


def cursor(key: Key) -> str:
    """How a place in the order is written for others; `parse_cursor` reads it."""
    return f"{key[0]:x}-{key[1]:x}"


def parse_cursor(text: str) -> Key:
    """Raises Invalid."""
    time_ns, _, sequence = text.partition("-")
    try:
        key = int(time_ns, 16), int(sequence, 16)
    except ValueError:
        key = (-1, -1)
    if not all(0 <= number < 1 << 63 for number in key):
        raise Invalid(f"{text[:60]!r} is not a cursor", where="before", mend="give one back that a page gave")
    return key
