"""What is asked of one field: a value, a phrase, a range, by the field's type. Pure.

The same leaves come from Elasticsearch's JSON (`query`) and from query strings (`strings`). What a field's type
means for a leaf (a text is looked at word by word, a keyword whole, a date as an instant) is decided here alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.faults import Fault, parsing
from weatherglass.gateway.elastic.fields import DATES, NUMBERS, WHOLE, Field, Fields
from weatherglass.logs import filter as ask
from weatherglass.logs.fields import is_text
from weatherglass.logs.filter import Filter

TOKEN = re.compile(r"\w+(?:['’.]\w+)*")
_MOST_DEFAULTS = 1024
_NAMES = {"_index", "_id"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a query is read against: the fields of the indices it goes to, and the time."""

    fields: Fields
    now_ms: int

    def field(self, name: str) -> Field:
        """The field of a name; one that no index has is taken for a text or keyword alike."""
        found = self.fields.get(name)
        if found is not None:
            return found
        if name == "@timestamp":
            return Field("date", name)
        if name.endswith(".keyword"):
            return Field("keyword", name.removesuffix(".keyword"))
        return Field("text" if is_text(name) else "keyword", name)

    def matching(self, pattern: str) -> list[str]:
        """The fields that a name with wildcards means, those of values alone."""
        if "*" not in pattern:
            return [pattern]
        chosen = re.compile(re.escape(pattern).replace(r"\*", ".*"))
        return [
            name
            for name, field in self.fields.items()
            if field.type not in ("object", "nested") and chosen.fullmatch(name)
        ]

    def defaults(self) -> list[str]:
        """What a query that names no field asks: every text and keyword, each path once."""
        texts = [name for name, field in self.fields.items() if field.analysed and name == field.path]
        taken = {self.fields[name].path for name in texts}
        words = [
            name for name, field in self.fields.items() if field.type == "keyword" and field.path not in taken
        ]
        return (texts + words)[:_MOST_DEFAULTS] or ["message"]


def tokens(text: str) -> list[str]:
    """The words that Elasticsearch's standard analyser makes, near enough: folded, cut at what is no word."""
    return [word.lower() for word in TOKEN.findall(text)]


def place(field: Field) -> str:
    """The field's name in the store, compared whole."""
    return f"{field.store}.keyword" if is_text(field.path) and not field.analysed else field.store


def number(value: Any, field: Field) -> int | float | None:
    """A number as the field takes it. Raises Fault where it is none."""
    if isinstance(value, bool):
        raise _not_number(value)
    if isinstance(value, str):
        try:
            value = float(value) if not re.fullmatch(r"[+-]?\d{1,18}", value.strip()) else int(value)
        except ValueError:
            raise _not_number(value) from None
    if not isinstance(value, (int, float)) or value != value:
        raise _not_number(value)
    if field.type in WHOLE and isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value


def _not_number(value: Any) -> Fault:
    inner = Fault("number_format_exception", f'For input string: "{str(value)[:80]}"')
    return Fault("query_shard_exception", f"failed to create query: {inner.reason}", cause=inner)


