"""What is asked of the store, as a value, and what it asks of one event. Pure.

The names that may be filtered by are one table: the labels of the house, `logger`, and the parsers' fields. A
value ends in `*` to mean a beginning. Reading blocks by the same query is `blocks`' part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

from weatherglass.base.errors import Invalid, Problem
from weatherglass.base.ids import KINDS, kind_of, name_of
from weatherglass.engine.protocols import Event, Labels
from weatherglass.logs.reading import FIELDS
from weatherglass.logs.terms import has_all, terms_of

LABELS = ("site", "host", "zone", "service", "replica", "source")
"""Labels with a column of their own; any other is kept and found too, more slowly."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Key = tuple[int, int]
"""(time_ns, sequence): the one order of a tenant's events."""

Row = tuple[int, int, Event]


@dataclass(frozen=True, slots=True)
class Query:
    """start_ns ≤ time < end_ns, and everything else that is set. Filters are (name, value); "" asks for absence."""

    start_ns: int
    end_ns: int
    terms: tuple[str, ...] = ()
    levels: frozenset[str] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    before: Key | None = None
    after: Key | None = None

    def within(self, first_ns: int, last_ns: int) -> bool:
        """Whether events of first_ns…last_ns, both included, may be asked for."""
        return (
            last_ns >= self.start_ns
            and first_ns < self.end_ns
            and (self.before is None or first_ns <= self.before[0])
            and (self.after is None or last_ns >= self.after[0])
        )

    def next_to(self, before: Key | None = None, after: Key | None = None) -> Query:
        return replace(self, before=before, after=after)


def make_query(
    *,
    start_ns: int,
    end_ns: int,
    words: str = "",
    entity: str = "",
    level: str = "",
    fields: Mapping[str, str] | None = None,
    before: str = "",
) -> Query:
    """The query of what a person gave. Raises Invalid with everything that is wrong."""
    problems: list[Problem] = []
    labels: list[tuple[str, str]] = []
    wanted: list[tuple[str, str]] = []
    if end_ns < start_ns:
        problems.append(Problem("the end lies before the start", "end", "give a later one"))
    if entity:
        kind, name = kind_of(entity), name_of(entity)
        if kind not in KINDS or not name:
            problems.append(
                Problem(f"{entity!r} is not an entity", "entity", "write one like service/keystone")
            )
        labels.append((kind, name))
    levels = None
    if level:
        levels = _levels(level, problems)
    for name, value in (fields or {}).items():
        if name in LABELS:
            labels.append((name, value))
        elif name in FIELDS or name == "logger":
            wanted.append((name, value))
        elif name.startswith("label."):
            labels.append((name.removeprefix("label."), value))
        else:
            near = get_close_matches(name, (*FIELDS, *LABELS, "logger"), 1)
            mend = f"did you mean {near[0]}?" if near else f"one of {', '.join((*LABELS, 'logger', *FIELDS))}"
            problems.append(Problem(f"no field {name!r}", f"fields.{name}", mend))
    key = None
    if before:
        try:
            key = parse_cursor(before)
        except Invalid as error:
            problems.extend(error.problems)
    if problems:
        raise Invalid(problems[0].message, problems=problems)
    return Query(start_ns, end_ns, terms_of(words), levels, tuple(labels), tuple(wanted), key)


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


def value_matches(value: str, wanted: str) -> bool:
    """Whether a field's value is what is wanted; a `*` at the end wants a beginning."""
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def predicate(query: Query) -> Callable[[Row], bool]:
    """What the query asks of one event in memory."""

    @lru_cache(1024)
    def labelled(labels: Labels) -> bool:
        given = dict(labels)
        return all(value_matches(given.get(name, ""), wanted) for name, wanted in query.labels)

    def asked(row: Row) -> bool:
        time_ns, sequence, event = row
        if not query.start_ns <= time_ns < query.end_ns:
            return False
        if query.before is not None and (time_ns, sequence) >= query.before:
            return False
        if query.after is not None and (time_ns, sequence) <= query.after:
            return False
        if query.levels is not None and event.level not in query.levels:
            return False
        if query.labels and not labelled(event.labels):
            return False
        for name, wanted in query.fields:
            value = event.logger if name == "logger" else event.fields.get(name, "")
            if not value_matches(value, wanted):
                return False
        return has_all(event.raw, query.terms)

    return asked
