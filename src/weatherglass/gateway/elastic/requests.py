"""Parts of a search's request and of its answer that several kinds of search share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weatherglass.gateway.elastic.asking import Ask
from weatherglass.gateway.elastic.faults import argument, parsing
from weatherglass.gateway.elastic.indices import Chosen
from weatherglass.gateway.elastic.sorting import Key

Body = Mapping[str, Any]
Told = dict[str, Any]

TRACKED = 10_000
"""Hits that are counted exactly where the request does not say."""


def query_of(ask: Ask, body: Body) -> Any:
    """The query of a body, or of `q=` in the address."""
    text = ask.params.get("q")
    if text is None:
        return body.get("query")
    how: Told = {"query": text}
    for name, option in (
        ("df", "default_field"),
        ("default_operator", "default_operator"),
        ("lenient", "lenient"),
    ):
        if name in ask.params:
            how[option] = ask.params[name] if name != "lenient" else ask.flag("lenient")
    return {"query_string": how}


def with_params(body: Body, ask: Ask) -> dict[str, Any]:
    """A search's body with what the address says laid over it."""
    made = dict(body)
    wanted = query_of(ask, body)
    if wanted is not None:
        made["query"] = wanted
    for name in ("from", "size"):
        number = ask.number(name)
        if number is not None:
            made[name] = number
    if ask.params.get("sort"):
        made["sort"] = ask.params["sort"].split(",")
    source: Any = made.get("_source")
    if "_source" in ask.params:
        source = ask.params["_source"]
        made["_source"] = source
    includes = ask.params.get("_source_includes") or ask.params.get("_source_include")
    excludes = ask.params.get("_source_excludes") or ask.params.get("_source_exclude")
    if includes or excludes:
        made["_source"] = {"includes": includes or [], "excludes": excludes or []}
    for name in ("stored_fields", "docvalue_fields"):
        if name in ask.params:
            made[name] = ask.params[name].split(",")
    for name in ("version", "seq_no_primary_term", "track_scores"):
        if name in ask.params:
            made[name] = ask.flag(name)
    if "track_total_hits" in ask.params:
        text = ask.params["track_total_hits"]
        made["track_total_hits"] = int(text) if text.lstrip("-").isdigit() else text != "false"
    return made


def whole(body: Body, name: str, otherwise: int) -> int:
    value = body.get(name, otherwise)
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise parsing(f"Unknown key for a VALUE in [{name}]: expected a whole number")
    if name == "size" and value == -1:
        return otherwise
    return value


def tracked(given: Any) -> int | None:
    if given is None:
        return TRACKED
    if given is True or given == "true" or given == -1:
        return None
    if given is False or given == "false":
        return 0
    if isinstance(given, int) and given >= 0:
        return given
    raise argument(f"[track_total_hits] parameter must be positive or equals to -1, got {str(given)[:20]}")


def matched(keys: tuple[Key, ...], after: Any) -> tuple[Key, ...]:
    """The keys that `search_after` speaks of: the tie-breaker of a point in time may be left out."""
    if isinstance(after, list) and len(after) == len(keys) - 1 and keys[-1].name == "_shard_doc":
        return keys[:-1]
    return keys


def shards(chosen: Chosen) -> Told:
    count = len(chosen.names)
    return {"total": count, "successful": count, "skipped": 0, "failed": 0}


def totals(body: Told, ask: Ask) -> Told:
    """`rest_total_hits_as_int`: the form that hits had before version 7."""
    if ask.flag("rest_total_hits_as_int"):
        total = body["hits"].get("total")
        if isinstance(total, dict):
            body["hits"]["total"] = total["value"]
    return body


def pairs(body: bytes) -> list[bytes]:
    """Lines of an msearch in which an empty line stands for an empty header."""
    lines = body.split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
