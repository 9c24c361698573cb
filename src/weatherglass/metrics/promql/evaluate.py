"""From a tree and a store to an answer: the bounds of a query, and the form its result takes.

What the nodes come to is in `evaluation`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.metrics.promql.ast import Node, StringLiteral, ValueType
from weatherglass.metrics.promql.evaluation import Evaluation, Query
from weatherglass.metrics.promql.options import MAX_STEPS, STABLE, Options
from weatherglass.metrics.promql.vector import ObjectArray, settled
from weatherglass.metrics.promql.windows import Windows
from weatherglass.metrics.types import Int64Array, QueryResult, Select


def evaluate(
    expr: Node,
    select: Select,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    options: Options = STABLE,
    query: Query | None = None,
) -> QueryResult:
    """What `expr` comes to from `start_ms` to `end_ms`, both included, every `step_ms`.

    An instant query has start = end. `query` may be handed in by who wants to see what was looked at. Raises Invalid
    (labels that clash, matching that is ambiguous), LimitExceeded (too many steps, cells, samples), TimedOut.
    """
    if step_ms <= 0:
        raise Invalid(
            "zero or negative query resolution step widths are not accepted", mend="try a positive step"
        )
    if end_ms < start_ms:
        raise Invalid("end timestamp must not be before start time")
    if (end_ms - start_ms) // step_ms >= MAX_STEPS:
        raise LimitExceeded(
            "exceeded maximum resolution of 11,000 points per timeseries",
            mend="widen the step, or shorten the span",
        )
    query = query or Query(start_ms, end_ms, step_ms, options)
    query.notes.source = expr.source
    with np.errstate(all="ignore"):  # IEEE's answers are PromQL's
        found = _evaluate(expr, select, query)
    return replace(found, warnings=query.notes.warnings, infos=query.notes.infos)


def _evaluate(expr: Node, select: Select, query: Query) -> QueryResult:
    at_ms = np.arange(query.start_ms, query.end_ms + 1, query.step_ms, dtype=np.int64)
    ev = Evaluation(select, at_ms, query)
    is_range = query.end_ms > query.start_ms
    match expr.type:
        case ValueType.STRING:
            return _plain("string", at_ms, text=expr.value if isinstance(expr, StringLiteral) else "")
        case ValueType.SCALAR:
            values = ev.scalar(expr)[None, :]
            kind: Any = "matrix" if is_range else "scalar"
            return QueryResult(kind, [()], at_ms, values, np.ones(values.shape, np.bool_))
        case ValueType.MATRIX:
            if is_range:
                raise Invalid(
                    f"invalid expression type {expr.type} for range query, must be scalar or instant vector"
                )
            return _samples(ev.windows(expr))
    found = settled(ev.vector(expr))
    rows = np.flatnonzero(found.present.any(axis=1)).tolist()
    if is_range:  # a matrix comes in the order of its labels; an instant's series in that of the query
        rows.sort(key=found.labels.__getitem__)
    if rows != list(range(len(found.labels))):
        found = found.rows(rows)
    return QueryResult(
        "matrix" if is_range else "vector",
        found.labels,
        at_ms,
        found.values,
        found.present,
        histograms=found.histograms,
    )


def _plain(kind: Any, at_ms: Int64Array, text: str) -> QueryResult:
    return QueryResult(
        kind, [], at_ms, np.zeros((0, len(at_ms))), np.zeros((0, len(at_ms)), np.bool_), text=text
    )


def _samples(windows: Windows) -> QueryResult:
    """A range vector as it lies: columns are all instants at which some series has a sample."""
    lo, hi, natives = windows.lo[:, 0], windows.hi[:, 0], windows.natives
    kept = np.flatnonzero(windows.any[:, 0]).tolist()
    every = [windows.times[lo[i] : hi[i]] for i in kept]
    if natives is not None:
        every += [natives.times[i][natives.lo[i, 0] : natives.hi[i, 0]] for i in kept]
    times = np.unique(np.concatenate(every)) if every else np.zeros(0, np.int64)
    values, present = np.zeros((len(kept), len(times))), np.zeros((len(kept), len(times)), np.bool_)
    histograms: ObjectArray | None = None if natives is None else np.full(values.shape, None, object)
    for row, i in enumerate(kept):
        column = np.searchsorted(times, windows.times[lo[i] : hi[i]])
        values[row, column], present[row, column] = windows.values[lo[i] : hi[i]], True
        if natives is not None and histograms is not None:
            mine = slice(natives.lo[i, 0], natives.hi[i, 0])
            for at, one in zip(
                np.searchsorted(times, natives.times[i][mine]), natives.histograms[i][mine], strict=True
            ):
                histograms[row, at], present[row, at] = one, True
    return QueryResult(
        "matrix", [windows.labels[i] for i in kept], times, values, present, histograms=histograms
    )
