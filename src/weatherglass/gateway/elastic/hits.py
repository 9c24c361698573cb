"""Hits as a search tells them: source, fields, sort values, highlights. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weatherglass.gateway.elastic import dates, fields, sorting
from weatherglass.gateway.elastic.faults import Fault, argument, parsing
from weatherglass.gateway.elastic.fields import DATES
from weatherglass.gateway.elastic.indices import of_service, shown
from weatherglass.gateway.elastic.leaves import Scope
from weatherglass.gateway.elastic.names import pattern
from weatherglass.gateway.elastic.room import Found
from weatherglass.gateway.elastic.sorting import Key
from weatherglass.logs import filter as ask
from weatherglass.logs.filter import Filter

Told = dict[str, Any]


class Sources:
    """`_source`: whether, and which parts."""

    def __init__(self, given: Any = True) -> None:
        self.wanted = True
        self.includes: tuple[str, ...] = ()
        self.excludes: tuple[str, ...] = ()
        if isinstance(given, bool) or given in ("true", "false"):
            self.wanted = given in (True, "true")
        elif isinstance(given, str):
            self.includes = tuple(given.split(","))
        elif isinstance(given, list):
            self.includes = tuple(str(one) for one in given)
        elif isinstance(given, Mapping):
            for name in given:
                if name not in ("includes", "excludes", "include", "exclude"):
                    raise parsing(f"Unknown key for a VALUE in [_source]: [{name[:40]}]")
            self.includes = _texts(given.get("includes", given.get("include")))
            self.excludes = _texts(given.get("excludes", given.get("exclude")))
        elif given is not None:
            raise parsing(
                "Expected one of [VALUE_BOOLEAN, VALUE_STRING, START_ARRAY, START_OBJECT] for [_source]"
            )

    def of(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        if not (self.includes or self.excludes):
            return source
        return _pruned(source, "", self.includes, self.excludes) or {}


def _texts(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    return tuple(str(one) for one in given) if isinstance(given, list) else tuple(str(given).split(","))


def _pruned(value: Any, path: str, includes: Sequence[str], excludes: Sequence[str]) -> Any:
    """A source with the paths that are asked for: an object's name means all that is in it."""
    if isinstance(value, list):
        found = [_pruned(one, path, includes, excludes) for one in value]
        return [one for one in found if one is not None] or None
    if not isinstance(value, Mapping):
        return value if not includes or _within(path, includes) else None
    made = {}
    for name, inner in value.items():
        at = f"{path}.{name}" if path else str(name)
        if _within(at, excludes):
            continue
        one = inner if not excludes and _within(at, includes) else _pruned(inner, at, includes, excludes)
        if one is not None or (inner is None and (not includes or _within(at, includes))):
            made[name] = one
    return made if made or not path else None


def _within(path: str, globs: Iterable[str]) -> bool:
    parts = path.split(".")
    heads = [".".join(parts[: number + 1]) for number in range(len(parts))]
    return any(pattern(glob).match(head) for glob in globs for head in heads)


# --- fields ----------------------------------------------------------------------------------------------


def wanted_fields(given: Any, what: str) -> list[tuple[str, str]]:
    """(name or pattern, format) of `fields` and `docvalue_fields`. Raises Fault."""
    found = []
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            found.append((one, ""))
        elif isinstance(one, Mapping) and isinstance(one.get("field"), str):
            found.append((one["field"], str(one.get("format") or "")))
        else:
            raise parsing(f"[{what}] expected a field name")
    return found


def field_values(source: Mapping[str, Any], asked: Sequence[tuple[str, str]], scope: Scope) -> Told:
    """The values of each field that the document has, as lists."""
    made: Told = {}
    for glob, format in asked:
        names = scope.matching(glob) if "*" in glob else [glob]
        for name in names:
            field = scope.field(name)
            values = fields.values(source, field.path)
            if not values:
                continue
            if field.type in DATES:
                values = [_date(value, format, field.format) for value in values]
            made[name] = values
    return made


