"""Aggregations by ranges and filters: `range`, `date_range`, `filters`, `filter`, `missing`, `global`. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates, query
from weatherglass.gateway.elastic.aggregations.counted import (
    Ask,
    Counted,
    Told,
    buckets_of,
    decimals,
    is_time,
    store_name,
)
from weatherglass.gateway.elastic.faults import content
from weatherglass.gateway.elastic.fields import DATES, Field
from weatherglass.logs import aggs
from weatherglass.logs import filter as ask_of
from weatherglass.logs.aggs import Bucket


def _ranges(ask: Ask, read: Any) -> list[tuple[str | None, Any, Any]]:
    given = ask.options.get("ranges")
    if not isinstance(given, list) or not given:
        raise ask.bad(f"No [ranges] specified for the [{ask.name}] aggregation")
    found = []
    for one in given:
        if not isinstance(one, Mapping) or not set(one) <= {"from", "to", "key", "mask"}:
            raise content(f"[{ask.kind}] failed to parse field [ranges]")
        low, high = (None if one.get(side) is None else read(one[side]) for side in ("from", "to"))
        found.append((one.get("key"), low, high))
    return sorted(
        found,
        key=lambda one: (
            -math.inf if one[1] is None else one[1],
            math.inf if one[2] is None else one[2],
        ),
    )


def _ranged(
    ask: Ask, at: Field, ranges: list[tuple[str | None, Any, Any]], scale: int, write: Any
) -> Counted:
    """Buckets of ranges; `scale` turns the request's numbers into the store's."""
    agg = aggs.Range(
        store_name(at),
        tuple(
            (str(number), None if low is None else low * scale, None if high is None else high * scale)
            for number, (_, low, high) in enumerate(ranges)
        ),
        time=is_time(at),
        subs=ask.nested(),
    )

    def tell(result: Any) -> Told:
        counted = {bucket.key: bucket for bucket in buckets_of(result)}
        rows: list[Told] = []
        for number, (key, low, high) in enumerate(ranges):
            bucket = counted.get(str(number))
            row: Told = {"key": key if key is not None else f"{write(low) or '*'}-{write(high) or '*'}"}
            for side, value in (("from", low), ("to", high)):
                if value is not None:
                    row[side] = float(value)
                    if scale != 1 or ask.options.get("format"):
                        row[f"{side}_as_string"] = write(value)
            rows.append({**row, "doc_count": bucket.count if bucket else 0, **ask.tell_subs(bucket)})
        if ask.options.get("keyed") is True:
            return {"buckets": {row.pop("key"): row for row in rows}}
        return {"buckets": rows}

    return Counted(ask.kind, agg, tell)


def range_(ask: Ask) -> Counted:
    ask.known("field", "ranges", "keyed", "format", "missing", "script")
    at = ask.measured()
    format = ask.options.get("format")

    def write(value: float | None) -> str:
        return "" if value is None else decimals(format, value) if format else str(float(value))

    return _ranged(ask, at, _ranges(ask, float), 1, write)


def date_range(ask: Ask) -> Counted:
    ask.known("field", "ranges", "keyed", "format", "missing", "time_zone", "script")
    at = ask.measured()
    format = str(ask.options.get("format") or at.format or dates.DEFAULT)
    tz = dates.zone(str(ask.options.get("time_zone") or "UTC"))
    now = ask.reading.scope.now_ms

    def instant(value: Any) -> int:
        return dates.instant(value, now, format, tz)

    def write(value: int | None) -> str:
        return "" if value is None else dates.write(value, "" if format == dates.DEFAULT else format, tz)

    if at.type not in DATES:
        at = Field("date", at.path, at.format)
    return _ranged(ask, at, _ranges(ask, instant), MS_NS, write)


def filters(ask: Ask) -> Counted:
    ask.known("filters", "other_bucket", "other_bucket_key", "keyed")
    given = ask.options.get("filters")
    if not isinstance(given, (Mapping, list)) or not given:
        raise ask.bad("[filters] cannot be empty." if given is not None else "[filters] is missing")
    named = isinstance(given, Mapping)
    parts = dict(given) if isinstance(given, Mapping) else {str(at): one for at, one in enumerate(given)}
    other = str(ask.options.get("other_bucket_key") or ("_other_" if ask.options.get("other_bucket") else ""))
    scope = ask.reading.scope
    agg = aggs.Filters(
        {name: query.read(one, scope) for name, one in parts.items()}, other, subs=ask.nested()
    )
    names = [*parts, *([other] if other else [])]

    def tell(result: Any) -> Told:
        counted = {bucket.key: bucket for bucket in buckets_of(result)}
        rows = {}
        for name in names:
            bucket = counted.get(name)
            rows[name] = {"doc_count": bucket.count if bucket else 0, **ask.tell_subs(bucket)}
        if not named:
            return {"buckets": list(rows.values())}
        if ask.options.get("keyed") is False:
            return {"buckets": [{"key": name, **row} for name, row in rows.items()]}
        return {"buckets": rows}

    return Counted("filters", agg, tell)


def _single(ask: Ask, kind: str, agg: aggs.Agg, everything: bool = False) -> Counted:
    """One bucket: told without a key."""

    def tell(result: Any) -> Told:
        bucket = result if isinstance(result, Bucket) else next(iter(buckets_of(result)), None)
        return {"doc_count": bucket.count if bucket else 0, **ask.tell_subs(bucket)}

    return Counted(kind, agg, tell, everything)


def filter_(ask: Ask) -> Counted:
    holds = query.read(ask.options, ask.reading.scope) if ask.options else ask_of.All()
    return _single(ask, "filter", aggs.Filters({"": holds}, subs=ask.nested()))


def missing(ask: Ask) -> Counted:
    ask.known("field", "missing")
    name = ask.options.get("field")
    if not isinstance(name, str):
        raise ask.bad(f"Required one of fields [field, script], but none were specified. [{ask.name}]")
    at = ask.reading.scope.field(name)
    return _single(ask, "missing", aggs.Missing(at.store, subs=ask.nested()))


def global_(ask: Ask) -> Counted:
    ask.known()
    return _single(ask, "global", aggs.Filters({"": ask_of.All()}, subs=ask.nested()), everything=True)
