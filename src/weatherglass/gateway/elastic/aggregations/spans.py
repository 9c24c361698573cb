"""Aggregations by even spans: `date_histogram`, `histogram`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.aggregations.counted import (
    Ask,
    Counted,
    Told,
    buckets_of,
    date_key,
    decimals,
    store_name,
)
from weatherglass.gateway.elastic.aggregations.values import order_of, too_many
from weatherglass.gateway.elastic.faults import content
from weatherglass.logs import aggs
from weatherglass.logs.aggs import Bucket

_CALENDAR = {
    "minute": "minute", "1m": "minute", "hour": "hour", "1h": "hour", "day": "day", "1d": "day", "week": "week",
    "1w": "week", "month": "month", "1M": "month", "quarter": "quarter", "1q": "quarter", "year": "year",
    "1y": "year",
}  # fmt: skip
_FIXED = re.compile(r"(\d{1,12})(ms|s|m|h|d)")
_DATE_HISTOGRAM = ("field", "interval", "fixed_interval", "calendar_interval", "time_zone", "offset", "min_doc_count",
                   "extended_bounds", "hard_bounds", "keyed", "format", "order", "missing", "script")  # fmt: skip


def interval_of(ask: Ask) -> tuple[int, str]:
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
    fixed, unit = interval_of(ask)
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
        return in_order(ask, found, [{**key(bucket.key)} for bucket in found], "key_as_string")

    return Counted("date_histogram", agg, tell)


def in_order(ask: Ask, found: Sequence[Bucket], keys: list[Told], text: str) -> Told:
    """Buckets as a list or, `keyed`, by their text; ordered as the request says."""
    too_many(len(found))
    rows = [
        {**key, "doc_count": bucket.count, **ask.tell_subs(bucket)}
        for key, bucket in zip(keys, found, strict=True)
    ]
    if "order" in ask.options:
        for name, down in reversed(order_of(ask)):
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
        return in_order(ask, found, keys, "key_as_string")

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
