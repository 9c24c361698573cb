"""Query strings: `query_string` (Lucene's language, read by `logs.lucene`) and `simple_query_string`. Pure.

A string is read into a tree without types; here each leaf gets those of its field, and one that names no field is
asked of the default ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import leaves
from weatherglass.gateway.elastic.faults import Fault, parsing
from weatherglass.gateway.elastic.leaves import Scope
from weatherglass.logs import filter as ask
from weatherglass.logs.fields import TIMES
from weatherglass.logs.filter import Filter
from weatherglass.logs.lucene import parse

_QUERY_STRING = frozenset(
    ("query", "default_field", "fields", "default_operator", "analyzer", "quote_analyzer", "allow_leading_wildcard",
     "analyze_wildcard", "auto_generate_synonyms_phrase_query", "boost", "enable_position_increments", "fuzziness",
     "fuzzy_max_expansions", "fuzzy_prefix_length", "fuzzy_transpositions", "lenient", "max_determinized_states",
     "minimum_should_match", "phrase_slop", "quote_field_suffix", "rewrite", "time_zone", "type", "tie_breaker",
     "escape", "_name", "lowercase_expanded_terms", "locale", "use_dis_max", "fuzzy_rewrite")
)  # fmt: skip
_SIMPLE = frozenset(
    ("query", "fields", "default_operator", "analyze_wildcard", "analyzer", "auto_generate_synonyms_phrase_query",
     "flags", "fuzzy_max_expansions", "fuzzy_prefix_length", "fuzzy_transpositions", "lenient",
     "minimum_should_match", "quote_field_suffix", "boost", "_name")
)  # fmt: skip


def fields_of(given: Any, scope: Scope) -> list[str]:
    """The fields of `["a^2", "b.*"]`; the default ones where none are given. Raises Fault."""
    if given is None:
        return scope.defaults()
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise parsing("[fields] must be an array of field names")
    found: list[str] = []
    for one in given:
        name, caret, boost = one.partition("^")
        if caret and not re.fullmatch(r"\d+(?:\.\d+)?", boost):
            raise Fault("number_format_exception", f'For input string: "{boost[:40]}"')
        found += scope.defaults() if name == "*" else scope.matching(name)
    return list(dict.fromkeys(found)) or scope.defaults()


def _operator(how: Mapping[str, Any], kind: str) -> str:
    text = str(how.get("default_operator", "or")).lower()
    if text not in ("or", "and"):
        raise parsing(f"[{kind}] no enum constant Operator.{text.upper()[:20]}")
    return text


def query_string(how: Mapping[str, Any], scope: Scope) -> Filter:
    """The filter of a `query_string`'s options. Raises Fault."""
    for name in how:
        if name not in _QUERY_STRING:
            raise parsing(f"[query_string] query does not support [{name[:80]}]")
    text = how.get("query")
    if text is None:
        raise parsing("[query_string] must be provided with a [query]")
    if "fields" in how and "default_field" in how:
        raise parsing("[query_string] [default_field] and [fields] can not be used together")
    named = how.get("fields", how.get("default_field"))
    names = fields_of(named, scope)
    if not str(text).strip():
        return ask.Nothing()
    try:
        tree = parse(
            str(text),
            "",
            operator=_operator(how, "query_string"),
            now_ns=scope.now_ms * MS_NS,
            tz=str(how.get("time_zone") or "UTC"),
        )
    except Invalid as error:
        inner = Fault("parse_exception", error.message)
        raise Fault(
            "query_shard_exception", f"Failed to parse query [{str(text)[:200]}]", cause=inner
        ) from None
    typed = _Typed(scope, names, bool(how.get("lenient", named is None or named == "*")), how)
    found = typed.tree(tree)
    wanted = how.get("minimum_should_match")
    if wanted is not None and isinstance(found, ask.Or):
        found = ask.Or(found.of, max(1, leaves.least(wanted, len(found.of))))
    return found


