"""Aggregations by value: `terms`, `rare_terms`; how buckets are ordered and their keys told. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.aggregations.counted import (
    Ask,
    Counted,
    Told,
    buckets_of,
    decimals,
    ms,
    store_name,
)
from weatherglass.gateway.elastic.faults import Fault, content, search_phase
from weatherglass.gateway.elastic.fields import DATES, NUMBERS, Field
from weatherglass.logs import aggs

MOST_BUCKETS = 65_536


def too_many(count: int) -> None:
    """Raises Fault where an answer would have more buckets than Elasticsearch gives."""
    if count > MOST_BUCKETS:
        raise search_phase(
            Fault(
                "too_many_buckets_exception",
                f"Trying to create too many buckets. Must be less than or equal to: [{MOST_BUCKETS}] but was "
                f"[{count}]. This limit can be set by changing the [search.max_buckets] cluster level setting.",
                400,
                more={"max_buckets": MOST_BUCKETS},
            ),
            "_all",
        )


# --- by value --------------------------------------------------------------------------------------------

_TERMS = ("field", "size", "order", "include", "exclude", "missing", "min_doc_count", "shard_size", "collect_mode",
          "shard_min_doc_count", "execution_hint", "show_term_doc_count_error", "format", "value_type", "script")  # fmt: skip


def value_key(at: Field, format: Any = None) -> Any:
    """The `key` of a bucket by value, in the field's type."""

    def tell(key: Any) -> Told:
        if at.type in DATES and isinstance(key, (int, float)):
            return {"key": ms(key), "key_as_string": dates.write(ms(key), str(format or at.format))}
        if at.type in DATES:
            try:
                instant = dates.read(key)
            except Fault:
                return {"key": key}
            return {"key": instant, "key_as_string": dates.write(instant, str(format or at.format))}
        if at.type == "boolean" or isinstance(key, bool):
            truth = key in (True, 1, "true")
            return {"key": int(truth), "key_as_string": "true" if truth else "false"}
        if at.type in NUMBERS and isinstance(key, str):
            try:
                key = float(key) if not re.fullmatch(r"-?\d{1,18}", key) else int(key)
            except ValueError:
                return {"key": key}
        if at.type in ("double", "float", "half_float", "scaled_float") and isinstance(key, int):
            key = float(key)
        if isinstance(key, (int, float)) and at.type not in NUMBERS:
            return {"key": str(key)}
        if format and isinstance(key, (int, float)):
            return {"key": key, "key_as_string": decimals(format, key)}
        return {"key": key}

    return tell


def order_of(ask: Ask) -> aggs.Sort:
    given = ask.options.get("order")
    if given is None:
        return (("_count", True), ("_key", False))
    found = []
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, Mapping) or len(one) != 1:
            raise content(f"[{ask.kind}] failed to parse field [order]")
        ((path, way),) = one.items()
        if str(way).lower() not in ("asc", "desc"):
            raise Fault("parsing_exception", f"Unknown order direction [{str(way)[:20]}]")
        name = {"_term": "_key", "_time": "_key"}.get(str(path), str(path))
        if name not in ("_key", "_count"):
            head = re.split(r"[.>\[]", name)[0]
            sub = ask.subs.get(head)
            if sub is None:
                raise search_phase(
                    Fault(
                        "aggregation_execution_exception",
                        f"Invalid aggregation order path [{path[:80]}]. The provided aggregation [{head[:80]}] either "
                        "does not exist, or is a pipeline aggregation and cannot be used to sort the buckets.",
                        500,
                    ),
                    "_all",
                )
            name = (
                re.sub(r"\[([^\]]*)\]", r".\1", name)
                .replace(">", ".")
                .removesuffix(".value")
                .removesuffix("._count")
            )
            if isinstance(sub.agg, aggs.Stats) and "." not in name:
                raise search_phase(
                    Fault(
                        "aggregation_execution_exception",
                        f"Invalid aggregation order path [{path[:80]}]",
                        500,
                    ),
                    "_all",
                )
        found.append((name, str(way).lower() == "desc"))
    if all(name != "_key" for name, _ in found):
        found.append(("_key", False))
    return tuple(found)


def _chosen(ask: Ask, name: str) -> str | tuple[str, ...]:
    given = ask.options.get(name)
    if given is None:
        return ""
    if isinstance(given, str):
        try:
            re.compile(given)
        except re.error as error:
            raise ask.bad(f"[{name}] is no regular expression: {error}") from None
        return given
    if isinstance(given, list):
        return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in given)
    raise content(f"[terms] [{name}] partitions are not spoken here")


def terms(ask: Ask) -> Counted:
    ask.known(*_TERMS)
    at = ask.field()
    missing = ask.options.get("missing")
    agg = aggs.Terms(
        store_name(at),
        size=ask.whole("size", 10, 1),
        order=order_of(ask),
        min_count=ask.whole("min_doc_count", 1, 0),
        missing=missing if isinstance(missing, (str, int, float)) else None,
        include=_chosen(ask, "include"),
        exclude=_chosen(ask, "exclude"),
        subs=ask.nested(),
    )
    key = value_key(at, ask.options.get("format"))
    errors = {"doc_count_error_upper_bound": 0} if ask.options.get("show_term_doc_count_error") else {}

    def tell(result: Any) -> Told:
        return {
            "doc_count_error_upper_bound": 0,
            "sum_other_doc_count": result.other if result is not None else 0,
            "buckets": [
                {**key(bucket.key), "doc_count": bucket.count, **errors, **ask.tell_subs(bucket)}
                for bucket in buckets_of(result)
            ],
        }

    kinds = {"long": "lterms", "boolean": "lterms", "date": "lterms", "double": "dterms", "float": "dterms"}
    return Counted(kinds.get(at.type, "lterms" if at.type in NUMBERS else "sterms"), agg, tell)


def rare_terms(ask: Ask) -> Counted:
    ask.known("field", "max_doc_count", "include", "exclude", "missing", "precision", "format", "value_type")
    at, most = ask.field(), ask.whole("max_doc_count", 1, 1)
    if most > 100:
        raise ask.bad(f"[max_doc_count] must be smaller than 100. Found [{most}] in [{ask.name}]")
    key = value_key(at, ask.options.get("format"))

    def tell(result: Any) -> Told:
        return {
            "buckets": [
                {**key(bucket.key), "doc_count": bucket.count, **ask.tell_subs(bucket)}
                for bucket in buckets_of(result)
            ]
        }

    return Counted("srareterms", aggs.Rare(store_name(at), most, subs=ask.nested()), tell)
