"""The tree over all steps at once: every node comes to an array of (series × steps), never to one step at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.metrics.promql import binary
from weatherglass.metrics.promql.aggregate import aggregate, number
from weatherglass.metrics.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Node,
    NumberLiteral,
    Selector,
    Shift,
    StringLiteral,
    Subquery,
    Unary,
    ValueType,
)
from weatherglass.metrics.promql.functions import FUNCTIONS
from weatherglass.metrics.promql.lexer import position
from weatherglass.metrics.promql.vector import Vector, quoted, unite, without_name
from weatherglass.metrics.promql.windows import Windows, instant
from weatherglass.metrics.types import FloatArray, Int64Array, QueryResult, Select, Selection

MAX_STEPS = 11_000
MAX_SUBQUERY_STEPS = 2_000_000
MAX_CELLS = 50_000_000
DEFAULT_SUBQUERY_STEP_MS = 60_000
MAX_ANNOTATIONS = 20
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def evaluate(
    expr: Node, select: Select, start_ms: int, end_ms: int, step_ms: int, lookback_ms: int = 300_000
) -> QueryResult:
    """What `expr` comes to from `start_ms` to `end_ms`, both included, every `step_ms`.

    An instant query has start = end. Raises Invalid (labels that clash, matching that is ambiguous),
    LimitExceeded (too many steps or cells).
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
    with np.errstate(all="ignore"):  # IEEE's answers are PromQL's
        return _evaluate(expr, select, start_ms, end_ms, step_ms, lookback_ms)


def _evaluate(
    expr: Node, select: Select, start_ms: int, end_ms: int, step_ms: int, lookback_ms: int
) -> QueryResult:
    at_ms = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
    ev = Evaluation(select, at_ms, lookback_ms, start_ms, end_ms)
    is_range = end_ms > start_ms
    match expr.type:
        case ValueType.STRING:
            return _plain("string", at_ms, text=expr.value if isinstance(expr, StringLiteral) else "")
        case ValueType.SCALAR:
            values = ev.scalar(expr)[None, :]
            return QueryResult(
                "matrix" if is_range else "scalar",
                [()],
                at_ms,
                values,
                np.ones(values.shape, np.bool_),
                ev.warnings,
                ev.infos,
            )
        case ValueType.MATRIX:
            if is_range:
                raise Invalid(
                    f"invalid expression type {expr.type} for range query, must be scalar or instant vector"
                )
            return replace(_samples(ev.windows(expr)), warnings=ev.warnings, infos=ev.infos)
    found = ev.vector(expr)
    rows = np.flatnonzero(found.present.any(axis=1))
    return QueryResult(
        "matrix" if is_range else "vector",
        [found.labels[i] for i in rows],
        at_ms,
        found.values[rows],
        found.present[rows],
        ev.warnings,
        ev.infos,
    )


def _plain(kind: Any, at_ms: Int64Array, text: str) -> QueryResult:
    return QueryResult(
        kind, [], at_ms, np.zeros((0, len(at_ms))), np.zeros((0, len(at_ms)), np.bool_), text=text
    )


def _samples(windows: Windows) -> QueryResult:
    """A range vector as it lies: columns are all instants at which some series has a sample."""
    lo, hi = windows.lo[:, 0], windows.hi[:, 0]
    kept = [i for i in range(len(windows.labels)) if hi[i] > lo[i]]
    every = [windows.times[lo[i] : hi[i]] for i in kept]
    times = np.unique(np.concatenate(every)) if every else np.zeros(0, np.int64)
    values, present = np.zeros((len(kept), len(times))), np.zeros((len(kept), len(times)), np.bool_)
    for row, (i, mine) in enumerate(zip(kept, every, strict=True)):
        column = np.searchsorted(times, mine)
        values[row, column], present[row, column] = windows.values[lo[i] : hi[i]], True
    return QueryResult("matrix", [windows.labels[i] for i in kept], times, values, present)


