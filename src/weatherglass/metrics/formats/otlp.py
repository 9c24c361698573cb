"""OTLP metrics → series as Prometheus names them. Pure; decoding of the body is the gateway's.

Names, units, attributes and resources are translated as Prometheus' receiver does by default (names escaped with
underscores, suffixes added); exponential histograms become native ones. Deltas have no place in a store of
cumulative counters: they are rejected, and told. Sources: OpenTelemetry, Prometheus and OpenMetrics Compatibility;
prometheus/otlptranslator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.base.time import MS_NS
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.formats.taken import Exemplar, Family, Taken
from weatherglass.metrics.histogram import MOST_SCHEMA, Histogram, checked, side
from weatherglass.metrics.scrape.turn import STALE

DELTA, CUMULATIVE = 1, 2
_STALE_FLAG = 1  # DataPointFlags: no recorded value
LEAST_SCALE = -4
_BUCKETS_MOST = 20_000

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
    "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(slots=True)
class Received(Taken):
    """A request's content; native histograms beside, and what was rejected."""

    native: list[tuple[Labels, int, Histogram]] = field(default_factory=list)
    rejected: int = 0
    why: list[str] = field(default_factory=list)

    def reject(self, many: int, why: str) -> None:
        self.rejected += many
        if why not in self.why and len(self.why) < 3:
            self.why.append(why)


def name_of(name: str, unit: str, kind: str, *, monotonic: bool = False) -> str:
    """A metric's name: escaped, with its unit and `_total` or `_ratio` at the end."""
    words = [word for word in _NOT_NAME.split(name) if word]
    main, _, per = unit.partition("/")
    for text, known, before in ((main, _UNITS, ()), (per, _PER, ("per",))):
        text = text.strip()
        word = "" if "{" in text else known.get(text, _NOT_NAME.sub("_", text).strip("_"))
        if word and word not in words:
            words += [*(one for one in before if one not in words), word]
    if monotonic:
        words = [*(word for word in words if word != "total"), "total"]
    elif kind == "gauge" and unit == "1" and "ratio" not in words:
        words.append("ratio")
    made = "_".join(words)
    return f"_{made}" if made[:1].isdigit() else made


def label_of(name: str) -> str:
    """An attribute's name as a label's."""
    made = _NOT_LABEL.sub("_", name)
    if made[:1].isdigit():
        return f"key_{made}"
    if made.startswith("_") and not made.startswith("__"):
        return f"key{made}"
    return made


