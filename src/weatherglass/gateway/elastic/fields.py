"""Fields and their types: mappings as clients give them, and as they follow from what is stored. Pure.

A mapping is Elasticsearch's own JSON (`{"properties": …}`). A document never fails for its types: what does not
fit is stored beside what does (`derive` keeps the first type seen; queries look at values).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from weatherglass.gateway.elastic.dates import looks_like_date, read
from weatherglass.gateway.elastic.faults import Fault
from weatherglass.logs.fields import LABELS, OWN

MOST_FIELDS = 10_000
"""Fields of an index that are named; what comes after is stored and found, but is in no mapping."""

KEYWORDS = frozenset(("keyword", "constant_keyword", "wildcard", "ip", "version", "flattened"))
TEXTS = frozenset(("text", "match_only_text", "annotated_text", "search_as_you_type"))
WHOLE = frozenset(("long", "integer", "short", "byte", "unsigned_long"))
NUMBERS = WHOLE | frozenset(("double", "float", "half_float", "scaled_float"))
DATES = frozenset(("date", "date_nanos"))
_KNOWN = KEYWORDS | TEXTS | NUMBERS | DATES | frozenset(
    ("object", "nested", "boolean", "binary", "alias", "geo_point", "geo_shape", "completion", "token_count",
     "integer_range", "long_range", "float_range", "double_range", "date_range", "ip_range", "percolator",
     "rank_feature", "dense_vector", "histogram", "join", "aggregate_metric_double", "passthrough",
     "semantic_text", "sparse_vector", "murmur3", "shape", "point", "rank_features", "counted_keyword")
)  # fmt: skip


_BESIDE = OWN - {*LABELS, "level", "logger", "message", "template", "template_id"}


SHADOW = "_date"
"""Under this name lie the instants of dates in formats that the store does not read by itself (see `shadows`)."""

_PLAIN = frozenset(
    ("strict_date_optional_time", "date_optional_time", "strict_date_optional_time_nanos", "epoch_millis")
)


class Field(NamedTuple):
    """A field of an index: its type, the format of its dates, and the path under which its values lie."""

    type: str
    path: str
    format: str = ""

    @property
    def store(self) -> str:
        """Its name in the store, where a document's own field may stand beside one of the store's."""
        if (
            self.type in DATES
            and self.format
            and self.path != "@timestamp"
            and not _PLAIN.issuperset(self.format.split("||"))
        ):
            return f"{SHADOW}.{self.path}"
        return f"f.{self.path}" if self.path in _BESIDE else self.path

    @property
    def analysed(self) -> bool:
        return self.type in TEXTS


Fields = Mapping[str, Field]

_TEXT = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
_KEYWORD = {"type": "keyword"}

HOUSE: Mapping[str, Any] = {
    "properties": {
        "@timestamp": {"type": "date"},
        "message": _TEXT,
        "event": {"properties": {"original": _TEXT, "created": {"type": "date"}}},
        **dict.fromkeys(
            ("level", "logger", "template_id", "template", "site", "host", "zone", "service", "replica",
             "source", "format", "pid", "request_id", "global_request_id", "user", "project", "domain",
             "system_scope", "user_domain", "project_domain", "instance", "exception", "thread", "program",
             "remote", "method", "path", "status"),
            _KEYWORD,
        ),
        "exception_message": _TEXT,
        "bytes": {"type": "long"},
        "seconds": {"type": "double"},
        "duration": {"type": "long"},
    }
}  # fmt: skip
"""What an event of the house is to these clients."""


def flat(mapping: Mapping[str, Any]) -> dict[str, Field]:
    """Every field of a mapping by its full name: objects' fields, and fields of fields (`message.keyword`)."""
    found: dict[str, Field] = {}

    def walk(properties: Mapping[str, Any], prefix: str) -> None:
        for name, about in properties.items():
            path = prefix + name
            inner = about.get("properties")
            kind = about.get("type", "object")
            if kind == "alias":
                found[path] = Field("alias", str(about.get("path", path)))
                continue
            found[path] = Field(kind, path, str(about.get("format", "")))
            if isinstance(inner, Mapping):
                walk(inner, f"{path}.")
            for more, of in (about.get("fields") or {}).items():
                found[f"{path}.{more}"] = Field(of.get("type", "keyword"), path, str(of.get("format", "")))

    walk(mapping.get("properties") or {}, "")
    for path, field in list(found.items()):
        if field.type == "alias":
            found[path] = found.get(field.path, Field("keyword", field.path))
    return found


def merged(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Field]:
    """The fields of several indices together; the first that says a type has it."""
    found: dict[str, Field] = {}
    for mapping in mappings:
        for path, field in flat(mapping).items():
            if path not in found or found[path].type == "object":
                found[path] = field
    return found


