"""Binary operators: arithmetic and comparison on arrays, and the matching of two vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.promql import native
from weatherglass.metrics.promql.ast import Matching
from weatherglass.metrics.promql.native import Say
from weatherglass.metrics.promql.vector import (
    ObjectArray,
    Vector,
    drop,
    keep,
    show,
    stacked,
    united,
    with_label,
    without_name,
)
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

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
TRIMS = frozenset(("</", ">/"))


def scalars(op: str, left: FloatArray, right: FloatArray) -> FloatArray:
    return ARITHMETIC[op](left, right) if op in ARITHMETIC else COMPARE[op](left, right).astype(np.float64)


def vector_scalar(
    op: str, vector: Vector, scalar: FloatArray, *, swapped: bool, keep_bool: bool, say: Say
) -> Vector:
    """A vector with a scalar (n_steps,); `swapped` when the scalar stands left. Comparisons filter unless `bool`.

    Names stay; the caller drops them where the operator does.
    """
    left, right = (scalar[None, :], vector.values) if swapped else (vector.values, scalar[None, :])
    floats = vector.floats
    if op in ARITHMETIC:
        out = vector.plain(ARITHMETIC[op](left, right), floats)
    elif op in TRIMS:
        if floats.any():
            say("binary types float float", op)
        out = vector.plain(vector.values, np.zeros(floats.shape, np.bool_))
    else:
        true = COMPARE[op](left, right)
        out = (
            vector.plain(true.astype(np.float64), floats)
            if keep_bool
            else vector.plain(vector.values, np.asarray(floats & true))
        )
    if vector.histograms is None:
        return out
    cells: ObjectArray = np.full(out.values.shape, None, object)
    values, present = np.array(out.values), np.array(out.present)
    for row, step in zip(*(axis.tolist() for axis in np.nonzero(vector.native)), strict=True):
        a, b = vector.histograms[row, step], float(scalar[step])
        found = native.operated(op, b, a, say) if swapped else native.operated(op, a, b, say)
        _put(found, a, row, step, values, present, cells, keep_bool)
    return replace(out, values=values, present=present, histograms=cells)


def _put(
    cell: native.Cell | bool | None, left: native.Cell, row: int, step: int,
    values: FloatArray, present: BoolArray, cells: ObjectArray, keep_bool: bool,
) -> None:  # fmt: skip
    """An operator's result in its place: a comparison without `bool` keeps its left side where it is true."""
    if isinstance(cell, bool):
        cell = float(cell) if keep_bool else left if cell else None
    present[row, step] = cell is not None
    if isinstance(cell, Histogram):
        cells[row, step] = cell
    elif cell is not None:
        values[row, step] = cell


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
        return united(stacked([left, right.where(present)]))
    present = left.present.copy()
    for sign, rows in lefts.items():
        other = covered(right, rights.get(sign, []))
        present[rows] &= other if op == "and" else ~other
    return left.where(present)


def vectors(
    op: str, left: Vector, right: Vector, matching: Matching, *, keep_bool: bool, delayed: bool, say: Say
) -> Vector:
    """Arithmetic or comparison of two vectors: one to one, or many to one with group_left/right.

    With `delayed` names stay and are marked. Work is by row of the side that has many.
    """
    steps = left.values.shape[1]
    if matching.fill_left is not None or matching.fill_right is not None:
        left, right = _filled(left, right, matching)
    swapped = matching.group == "right"
    many, one = (right, left) if swapped else (left, right)
    ones, manys = _by_signature(one, matching), _by_signature(many, matching)
    # Wherever both sides have anything at all, the one side must be unique, whether it is matched or not.
    crowded = [(sign, partners) for sign, partners in ones.items() if len(partners) > 1]
    if crowded:
        both_sides = many.present.any(axis=0) & one.present.any(axis=0)
        for sign, partners in crowded:
            if (one.present[partners].sum(axis=0) > 1)[both_sides].any():
                _ambiguous(sign, "left" if swapped else "right", one, partners)
    # Partners take turns: labels copied from the one side may differ, so each makes rows of its own.
    pairs = [(row, partner) for sign, rows in manys.items() for partner in ones.get(sign, ()) for row in rows]
    if not pairs:
        return Vector.empty(steps)
    many_rows, one_rows = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    there = many.present[many_rows] & one.present[one_rows]
    sides = (one, one_rows, many, many_rows) if swapped else (many, many_rows, one, one_rows)
    out = _operated(op, *sides, there, keep_bool=keep_bool, say=say)
    if not matching.group:
        _once(manys, ones, pairs, out.present, there if op in COMPARE and keep_bool else out.present)
    kept = np.flatnonzero(there.any(axis=1))
    filters = op in COMPARE and not keep_bool
    labels = [
        _result_labels(many.labels[row], one.labels[partner], matching, named=filters or delayed)
        for row, partner in (pairs[k] for k in kept.tolist())
    ]
    nameless = None
    if delayed:
        own = many.nameless if many.nameless is not None else np.zeros(len(many.labels), np.bool_)
        nameless = own[many_rows[kept]] | (not filters)
    found = Vector(
        labels, out.values[kept], out.present[kept],
        None if out.histograms is None else out.histograms[kept], nameless,
    )  # fmt: skip
    try:
        return united(found)
    except Invalid as why:
        raise Invalid(
            "multiple matches for labels: grouping labels must ensure unique matches", where=why.where
        ) from why


