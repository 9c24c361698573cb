"""What is asked of one event, as a small tree of values. Pure: no parsing, no evaluation.

Who makes them: `lucene.parse` (people's queries), `query.make_filter` (the house's own filters), the wire (Elasticsearch's
JSON). Who evaluates them: `matching`, over columns.

Fields are named as Elasticsearch names them: `level`, `logger`, `message`, `service`, `request_id`, a document's own
`http.status`. Some have a second name (`fields.ALIASES`: `@timestamp`, `loglevel`, `module`, `filename`); `x.keyword` is `x`
compared whole. A field may hold several values (a JSON list): a leaf holds when it holds for one of them.

Text fields (`fields.TEXT`: message, raw, exception_message) are looked at word by word: `Term`, `Prefix`, `Wildcard` and `Regexp` ask it
of a word or of a run of characters between spaces, letter case aside. Every other string is compared whole, case and all
(`fold` sets case aside). `Phrase` is looked for in the words of any string field, case aside. An empty field name means
the whole text of the event (`raw`).
"""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class All:
    """Every event."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No event."""


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold; of none at all: true."""

    of: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least so many of them hold (Elasticsearch's minimum_should_match); of none at all: false."""

    of: tuple[Filter, ...]
    at_least: int = 1


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    of: Filter


@dataclass(frozen=True, slots=True)
class Term:
    """The value itself. A number or a truth value equals its text too ("404" and 404)."""

    field: str
    value: Scalar
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """One of the values itself."""

    field: str
    values: tuple[Scalar, ...]
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Phrase:
    """These words, one after the other (at most `slop` words between them); `prefix`: the last may go on."""

    field: str
    text: str
    slop: int = 0
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Prefix:
    """Begins so."""

    field: str
    text: str
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*` for any characters, `?` for one; a backslash takes a character as it is. In text neither spans a space."""

    field: str
    pattern: str
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Regexp:
    """A regular expression over the whole value (in text: over a word, or all between two spaces). RE2's syntax."""

    field: str
    pattern: str
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """A word at most so many edits away (Damerau-Levenshtein, neighbours swapped count one)."""

    field: str
    text: str
    edits: int = 2


@dataclass(frozen=True, slots=True)
class Range:
    """Between the bounds that are given. Of `@timestamp` the bounds are int, ns since the epoch.

    Numbers compare as numbers (a field of text that reads as one, too, when the bound is a number), text as text.
    With `time` the field is a date like `@timestamp`: bounds are ns, its values are ISO text or ms since the epoch.
    """

    field: str
    gte: Scalar | None = None
    gt: Scalar | None = None
    lte: Scalar | None = None
    lt: Scalar | None = None
    time: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Ids:
    """Events of these ids: a document's `_id`, or an event's cursor."""

    values: tuple[str, ...]


Filter = (
    All
    | Nothing
    | And
    | Or
    | Not
    | Term
    | Terms
    | Phrase
    | Prefix
    | Wildcard
    | Regexp
    | Fuzzy
    | Range
    | Exists
    | Ids
)


def both(*filters: Filter) -> Filter:
    """All of these, without needless layers."""
    flat: list[Filter] = []
    for one in filters:
        flat.extend(one.of if isinstance(one, And) else () if isinstance(one, All) else (one,))
    return flat[0] if len(flat) == 1 else And(tuple(flat)) if flat else All()