def _date(value: Any, format: str, own: str) -> Any:
    try:
        return dates.write(dates.read(value, own or dates.DEFAULT), format or own.split("||")[0])
    except Fault:
        return value


# --- highlights ------------------------------------------------------------------------------------------

_FRAGMENT = 100
_HIGHLIGHT = frozenset(
    ("fields", "pre_tags", "post_tags", "fragment_size", "number_of_fragments", "require_field_match", "encoder",
     "type", "order", "no_match_size", "highlight_query", "boundary_scanner", "boundary_max_scan", "boundary_chars",
     "boundary_scanner_locale", "fragmenter", "fragment_offset", "tags_schema", "phrase_limit", "max_analyzed_offset",
     "matched_fields", "force_source", "max_fragment_length", "options")
)  # fmt: skip


class Highlight:
    """`highlight`: the words of the query marked in the fields' texts."""

    def __init__(self, given: Mapping[str, Any], holds: Filter, scope: Scope) -> None:
        if not isinstance(given, Mapping) or not set(given) <= _HIGHLIGHT:
            wrong = (
                next((name for name in given if name not in _HIGHLIGHT), "")
                if isinstance(given, Mapping)
                else ""
            )
            raise Fault("x_content_parse_exception", f"[1:1] [highlight] unknown field [{wrong[:80]}]")
        self._given, self._scope = given, scope
        self._marks: dict[str, list[str]] = {}
        _marks(holds, self._marks)
        listed = given.get("fields") or {}
        parts = listed if isinstance(listed, list) else [listed]
        if not all(isinstance(part, Mapping) for part in parts):
            raise parsing("[highlight] expected the fields as objects")
        self._fields = [(name, how or {}) for part in parts for name, how in part.items()]
        if not all(isinstance(how, Mapping) for _, how in self._fields):
            raise parsing("[highlight] expected the options of a field as an object")

    def of(self, source: Mapping[str, Any]) -> Told:
        made: Told = {}
        for glob, how in self._fields:
            for name in self._scope.matching(glob) or [glob]:
                path = self._scope.field(name).path
                strict = how.get("require_field_match", self._given.get("require_field_match", True))
                marks = (
                    self._marks.get(path, []) + self._marks.get(f"{path}.keyword", [])
                    if strict
                    else [one for marks in self._marks.values() for one in marks]
                )
                found = self._fragments(fields.values(source, path), marks, how)
                if found:
                    made[name] = found
        return made

    def _tag(self, how: Mapping[str, Any], name: str, otherwise: str) -> str:
        given = how.get(name) or self._given.get(name)
        return str(given[0]) if isinstance(given, list) and given else str(given) if given else otherwise

    def _count(self, how: Mapping[str, Any], name: str, otherwise: int) -> int:
        given = how.get(name, self._given.get(name, otherwise))
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise parsing(f"[highlight] failed to parse field [{name}]")
        return given

    def _fragments(self, values: Sequence[Any], marks: Sequence[str], how: Mapping[str, Any]) -> list[str]:
        if not marks:
            return []
        before, after = self._tag(how, "pre_tags", "<em>"), self._tag(how, "post_tags", "</em>")
        most, size = self._count(how, "number_of_fragments", 5), self._count(how, "fragment_size", _FRAGMENT)
        expression = re.compile("|".join(marks), re.IGNORECASE)
        found: list[str] = []
        for value in values:
            text = str(value)
            if most == 0:
                if expression.search(text):
                    found.append(expression.sub(lambda one: before + one[0] + after, text))
                continue
            end = 0
            for one in expression.finditer(text):
                if one.start() < end:
                    continue
                begin, end = _around(text, one.start(), max(size, one.end() - one.start()))
                piece = text[begin:end].strip()
                found.append(expression.sub(lambda mark: before + mark[0] + after, piece))
        return found[:most] if most else found