def truth(value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false", ""):
        return False
    raise Fault(
        "query_shard_exception",
        f"failed to create query: Can't parse boolean value [{str(value)[:40]}], expected [true] or [false]",
    )


def checked(value: Any, kind: str) -> Any:
    """A value that a leaf may hold: text, number, truth. Raises Fault."""
    if isinstance(value, (dict, list)) or value is None:
        if value is None:
            raise argument_null(kind)
        raise parsing(
            f"[{kind}] query does not support " + ("arrays" if isinstance(value, list) else "objects")
        )
    return value


def argument_null(kind: str) -> Fault:
    return Fault("illegal_argument_exception", f"[{kind}] value cannot be null")


def equals(scope: Scope, name: str, value: Any, *, fold: bool = False) -> Filter:
    """The value itself (`term`). Raises Fault."""
    if name == "_id":
        return ask.Ids((str(value),))
    if name == "_index":
        return ask.Term("_index", str(value), fold)
    field = scope.field(name)
    if field.type in DATES:
        return span(scope, name, {"gte": value, "lte": value})
    if field.type in NUMBERS:
        found = number(value, field)
        return ask.Term(field.store, found) if found is not None else ask.Nothing()
    if field.type == "boolean":
        return ask.Term(field.store, truth(value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    fold = fold or field.store == "level"  # the store has one spelling of levels
    if field.analysed:
        # A term is not analysed: it equals a word as it was indexed, which is in lower case.
        words = tokens(text)
        return ask.Phrase(field.store, text) if words == [text.lower() if fold else text] else ask.Nothing()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return ask.Term(place(field), value, fold)
    return ask.Term(place(field), text, fold)


def any_of(scope: Scope, name: str, values: list[Any]) -> Filter:
    """One of the values (`terms`)."""
    if name == "_id":
        return ask.Ids(tuple(map(str, values)))
    field = scope.field(name)
    if name != "_index" and (field.analysed or field.type in DATES):
        return ask.Or(tuple(equals(scope, name, value) for value in values))
    leaves = [equals(scope, name, value) for value in values]
    plain = tuple(leaf.value for leaf in leaves if isinstance(leaf, ask.Term))
    return ask.Terms("_index" if name == "_index" else place(field), plain) if plain else ask.Nothing()


def words(scope: Scope, name: str, value: Any, how: Mapping[str, Any]) -> Filter | None:
    """What `match` asks of a field: its words, or of what is no text the value; None where no word is left."""
    field = scope.field(name)
    if not field.analysed:
        return equals(scope, name, value)
    found = tokens(str(value).lower() if isinstance(value, bool) else str(value))
    if not found:
        return None
    fuzziness = how.get("fuzziness")
    leaves: list[Filter] = [_word(field, word, fuzziness) for word in found]
    if how.get("last_is_prefix"):
        leaves[-1] = ask.Phrase(field.store, found[-1], prefix=True)
    if len(leaves) == 1:
        return leaves[0]
    if str(how.get("operator", "or")).lower() == "and":
        return ask.And(tuple(leaves))
    return ask.Or(tuple(leaves), least(how.get("minimum_should_match", 1), len(leaves)))


def _word(field: Field, word: str, fuzziness: Any) -> Filter:
    edits = edits_of(fuzziness, word)
    if not edits:
        return ask.Phrase(field.store, word)
    return ask.Fuzzy(field.store, word, edits)


def edits_of(fuzziness: Any, word: str) -> int:
    """Edits of `AUTO`, `AUTO:3,6`, 0, 1, 2. Raises Fault."""
    if fuzziness in (None, 0, "0"):
        return 0
    text = str(fuzziness).upper()
    if text.startswith("AUTO"):
        low, _, high = text.partition(":")[2].partition(",")
        bounds = (int(low), int(high)) if low.isdigit() and high.isdigit() else (3, 6)
        return 0 if len(word) < bounds[0] else 1 if len(word) < bounds[1] else 2
    try:
        edits = int(float(text))
    except ValueError:
        raise parsing(f"fuzziness [{text[:20]}] cannot be parsed") from None
    if not 0 <= edits <= 2:
        raise parsing(f"Valid edit distances are [0, 1, 2] but was [{edits}]")
    return edits


def phrase(scope: Scope, name: str, value: Any, slop: int = 0, *, prefix: bool = False) -> Filter | None:
    """These words one after the other (`match_phrase`); None where there are none."""
    field = scope.field(name)
    if not field.analysed:
        if prefix and field.type not in DATES | NUMBERS | {"boolean"}:
            return ask.Prefix(place(field), str(value))
        return equals(scope, name, value)
    found = tokens(str(value))
    return ask.Phrase(field.store, " ".join(found), slop, prefix) if found else None


def begins(scope: Scope, name: str, text: str, *, fold: bool = False) -> Filter:
    field = scope.field(name)
    if name in _NAMES:
        return ask.Prefix(name, text, fold)
    if field.analysed:
        low = text.lower() if fold else text
        if low != low.lower() or not re.fullmatch(r"\w*", low):
            return _inside(field, re.escape(low) + r"[^\s]*") if low == low.lower() else ask.Nothing()
        return ask.Phrase(field.store, low, prefix=True) if low else ask.Exists(field.store)
    return ask.Prefix(place(field), text, fold)


def wildcard(scope: Scope, name: str, pattern: str, *, fold: bool = False) -> Filter:
    field = scope.field(name)
    if name in _NAMES:
        return ask.Wildcard(name, pattern, fold)
    if pattern == "*":
        return ask.Exists(field.store)
    if field.analysed:
        if is_text(field.path):
            return ask.Wildcard(field.store, pattern.lower(), True)
        return _inside(field, _from_wildcard(pattern.lower()))
    return ask.Wildcard(place(field), pattern, fold)


def _from_wildcard(pattern: str) -> str:
    out, at = "", 0
    while at < len(pattern):
        one = pattern[at]
        if one == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        else:
            out += r"\w*" if one == "*" else r"\w" if one == "?" else re.escape(one)
        at += 1
    return out


def _inside(field: Field, expression: str) -> Filter:
    """A word of a text that fits: the store looks at such a field whole."""
    return ask.Regexp(field.store, rf"(?:[\s\S]*\W)?(?:{expression})(?:\W[\s\S]*)?", True)


_LUCENE_ONLY = re.compile(r'(?<!\\)([#@&<>~"])')


def regexp(scope: Scope, name: str, pattern: str, *, fold: bool = False) -> Filter:
    """Lucene's expressions are anchored and have no classes like \\d; what RE2 has beyond them does no harm."""
    field = scope.field(name)
    try:
        re.compile(pattern)
    except re.error as error:
        raise argument_regexp(pattern, str(error)) from None
    expression = _LUCENE_ONLY.sub(r"\\\1", pattern) if re.search(r'(?<!\\)["#]', pattern) else pattern
    if name in _NAMES:
        return ask.Regexp(name, expression, fold)
    if field.analysed:
        if is_text(field.path):
            return ask.Regexp(field.store, expression, True)
        return _inside(field, expression)
    return ask.Regexp(place(field), expression, fold)


def argument_regexp(pattern: str, said: str) -> Fault:
    inner = Fault("illegal_argument_exception", said)
    return Fault(
        "query_shard_exception",
        f"failed to create query: {said}",
        more={"index_uuid": "_na_"},
        cause=inner,
    )


def fuzzy(scope: Scope, name: str, text: str, fuzziness: Any = "AUTO") -> Filter:
    field = scope.field(name)
    edits = edits_of("AUTO" if fuzziness is None else fuzziness, text)
    return ask.Fuzzy(field.store, text, edits) if edits else equals(scope, name, text)


def exists(scope: Scope, name: str) -> Filter:
    if name in ("_index", "_id", "_source", "_doc"):
        return ask.All()
    found = scope.fields.get(name)
    if found is not None and found.type in ("object", "nested"):
        inner = [one for one in scope.matching(f"{name}.*") if scope.fields[one].path == one]
        return ask.Or(tuple(ask.Exists(scope.fields[one].store) for one in inner))
    return ask.Exists(scope.field(name).store)


# --- ranges ----------------------------------------------------------------------------------------------


def span(scope: Scope, name: str, bounds: Mapping[str, Any], *, format: str = "", tz: str = "") -> Filter:
    """Between bounds (`gte`, `gt`, `lte`, `lt`; None for none), as the field's type compares. Raises Fault."""
    field = scope.field(name)
    given = {side: value for side, value in bounds.items() if value is not None and value != "*"}
    if not given:
        return ask.Exists(field.store)
    if field.type in DATES:
        return _dates(scope, field, given, format or field.format or dates.DEFAULT, tz)
    if field.type in NUMBERS:
        return _range(field.store, {side: number(value, field) for side, value in given.items()})
    unmapped = name not in scope.fields
    if unmapped and any(isinstance(value, str) and value.startswith("now") for value in given.values()):
        return _dates(scope, field, given, format or dates.DEFAULT, tz)
    if unmapped and all(isinstance(value, (int, float)) for value in given.values()):
        return _range(field.store, given)
    return _range(place(field), {side: str(value) for side, value in given.items()})


def _range(name: str, sides: Mapping[str, Any], *, time: bool = False) -> Filter:
    return ask.Range(name, sides.get("gte"), sides.get("gt"), sides.get("lte"), sides.get("lt"), time)


def _dates(scope: Scope, field: Field, given: Mapping[str, Any], format: str, tz: str) -> Filter:
    """Dates have milliseconds; the store has nanoseconds, so that a bound means all of its millisecond."""
    where = dates.zone(tz) if tz else UTC
    sides: dict[str, int] = {}
    for side, value in given.items():
        try:
            ms = dates.instant(value, scope.now_ms, format, where, up=side in ("gt", "lte"))
        except Fault as fault:
            if fault.kind != "parse_exception":
                raise
            raise Fault(fault.kind, fault.reason, cause=fault.cause) from None
        if side in ("gte", "gt"):
            low = (ms + (side == "gt")) * MS_NS
            sides["gte"] = max(low, sides.get("gte", low))
        else:
            high = (ms + (side == "lte")) * MS_NS
            sides["lt"] = min(high, sides.get("lt", high))
    return _range(field.store, sides, time=field.path != "@timestamp")


def least(given: Any, of: int) -> int:
    """How many of `of` must hold, by `minimum_should_match`: 2, -1, 75%, -25%, 2<-25% 9<-3. Raises Fault."""
    text = str(given).strip()
    found = None
    if "<" in text:
        found = of
        for part in text.split():
            bound, _, then = part.partition("<")
            if not bound.lstrip("-").isdigit():
                raise parsing(f"minimum_should_match [{text[:40]}] cannot be parsed")
            if of <= int(bound):
                break
            found = least(then, of)
        return found
    percent = text.endswith("%")
    try:
        value = int(text.removesuffix("%"))
    except ValueError:
        raise Fault("number_format_exception", f'For input string: "{text[:40]}"') from None
    if percent:
        value = int(of * value / 100)
    return max(0, min(of, of + value if value < 0 or text.startswith("-") else value))
