"""Aggregations that come to numbers or hits: how they are read and told. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.aggregations.counted import (
    Ask,
    Counted,
    Told,
    buckets_of,
    decimals,
    is_time,
    store_name,
)
from weatherglass.gateway.elastic.fields import DATES
from weatherglass.gateway.elastic.sorting import read_sort
from weatherglass.logs import aggs
from weatherglass.logs.aggs import Summary

_VALUES = ("field", "missing", "format", "script", "value_type")


def _told_as(ask: Ask) -> Callable[[float | None], tuple[float | None, str | None]]:
    """How a number is told: of a date in ms and as text too."""
    name = ask.options.get("field")
    at = ask.reading.scope.field(str(name))
    format = ask.options.get("format")

    def tell(value: float | None) -> tuple[float | None, str | None]:
        if value is None:
            return None, None
        if at.type in DATES:
            value = float(round(value / MS_NS))
            return value, dates.write(int(value), str(format or at.format))
        return float(value), decimals(format, value) if format else None

    return tell


def metric(ask: Ask) -> Counted:
    """min, max, sum, avg, value_count."""
    ask.known(*_VALUES)
    at = ask.field() if ask.kind == "value_count" else ask.measured()
    tell_as = _told_as(ask)

    def tell(result: Any) -> Told:
        if ask.kind == "value_count":
            return {"value": int(result or 0)}
        value, text = tell_as(None if result is None else float(result))
        if ask.kind == "sum" and value is None:
            value = 0.0
        return {"value": value, **({"value_as_string": text} if text is not None else {})}

    return Counted(ask.kind, aggs.Metric(ask.kind, store_name(at), time=is_time(at)), tell)


def cardinality(ask: Ask) -> Counted:
    ask.known(*_VALUES, "precision_threshold", "rehash", "execution_hint")
    at = ask.field()
    return Counted(
        "cardinality", aggs.Cardinality(store_name(at)), lambda result: {"value": int(result or 0)}
    )


_STATS = ("min", "max", "avg", "sum")


def stats(ask: Ask) -> Counted:
    """stats and extended_stats."""
    extended = ask.kind == "extended_stats"
    ask.known(*_VALUES, *(("sigma",) if extended else ()))
    at, tell_as = ask.measured(), _told_as(ask)
    sigma = ask.number("sigma", 2.0) if extended else 2.0
    if sigma < 0:
        raise ask.bad(
            "[sigma] must be greater than or equal to 0. Found [" + str(sigma) + f"] in [{ask.name}]"
        )

    def tell(result: Summary | None) -> Told:
        summary = result if result is not None and result.count else Summary(0, None, None, 0.0, 0.0)
        count, total = summary.count, summary.sum
        values = {
            "min": summary.min,
            "max": summary.max,
            "avg": total / count if count else None,
            "sum": total,
        }
        body: Told = {"count": count}
        texts: Told = {}
        for name in _STATS:
            body[name], text = tell_as(values[name])
            if text is not None and count:
                texts[f"{name}_as_string"] = text
        if extended:
            body.update(_spread(summary, sigma))
        return {**body, **texts}

    return Counted(ask.kind, aggs.Stats(store_name(at), time=is_time(at)), tell)


def _spread(summary: Summary, sigma: float) -> Told:
    count = summary.count
    if not count:
        names = ("variance", "variance_population", "variance_sampling", "std_deviation",
                 "std_deviation_population", "std_deviation_sampling")  # fmt: skip
        bounds = (
            "upper",
            "lower",
            "upper_population",
            "lower_population",
            "upper_sampling",
            "lower_sampling",
        )
        return {
            "sum_of_squares": None,
            **dict.fromkeys(names),
            "std_deviation_bounds": dict.fromkeys(bounds),
        }
    mean = summary.sum / count
    moment = max(0.0, summary.sum_of_squares - summary.sum * mean)
    population = moment / count
    sampling = moment / (count - 1) if count > 1 else None
    deviation = math.sqrt(population)
    sampled = math.sqrt(sampling) if sampling is not None else None

    def bound(of: float | None, sign: int) -> float | None:
        return None if of is None else mean + sign * sigma * of

    return {
        "sum_of_squares": summary.sum_of_squares,
        "variance": population,
        "variance_population": population,
        "variance_sampling": "NaN" if sampling is None else sampling,
        "std_deviation": deviation,
        "std_deviation_population": deviation,
        "std_deviation_sampling": "NaN" if sampled is None else sampled,
        "std_deviation_bounds": {
            "upper": bound(deviation, 1),
            "lower": bound(deviation, -1),
            "upper_population": bound(deviation, 1),
            "lower_population": bound(deviation, -1),
            "upper_sampling": bound(sampled, 1) if sampled is not None else "NaN",
            "lower_sampling": bound(sampled, -1) if sampled is not None else "NaN",
        },
    }


_HOW = ("keyed", "tdigest", "hdr", "compression", "number_of_significant_value_digits", "method")


def percentiles(ask: Ask) -> Counted:
    ask.known(*_VALUES, *_HOW, "percents")
    at, tell_as = ask.measured(), _told_as(ask)
    given = ask.options.get("percents", [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0])
    if not isinstance(given, list) or not given or not all(_is_number(one) for one in given):
        raise ask.bad(f"[percents] must not be empty: [{ask.name}]")
    if any(not 0 <= one <= 100 for one in given):
        wrong = next(one for one in given if not 0 <= one <= 100)
        raise ask.bad(f"percent must be in [0,100], got [{float(wrong)}]: [{ask.name}]")
    percents = tuple(float(one) for one in given)

    def tell(result: Mapping[float, float | None] | None) -> Told:
        found = {one: tell_as((result or {}).get(one)) for one in percents}
        if ask.options.get("keyed", True) is False:
            return {
                "values": [
                    {"key": one, "value": value, **({"value_as_string": text} if text else {})}
                    for one, (value, text) in found.items()
                ]
            }
        body: Told = {}
        for one, (value, text) in found.items():
            body[str(one)] = value
            if text is not None:
                body[f"{one}_as_string"] = text
        return {"values": body}

    kind = "hdr_percentiles" if "hdr" in ask.options else "tdigest_percentiles"
    return Counted(kind, aggs.Percentiles(store_name(at), percents), tell)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def percentile_ranks(ask: Ask) -> Counted:
    """Which share of the values is at most each of those given: counted as ranges."""
    ask.known(*_VALUES, *_HOW, "values")
    at = ask.measured()
    given = ask.options.get("values")
    if not isinstance(given, list) or not given or not all(_is_number(one) for one in given):
        raise ask.bad(f"[values] must not be null or empty: [{ask.name}]")
    wanted = [float(one) for one in given]
    ranges = [("", None, None), *((str(one), None, math.nextafter(one, math.inf)) for one in wanted)]

    def tell(result: Any) -> Told:
        counts = {bucket.key: bucket.count for bucket in buckets_of(result)}
        total = counts.get("", 0)
        found = {one: (100.0 * counts.get(str(one), 0) / total if total else None) for one in wanted}
        if ask.options.get("keyed", True) is False:
            return {"values": [{"key": one, "value": share} for one, share in found.items()]}
        return {"values": {str(one): share for one, share in found.items()}}

    return Counted("tdigest_percentile_ranks", aggs.Range(store_name(at), tuple(ranges)), tell)


_TOP = ("size", "from", "sort", "_source", "fields", "docvalue_fields", "stored_fields", "highlight", "explain",
        "version", "seq_no_primary_term", "script_fields", "track_scores")  # fmt: skip


def top_hits(ask: Ask) -> Counted:
    ask.known(*_TOP)
    size, begin = ask.whole("size", 3, 0), ask.whole("from", 0, 0)
    if size + begin > 100:
        raise ask.bad(
            f"Top hits result window is too large, the top hits aggregator [{ask.name}]'s from + size must be less "
            f"than or equal to: [100] but was [{size + begin}]"
        )
    sort = read_sort(ask.options.get("sort"), ask.reading.scope)
    order = tuple((key.store, key.descending) for key in sort) or (("@timestamp", False),)

    def tell(result: Any) -> Told:
        return {
            "hits": ask.reading.hits(result, {**ask.options, "sort_keys": sort, "from": begin, "size": size})
        }

    return Counted("top_hits", aggs.TopHits(size + begin, order), tell)