class _Typed:
    """A tree without types → one with those of the fields."""

    def __init__(self, scope: Scope, names: list[str], lenient: bool, how: Mapping[str, Any]) -> None:
        self._scope, self._names, self._lenient, self._how = scope, names, lenient, how

    def tree(self, node: Filter) -> Filter:
        if isinstance(node, ask.And):
            return ask.And(tuple(map(self.tree, node.of)))
        if isinstance(node, ask.Or):
            return ask.Or(tuple(map(self.tree, node.of)), node.at_least)
        if isinstance(node, ask.Not):
            return ask.Not(self.tree(node.of))
        if isinstance(node, ask.All | ask.Nothing | ask.Ids):
            return node
        if isinstance(node, ask.Range) and node.field in TIMES:
            return node  # read as instants already
        names = self._scope.matching(node.field) if node.field else self._names
        made = _LEAVES[type(node)]
        found = []
        for name in names:
            try:
                leaf = made(self, name, node)
            except Fault:
                if not self._lenient and len(names) == 1:
                    raise
                continue
            if leaf is not None and not isinstance(leaf, ask.Nothing):
                found.append(leaf)
        return found[0] if len(found) == 1 else ask.Or(tuple(found)) if found else ask.Nothing()

    def term(self, name: str, node: ask.Term) -> Filter | None:
        return leaves.words(
            self._scope, name, node.value, {"operator": self._how.get("default_operator", "or")}
        )

    def terms(self, name: str, node: ask.Terms) -> Filter | None:
        return ask.Or(tuple(self.term(name, ask.Term(name, value)) or ask.Nothing() for value in node.values))

    def phrase(self, name: str, node: ask.Phrase) -> Filter | None:
        slop = node.slop or int(self._how.get("phrase_slop", 0) or 0)
        return leaves.phrase(self._scope, name, node.text, slop, prefix=node.prefix)

    def prefix(self, name: str, node: ask.Prefix) -> Filter:
        return leaves.begins(self._scope, name, node.text, fold=self._scope.field(name).analysed)

    def wildcard(self, name: str, node: ask.Wildcard) -> Filter:
        return leaves.wildcard(self._scope, name, node.pattern)

    def regexp(self, name: str, node: ask.Regexp) -> Filter:
        return leaves.regexp(self._scope, name, node.pattern)

    def fuzzy(self, name: str, node: ask.Fuzzy) -> Filter:
        return leaves.fuzzy(self._scope, name, node.text, node.edits)

    def range(self, name: str, node: ask.Range) -> Filter:
        bounds = {"gte": node.gte, "gt": node.gt, "lte": node.lte, "lt": node.lt}
        return leaves.span(self._scope, name, bounds, tz=str(self._how.get("time_zone") or ""))

    def exists(self, name: str, node: ask.Exists) -> Filter:
        return leaves.exists(self._scope, name)


_LEAVES: dict[type, Callable[[Any, str, Any], Filter | None]] = {
    ask.Term: _Typed.term,
    ask.Terms: _Typed.terms,
    ask.Phrase: _Typed.phrase,
    ask.Prefix: _Typed.prefix,
    ask.Wildcard: _Typed.wildcard,
    ask.Regexp: _Typed.regexp,
    ask.Fuzzy: _Typed.fuzzy,
    ask.Range: _Typed.range,
    ask.Exists: _Typed.exists,
}


# --- simple_query_string ---------------------------------------------------------------------------------

_PIECE = re.compile(
    r'\s*(?:(?P<op>[+|()-])|"(?P<phrase>(?:[^"\\]|\\.)*)"?(?:~(?P<slop>\d{1,4}))?'
    r'|(?P<word>(?:[^\s"+|()\\]|\\.)+))'
)
_MOST_DEEP = 32