@dataclass
class Evaluation:
    """One run over `at_ms` (n_steps). Sub-queries run in an Evaluation of their own with the same query bounds."""

    select: Select
    at_ms: Int64Array
    lookback_ms: int
    query_start_ms: int
    query_end_ms: int
    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)

    @cached_property
    def steps(self) -> int:
        return len(self.at_ms)

    # --- by type ---

    def scalar(self, node: Node) -> FloatArray:
        out: FloatArray
        match node:
            case NumberLiteral():
                return np.full(self.steps, node.value)
            case Unary():
                return -self.scalar(node.expr)
            case Binary():
                links: list[Binary] = []
                while isinstance(node, Binary):
                    links.append(node)
                    node = node.left
                out = self.scalar(node)
                for link in reversed(links):
                    out = binary.scalars(link.op, out, self.scalar(link.right))
                return out
            case Call():
                out = FUNCTIONS[node.function].kernel(self, node)
                return out
        raise Invalid(f"expected a scalar, got {node.type}")

    def vector(self, node: Node) -> Vector:
        match node:
            case Selector():
                return self.selector(node)[0]
            case Unary():
                inner = self.vector(node.expr)
                return unite([without_name(one) for one in inner.labels], -inner.values, inner.present)
            case Aggregation():
                parameter: FloatArray | str | None = None
                if isinstance(node.parameter, StringLiteral):
                    parameter = node.parameter.value
                elif node.parameter is not None:
                    parameter = self.scalar(node.parameter)
                    if node.op == "quantile":
                        self.warn_quantile(node, node.parameter, parameter)
                    if node.op == "limit_ratio":
                        self._warn_ratio(node, node.parameter, parameter)
                return aggregate(
                    node.op, self.vector(node.expr), node.labels, without=node.without, parameter=parameter
                )
            case Binary():
                return self._binary(node)
            case Call():
                return self._call(node)
        raise Invalid(f"expected an instant vector, got {node.type}")

    def windows(self, node: Node) -> Windows:
        """The windows of a matrix selector or a sub-query."""
        assert isinstance(node, Selector | Subquery)
        range_ms = round(node.range_s * 1000)
        ends = self._shifted(node.shift)
        if isinstance(node, Selector):
            found = self.select(node.matchers, int(ends.min()) - range_ms + 1, int(ends.max()))
            self._bound(len(found.labels), self.steps)
            return Windows.cut(found, ends, range_ms, self.at_ms)
        step = round(node.step_s * 1000) or DEFAULT_SUBQUERY_STEP_MS
        # Steps are absolute multiples of the step, in (first window's start, last window's end].
        first = (int(ends.min()) - range_ms) // step * step + step
        if (int(ends.max()) - first) // step > MAX_SUBQUERY_STEPS:
            raise LimitExceeded(
                f"a sub-query may have {MAX_SUBQUERY_STEPS} steps",
                mend="widen its step, or shorten its range",
            )
        inner_at = np.arange(first, int(ends.max()) + 1, step, dtype=np.int64)
        if not len(inner_at):
            return Windows.cut(Selection([], [], []), ends, range_ms, self.at_ms)
        self._bound(1, len(inner_at))
        inner = Evaluation(
            self.select,
            inner_at,
            self.lookback_ms,
            self.query_start_ms,
            self.query_end_ms,
            self.warnings,
            self.infos,
        )
        if node.expr.type is ValueType.SCALAR:
            found = Selection([()], [inner_at], [inner.scalar(node.expr)])
        else:
            v = inner.vector(node.expr)
            found = Selection(
                v.labels,
                [inner_at[p] for p in v.present],
                [row[p] for row, p in zip(v.values, v.present, strict=True)],
            )
        return Windows.cut(found, ends, range_ms, self.at_ms)

    # --- nodes ---

    def selector(self, node: Selector) -> tuple[Vector, Int64Array]:
        """The vector, and each value's own time (n_series, n_steps) ms."""
        at = self._shifted(node.shift)
        found = self.select(node.matchers, int(at.min()) - self.lookback_ms + 1, int(at.max()))
        self._bound(len(found.labels), self.steps)
        values, times, present = instant(found, at, self.lookback_ms)
        return Vector(list(found.labels), values, present), times

    def _shifted(self, shift: Shift) -> Int64Array:
        offset = round(shift.offset_s * 1000)
        if shift.at is None:
            return self.at_ms - offset
        anchor = {"start": self.query_start_ms, "end": self.query_end_ms}.get(str(shift.at))
        if anchor is None:
            anchor = round(float(shift.at) * 1000)
        return np.full(self.steps, anchor - offset, np.int64)

    def _binary(self, node: Binary) -> Vector:
        # Long chains lean left: down the spine in a loop, for a frame a link would exhaust the stack.
        spine = [node]
        while isinstance(spine[-1].left, Binary) and spine[-1].left.type is ValueType.VECTOR:
            spine.append(spine[-1].left)
        link = spine.pop()
        if link.left.type is ValueType.SCALAR:
            out = binary.vector_scalar(
                link.op,
                self.vector(link.right),
                self.scalar(link.left),
                swapped=True,
                keep_bool=link.bool_modifier,
            )
        else:
            out = self._joined(self.vector(link.left), link)
        while spine:
            out = self._joined(out, spine.pop())
        return out

    def _joined(self, left: Vector, node: Binary) -> Vector:
        if node.right.type is ValueType.SCALAR:
            return binary.vector_scalar(
                node.op, left, self.scalar(node.right), swapped=False, keep_bool=node.bool_modifier
            )
        right = self.vector(node.right)
        if node.op in binary.SETS:
            return binary.sets(node.op, left, right, node.matching)
        return binary.vectors(node.op, left, right, node.matching, keep_bool=node.bool_modifier)

    def _call(self, node: Call) -> Vector:
        function = FUNCTIONS[node.function]
        if function.kind == "labels":
            out: Vector = function.kernel(self, node)
            return out
        if function.kind == "range":
            place = function.args.index(ValueType.MATRIX)
            windows = self.windows(node.args[place])
            extra = [self.scalar(arg) for i, arg in enumerate(node.args) if i != place]
            if node.function == "quantile_over_time":
                self.warn_quantile(node, node.args[0], extra[0])
            if node.function in ("rate", "increase"):
                self._inform_of_gauges(node, windows)
            values, present = function.kernel(windows, *extra)
            labels = windows.labels
        else:
            inner = self.vector(node.args[0])
            extra = [self.scalar(arg) for arg in node.args[1:]]
            if len(extra) < len(function.args) - 1:
                extra.append(np.ones(self.steps))  # round's default
            values, present, labels = function.kernel(inner.values, *extra), inner.present, inner.labels
        if not function.keeps_name:
            labels = [without_name(one) for one in labels]
        return unite(labels, values, present)

    def _bound(self, series: int, steps: int) -> None:
        if series * steps > MAX_CELLS:
            raise LimitExceeded(
                f"query would hold {series} series × {steps} steps",
                mend="narrow the selector, or widen the step",
            )

    # --- annotations: what is answered, but may not be what was meant ---

    def warn(self, within: Call | Aggregation, at: Node, text: str) -> None:
        _once(self.warnings, f"PromQL warning: {text} ({position(within.source, at.start)})")

    def inform(self, within: Call | Aggregation, at: Node, text: str) -> None:
        _once(self.infos, f"PromQL info: {text} ({position(within.source, at.start)})")

    def warn_quantile(self, within: Call | Aggregation, at: Node, q: FloatArray) -> None:
        for value in np.unique(q[~((q >= 0) & (q <= 1))]):
            self.warn(within, at, f"quantile value should be between 0 and 1, got {number(float(value))}")

    def _warn_ratio(self, within: Aggregation, at: Node, ratio: FloatArray) -> None:
        for value in np.unique(ratio[np.abs(ratio) > 1]):
            told = f"got {number(float(value))}, capping to {number(float(np.sign(value)))}"
            self.warn(within, at, f"ratio value should be between -1 and 1, {told}")

    def _inform_of_gauges(self, call: Call, windows: Windows) -> None:
        seen = np.asarray(windows.some.any(axis=1))
        names = {
            dict(one).get("__name__", "") for one, there in zip(windows.labels, seen, strict=True) if there
        }
        for name in sorted(names):
            if name and not name.endswith(_COUNTER_SUFFIXES):
                text = f"metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {quoted(name)}"
                self.inform(call, call.args[0], text)


def _once(told: list[str], text: str) -> None:
    if text not in told and len(told) < MAX_ANNOTATIONS:
        told.append(text)
