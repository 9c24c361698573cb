"""The tree over all steps at once: every node comes to an array of (series × steps), never to one step at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from weatherglass.base.errors import Invalid, LimitExceeded, Unavailable
from weatherglass.metrics.promql import binary, extended
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
from weatherglass.metrics.promql.durations import Span, seconds
from weatherglass.metrics.promql.functions import FUNCTIONS
from weatherglass.metrics.promql.native import Say
from weatherglass.metrics.promql.native_range import over_histograms
from weatherglass.metrics.promql.notes import INFOS, Notes
from weatherglass.metrics.promql.options import MAX_SUBQUERY_STEPS, STABLE, Options
from weatherglass.metrics.promql.trace import Trace
from weatherglass.metrics.promql.vector import Vector, quoted, united, without_name
from weatherglass.metrics.promql.windows import Windows, instant
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array, Select, Selection

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
_FAR_MS = 1 << 53


class TimedOut(Unavailable):
    """A query took longer than it may."""

    code = "timeout"


@dataclass
class Query:
    """What all evaluations of one query share: its bounds, what was said, what was looked at."""

    start_ms: int
    end_ms: int
    step_ms: int
    options: Options = STABLE
    notes: Notes = field(default_factory=Notes)
    trace: Trace = field(default_factory=Trace)
    began: float = field(default_factory=time.monotonic)

    def seconds(self, which: str) -> float:
        """`start`, `end`, `range` or `step`, s; an instant query has a step of nought."""
        start, end = self.start_ms / 1000, self.end_ms / 1000
        step = self.step_ms / 1000 if end > start else 0.0
        return {"start": start, "end": end, "range": end - start, "step": step}[which]

    def check(self) -> None:
        """Raises TimedOut once the query's time is over."""
        if 0 < self.options.timeout_s < time.monotonic() - self.began:
            raise TimedOut(
                "query timed out in expression evaluation", mend="ask for less, or a longer timeout"
            )


