"""One aggregation as it was asked: what the store counts, and how the result is told. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.faults import Fault, content, search_phase
from weatherglass.gateway.elastic.fields import DATES, KEYWORDS, TEXTS, Field
from weatherglass.gateway.elastic.leaves import Scope, place
from weatherglass.logs.aggs import Agg, Bucket, Buckets

Told = dict[str, Any]
Tell = Callable[[Any], Told]


@dataclass(frozen=True, slots=True)
class Counted:
    """`tell` puts a result of `agg` into JSON, and None (nothing was counted) as well. `kind` is what typed_keys says."""

    kind: str
    agg: Agg
    tell: Tell
    everything: bool = False  # `global`: counted over all documents, whatever is searched for
    meta: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What an aggregation is read against."""

    scope: Scope
    hits: Callable[[Any, Mapping[str, Any]], Told]  # result of top hits, and its options → JSON
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """The options of one aggregation, taken one after the other; what is left over is a mistake of the asker."""

    kind: str
    name: str
    options: Mapping[str, Any]
    reading: Reading
    subs: Mapping[str, Counted] = field(default_factory=dict)

    def known(self, *names: str) -> None:
        for name in self.options:
            if name not in names:
                raise content(f"[{self.kind}] unknown field [{name[:80]}]")

    def bad(self, reason: str) -> Fault:
        return Fault("illegal_argument_exception", reason)

    def field(self) -> Field:
        """The field that values are taken from. Raises Fault where it is not told, or a text."""
        name = self.options.get("field")
        if not isinstance(name, str):
            if "script" in self.options:
                raise self.bad(f"[{self.kind}] scripts are not run here")
            raise self.bad(
                f"Required one of fields [field, script], but none were specified. [{self.name}]"
                if self.kind != "histogram"
                else "Required one of fields [field, script], but none were specified."
            )
        found = self.reading.scope.field(name)
        if found.type in TEXTS:
            raise search_phase(
                self.bad(
                    f"Fielddata is disabled on [{name}] in [_all]. Text fields are not optimised for operations "
                    "that require per-document field data like aggregations and sorting, so these operations are "
                    "disabled by default. Please use a keyword field instead."
                ),
                "_all",
            )
        return found

    def measured(self) -> Field:
        """The field, when it can be counted with. Raises Fault."""
        found = self.field()
        name = str(self.options["field"])
        if found.type in KEYWORDS and name in self.reading.scope.fields:
            raise search_phase(
                self.bad(
                    f"Field [{name}] of type [{found.type}] is not supported for aggregation [{self.kind}]"
                ),
                "_all",
            )
        return found

    def whole(self, name: str, otherwise: int, least: int) -> int:
        value = self.options.get(name, otherwise)
        if isinstance(value, str) and value.lstrip("-").isdigit():
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise content(f"[{self.kind}] failed to parse field [{name}]")
        if value < least:
            said = "greater than 0" if least == 1 else f"greater than or equal to {least}"
            raise self.bad(f"[{name}] must be {said}. Found [{value}] in [{self.name}]")
        return value

    def number(self, name: str, otherwise: float | None = None) -> float:
        value = self.options.get(name, otherwise)
        try:
            if value is None or isinstance(value, (bool, list, dict)):
                raise ValueError
            found = float(value)
        except ValueError:
            raise content(f"[{self.kind}] failed to parse field [{name}]") from None
        if not math.isfinite(found):
            raise content(f"[{self.kind}] failed to parse field [{name}]")
        return found

    def tell_subs(self, bucket: Bucket | None) -> Told:
        made = told(self.subs, bucket.subs if bucket is not None else {}, self.reading.typed)
        for name, sub in self.subs.items():
            if sub.kind == "top_hits" and bucket is not None:  # of all that the bucket has
                found = made[f"top_hits#{name}" if self.reading.typed else name]["hits"]
                found["total"]["value"] = bucket.count
        return made

    def nested(self) -> dict[str, Agg]:
        return {name: sub.agg for name, sub in self.subs.items()}


def told(asked: Mapping[str, Counted], results: Mapping[str, Any], typed: bool = False) -> Told:
    """Results by name, as JSON."""
    found: Told = {}
    for name, counted in asked.items():
        body = counted.tell(results.get(name))
        if counted.meta is not None:
            body = {"meta": dict(counted.meta), **body}
        found[f"{counted.kind}#{name}" if typed else name] = body
    return found


def store_name(at: Field) -> str:
    return place(at) if at.type not in DATES else at.store


def is_time(at: Field) -> bool:
    """Whether the store must be told that this is a date: of `@timestamp` it knows."""
    return at.type in DATES and at.path != "@timestamp"


def ms(value: float | int) -> int:
    return int(value) // MS_NS


def buckets_of(result: Any) -> tuple[Bucket, ...]:
    return result.buckets if isinstance(result, Buckets) else ()


def date_key(at: Field, format: str, tz: Any) -> Callable[[float | int], Told]:
    """(ns) → `key` and `key_as_string` of a bucket by date."""

    def tell(ns: float | int) -> Told:
        return {"key_as_string": dates.write(ms(ns), format or at.format, tz), "key": ms(ns)}

    return tell


def decimals(format: Any, value: float) -> str:
    """A number by Java's DecimalFormat, as far as dashboards use it (`0.00`, `#,##0.0`)."""
    pattern = str(format)
    places = len(pattern.partition(".")[2].rstrip("#%")) if "." in pattern else 0
    text = f"{value:,.{places}f}" if "," in pattern else f"{value:.{places}f}"
    return text + ("%" if pattern.endswith("%") else "")
