"""The table of aggregations, and reading a request's `aggs` by it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from weatherglass.gateway.elastic.aggregations import combined, metrics, ranges, spans, values
from weatherglass.gateway.elastic.aggregations.counted import Ask, Counted, Reading, told
from weatherglass.gateway.elastic.faults import Fault, parsing

KINDS: dict[str, Callable[[Ask], Counted]] = {
    "terms": values.terms,
    "rare_terms": values.rare_terms,
    "date_histogram": spans.date_histogram,
    "histogram": spans.histogram,
    "range": ranges.range_,
    "date_range": ranges.date_range,
    "filters": ranges.filters,
    "filter": ranges.filter_,
    "missing": ranges.missing,
    "global": ranges.global_,
    "composite": combined.composite,
    "cardinality": metrics.cardinality,
    "percentiles": metrics.percentiles,
    "percentile_ranks": metrics.percentile_ranks,
    "stats": metrics.stats,
    "extended_stats": metrics.stats,
    **dict.fromkeys(("min", "max", "sum", "avg", "value_count"), metrics.metric),
    "top_hits": metrics.top_hits,
}
_WITHOUT = frozenset(
    ("cardinality", "percentiles", "percentile_ranks", "stats", "extended_stats", "min", "max", "sum", "avg",
     "value_count", "top_hits")
)  # fmt: skip
_NAME = re.compile(r"[^\[\]>]+")
_DEEP = 20


def read(body: Any, reading: Reading, depth: int = 0) -> dict[str, Counted]:
    """Every aggregation of `{"name": {"kind": {…}, "aggs": {…}}}`. Raises Fault."""
    if not isinstance(body, Mapping):
        raise parsing("Unexpected token in [aggs]: expected an object")
    if depth > _DEEP:
        raise parsing(f"aggregations are nested deeper than {_DEEP}")
    return {name: _one(name, one, reading, depth) for name, one in body.items()}


def _one(name: str, body: Any, reading: Reading, depth: int) -> Counted:
    if not _NAME.fullmatch(name):
        raise parsing(
            f"Invalid aggregation name [{name[:80]}]. Aggregation names can contain any character except '[', ']', and '>'"
        )
    if not isinstance(body, Mapping):
        raise parsing(
            f"Aggregation definition for [{name}] starts with a [VALUE], expected a [START_OBJECT]."
        )
    inner, meta, kinds = None, None, []
    for key, value in body.items():
        if key in ("aggs", "aggregations"):
            if inner is not None:
                raise parsing(f"Found two sub aggregation definitions under [{name}]")
            inner = value
        elif key == "meta":
            meta = value if isinstance(value, Mapping) else {}
        else:
            kinds.append((key, value))
    if not kinds:
        raise parsing(f"Missing definition for aggregation [{name}]")
    if len(kinds) > 1:
        raise parsing(
            f"Found two aggregation type definitions in [{name}]: [{kinds[0][0]}] and [{kinds[1][0]}]"
        )
    kind, options = kinds[0]
    if not isinstance(options, Mapping):
        raise parsing(f"Expected [START_OBJECT] under [{kind[:80]}], but got a value in [{name}]")
    made = KINDS.get(kind)
    if made is None:
        fault = parsing(f"Unknown aggregation type [{kind[:80]}]")
        fault.more["caused_by"] = Fault(
            "named_object_not_found_exception", f"[1:1] unknown field [{kind[:80]}]"
        ).plain()
        raise fault
    if kind == "global" and depth:
        raise Fault(
            "aggregation_execution_exception",
            f"Aggregator [{name}] of type [global] cannot be used as a sub aggregation",
            500,
        )
    if inner and kind in _WITHOUT:
        raise Fault(
            "aggregation_initialization_exception",
            f"Aggregator [{name}] of type [{kind}] cannot accept sub-aggregations",
            500,
        )
    subs = read(inner, reading, depth + 1) if inner else {}
    counted = made(Ask(kind, name, options, reading, subs))
    return Counted(counted.kind, counted.agg, counted.tell, counted.everything, meta)


__all__ = ["KINDS", "Counted", "Reading", "read", "told"]
