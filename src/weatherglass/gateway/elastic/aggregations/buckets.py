"""Aggregations that come to buckets: how they are read and told. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates, query
from weatherglass.gateway.elastic.aggregations.counted import (
    Ask,
    Counted,
    Told,
    buckets_of,
    date_key,
    decimals,
    is_time,
    ms,
    store_name,
)
from weatherglass.gateway.elastic.faults import Fault, content, search_phase
from weatherglass.gateway.elastic.fields import DATES, NUMBERS, Field
from weatherglass.logs import aggs
from weatherglass.logs import filter as ask_of
from weatherglass.logs.aggs import Bucket

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


def _order(ask: Ask) -> aggs.Sort:
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
        order=_order(ask),
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


# --- by spans --------------------------------------------------------------------------------------------

_CALENDAR = {
    "minute": "minute", "1m": "minute", "hour": "hour", "1h": "hour", "day": "day", "1d": "day", "week": "week",
    "1w": "week", "month": "month", "1M": "month", "quarter": "quarter", "1q": "quarter", "year": "year",
    "1y": "year",
}  # fmt: skip
_FIXED = re.compile(r"(\d{1,12})(ms|s|m|h|d)")
_DATE_HISTOGRAM = ("field", "interval", "fixed_interval", "calendar_interval", "time_zone", "offset", "min_doc_count",
                   "extended_bounds", "hard_bounds", "keyed", "format", "order", "missing", "script")  # fmt: skip


def _interval(ask: Ask) -> tuple[int, str]:
    """(fixed ns, "") or (0, calendar unit)."""
    fixed, by_calendar = ask.options.get("fixed_interval"), ask.options.get("calendar_interval")
    old = ask.options.get("interval")
    given = [one for one in (fixed, by_calendar, old) if one is not None]
    if not given:
        raise ask.bad("Invalid interval specified, must be non-null and non-empty")
    if len(given) > 1:
        raise ask.bad(
            "Cannot use [interval] with [fixed_interval] or [calendar_interval] configuration options."
        )
    if by_calendar is not None or (old is not None and str(old) in _CALENDAR):
        unit = _CALENDAR.get(str(given[0]))
        if unit is None:
            raise ask.bad(
                f"The supplied interval [{str(given[0])[:40]}] could not be parsed as a calendar interval."
            )
        return 0, unit
    found = _FIXED.fullmatch(str(given[0]))
    length = dates.duration_ms(found[0], "fixed_interval") if found else 0
    if found is None:
        raise ask.bad(
            f"failed to parse setting [date_histogram.fixedInterval] with value [{str(given[0])[:40]}] as a time "
            "value: unit is missing or unrecognized"
        )
    if length <= 0:
        raise ask.bad("Zero or negative time interval not supported")
    return length * MS_NS, ""


def _bounds(ask: Ask, name: str, read: Any) -> tuple[Any, Any] | None:
    given = ask.options.get(name)
    if given is None:
        return None
    if not isinstance(given, Mapping) or not set(given) <= {"min", "max"}:
        raise content(f"[{ask.kind}] failed to parse field [{name}]")
    low, high = (None if given.get(side) is None else read(given[side]) for side in ("min", "max"))
    if low is not None and high is not None and low > high:
        raise ask.bad(
            f"[{name}.min][{given['min']}] cannot be greater than [{name}.max][{given['max']}] for histogram aggregation [{ask.name}]"
        )
    return low, high


def date_histogram(ask: Ask) -> Counted:
    ask.known(*_DATE_HISTOGRAM)
    if "missing" in ask.options:
        raise ask.bad("[date_histogram] has no [missing] here")
    at = ask.measured()
    fixed, unit = _interval(ask)
    tz_name = str(ask.options.get("time_zone") or "UTC")
    tz = dates.zone(tz_name)
    format = str(ask.options.get("format") or "")
    dates.check_format(format) if format else None
    now = ask.reading.scope.now_ms

    def instant(value: Any) -> int:
        return (
            dates.instant(value, now, format + "||" + dates.DEFAULT if format else dates.DEFAULT, tz) * MS_NS
        )

    bounds, hard = _bounds(ask, "extended_bounds", instant), _bounds(ask, "hard_bounds", instant)
    offset = ask.options.get("offset", 0)
    least = ask.whole("min_doc_count", 0, 0)
    if bounds and fixed and least == 0 and None not in bounds:
        too_many((bounds[1] - bounds[0]) // fixed)
    agg = aggs.DateHistogram(
        at.store,
        fixed_ns=fixed,
        calendar=unit,
        tz="UTC" if tz is UTC else tz_name,
        offset_ns=(offset if isinstance(offset, int) else dates.duration_ms(offset, "offset")) * MS_NS,
        min_count=least,
        bounds=None if bounds is None or None in bounds else (bounds[0], bounds[1]),
        subs=ask.nested(),
    )
    key = date_key(at, format, tz)

    def tell(result: Any) -> Told:
        found = [
            bucket
            for bucket in buckets_of(result)
            if hard is None
            or ((hard[0] is None or bucket.key >= hard[0]) and (hard[1] is None or bucket.key <= hard[1]))
        ]
        return _in_order(ask, found, [{**key(bucket.key)} for bucket in found], "key_as_string")

    return Counted("date_histogram", agg, tell)


def _in_order(ask: Ask, found: Sequence[Bucket], keys: list[Told], text: str) -> Told:
    """Buckets as a list or, `keyed`, by their text; ordered as the request says."""
    too_many(len(found))
    rows = [
        {**key, "doc_count": bucket.count, **ask.tell_subs(bucket)}
        for key, bucket in zip(keys, found, strict=True)
    ]
    if "order" in ask.options:
        for name, down in reversed(_order(ask)):
            rows.sort(key=lambda row: _rank(row, name), reverse=down)
    if ask.options.get("keyed") is True:
        return {"buckets": {str(row.get(text, row["key"])): row for row in rows}}
    return {"buckets": rows}


def _rank(row: Told, name: str) -> float:
    at: Any = row.get({"_key": "key", "_count": "doc_count"}.get(name, name.partition(".")[0]))
    if isinstance(at, dict):
        at = at.get(name.partition(".")[2] or "value", at.get("doc_count"))
    return float(at) if isinstance(at, (int, float)) else -math.inf


_HISTOGRAM = ("field", "interval", "offset", "min_doc_count", "extended_bounds", "hard_bounds", "keyed", "order",
              "format", "missing", "script")  # fmt: skip


def histogram(ask: Ask) -> Counted:
    ask.known(*_HISTOGRAM)
    at = ask.measured()
    if "interval" not in ask.options:
        raise content("Required [interval]", cause=ask.bad("Required [interval]"))
    interval, offset = ask.number("interval"), ask.number("offset", 0.0)
    if interval <= 0:
        raise ask.bad("[interval] must be >0 for histogram aggregation [" + ask.name + "]")
    least = ask.whole("min_doc_count", 0, 0)
    bounds, hard = _bounds(ask, "extended_bounds", float), _bounds(ask, "hard_bounds", float)
    agg = aggs.Histogram(store_name(at), interval, offset, least, subs=ask.nested())

    def floor(value: float) -> float:
        return math.floor((value - offset) / interval) * interval + offset

    def tell(result: Any) -> Told:
        found = list(buckets_of(result))
        if bounds is not None and least == 0:
            found = _extended(found, bounds, floor, interval)
        if hard is not None:
            found = [
                one
                for one in found
                if (hard[0] is None or one.key + interval > hard[0])
                and (hard[1] is None or one.key <= hard[1])
            ]
        format = ask.options.get("format")
        keys: list[Told] = [
            {"key": float(one.key), **({"key_as_string": decimals(format, float(one.key))} if format else {})}
            for one in found
        ]
        return _in_order(ask, found, keys, "key_as_string")

    return Counted("histogram", agg, tell)


def _extended(found: list[Bucket], bounds: tuple[Any, Any], floor: Any, interval: float) -> list[Bucket]:
    """The buckets, with empty ones out to the bounds."""
    low = floor(bounds[0]) if bounds[0] is not None else math.inf
    high = floor(bounds[1]) if bounds[1] is not None else -math.inf
    if found:
        low, high = min(low, found[0].key), max(high, found[-1].key)
    if not (math.isfinite(low) and math.isfinite(high)):
        return found
    count = round((high - low) / interval) + 1
    too_many(count)
    by_place = {round((one.key - low) / interval): one for one in found}
    return [by_place.get(place, Bucket(low + place * interval, 0)) for place in range(count)]


# --- by ranges and filters -------------------------------------------------------------------------------


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


# --- by combinations -------------------------------------------------------------------------------------

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
        fixed, unit = _interval(inner)
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