def simple(how: Mapping[str, Any], scope: Scope) -> Filter:
    """`+` and, `|` or, `-` not, `"` phrases, `*` prefixes, `~N` edits and slop; never an error of syntax. Raises Fault."""
    for name in how:
        if name not in _SIMPLE:
            raise parsing(f"[simple_query_string] unsupported field [{name[:80]}]")
    if how.get("query") is None:
        raise parsing("[simple_query_string] query text missing")
    names = fields_of(how.get("fields"), scope)
    pieces = [piece for piece in _PIECE.finditer(str(how["query"])) if piece[0].strip()]
    reader = _Simple(scope, names, _operator(how, "simple_query_string") == "and", pieces)
    found = reader.all(0)
    if found is None:
        return ask.Nothing()
    wanted = how.get("minimum_should_match")
    if wanted is not None and isinstance(found, ask.Or):
        found = ask.Or(found.of, max(1, leaves.least(wanted, len(found.of))))
    return found


class _Simple:
    """Reads from left to right, as Lucene's SimpleQueryParser does; what makes no sense is passed over."""

    def __init__(self, scope: Scope, names: list[str], both: bool, pieces: list[re.Match[str]]) -> None:
        self._scope, self._names, self._and, self._pieces, self._at = scope, names, both, pieces, 0

    def all(self, depth: int) -> Filter | None:
        found: Filter | None = None
        joined, joint, denied = self._and, self._and, False
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            op = piece["op"]
            if op == ")":
                if depth:
                    break
                continue
            if op in ("+", "|"):
                joint = op == "+"
                continue
            if op == "-" or (piece["word"] or "").startswith("-"):
                denied = not denied
                if op == "-" or len(piece["word"]) == 1:
                    continue
            if op == "(":
                leaf = self.all(depth + 1) if depth < _MOST_DEEP else None
            else:
                leaf = self._leaf(piece)
            if leaf is not None:
                leaf = ask.Not(leaf) if denied else leaf
                found = leaf if found is None else self._join(found, leaf, joint, joined)
                joined = joint
            joint, denied = self._and, False
        return found

    @staticmethod
    def _join(found: Filter, leaf: Filter, joint: bool, joined: bool) -> Filter:
        kind: type[ask.And] | type[ask.Or] = ask.And if joint else ask.Or
        if isinstance(found, kind) and joint == joined:
            return kind((*found.of, leaf))
        return kind((found, leaf))

    def _leaf(self, piece: re.Match[str]) -> Filter | None:
        if piece["phrase"] is not None:
            text, slop = re.sub(r"\\(.)", r"\1", piece["phrase"]), int(piece["slop"] or 0)
            return self._over(lambda name: leaves.phrase(self._scope, name, text, slop))
        word = piece["word"].lstrip("-") if piece["word"].startswith("-") else piece["word"]
        fuzzy = re.fullmatch(r"(.+?)~(\d{0,2})", word)
        if fuzzy:
            edits = min(2, int(fuzzy[2] or 2))
            return self._over(lambda name: leaves.fuzzy(self._scope, name, fuzzy[1], edits))
        if word.endswith("*") and not word.endswith("\\*") and len(word) > 1:
            begin = re.sub(r"\\(.)", r"\1", word[:-1])
            return self._over(
                lambda name: leaves.begins(self._scope, name, begin, fold=self._scope.field(name).analysed)
            )
        text = re.sub(r"\\(.)", r"\1", word)
        how = {"operator": "and" if self._and else "or"}
        return self._over(lambda name: leaves.words(self._scope, name, text, how)) if text else None

    def _over(self, made: Callable[[str], Filter | None]) -> Filter | None:
        found = []
        for name in self._names:
            try:
                leaf = made(name)
            except Fault:
                continue  # a word is no number: it is not in a field of numbers
            if leaf is not None and not isinstance(leaf, ask.Nothing):
                found.append(leaf)
        if not found:
            return ask.Nothing() if self._names else None
        return found[0] if len(found) == 1 else ask.Or(tuple(found))
