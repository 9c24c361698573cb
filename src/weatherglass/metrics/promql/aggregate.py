"""Aggregation operators: a table of how each folds the members of a group, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.kernels import folds
from weatherglass.metrics.histogram import IncompatibleSchemas
from weatherglass.metrics.promql.ast import ValueType
from weatherglass.metrics.promql.native import Say, text_of, total
from weatherglass.metrics.promql.over_time import quantile
from weatherglass.metrics.promql.vector import ObjectArray, Vector, quoted, unite, with_label
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array


@dataclass(frozen=True)
class Group:
    """The series and their groups: `of[i]` is the group of series i, of `groups`."""

    values: FloatArray
    present: BoolArray
    of: Int64Array
    groups: int

    @cached_property
    def order(self) -> Int64Array:
        """The series by group, in their order within each."""
        return np.argsort(self.of, kind="stable")

    @cached_property
    def starts(self) -> Int64Array:
        """Where each group begins in `order`."""
        return np.searchsorted(self.of[self.order], np.arange(self.groups))

    def members(self) -> list[Int64Array]:
        return np.split(self.order, self.starts[1:])

    @property
    def shape(self) -> tuple[int, int]:
        return self.groups, self.values.shape[1]

    def added(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(sums of the groups' members, how many there are)."""
        out, lost, count = np.zeros(self.shape), np.zeros(self.shape), np.zeros(self.shape)
        folds.sums(values, self.present.view(np.uint8), self.of, out, lost, count)
        return np.where(np.isfinite(out), out + lost, out), count


Fold = Callable[[Group], FloatArray]


class Aggregator(NamedTuple):
    """One operator: its parameter's type if it takes one, how it folds (None: see `aggregate`), what it says."""

    parameter: ValueType | None
    fold: Fold | None
    doc: str
    experimental: bool = False  # Prometheus 3 has it behind a feature flag


def _sum(g: Group) -> FloatArray:
    return g.added(g.values)[0]


def _count(g: Group) -> FloatArray:
    return g.added(g.values)[1]


def _avg(g: Group) -> FloatArray:
    total, n = g.added(g.values)
    out = total / n
    if np.isinf(out).any():  # the sum may have overflowed where the mean need not
        out = np.where(np.isinf(out), g.added(g.values / n[g.of])[0], out)
    return out


def _extreme(g: Group, *, largest: bool) -> FloatArray:
    out = np.full(g.shape, np.nan)
    folds.extremes(g.values, g.present.view(np.uint8), g.of, largest, out)
    return out


def _variance(g: Group) -> FloatArray:
    total, n = g.added(g.values)
    return g.added((g.values - (total / n)[g.of]) ** 2)[0] / n


AGGREGATORS: dict[str, Aggregator] = {
    "sum": Aggregator(None, _sum, "Sum over the group."),
    "avg": Aggregator(None, _avg, "Arithmetic mean over the group."),
    "count": Aggregator(None, _count, "Number of series in the group."),
    "min": Aggregator(None, lambda g: _extreme(g, largest=False), "Smallest value in the group."),
    "max": Aggregator(None, lambda g: _extreme(g, largest=True), "Largest value in the group."),
    "group": Aggregator(None, lambda g: np.ones(g.shape), "1 for each group."),
    "stddev": Aggregator(
        None, lambda g: np.sqrt(_variance(g)), "Population standard deviation over the group."
    ),
    "stdvar": Aggregator(None, _variance, "Population variance over the group."),
    "quantile": Aggregator(ValueType.SCALAR, None, "The φ-quantile (0 ≤ φ ≤ 1) over the group."),
    "topk": Aggregator(ValueType.SCALAR, None, "The k largest series of each group, as they are."),
    "bottomk": Aggregator(ValueType.SCALAR, None, "The k smallest series of each group, as they are."),
    "limitk": Aggregator(
        ValueType.SCALAR, None, "Any k series of each group, the same ones each time.", experimental=True
    ),
    "limit_ratio": Aggregator(
        ValueType.SCALAR,
        None,
        "About a share r of the series, the same ones each time; with r < 0 the others.",
        experimental=True,
    ),
    "count_values": Aggregator(ValueType.STRING, None, "How many series of the group have each value."),
}