@dataclass
class Evaluation:
    """One run over `at_ms` (n_steps). Sub-queries run in an Evaluation of their own, of the same query."""

    select: Select
    at_ms: Int64Array
    query: Query

    @cached_property
    def steps(self) -> int:
        return len(self.at_ms)

    @property
    def notes(self) -> Notes:
        return self.query.notes

    @property
    def lookback_ms(self) -> int:
        return self.query.options.lookback_ms

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
        self.query.check()
        if not self.query.options.trace:
            return self._vector(node)
        with self.query.trace.node(node) as seen:
            out = self._vector(node)
            seen.of(out, self.steps)
            return out

    def _vector(self, node: Node) -> Vector:
        match node:
            case Selector():
                return self.selector(node)[0]
            case Unary():
                inner = self.vector(node.expr)
                cells = inner.histograms
                if cells is not None:
                    cells = np.frompyfunc(lambda one: None if one is None else one.scaled(-1.0), 1, 1)(cells)
                return self.unnamed(replace(inner, values=-inner.values, histograms=cells))
            case Aggregation():
                return self._aggregation(node)
            case Binary():
                return self._binary(node)
            case Call():
                return self._call(node)
        raise Invalid(f"expected an instant vector, got {node.type}")

    def windows(self, node: Node) -> Windows:
        """The windows of a matrix selector or a sub-query."""
        assert isinstance(node, Selector | Subquery)
        self.query.check()
        if not self.query.options.trace:
            return self._windows(node)
        with self.query.trace.node(node) as seen:
            out = self._windows(node)
            seen.of_windows(out)
            return out

    def _windows(self, node: Selector | Subquery) -> Windows:
        range_ms = round(self._seconds(node.range_s, positive=True) * 1000)
        ends = self._shifted(node.shift)
        most = self.query.options.max_looked_at
        if isinstance(node, Selector):
            found = self._selected(node, int(ends.min()) - range_ms + 1, int(ends.max()))
            cut = Windows.cut(found, ends, range_ms, self.at_ms, most)
            self.query.trace.samples += cut.looked_at
            return cut
        step = round(self._seconds(node.step_s) * 1000)
        if not isinstance(node.step_s, float) and step <= 0:
            raise Invalid("duration must be greater than 0")
        step = step or self.query.options.subquery_step_ms
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
        inner = Evaluation(self.select, inner_at, self.query)
        nameless: BoolArray | None = None
        if node.expr.type is ValueType.SCALAR:
            found = Selection([()], [inner_at], [inner.scalar(node.expr)])
        else:
            v = inner.vector(node.expr)
            nameless, floats, native, cells = v.nameless, v.floats, v.native, v.histograms
            found = Selection(
                v.labels,
                [inner_at[p] for p in floats],
                [row[p] for row, p in zip(v.values, floats, strict=True)],
                None
                if cells is None
                else [(inner_at[p], cells[i, p].tolist()) for i, p in enumerate(native)],
            )
        return replace(Windows.cut(found, ends, range_ms, self.at_ms, most), nameless=nameless)

    # --- nodes ---

    def selector(self, node: Selector) -> tuple[Vector, Callable[[], Int64Array]]:
        """The vector, and a function to each value's own time (n_series, n_steps) ms."""
        at = self._shifted(node.shift)
        ahead = self.lookback_ms if node.edges == "smoothed" else 0
        found = self._selected(node, int(at.min()) - self.lookback_ms + 1, int(at.max()) + ahead)
        self._bound(len(found.labels), self.steps)
        if ahead:
            values, present = extended.at_instants(found, at, self.lookback_ms)
            shape = values.shape
            return Vector(list(found.labels), values, present), lambda: np.broadcast_to(at, shape)
        values, times, present, histograms = instant(found, at, self.lookback_ms)
        self.query.trace.samples += int(np.count_nonzero(present))
        return Vector(list(found.labels), values, present, histograms), times

    def _selected(self, node: Selector, first_ms: int, last_ms: int) -> Selection:
        found = self.select(node.matchers, max(first_ms, -_FAR_MS), min(last_ms, _FAR_MS))
        self._bound(len(found.labels), self.steps)
        self.query.check()
        return found

    def _seconds(self, span: Span, *, positive: bool = False) -> float:
        return seconds(span, self.query.seconds("step"), self.query.seconds("range"), positive=positive)

    def _shifted(self, shift: Shift) -> Int64Array:
        offset = round(self._seconds(shift.offset_s) * 1000)
        if shift.at is None:
            return self.at_ms - offset
        anchor = {"start": self.query.start_ms, "end": self.query.end_ms}.get(str(shift.at))
        if anchor is None:
            anchor = round(float(shift.at) * 1000)
        return np.full(self.steps, anchor - offset, np.int64)

    def _aggregation(self, node: Aggregation) -> Vector:
        parameter: FloatArray | str | None = None
        if isinstance(node.parameter, StringLiteral):
            parameter = node.parameter.value
        elif node.parameter is not None:
            parameter = self.scalar(node.parameter)
            if node.op == "quantile":
                self.warn_quantile(node.parameter, parameter)
            if node.op == "limit_ratio":
                self._warn_ratio(node.parameter, parameter)
        inner = self.vector(node.expr)
        say = self._say(node.expr)
        return aggregate(node.op, inner, node.labels, without=node.without, parameter=parameter, say=say)

    def _binary(self, node: Binary) -> Vector:
        # Long chains lean left: down the spine in a loop, for a frame a link would exhaust the stack.
        spine = [node]
        while isinstance(spine[-1].left, Binary) and spine[-1].left.type is ValueType.VECTOR:
            spine.append(spine[-1].left)
        link = spine.pop()
        if link.left.type is ValueType.SCALAR:
            out = self._scaled(self.vector(link.right), self.scalar(link.left), link, swapped=True)
        else:
            out = self._joined(self.vector(link.left), link)
        while spine:
            out = self._joined(out, spine.pop())
        return out

    def _scaled(self, inner: Vector, scalar: FloatArray, node: Binary, *, swapped: bool) -> Vector:
        out = binary.vector_scalar(
            node.op, inner, scalar, swapped=swapped, keep_bool=node.bool_modifier, say=self._say(node)
        )
        filters = node.op in binary.COMPARE and not node.bool_modifier
        return out if filters or node.op in binary.TRIMS else self.unnamed(out)

    def _joined(self, left: Vector, node: Binary) -> Vector:
        if node.right.type is ValueType.SCALAR:
            return self._scaled(left, self.scalar(node.right), node, swapped=False)
        right = self.vector(node.right)
        if node.op in binary.SETS:
            return binary.sets(node.op, left, right, node.matching)
        return binary.vectors(
            node.op, left, right, node.matching,
            keep_bool=node.bool_modifier, delayed=self.query.options.delayed_names, say=self._say(node),
        )  # fmt: skip

    def _call(self, node: Call) -> Vector:
        function = FUNCTIONS[node.function]
        if function.kind == "labels":
            out: Vector = function.kernel(self, node)
            return out
        if function.kind == "range":
            return self._over_range(node)
        inner = self.vector(node.args[0])
        extra = [self.scalar(arg) for arg in node.args[1:]]
        if len(extra) < len(function.args) - 1:
            extra.append(np.ones(self.steps))  # round's default
        found = inner.plain(function.kernel(inner.values, *extra), inner.floats)
        return found if function.keeps_name else self.unnamed(found)

    def _over_range(self, node: Call) -> Vector:
        function = FUNCTIONS[node.function]
        place = function.args.index(ValueType.MATRIX)
        arg = node.args[place]
        if isinstance(arg, Selector) and arg.edges:
            return self._edged(node, arg)
        windows = self.windows(arg)
        extra: list[Any] = [self.scalar(one) for i, one in enumerate(node.args) if i != place]
        if node.function == "quantile_over_time":
            self.warn_quantile(node.args[0], extra[0])
        if node.function in ("rate", "increase"):
            self._inform_of_gauges(arg, windows)
        values, present = function.kernel(windows, *extra)
        histograms = None
        if windows.natives is not None:
            values, present, histograms = over_histograms(
                node.function, windows, values, present, self._say_row(arg, windows)
            )
        found = Vector(windows.labels, values, present, histograms, windows.nameless)
        return found if function.keeps_name else self.unnamed(found)

    def _edged(self, node: Call, arg: Selector) -> Vector:
        range_ms = round(self._seconds(arg.range_s, positive=True) * 1000)
        ends = self._shifted(arg.shift)
        ahead = self.lookback_ms if arg.edges == "smoothed" else 0
        first = int(ends.min()) - range_ms - self.lookback_ms + 1
        found = self._selected(arg, first, int(ends.max()) + ahead)
        values, present = extended.over_range(
            node.function, found, ends, range_ms, self.lookback_ms, arg.edges
        )
        return self.unnamed(Vector(list(found.labels), values, present))

    def unnamed(self, vector: Vector) -> Vector:
        """The same series without their metrics' names, now or at the end of the query. Raises Invalid."""
        if self.query.options.delayed_names:
            return replace(vector, nameless=np.ones(len(vector.labels), np.bool_))
        return united(replace(vector, labels=[without_name(one) for one in vector.labels]))

    def _bound(self, series: int, steps: int) -> None:
        if series * steps > self.query.options.max_cells:
            raise LimitExceeded(
                "query processing would load too many samples into memory in query execution: "
                f"{series} series × {steps} steps",
                mend="narrow the selector, or widen the step",
            )

    # --- annotations ---

    def _say(self, node: Node) -> Say:
        def say(kind: str, word: str) -> None:
            if kind.startswith("binary types "):
                left, right = kind.split()[2:]
                # told as Prometheus writes it: left, the operator, right
                self.notes.inform(node.start, "binary types", left, word, right)
            elif kind in INFOS:
                self.notes.inform(node.start, kind, word)
            else:
                self.notes.warn(node.start, kind, word)

        return say

    def _say_row(self, node: Node, windows: Windows) -> Callable[[int, str, str], None]:
        def say(row: int, kind: str, word: str) -> None:
            name = quoted(dict(windows.labels[row]).get("__name__", ""))
            tell = self.notes.inform if kind in INFOS else self.notes.warn
            tell(node.start, kind, word or name)

        return say

    def warn_quantile(self, at: Node, q: FloatArray) -> None:
        for value in np.unique(q[~((q >= 0) & (q <= 1))]):
            self.notes.warn(at.start, "quantile", number(float(value)))

    def _warn_ratio(self, at: Node, ratio: FloatArray) -> None:
        for value in np.unique(ratio[np.abs(ratio) > 1]):
            self.notes.warn(at.start, "ratio", number(float(value)), number(float(np.sign(value))))

    def _inform_of_gauges(self, arg: Node, windows: Windows) -> None:
        seen = np.asarray(windows.some.any(axis=1))
        names = {
            next((value for key, value in one if key == "__name__"), "")
            for one, there in zip(windows.labels, seen.tolist(), strict=True)
            if there
        }
        for name in sorted(names):
            if name and not name.endswith(_COUNTER_SUFFIXES):
                self.notes.inform(arg.start, "no counter", quoted(name))