def text_of(value: Any) -> str:
    """An attribute's value as a label's (strings as they are, the rest as JSON)."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    if kind == "double_value":
        return repr(value.double_value).removesuffix(".0")
    if kind == "bytes_value":
        import base64

        return base64.b64encode(value.bytes_value).decode()
    if kind is None:
        return ""
    from google.protobuf import json_format

    try:
        return str(json_format.MessageToJson(value, indent=None))[:4096]
    except RecursionError:
        raise Invalid("an attribute is nested too deeply") from None


def _attributes(given: Iterable[Any]) -> dict[str, str]:
    """Labels of attributes; those whose names fall together are joined by `;` in the order of their names."""
    found: dict[str, str] = {}
    for one in sorted(given, key=lambda one: str(one.key)):
        value = text_of(one.value)
        if one.key and value:
            name = label_of(one.key)
            found[name] = f"{found[name]};{value}" if name in found else value
    return found


@dataclass(frozen=True, slots=True)
class _Resource:
    """What a resource gives each of its series, and what only `target_info` tells."""

    own: Mapping[str, str]
    rest: Mapping[str, str]


def _resource(given: Iterable[Any]) -> _Resource:
    many = list(given)
    by_name = {one.key: text_of(one.value) for one in many}
    service, space = by_name.get("service.name", ""), by_name.get("service.namespace", "")
    own = {}
    if service:
        own["job"] = f"{space}/{service}" if space else service
    if instance := by_name.get("service.instance.id"):
        own["instance"] = instance
    identifying = ("service.name", "service.namespace", "service.instance.id")
    return _Resource(own, _attributes(one for one in many if one.key not in identifying))


@dataclass(slots=True)
class _Metric:
    """What the points of one metric share."""

    name: str
    own: Mapping[str, str]
    into: Received
    metric: Any

    def series(self, point: Any, suffix: str = "", **more: str) -> Labels:
        labels = {**_attributes(point.attributes), **self.own, **more, "__name__": self.name + suffix}
        return tuple(sorted(labels.items()))


def received(request: Any, now_ms: int) -> Received:
    """Everything in an ExportMetricsServiceRequest; a point that cannot be taken is rejected and told."""
    into = Received()
    for of_resource in request.resource_metrics:
        try:
            resource = _resource(of_resource.resource.attributes)
        except Invalid as error:
            into.reject(
                sum(_points(one) for scope in of_resource.scope_metrics for one in scope.metrics),
                error.message,
            )
            continue
        newest = 0
        for scope in of_resource.scope_metrics:
            for metric in scope.metrics:
                newest = max(newest, _metric(metric, resource, into))
        if newest and resource.own and resource.rest:
            info = {**resource.rest, **resource.own, "__name__": "target_info"}
            into.add(tuple(sorted(info.items())), min(newest, now_ms), 1.0)
            into.families["target_info"] = Family("gauge", "Target metadata")
    return into


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _metric(metric: Any, resource: _Resource, into: Received) -> int:
    """One metric's points; the newest of their times, 0 without any."""
    kind = metric.WhichOneof("data")
    if kind is None:
        return 0
    data = getattr(metric, kind)
    temporality = getattr(data, "aggregation_temporality", CUMULATIVE)
    if temporality != CUMULATIVE:
        what = "delta" if temporality == DELTA else "unspecified"
        into.reject(
            len(data.data_points),
            f"{metric.name[:200]}: {what} temporality; send cumulative (the collector's deltatocumulative makes it)",
        )
        return 0
    monotonic = kind == "sum" and data.is_monotonic
    family = "gauge" if kind == "gauge" or (kind == "sum" and not monotonic) else _FAMILY[kind]
    name = name_of(metric.name, metric.unit, kind, monotonic=monotonic)
    if not name:
        into.reject(len(data.data_points), "a metric without a name")
        return 0
    into.families[name] = Family(family, metric.description, _unit_of(metric.unit))
    one, newest = _Metric(name, resource.own, into, metric), 0
    for point in data.data_points:
        time_ms = point.time_unix_nano // MS_NS
        try:
            _TAKE[kind](one, point, time_ms)
        except Invalid as error:
            into.reject(1, f"{metric.name[:200]}: {error.message}")
            continue
        newest = max(newest, time_ms)
    return newest


def _unit_of(unit: str) -> str:
    return "" if "{" in unit or "/" in unit else _UNITS.get(unit, unit)


def _stale(point: Any) -> bool:
    return bool(point.flags & _STALE_FLAG)


def _number(one: _Metric, point: Any, time_ms: int) -> None:
    kind = point.WhichOneof("value")
    if kind is None and not _stale(point):
        raise Invalid("a point without a value")
    value = STALE if _stale(point) else float(getattr(point, kind))
    series = one.series(point)
    one.into.add(series, time_ms, value)
    one.into.exemplars += _exemplars(series, point.exemplars)