def aggregate(
    op: str,
    vector: Vector,
    labels: tuple[str, ...],
    *,
    without: bool,
    parameter: FloatArray | str | None,
    say: Say,
) -> Vector:
    """`op by|without (labels) (vector)`; `parameter` is (n_steps,) or the label of count_values."""
    steps = vector.values.shape[1]
    if not vector.labels:
        return Vector.empty(steps)
    keys, of = grouped(vector.labels, labels, without=without)
    if op == "count_values":
        if not parameter:
            raise Invalid('invalid label name ""', mend="name the label that takes the value")
        return _count_values(vector, keys, of, str(parameter))
    if vector.histograms is not None and op not in _OF_EITHER:
        if vector.native.any():
            say("ignored in aggregation", op)
        vector = vector.plain(vector.values, vector.floats)
    g = Group(vector.values, np.ascontiguousarray(vector.present), of, len(keys))
    if op == "limit_ratio":
        assert isinstance(parameter, np.ndarray)
        return _share(vector, parameter)
    if op == "limitk":
        assert isinstance(parameter, np.ndarray)
        return _first(vector, g, parameter)
    if op in ("topk", "bottomk"):
        assert isinstance(parameter, np.ndarray)
        return _top(vector, g, parameter, largest=op == "topk")
    present = _count(g) > 0
    fold = AGGREGATORS[op].fold
    if fold is not None:
        values = fold(g)
    else:
        assert isinstance(parameter, np.ndarray)
        values = _quantile(g, parameter)
    out = Vector(keys, np.where(present, values, 0.0), present)
    if vector.histograms is not None and op in ("sum", "avg"):
        return _natives(out, vector, g, say, mean=op == "avg")
    return out


_OF_EITHER = frozenset(("sum", "avg", "count", "group", "limitk", "limit_ratio", "count_values"))


def grouped(
    all_labels: list[Labels], labels: tuple[str, ...], *, without: bool
) -> tuple[list[Labels], Int64Array]:
    """(the groups' label sets, each series' group)."""
    if not labels and not without:
        return [()], np.zeros(len(all_labels), np.int64)
    named = frozenset((*labels, "__name__") if without else labels)
    keys: dict[Labels, int] = {}
    of = [
        keys.setdefault(tuple([pair for pair in one if (pair[0] in named) is not without]), len(keys))
        for one in all_labels
    ]
    return list(keys), np.array(of, np.int64)


def _natives(out: Vector, vector: Vector, g: Group, say: Say, *, mean: bool) -> Vector:
    """Sums or means of the groups and steps at which a member is a native histogram."""
    native, cells, members = vector.native, vector.histograms, g.members()
    assert cells is not None
    histograms: ObjectArray = np.full(out.values.shape, None, object)
    present = out.present.copy()
    some = np.stack([native[rows].any(axis=0) for rows in members])
    for group, step in zip(*(axis.tolist() for axis in np.nonzero(some)), strict=True):
        there = native[members[group], step]
        if (g.present[members[group], step] & ~there).any():
            say("mixed aggregation", "")
            present[group, step] = False
            continue
        rows = members[group][there]
        try:
            whole, n = total(cells[rows, step], say, "aggregation")
        except IncompatibleSchemas:
            name = next((v for row in rows for k, v in vector.labels[row] if k == "__name__"), "")
            say("mixed schemas", quoted(name))
            present[group, step] = False
            continue
        histograms[group, step] = whole.divided(float(n)) if mean else whole
    return Vector(out.labels, out.values, present, histograms)


