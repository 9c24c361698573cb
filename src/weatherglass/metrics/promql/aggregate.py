"""Aggregation operators: a table of how each folds the members of a group, step by step."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.histogram import IncompatibleSchemas
from weatherglass.metrics.promql.ast import ValueType
from weatherglass.metrics.promql.native import Say, text_of, total
from weatherglass.metrics.promql.over_time import quantile
from weatherglass.metrics.promql.vector import ObjectArray, Vector, quoted, sums, unite, with_label
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array


class Group(NamedTuple):
    """The members of every group: `of[i]` is the group of series i; rows are sorted by group, `starts` cut them."""

    values: FloatArray
    present: BoolArray
    of: Int64Array
    starts: Int64Array


Fold = Callable[[Group], FloatArray]


class Aggregator(NamedTuple):
    """One operator: its parameter's type if it takes one, how it folds (None: see `aggregate`), what it says."""

    parameter: ValueType | None
    fold: Fold | None
    doc: str
    experimental: bool = False  # Prometheus 3 has it behind a feature flag


def _add(g: Group, values: FloatArray) -> FloatArray:
    return sums(np.where(g.present, values, 0.0), g.starts, np.append(g.starts[1:], len(g.of)))


def _count(g: Group) -> FloatArray:
    return np.add.reduceat(g.present.astype(np.float64), g.starts, axis=0)


def _sum(g: Group) -> FloatArray:
    return _add(g, g.values)


def _avg(g: Group) -> FloatArray:
    n = _count(g)
    out = _sum(g) / n
    return np.where(np.isinf(out), _add(g, g.values / n[g.of]), out)  # the sum overflowed; the mean need not


def _extreme(g: Group, ufunc: np.ufunc) -> FloatArray:
    return np.asarray(ufunc.reduceat(np.where(g.present, g.values, np.nan), g.starts, axis=0))


def _variance(g: Group) -> FloatArray:
    n = _count(g)
    mean = _sum(g) / n
    return _add(g, (g.values - mean[g.of]) ** 2) / n


AGGREGATORS: dict[str, Aggregator] = {
    "sum": Aggregator(None, _sum, "Sum over the group."),
    "avg": Aggregator(None, _avg, "Arithmetic mean over the group."),
    "count": Aggregator(None, _count, "Number of series in the group."),
    "min": Aggregator(None, lambda g: _extreme(g, np.fmin), "Smallest value in the group."),
    "max": Aggregator(None, lambda g: _extreme(g, np.fmax), "Largest value in the group."),
    "group": Aggregator(None, lambda g: np.ones((len(g.starts), g.values.shape[1])), "1 for each group."),
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
    order = np.argsort(of, kind="stable")
    of = of[order]
    starts = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    g = Group(vector.values[order], vector.present[order], of, starts)
    if op == "limit_ratio":
        assert isinstance(parameter, np.ndarray)
        return _share(vector, parameter)
    if op == "limitk":
        assert isinstance(parameter, np.ndarray)
        return _first(vector, order, g, parameter)
    if op in ("topk", "bottomk"):
        assert isinstance(parameter, np.ndarray)
        return _top(vector, order, g, parameter, largest=op == "topk")
    present = np.logical_or.reduceat(g.present, starts, axis=0)
    fold = AGGREGATORS[op].fold
    if fold is not None:
        values = fold(g)
    else:
        assert isinstance(parameter, np.ndarray)
        values = _quantile(g, parameter, len(keys), steps)
    out = Vector(keys, np.where(present, values, 0.0), present)
    if vector.histograms is not None and op in ("sum", "avg"):
        return _natives(out, vector, order, g, say, mean=op == "avg")
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


def _natives(out: Vector, vector: Vector, order: Int64Array, g: Group, say: Say, *, mean: bool) -> Vector:
    """Sums or means of the groups and steps at which a member is a native histogram."""
    native, cells = vector.native[order], vector.histograms
    assert cells is not None
    histograms: ObjectArray = np.full(out.values.shape, None, object)
    present = out.present.copy()
    for group, step in zip(*np.nonzero(np.logical_or.reduceat(native, g.starts, axis=0)), strict=True):
        members = slice(g.starts[group], g.starts[group + 1] if group + 1 < len(g.starts) else len(g.of))
        there = native[members, step]
        if (g.present[members, step] & ~there).any():
            say("mixed aggregation", "")
            present[group, step] = False
            continue
        rows = order[members][there]
        try:
            whole, n = total(cells[rows, step], say, "aggregation")
        except IncompatibleSchemas:
            name = next((v for row in rows for k, v in vector.labels[row] if k == "__name__"), "")
            say("mixed schemas", quoted(name))
            present[group, step] = False
            continue
        histograms[group, step] = whole.divided(float(n)) if mean else whole
    return Vector(out.labels, out.values, present, histograms)


def _quantile(g: Group, q: FloatArray, groups: int, steps: int) -> FloatArray:
    out = np.zeros((groups, steps))
    bounds = [*g.starts, len(g.of)]
    for k in range(groups):
        members = slice(bounds[k], bounds[k + 1])
        values, present = g.values[members].T, g.present[members].T
        if (q == q[0]).all():
            out[k] = quantile(float(q[0]), values, present)
        else:
            for step in range(steps):
                out[k, step] = quantile(float(q[step]), values[step : step + 1], present[step : step + 1])[0]
    return out


def _top(vector: Vector, order: Int64Array, g: Group, k: FloatArray, *, largest: bool) -> Vector:
    if np.isnan(k).any():
        raise Invalid("Parameter value is NaN")
    chosen = np.zeros(vector.present.shape, np.bool_)
    bounds = [*g.starts, len(g.of)]
    for i in range(len(g.starts)):
        members = slice(bounds[i], bounds[i + 1])
        values, present = g.values[members], g.present[members]
        # Absent last, NaN next to last, in either direction.
        key = np.where(np.isnan(values), np.inf, -values if largest else values)
        place = np.lexsort(
            (np.arange(len(key))[:, None] + np.zeros_like(key), np.isnan(values), key, ~present), axis=0
        )
        rank = np.empty_like(place)
        np.put_along_axis(rank, place, np.arange(len(key))[:, None] + np.zeros_like(place), axis=0)
        chosen[order[members]] = present & (rank < np.trunc(np.clip(k, 0, len(key))))
    rows = chosen.any(axis=1)
    kept = np.flatnonzero(rows)
    if vector.values.shape[1] == 1:  # an instant query answers in order of value
        value = vector.values[kept, 0]
        kept = kept[np.lexsort((-value if largest else value, np.isnan(value)))]
    return vector.where(chosen).rows(kept)


def _first(vector: Vector, order: Int64Array, g: Group, k: FloatArray) -> Vector:
    if np.isnan(k).any():
        raise Invalid("Parameter value is NaN")
    chosen = np.zeros(vector.present.shape, np.bool_)
    for members in np.split(order, g.starts[1:]):
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