def shadowed(mapping: Mapping[str, Any]) -> list[Field]:
    """The dates of a mapping whose formats the store does not read by itself, `@timestamp` too."""
    return [
        field
        for name, field in flat(mapping).items()
        if field.type in DATES
        and name == field.path
        and (
            field.store.startswith(SHADOW)
            or (name == "@timestamp" and field.format and field._replace(path="").store == f"{SHADOW}.")
        )
    ]


def shadows(dated: Iterable[Field], document: Mapping[str, Any]) -> dict[str, Any]:
    """Field's name in the store → its instants in ms, of a document; what cannot be read has none."""
    found: dict[str, Any] = {}
    for field in dated:
        instants = []
        for value in values(document, field.path):
            try:
                instants.append(read(value, field.format))
            except Fault:
                continue  # stored beside, as everything is
        if instants:
            found[field.store] = instants if len(instants) > 1 else instants[0]
    return found


def check(mapping: Any, where: str = "") -> None:
    """Whether this is a mapping. Raises Fault (mapper_parsing_exception)."""
    if not isinstance(mapping, Mapping):
        raise Fault("mapper_parsing_exception", "Failed to parse mapping: not an object")
    properties = mapping.get("properties", {})
    if not isinstance(properties, Mapping):
        raise Fault("mapper_parsing_exception", "Expected map for property [properties]")
    for name, about in properties.items():
        if not isinstance(about, Mapping):
            raise Fault(
                "mapper_parsing_exception", f"Expected map for property [fields] on field [{where}{name}]"
            )
        kind = about.get("type", "object")
        if kind not in _KNOWN:
            inner = Fault(
                "mapper_parsing_exception",
                f"No handler for type [{kind}] declared on field [{name}]",
            )
            raise Fault("mapper_parsing_exception", f"Failed to parse mapping: {inner.reason}", cause=inner)
        if "properties" in about:
            check(about, f"{where}{name}.")


def joined(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with another laid over it, field by field."""
    made = {**before, **after}
    properties = dict(before.get("properties") or {})
    for name, about in (after.get("properties") or {}).items():
        there = properties.get(name)
        both = there is not None and ("properties" in there or "fields" in there)
        properties[name] = joined(there, about) if both and there is not None else about
    if properties:
        made["properties"] = properties
    if before.get("fields") or after.get("fields"):
        made["fields"] = {**(before.get("fields") or {}), **(after.get("fields") or {})}
    return made


# --- what follows from documents -------------------------------------------------------------------------


def type_of(value: Any) -> Mapping[str, Any] | None:
    """What dynamic mapping makes of a value; None where it tells nothing (null, an empty list)."""
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "long"}
    if isinstance(value, float):
        return {"type": "float"}
    if isinstance(value, str):
        return {"type": "date"} if looks_like_date(value) else _TEXT
    if isinstance(value, list):
        return next((kind for kind in map(type_of, value) if kind is not None), None)
    return None


def derive(mapping: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping with the fields of a document that it does not have yet; the very same object when it has all."""
    if mapping.get("dynamic") in (False, "false", "strict", "runtime"):
        return mapping
    there: Mapping[str, Any] = mapping.get("properties") or {}
    fresh: dict[str, Any] = {}
    for name, value in document.items():
        about = there.get(name)
        if about is not None and "properties" not in about and about.get("type") != "object":
            continue
        inner = _objects(value)
        if inner:
            if about is not None and about.get("type") in ("nested", "flattened"):
                continue
            before = about if about is not None else {"properties": {}}
            after = before
            for one in inner:
                after = derive(after, one)
            if after is not before or about is None:
                fresh[name] = after
        elif about is None and name:
            if "." in name:  # a dotted name is a path
                head, _, rest = name.partition(".")
                above = fresh.get(head) or there.get(head) or {"properties": {}}
                after = derive(above, {rest: value}) if "type" not in above else above
                if after is not there.get(head):
                    fresh[head] = after
                continue
            kind = type_of(value)
            if kind is not None:
                fresh[name] = kind
    if not fresh or len(there) + len(fresh) > MOST_FIELDS:
        return mapping
    return {**mapping, "properties": {**there, **fresh}}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, dict):
        return [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def values(source: Mapping[str, Any], path: str) -> list[Any]:
    """Every value at a dotted path: through objects, lists of objects, and names that have dots themselves."""
    found: list[Any] = []
    _collect(source, path, found)
    return found


def _collect(at: Any, path: str, found: list[Any]) -> None:
    if isinstance(at, list):
        for one in at:
            _collect(one, path, found)
        return
    if not path:
        if at is not None and not isinstance(at, dict):
            found.append(at)
        return
    if not isinstance(at, dict):
        return
    if path in at:
        _collect(at[path], "", found)
    head, dot, rest = path.partition(".")
    while dot:
        if head in at:
            _collect(at[head], rest, found)
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