def _once(
    manys: dict[Labels, list[int]], ones: dict[Labels, list[int]], pairs: list[tuple[int, int]],
    stands: BoolArray, met: BoolArray,
) -> None:  # fmt: skip
    """Refuses a one-to-one matching in which a partner is met more than once at a step."""
    crowded = {row: sign for sign, rows in manys.items() if len(rows) > 1 and sign in ones for row in rows}
    if not crowded:
        return
    by_sign: dict[Labels, list[int]] = {}
    for k, (row, _) in enumerate(pairs):
        if row in crowded:
            by_sign.setdefault(crowded[row], []).append(k)
    for sign, rows in by_sign.items():
        if (met[rows].sum(axis=0) > 1).any():
            raise Invalid(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                where=show(sign),
                mend="add group_left() or group_right(), or aggregate the side with many",
            )


def _operated(
    op: str, left: Vector, left_rows: Int64Array, right: Vector, right_rows: Int64Array, there: BoolArray,
    *, keep_bool: bool, say: Say,
) -> Vector:  # fmt: skip
    """Rows against rows; the labels are the caller's to give."""
    a, b = left.values[left_rows], right.values[right_rows]
    native_a, native_b = left.native[left_rows], right.native[right_rows]
    either = there & (native_a | native_b)
    floats = there & ~either
    if op in ARITHMETIC:
        values, present = ARITHMETIC[op](a, b), floats
    elif op in TRIMS:
        if floats.any():
            say("binary types float float", op)
        values, present = a, np.zeros(there.shape, np.bool_)
    else:
        true = COMPARE[op](a, b)
        values, present = (true.astype(np.float64), floats) if keep_bool else (a, floats & true)
    if not either.any():
        return Vector([], values, present)
    cells: ObjectArray = np.full(values.shape, None, object)
    values, present = np.array(values), np.array(present)
    for row, step in zip(*(axis.tolist() for axis in np.nonzero(either)), strict=True):
        x = _cell(left, left_rows[row], step)
        y = _cell(right, right_rows[row], step)
        _put(native.operated(op, x, y, say), x, row, step, values, present, cells, keep_bool)
    return Vector([], values, present, cells)


def _cell(vector: Vector, row: int, step: int) -> native.Cell:
    if vector.histograms is not None and vector.histograms[row, step] is not None:
        found: Histogram = vector.histograms[row, step]
        return found
    return float(vector.values[row, step])


def _filled(left: Vector, right: Vector, matching: Matching) -> tuple[Vector, Vector]:
    """Both sides with the fill values where a series has no partner on the other at a step."""
    lefts, rights = _by_signature(left, matching), _by_signature(right, matching)
    return (
        _with_missing(left, lefts, right, rights, matching.fill_left),
        _with_missing(right, rights, left, lefts, matching.fill_right),
    )


def _with_missing(
    mine: Vector,
    own: dict[Labels, list[int]],
    other: Vector,
    others: dict[Labels, list[int]],
    fill: float | None,
) -> Vector:
    if fill is None:
        return mine
    rows = []
    for sign, theirs in others.items():
        there = np.asarray(other.present[theirs].any(axis=0))
        if sign in own:
            there = there & ~mine.present[own[sign]].any(axis=0)
        if there.any():
            labels = mine.labels[own[sign][0]] if sign in own else sign
            rows.append(Vector([labels], np.full((1, len(there)), fill), there[None, :]))
    return united(stacked([mine, *rows])) if rows else mine


def _result_labels(many: Labels, one: Labels, matching: Matching, *, named: bool) -> Labels:
    labels = many if named else without_name(many)
    if not matching.group:
        if matching.on:
            return keep(labels, matching.labels)
        return drop(labels, matching.labels) if matching.labels else labels
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