def _quantile(g: Group, q: FloatArray) -> FloatArray:
    out = np.zeros(g.shape)
    for k, rows in enumerate(g.members()):
        values, present = g.values[rows].T, g.present[rows].T
        if (q == q[0]).all():
            out[k] = quantile(float(q[0]), values, present)
        else:
            for step in range(g.shape[1]):
                out[k, step] = quantile(float(q[step]), values[step : step + 1], present[step : step + 1])[0]
    return out


def _top(vector: Vector, g: Group, k: FloatArray, *, largest: bool) -> Vector:
    if np.isnan(k).any():
        raise Invalid("Parameter value is NaN")
    biggest = int(np.bincount(g.of).max())
    wanted = np.trunc(np.clip(k, 0, biggest)).astype(np.int64)
    most, steps = max(int(wanted.max(initial=0)), 1), g.shape[1]
    chosen = np.zeros(vector.present.shape, np.bool_)
    # Steps are taken a block at a time, so that the places of many groups and a large k stay bounded.
    block = max(1, _PLACES // (most * g.groups))
    present = g.present.view(np.uint8)
    for at in range(0, steps, block):
        part = slice(at, at + block)
        shape = g.groups, len(wanted[part]), most
        best, rows, held = np.empty(shape), np.empty(shape, np.int64), np.zeros(shape[:2], np.int64)
        folds.tops(g.values[:, part], present[:, part], g.of, wanted[part], largest, best, rows, held)
        taken = np.arange(most) < held[:, :, None]
        chosen[rows[taken], at + np.nonzero(taken)[1]] = True
    kept = np.flatnonzero(chosen.any(axis=1))
    if steps == 1:  # an instant query answers in order of value
        value = vector.values[kept, 0]
        kept = kept[np.lexsort((-value if largest else value, np.isnan(value)))]
    return vector.where(chosen).rows(kept)


_PLACES = 4_000_000


def _first(vector: Vector, g: Group, k: FloatArray) -> Vector:
    if np.isnan(k).any():
        raise Invalid("Parameter value is NaN")
    chosen = np.zeros(vector.present.shape, np.bool_)
    for members in g.members():
        drawn = members[np.argsort([_draw(vector.labels[i]) for i in members], kind="stable")]
        there = vector.present[drawn]
        chosen[drawn] = there & (np.cumsum(there, axis=0) <= np.trunc(np.clip(k, 0, len(drawn))))
    return vector.where(chosen)


def _share(vector: Vector, ratio: FloatArray) -> Vector:
    if np.isnan(ratio).any():
        raise Invalid("Ratio value is NaN")
    drawn = np.array([_draw(one) for one in vector.labels])[:, None]
    ratio = np.clip(ratio, -1, 1)
    chosen = np.where(ratio >= 0, drawn < ratio, drawn >= 1 + ratio)
    return vector.where(np.asarray(vector.present & chosen))


def _draw(labels: Labels) -> float:
    """A number in [0, 1) that is a label set's own, in every process."""
    return int.from_bytes(blake2b(repr(labels).encode(), digest_size=6).digest()) / (1 << 48)


def _count_values(vector: Vector, keys: list[Labels], of: Int64Array, label: str) -> Vector:
    rows: dict[Labels, int] = {}
    counts: list[FloatArray] = []
    steps = vector.values.shape[1]
    for i in range(len(vector.labels)):
        for step in np.flatnonzero(vector.present[i]):
            cell = None if vector.histograms is None else vector.histograms[i, step]
            text = number(float(vector.values[i, step])) if cell is None else text_of(cell)
            name = with_label(keys[of[i]], label, text)
            row = rows.setdefault(name, len(rows))
            if row == len(counts):
                counts.append(np.zeros(steps))
            counts[row][step] += 1
    if not rows:
        return Vector.empty(steps)
    out = np.stack(counts)
    return unite(list(rows), out, out > 0)


def number(value: float) -> str:
    """A float as Prometheus writes it: shortest that reads back, without exponent, `NaN`, `+Inf`, `-Inf`."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")
