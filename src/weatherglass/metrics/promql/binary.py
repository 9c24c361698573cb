"""Binary operators: arithmetic and comparison on arrays, and the matching of two vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.promql.ast import Matching
from weatherglass.metrics.promql.vector import Vector, drop, keep, show, unite, with_label, without_name
from weatherglass.metrics.types import BoolArray, FloatArray

ARITHMETIC: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,  # keeps the dividend's sign, as Go does
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARE: dict[str, Callable[[FloatArray, FloatArray], BoolArray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
SETS = frozenset(("and", "or", "unless"))


def scalars(op: str, left: FloatArray, right: FloatArray) -> FloatArray:
    return ARITHMETIC[op](left, right) if op in ARITHMETIC else COMPARE[op](left, right).astype(np.float64)


def vector_scalar(op: str, vector: Vector, scalar: FloatArray, *, swapped: bool, keep_bool: bool) -> Vector:
    """A vector with a scalar (n_steps,); `swapped` when the scalar stands left. Comparisons filter unless `bool`."""
    left, right = (scalar[None, :], vector.values) if swapped else (vector.values, scalar[None, :])
    if op in ARITHMETIC:
        return unite(
            [without_name(one) for one in vector.labels], ARITHMETIC[op](left, right), vector.present
        )
    true = COMPARE[op](left, right)
    if keep_bool:
        return unite([without_name(one) for one in vector.labels], true.astype(np.float64), vector.present)
    return Vector(vector.labels, vector.values, np.asarray(vector.present & true))


def _signature(matching: Matching) -> Callable[[Labels], Labels]:
    if matching.on:
        return lambda one: keep(one, matching.labels)
    return lambda one: drop(one, {*matching.labels, "__name__"})


def _by_signature(vector: Vector, matching: Matching) -> dict[Labels, list[int]]:
    sign = _signature(matching)
    out: dict[Labels, list[int]] = {}
    for i, one in enumerate(vector.labels):
        out.setdefault(sign(one), []).append(i)
    return out


def sets(op: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    """`and`, `or`, `unless`: which series stand, step by step."""
    lefts, rights = _by_signature(left, matching), _by_signature(right, matching)
    steps = left.values.shape[1]

    def covered(side: Vector, rows: Sequence[int]) -> BoolArray:
        return np.asarray(side.present[list(rows)].any(axis=0)) if rows else np.zeros(steps, np.bool_)

    if op == "or":
        present = right.present.copy()
        for sign, rows in rights.items():
            present[rows] &= ~covered(left, lefts.get(sign, []))
        return unite(
            left.labels + right.labels,
            np.concatenate([left.values, right.values]),
            np.concatenate([left.present, present]),
        )
    present = left.present.copy()
    for sign, rows in lefts.items():
        other = covered(right, rights.get(sign, []))
        present[rows] &= other if op == "and" else ~other
    return Vector(left.labels, left.values, present)


def vectors(op: str, left: Vector, right: Vector, matching: Matching, *, keep_bool: bool) -> Vector:
    """Arithmetic or comparison of two vectors: one to one, or many to one with group_left/right."""
    steps = left.values.shape[1]
    swapped = matching.group == "right"
    many, one = (right, left) if swapped else (left, right)
    ones = _by_signature(one, matching)
    # Wherever both sides have anything at all, the one side must be unique, whether it is matched or not.
    both_sides = many.present.any(axis=0) & one.present.any(axis=0)
    for sign, partners in ones.items():
        if len(partners) > 1 and (one.present[partners].sum(axis=0) > 1)[both_sides].any():
            _ambiguous(sign, "left" if swapped else "right", one, partners)
    labels: list[Labels] = []
    values: list[FloatArray] = []
    present: list[BoolArray] = []
    for sign, rows in _by_signature(many, matching).items():
        met = np.zeros(steps, np.int64)
        # Partners take turns: labels copied from the one side may differ, so each makes rows of its own.
        for partner in ones.get(sign, ()):
            for row in rows:
                there = many.present[row] & one.present[partner]
                if not there.any():
                    continue
                a, b = (one, partner), (many, row)
                (x, i), (y, k) = (a, b) if swapped else (b, a)
                result, stands = _apply(op, x.values[i], y.values[k], there, keep_bool=keep_bool)
                met += stands
                labels.append(_result_labels(op, many.labels[row], one.labels[partner], matching, keep_bool))
                values.append(result)
                present.append(stands)
        if not matching.group and (met > 1).any():
            raise Invalid(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                where=show(sign),
                mend="add group_left() or group_right(), or aggregate the side with many",
            )
    if not labels:
        return Vector.empty(steps)
    try:
        return unite(labels, np.stack(values), np.stack(present))
    except Invalid as why:
        raise Invalid(
            "multiple matches for labels: grouping labels must ensure unique matches", where=why.where
        ) from why


def _apply(
    op: str, left: FloatArray, right: FloatArray, there: BoolArray, *, keep_bool: bool
) -> tuple[FloatArray, BoolArray]:
    """(values, where they stand): a comparison without `bool` keeps the left value where it is true."""
    if op in ARITHMETIC:
        return ARITHMETIC[op](left, right), there
    true = COMPARE[op](left, right)
    return (true.astype(np.float64), there) if keep_bool else (left, there & true)


def _result_labels(op: str, many: Labels, one: Labels, matching: Matching, keep_bool: bool) -> Labels:
    labels = many if op in COMPARE and not keep_bool else without_name(many)
    if not matching.group:
        if matching.on:
            return keep(labels, matching.labels)
        return drop(labels, matching.labels)
    source = dict(one)
    for name in matching.include:
        labels = with_label(labels, name, source.get(name, ""))
    return labels


def _ambiguous(sign: Labels, hand: str, side: Vector, rows: list[int]) -> NoReturn:
    examples = ", ".join(show(side.labels[i]) for i in rows[:2])
    raise Invalid(
        f"found duplicate series for the match group {show(sign)} on the {hand} hand-side of the operation: "
        f"[{examples}];many-to-many matching not allowed: matching labels must be unique on one side",
        mend="match on more labels, or aggregate that side",
    )