def _histogram(one: _Metric, point: Any, time_ms: int) -> None:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if counts and len(counts) != len(bounds) + 1:
        raise Invalid("the buckets of a histogram do not fit its bounds")
    if any(after <= before for before, after in pairwise(bounds)) or any(map(math.isnan, bounds)):
        raise Invalid("the bounds of a histogram do not ascend")
    stale, into, total = _stale(point), one.into, 0
    if point.HasField("sum") or stale:
        into.add(one.series(point, "_sum"), time_ms, STALE if stale else point.sum)
    into.add(one.series(point, "_count"), time_ms, STALE if stale else float(point.count))
    edges: list[tuple[float, Labels]] = []
    for bound, count in zip(bounds, counts, strict=False):
        total += count
        series = one.series(point, "_bucket", le=_bound(bound))
        into.add(series, time_ms, STALE if stale else float(total))
        edges.append((bound, series))
    series = one.series(point, "_bucket", le="+Inf")
    into.add(series, time_ms, STALE if stale else float(point.count))
    edges.append((math.inf, series))
    for exemplar in point.exemplars:
        value = _value(exemplar)
        bucket = next((series for bound, series in edges if value <= bound), series)
        into.exemplars += _exemplars(bucket, [exemplar])


def _summary(one: _Metric, point: Any, time_ms: int) -> None:
    stale, into = _stale(point), one.into
    into.add(one.series(point, "_sum"), time_ms, STALE if stale else point.sum)
    into.add(one.series(point, "_count"), time_ms, STALE if stale else float(point.count))
    for quantile in point.quantile_values:
        series = one.series(point, quantile=_bound(quantile.quantile))
        into.add(series, time_ms, STALE if stale else quantile.value)


def _exponential(one: _Metric, point: Any, time_ms: int) -> None:
    series = one.series(point)
    if _stale(point):
        one.into.add(series, time_ms, STALE)
        return
    if point.scale < LEAST_SCALE:
        raise Invalid(f"an exponential histogram of scale {point.scale}; at least {LEAST_SCALE}")
    scale = min(point.scale, MOST_SCHEMA)
    down = point.scale - scale
    histogram = Histogram(
        schema=scale,
        zero_threshold=point.zero_threshold or 1e-128,
        zero_count=float(point.zero_count),
        count=float(point.count),
        sum=point.sum if point.HasField("sum") else math.nan,
        positive=side(*_buckets(point.positive, down)),
        negative=side(*_buckets(point.negative, down)),
    )
    one.into.native.append((series, time_ms, checked(histogram)))
    one.into.exemplars += _exemplars(series, point.exemplars)


def _buckets(given: Any, down: int) -> tuple[list[int], list[float]]:
    """Indices and counts; OTLP's bucket i is (base^i, base^(i+1)], native's (base^(i-1), base^i]."""
    if len(given.bucket_counts) > _BUCKETS_MOST:
        raise Invalid(f"more than {_BUCKETS_MOST} buckets")
    found: dict[int, float] = {}
    for place, count in enumerate(given.bucket_counts):
        if count:
            index = ((given.offset + place) >> down) + 1
            found[index] = found.get(index, 0.0) + count
    if any(not -(1 << 31) <= index < 1 << 31 for index in found):
        raise Invalid("a bucket out of range")
    return sorted(found), [found[index] for index in sorted(found)]


def _value(exemplar: Any) -> float:
    kind = exemplar.WhichOneof("value")
    return float(getattr(exemplar, kind)) if kind else 0.0


def _exemplars(series: Labels, many: Iterable[Any]) -> Iterator[Exemplar]:
    for one in many:
        labels = {"trace_id": one.trace_id.hex()} if one.trace_id else {}
        labels |= {"span_id": one.span_id.hex()} if one.span_id else {}
        room = 128 - sum(len(name) + len(value) for name, value in labels.items())
        for name, value in _attributes(one.filtered_attributes).items():
            if len(name) + len(value) <= room and name not in labels:
                labels[name] = value
                room -= len(name) + len(value)
        yield Exemplar(
            series, tuple(sorted(labels.items())), _value(one), one.time_unix_nano // MS_NS or None
        )


def _bound(value: float) -> str:
    """A bound as Go's shortest form has it."""
    return "+Inf" if value == math.inf else f"{value:g}" if float(f"{value:g}") == value else repr(value)


_FAMILY = {
    "sum": "counter",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
    "summary": "summary",
}
_TAKE: dict[str, Callable[[_Metric, Any, int], None]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "summary": _summary,
    "exponential_histogram": _exponential,
}