def _around(text: str, at: int, size: int) -> tuple[int, int]:
    """A span of about `size` characters with the word at `at`, cut at spaces."""
    begin = max(0, at - size // 4)
    begin = text.rfind(" ", 0, begin + 1) + 1 if begin else 0
    end = begin + size
    if end >= len(text):
        return begin, len(text)
    space = text.find(" ", end)
    return begin, len(text) if space < 0 or space - end > 40 else space


def _marks(holds: Filter, found: dict[str, list[str]]) -> None:
    if isinstance(holds, (ask.And, ask.Or)):
        for one in holds.of:
            _marks(one, found)
    elif isinstance(holds, ask.Phrase):
        words = [re.escape(word) for word in re.findall(r"\w+", holds.text)]
        tail = r"\w*" if holds.prefix else ""
        joined = r"\W+".join(words)
        found.setdefault(holds.field, []).append(rf"(?<!\w){joined}{tail}(?!\w)")
    elif isinstance(holds, ask.Term):
        found.setdefault(holds.field, []).append(re.escape(str(holds.value)))
    elif isinstance(holds, ask.Terms):
        found.setdefault(holds.field, []).extend(re.escape(str(value)) for value in holds.values)
    elif isinstance(holds, ask.Prefix):
        found.setdefault(holds.field, []).append(rf"(?<!\w){re.escape(holds.text)}\w*")
    elif isinstance(holds, ask.Wildcard):
        body = re.escape(holds.pattern).replace(r"\*", r"[^\s]*").replace(r"\?", r"[^\s]")
        found.setdefault(holds.field, []).append(rf"(?<!\w){body}(?!\w)")


# --- a hit -----------------------------------------------------------------------------------------------


class Shape:
    """How the hits of one search are told."""

    def __init__(self, body: Mapping[str, Any], scope: Scope, holds: Filter, keys: tuple[Key, ...]) -> None:
        self._scope, self._keys = scope, keys
        stored = body.get("stored_fields")
        self._bare = stored in ("_none_", ["_none_"])
        self._sources = Sources(
            body.get("_source", stored is None or stored == "_source" or "_source" in _list(stored))
        )
        self._fields = wanted_fields(body["fields"], "fields") if body.get("fields") else []
        self._docvalues = (
            wanted_fields(body["docvalue_fields"], "docvalue_fields") if body.get("docvalue_fields") else []
        )
        self._highlight = Highlight(body["highlight"], holds, scope) if body.get("highlight") else None
        self._version = bool(body.get("version"))
        self._seq = bool(body.get("seq_no_primary_term"))
        scored = not keys or any(key.name == "_score" for key in keys)
        self.score = 1.0 if scored or body.get("track_scores") else None

    def hit(self, found: Found) -> Told:
        made: Told = {"_index": shown(found.index) if found.index else of_service(found.service)}
        if not self._bare:
            made["_id"] = found.id
        made["_score"] = self.score
        if self._version:
            made["_version"] = 1
        if self._seq:
            made["_seq_no"], made["_primary_term"] = 0, 1
        if self._sources.wanted and not self._bare:
            made["_source"] = self._sources.of(found.source())
        if self._fields or self._docvalues:
            values = field_values(found.source(), [*self._fields, *self._docvalues], self._scope)
            if values:
                made["fields"] = values
        if self._highlight is not None:
            marked = self._highlight.of(found.source())
            if marked:
                made["highlight"] = marked
        if self._keys:
            made["sort"] = [
                sorting.tell(key, value) for key, value in zip(self._keys, found.sort, strict=False)
            ]
        return made


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def check_window(begin: int, size: int, what: str = "from + size") -> None:
    """Raises Fault beyond 10,000 hits."""
    if begin < 0:
        raise argument("[from] parameter cannot be negative but was [" + str(begin) + "]")
    if size < 0:
        raise argument(f"[size] parameter cannot be negative, found [{size}]")
    if begin + size > 10_000:
        raise argument(
            f"Result window is too large, {what} must be less than or equal to: [10000] but was [{begin + size}]. See the "
            "scroll api for a more efficient way to request large data sets. This limit can be set by changing the "
            "[index.max_result_window] index level setting."
        )


__all__ = ["Highlight", "Shape", "Sources", "check_window", "field_values", "wanted_fields"]
