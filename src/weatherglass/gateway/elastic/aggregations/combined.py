"""Every combination of keys, a page at a time: `composite`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.aggregations.counted import (
    Ask,
    Counted,
    Told,
    buckets_of,
    ms,
    store_name,
)
from weatherglass.gateway.elastic.aggregations.spans import interval_of
from weatherglass.gateway.elastic.aggregations.values import too_many, value_key
from weatherglass.gateway.elastic.faults import Fault, content
from weatherglass.gateway.elastic.fields import DATES, Field
from weatherglass.logs import aggs

_SOURCES = {
    "terms": ("field", "order", "missing_bucket", "missing_order", "script", "value_type"),
    "histogram": ("field", "interval", "order", "missing_bucket", "missing_order", "script"),
    "date_histogram": ("field", "interval", "fixed_interval", "calendar_interval", "time_zone", "offset", "format",
                       "order", "missing_bucket", "missing_order", "script"),
}  # fmt: skip


def _source(ask: Ask, given: Any) -> tuple[aggs.Source, Field, str, str]:
    """(source, its field, the format and zone of its dates)."""
    if not isinstance(given, Mapping) or len(given) != 1:
        raise content("[composite] failed to parse field [sources]")
    ((name, body),) = given.items()
    if not isinstance(body, Mapping) or len(body) != 1:
        raise content("[composite] failed to parse field [sources]")
    ((kind, options),) = body.items()
    if kind not in _SOURCES or not isinstance(options, Mapping):
        raise Fault("parsing_exception", f"invalid source type: {kind[:40]}")
    inner = Ask(kind, name, options, ask.reading)
    inner.known(*_SOURCES[kind])
    at = inner.field()
    of: aggs.Terms | aggs.Histogram | aggs.DateHistogram
    if kind == "terms":
        of = aggs.Terms(store_name(at))
    elif kind == "histogram":
        of = aggs.Histogram(store_name(at), inner.number("interval"))
    else:
        fixed, unit = interval_of(inner)
        tz = str(options.get("time_zone") or "UTC")
        offset = options.get("offset", 0)
        of = aggs.DateHistogram(
            at.store,
            fixed_ns=fixed,
            calendar=unit,
            tz="UTC" if dates.zone(tz) is UTC else tz,
            offset_ns=(offset if isinstance(offset, int) else dates.duration_ms(offset, "offset")) * MS_NS,
        )
    source = aggs.Source(
        name,
        of,
        str(options.get("order", "asc")).lower() == "desc",
        bool(options.get("missing_bucket", False)),
    )
    return source, at, str(options.get("format") or ""), str(options.get("time_zone") or "UTC")


def composite(ask: Ask) -> Counted:
    ask.known("sources", "size", "after")
    given = ask.options.get("sources")
    if not isinstance(given, list) or not given:
        raise ask.bad("Composite [sources] cannot be null or empty")
    parts = [_source(ask, one) for one in given]
    names = [source.name for source, *_ in parts]
    if len(set(names)) != len(names):
        raise ask.bad("Composite source names must be unique, found duplicates")
    after = ask.options.get("after")
    place = None
    if after is not None:
        if not isinstance(after, Mapping) or set(after) != set(names):
            raise ask.bad(
                f"[after] has {len(after) if isinstance(after, Mapping) else 0} value(s) but [sources] has {len(names)}"
            )
        place = tuple(_stored(part, after[part[0].name]) for part in parts)
    size = ask.whole("size", 10, 1)
    too_many(size)

    def keys(found: tuple[Any, ...]) -> Told:
        return {part[0].name: _shown(part, value) for part, value in zip(parts, found, strict=True)}

    def tell(result: Any) -> Told:
        rows = [
            {"key": keys(bucket.key), "doc_count": bucket.count, **ask.tell_subs(bucket)}
            for bucket in buckets_of(result)
        ]
        # As Elasticsearch does: a key to go on from wherever there is a bucket.
        return {**({"after_key": rows[-1]["key"]} if rows else {}), "buckets": rows}

    agg = aggs.Composite(tuple(part[0] for part in parts), size, place, subs=ask.nested())
    return Counted("composite", agg, tell)


def _shown(part: tuple[aggs.Source, Field, str, str], value: Any) -> Any:
    source, at, format, tz = part
    if value is None:
        return None
    if isinstance(source.of, aggs.DateHistogram):
        return dates.write(ms(value), format, dates.zone(tz)) if format else ms(value)
    if isinstance(source.of, aggs.Histogram):
        return float(value)
    told = value_key(at)(value)
    return told["key"] == 1 if at.type == "boolean" else told["key"]


def _stored(part: tuple[aggs.Source, Field, str, str], value: Any) -> Any:
    source, at, format, tz = part
    if value is None:
        return None
    if isinstance(source.of, aggs.DateHistogram):
        return (
            dates.read(value, f"{format}||epoch_millis" if format else dates.DEFAULT, dates.zone(tz)) * MS_NS
        )
    if at.type in DATES:
        return dates.read(value) * MS_NS
    return value
