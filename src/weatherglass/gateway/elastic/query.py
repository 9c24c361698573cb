"""Elasticsearch's query DSL → `logs.filter`. Pure: JSON in, a tree out; the kinds of queries are a table.

Scores are not computed: boosts, tie-breakers and rewrites are read and passed over. Documents are flat to the
store, so `nested` asks its inner query of the document as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weatherglass.gateway.elastic import leaves, strings
from weatherglass.gateway.elastic.faults import Fault, parsing
from weatherglass.gateway.elastic.leaves import Scope
from weatherglass.logs import filter as ask
from weatherglass.logs.filter import Filter

_DEEP = 20
_PASSED_OVER = frozenset(("boost", "_name"))
_MOST_TERMS = 65_536

Kind = Callable[[Any, Scope, int], Filter]


def read(body: Any, scope: Scope, depth: int = 0) -> Filter:
    """The filter of a query. Raises Fault."""
    if not isinstance(body, Mapping):
        raise parsing("[_na] query malformed, must start with start_object")
    if not body:
        raise Fault("illegal_argument_exception", "query malformed, empty clause found")
    if depth > _DEEP:
        raise parsing(
            f"The nested depth of the query exceeds the maximum nested depth for queries set in [{_DEEP}]"
        )
    (name, inner), *rest = body.items()
    kind = KINDS.get(name)
    if kind is None:
        cause = Fault("named_object_not_found_exception", f"[1:{len(name) + 5}] unknown field [{name[:80]}]")
        # the parser names itself as the root
        fault = parsing(f"unknown query [{name[:80]}]")
        fault.more["caused_by"] = cause.plain()
        raise fault
    if rest:
        raise parsing(f"[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]")
    return kind(inner, scope, depth + 1)


def _object(body: Any, kind: str) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise parsing(f"[{kind}] query malformed, no start_object after query name")
    return body


def _known(body: Mapping[str, Any], kind: str, names: frozenset[str]) -> None:
    for name in body:
        if name not in names and name not in _PASSED_OVER:
            raise parsing(f"[{kind}] query does not support [{name[:80]}]")


def _field(body: Any, kind: str, value_key: str) -> tuple[str, Any, Mapping[str, Any]]:
    """(field, value, options) of `{"field": value}` or `{"field": {value_key: value, …}}`. Raises Fault."""
    given = {name: one for name, one in _object(body, kind).items() if name not in _PASSED_OVER}
    if len(given) != 1:
        if not given:
            raise Fault("illegal_argument_exception", f"[{kind}] requires fieldName")
        first, second, *_ = given
        raise parsing(
            f"[{kind}] query doesn't support multiple fields, found [{first[:80]}] and [{second[:80]}]"
        )
    ((name, inner),) = given.items()
    if not isinstance(inner, Mapping):
        return name, leaves.checked(inner, kind), {}
    if value_key not in inner:
        for other in inner:
            if other not in OPTIONS[kind] and other not in _PASSED_OVER:
                raise parsing(f"[{kind}] query does not support [{other[:80]}]")
        raise leaves.argument_null(kind) if kind != "match" else parsing("No text specified for text query")
    _known(inner, kind, OPTIONS[kind] | {value_key})
    return name, leaves.checked(inner[value_key], kind), inner


_WORDS = frozenset(
    ("operator", "minimum_should_match", "fuzziness", "prefix_length", "max_expansions", "fuzzy_transpositions",
     "fuzzy_rewrite", "lenient", "zero_terms_query", "analyzer", "cutoff_frequency", "slop",
     "auto_generate_synonyms_phrase_query", "type", "tie_breaker", "rewrite")
)  # fmt: skip
OPTIONS: dict[str, frozenset[str]] = {
    "term": frozenset(("value", "case_insensitive")),
    "prefix": frozenset(("value", "prefix", "case_insensitive", "rewrite")),
    "wildcard": frozenset(("value", "wildcard", "case_insensitive", "rewrite")),
    "regexp": frozenset(
        ("value", "flags", "max_determinized_states", "case_insensitive", "rewrite", "flags_value")
    ),
    "fuzzy": frozenset(
        ("value", "fuzziness", "max_expansions", "prefix_length", "transpositions", "rewrite")
    ),
    **dict.fromkeys(("match", "match_phrase", "match_phrase_prefix", "match_bool_prefix"), _WORDS),
}


def _term(body: Any, scope: Scope, _: int) -> Filter:
    if isinstance(body, Mapping) and len(body) == 1 and isinstance(next(iter(body.values())), list):
        raise parsing("[term] query does not support array of values")
    name, value, how = _field(body, "term", "value")
    return leaves.equals(scope, name, value, fold=bool(how.get("case_insensitive", False)))


def _terms(body: Any, scope: Scope, _: int) -> Filter:
    given = {name: one for name, one in _object(body, "terms").items() if name not in _PASSED_OVER}
    if len(given) != 1:
        raise parsing(
            "[terms] query requires a field name, followed by array of terms or a document lookup specification"
            if not given
            else "[terms] query does not support multiple fields"
        )
    ((name, values),) = given.items()
    if not isinstance(values, list):
        raise parsing(f"[terms] query does not support [{name[:80]}]")
    if len(values) > _MOST_TERMS:
        raise Fault(
            "illegal_argument_exception",
            f"The number of terms [{len(values)}] used in the Terms Query request has exceeded the allowed maximum",
        )
    return leaves.any_of(scope, name, [leaves.checked(value, "terms") for value in values])


def _match(body: Any, scope: Scope, _: int) -> Filter:
    name, value, how = _field(body, "match", "query")
    return _or_none(_lenient(lambda: leaves.words(scope, name, value, how), how), how)


def _lenient(made: Callable[[], Filter | None], how: Mapping[str, Any]) -> Filter | None:
    try:
        return made()
    except Fault:
        if how.get("lenient") in (True, "true"):
            return ask.Nothing()
        raise


def _or_none(found: Filter | None, how: Mapping[str, Any]) -> Filter:
    if found is not None:
        return found
    return ask.All() if str(how.get("zero_terms_query", "none")).lower() == "all" else ask.Nothing()


def _slop(how: Mapping[str, Any]) -> int:
    try:
        return max(0, int(how.get("slop", 0)))
    except (TypeError, ValueError):
        raise parsing("slop is not a number") from None


def _match_phrase(body: Any, scope: Scope, _: int) -> Filter:
    name, value, how = _field(body, "match_phrase", "query")
    return _or_none(leaves.phrase(scope, name, value, _slop(how)), how)


def _match_phrase_prefix(body: Any, scope: Scope, _: int) -> Filter:
    name, value, how = _field(body, "match_phrase_prefix", "query")
    return _or_none(leaves.phrase(scope, name, value, _slop(how), prefix=True), how)


def _match_bool_prefix(body: Any, scope: Scope, _: int) -> Filter:
    name, value, how = _field(body, "match_bool_prefix", "query")
    return _or_none(leaves.words(scope, name, value, {**how, "last_is_prefix": True}), how)


_MULTI = _WORDS | {"query", "fields"}


def _multi_match(body: Any, scope: Scope, _: int) -> Filter:
    how = _object(body, "multi_match")
    _known(how, "multi_match", _MULTI)
    if "query" not in how:
        raise parsing("No text specified for multi_match query")
    value, kind = leaves.checked(how["query"], "multi_match"), str(how.get("type", "best_fields"))
    names = strings.fields_of(how.get("fields"), scope)
    if kind not in ("best_fields", "most_fields", "cross_fields", "phrase", "phrase_prefix", "bool_prefix"):
        raise parsing(f"[multi_match] query does not support type [{kind[:40]}]")
    if kind == "cross_fields" and str(how.get("operator", "or")).lower() == "and":
        return ask.And(
            tuple(
                ask.Or(tuple(_each(scope, name, word, "best_fields", how) for name in names))
                for word in leaves.tokens(str(value))
            )
        )
    return ask.Or(tuple(_each(scope, name, value, kind, how) for name in names))


def _each(scope: Scope, name: str, value: Any, kind: str, how: Mapping[str, Any]) -> Filter:
    lenient = {**how, "lenient": how.get("lenient", "fields" not in how)}
    if kind in ("phrase", "phrase_prefix"):
        found = _lenient(
            lambda: leaves.phrase(scope, name, value, _slop(how), prefix=kind == "phrase_prefix"), lenient
        )
    else:
        found = _lenient(
            lambda: leaves.words(scope, name, value, {**how, "last_is_prefix": kind == "bool_prefix"}),
            lenient,
        )
    return _or_none(found, how)


_SIDES = frozenset(("gte", "gt", "lte", "lt"))
_RANGE = _SIDES | {"from", "to", "include_lower", "include_upper", "time_zone", "format", "relation"}


def _range(body: Any, scope: Scope, _: int) -> Filter:
    given = {name: one for name, one in _object(body, "range").items() if name not in _PASSED_OVER}
    if len(given) != 1:
        names = list(given)
        raise parsing(
            f"[range] query doesn't support multiple fields, found [{names[0]}] and [{names[1]}]"
            if names
            else "[range] query malformed, no field to indicate"
        )
    ((name, bounds),) = given.items()
    if not isinstance(bounds, Mapping):
        raise parsing(f"[range] query does not support [{name[:80]}]")
    _known(bounds, "range", _RANGE)
    sides = {side: bounds[side] for side in _SIDES if bounds.get(side) is not None}
    for key, shut, open_, include in (
        ("from", "gte", "gt", "include_lower"),
        ("to", "lte", "lt", "include_upper"),
    ):
        if bounds.get(key) is not None:
            sides[open_ if bounds.get(include, True) in (False, "false") else shut] = bounds[key]
    for key, shut, open_ in (("include_lower", "gte", "gt"), ("include_upper", "lte", "lt")):
        if bounds.get(key) in (False, "false") and shut in sides:
            sides[open_] = sides.pop(shut)
    for value in sides.values():
        leaves.checked(value, "range")
    return leaves.span(
        scope, name, sides, format=str(bounds.get("format") or ""), tz=str(bounds.get("time_zone") or "")
    )


def _exists(body: Any, scope: Scope, _: int) -> Filter:
    how = _object(body, "exists")
    _known(how, "exists", frozenset(("field",)))
    if not isinstance(how.get("field"), str) or not how["field"]:
        raise parsing("[exists] must be provided with a [field]")
    name = how["field"]
    if "*" in name:
        return ask.Or(tuple(leaves.exists(scope, one) for one in scope.matching(name)))
    return leaves.exists(scope, name)


def _of_text(kind: str, made: Callable[..., Filter]) -> Kind:
    def query(body: Any, scope: Scope, _: int) -> Filter:
        key = "value"
        if isinstance(body, Mapping):
            inner = next((one for name, one in body.items() if name not in _PASSED_OVER), None)
            if isinstance(inner, Mapping) and kind in inner and "value" not in inner:
                key = kind  # `{"wildcard": {"f": {"wildcard": "a*"}}}`, the older spelling
        name, value, how = _field(body, kind, key)
        return made(scope, name, str(value), fold=bool(how.get("case_insensitive", False)))

    return query


def _fuzzy(body: Any, scope: Scope, _: int) -> Filter:
    name, value, how = _field(body, "fuzzy", "value")
    return leaves.fuzzy(scope, name, str(value), how.get("fuzziness", "AUTO"))


def _ids(body: Any, scope: Scope, _: int) -> Filter:
    how = _object(body, "ids")
    _known(how, "ids", frozenset(("values", "type")))
    values = how.get("values")
    if values is None:
        raise Fault("illegal_argument_exception", "[ids] requires providing a values")
    return ask.Ids(tuple(str(one) for one in (values if isinstance(values, list) else [values])))


# --- of queries ------------------------------------------------------------------------------------------

_BOOL = frozenset(
    ("must", "must_not", "mustNot", "should", "filter", "minimum_should_match", "adjust_pure_negative")
)


def _bool(body: Any, scope: Scope, depth: int) -> Filter:
    how = _object(body, "bool")
    for name in how:
        if name not in _BOOL and name not in _PASSED_OVER:
            cause = parsing(f"[bool] query does not support [{name[:80]}]")
            raise (
                Fault(
                    "x_content_parse_exception",
                    f"[1:1] [bool] failed to parse field [{name[:80]}]",
                    cause=cause,
                )
                if name in KINDS
                else parsing(f"[bool] query does not support [{name[:80]}]")
            )

    def clauses(name: str) -> list[Filter]:
        given = how.get(name)
        if given is None:
            return []
        if not isinstance(given, (list, Mapping)):
            raise content_of("bool", name)
        return [read(one, scope, depth) for one in (given if isinstance(given, list) else [given])]

    needed = clauses("must") + clauses("filter")
    without = clauses("must_not") + clauses("mustNot")
    should = clauses("should")
    parts = needed + [ask.Not(one) for one in without]
    if should:
        wanted = how.get("minimum_should_match")
        # Beside clauses that must hold, `should` only scores (Elasticsearch, "Boolean query").
        number = (0 if needed else 1) if wanted is None else leaves.least(wanted, len(should))
        if number > 0:
            parts.append(ask.Or(tuple(should), number) if len(should) > 1 else should[0])
    return ask.both(*parts)


def content_of(kind: str, name: str) -> Fault:
    return Fault("x_content_parse_exception", f"[1:1] [{kind}] failed to parse field [{name[:80]}]")


def _inner(kind: str, key: str, names: tuple[str, ...] = ()) -> Kind:
    """A query around another one, under `key`."""
    known = frozenset((key, *names))

    def query(body: Any, scope: Scope, depth: int) -> Filter:
        how = _object(body, kind)
        _known(how, kind, known)
        if key not in how:
            if kind == "function_score":
                return ask.All()
            raise parsing(
                f"[{kind}] requires '{key}' element"
                if kind == "constant_score"
                else f"[{kind}] requires '{key}' field"
            )
        return read(how[key], scope, depth)

    return query


def _dis_max(body: Any, scope: Scope, depth: int) -> Filter:
    how = _object(body, "dis_max")
    _known(how, "dis_max", frozenset(("queries", "tie_breaker")))
    queries = how.get("queries")
    if not isinstance(queries, list) or not queries:
        raise parsing("[dis_max] requires 'queries' field with at least one clause")
    return ask.Or(tuple(read(one, scope, depth) for one in queries))


def _plain(kind: str, made: Filter) -> Kind:
    def query(body: Any, scope: Scope, _: int) -> Filter:
        _known(_object(body, kind), kind, frozenset())
        return made

    return query


KINDS: dict[str, Kind] = {
    "match_all": _plain("match_all", ask.All()),
    "match_none": _plain("match_none", ask.Nothing()),
    "term": _term,
    "terms": _terms,
    "match": _match,
    "match_phrase": _match_phrase,
    "match_phrase_prefix": _match_phrase_prefix,
    "match_bool_prefix": _match_bool_prefix,
    "multi_match": _multi_match,
    "query_string": lambda body, scope, _: strings.query_string(_object(body, "query_string"), scope),
    "simple_query_string": lambda body, scope, _: strings.simple(_object(body, "simple_query_string"), scope),
    "range": _range,
    "exists": _exists,
    "prefix": _of_text("prefix", leaves.begins),
    "wildcard": _of_text("wildcard", leaves.wildcard),
    "regexp": _of_text("regexp", leaves.regexp),
    "fuzzy": _fuzzy,
    "ids": _ids,
    "bool": _bool,
    "constant_score": _inner("constant_score", "filter"),
    "dis_max": _dis_max,
    "boosting": _inner("boosting", "positive", ("negative", "negative_boost")),
    "nested": _inner("nested", "query", ("path", "score_mode", "ignore_unmapped", "inner_hits")),
    "function_score": _inner(
        "function_score", "query",
        ("functions", "score_mode", "boost_mode", "max_boost", "min_score", "weight", "random_score",
         "field_value_factor", "script_score", "gauss", "linear", "exp"),
    ),
    "pinned": _inner("pinned", "organic", ("ids", "docs")),
}  # fmt: skip
"""Every kind of query that is read."""
