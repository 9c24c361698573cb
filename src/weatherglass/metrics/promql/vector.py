"""An instant vector over all steps, what keeps its label sets unique, and sums that keep their digits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

_CANCELLED = 1e-5  # of the terms' weight: below it, rounding may reach the 11th digit


ObjectArray = NDArray[np.object_]
"""(n_series, n_steps) of Histogram or None."""


_held = np.frompyfunc(lambda one: one is not None, 1, 1)


def held(cells: ObjectArray) -> BoolArray:
    """Which cells are a histogram."""
    return np.asarray(_held(cells), np.bool_)


@dataclass(frozen=True, slots=True)
class Vector:
    """`values` and `present` are (n_series, n_steps); a cell counts where `present`.

    A cell of `histograms` that is not None is a native histogram, its value then is of no meaning; None for the whole
    where no cell is one. `nameless` (n_series) are those whose metric name is dropped at the end of the query, where
    that is delayed; None where it is none's.
    """

    labels: list[Labels]
    values: FloatArray
    present: BoolArray
    histograms: ObjectArray | None = None
    nameless: BoolArray | None = None

    @classmethod
    def empty(cls, steps: int) -> Vector:
        return cls([], np.zeros((0, steps)), np.zeros((0, steps), np.bool_))

    @property
    def native(self) -> BoolArray:
        """Which cells are native histograms that count."""
        if self.histograms is None:
            return np.zeros(self.present.shape, np.bool_)
        return self.present & held(self.histograms)

    @property
    def floats(self) -> BoolArray:
        """Which cells are floats that count."""
        return self.present if self.histograms is None else self.present & ~self.native

    def rows(self, kept: Sequence[int] | Int64Array) -> Vector:
        """Some of the series, in that order."""
        rows = np.asarray(kept, np.int64)
        return Vector(
            [self.labels[i] for i in rows.tolist()],
            self.values[rows],
            self.present[rows],
            None if self.histograms is None else self.histograms[rows],
            None if self.nameless is None else self.nameless[rows],
        )

    def where(self, present: BoolArray) -> Vector:
        """The same series, present there alone."""
        return replace(self, present=present)

    def plain(self, values: FloatArray, present: BoolArray) -> Vector:
        """The same series with floats, and floats alone."""
        return Vector(self.labels, values, present, None, self.nameless)


def settled(vector: Vector) -> Vector:
    """Without the names that were to be dropped at the end. Raises Invalid where series then are alike."""
    if vector.nameless is None:
        return vector
    labels = [
        without_name(one) if gone else one
        for one, gone in zip(vector.labels, vector.nameless.tolist(), strict=True)
    ]
    return united(replace(vector, labels=labels, nameless=None))


def stacked(parts: Sequence[Vector]) -> Vector:
    """Vectors over the same steps, one below the other; label sets may repeat."""
    labels = [one for part in parts for one in part.labels]
    values = np.concatenate([part.values for part in parts])
    present = np.concatenate([part.present for part in parts])
    histograms = None
    if any(part.histograms is not None for part in parts):
        histograms = np.concatenate(
            [
                np.full(part.values.shape, None, object) if part.histograms is None else part.histograms
                for part in parts
            ]
        )
    nameless = None
    if any(part.nameless is not None for part in parts):
        nameless = np.concatenate(
            [
                np.zeros(len(part.labels), np.bool_) if part.nameless is None else part.nameless
                for part in parts
            ]
        )
    return Vector(labels, values, present, histograms, nameless)


def without_name(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "__name__")


def keep(labels: Labels, names: Iterable[str]) -> Labels:
    wanted = set(names)
    return tuple(pair for pair in labels if pair[0] in wanted)


def drop(labels: Labels, names: Iterable[str]) -> Labels:
    unwanted = set(names)
    return tuple(pair for pair in labels if pair[0] not in unwanted)


def with_label(labels: Labels, name: str, value: str) -> Labels:
    """Labels with one set, or removed where the value is empty."""
    pairs = [pair for pair in labels if pair[0] != name]
    if value:
        pairs.append((name, value))
    return tuple(sorted(pairs))


def unite(labels: list[Labels], values: FloatArray, present: BoolArray) -> Vector:
    """`united`, of floats."""
    return united(Vector(labels, values, present))


def united(vector: Vector) -> Vector:
    """Unique label sets: like ones are joined where they never meet. Raises Invalid where they do."""
    if len(set(vector.labels)) == len(vector.labels):
        return vector
    rows: dict[Labels, int] = {}
    group = [rows.setdefault(one, len(rows)) for one in vector.labels]
    steps = vector.values.shape[1]
    out, there = np.zeros((len(rows), steps)), np.zeros((len(rows), steps), np.bool_)
    histograms = None if vector.histograms is None else np.full((len(rows), steps), None, object)
    nameless = None if vector.nameless is None else np.zeros(len(rows), np.bool_)
    for i, row in enumerate(group):
        mine = vector.present[i]
        if (there[row] & mine).any():
            raise Invalid(
                "vector cannot contain metrics with the same labelset",
                where=show(vector.labels[i]),
                mend="keep a label that tells them apart, or aggregate",
            )
        out[row, mine] = vector.values[i, mine]
        there[row] |= mine
        if histograms is not None and vector.histograms is not None:
            histograms[row, mine] = vector.histograms[i, mine]
        if nameless is not None and vector.nameless is not None:
            nameless[row] |= vector.nameless[i]
    return Vector(list(rows), out, there, histograms, nameless)


def quoted(text: str) -> str:
    """A string as PromQL writes it."""
    return json.dumps(text, ensure_ascii=False)


def show(labels: Labels) -> str:
    """`name{a="b"}` for messages."""
    name = dict(labels).get("__name__", "")
    inside = ", ".join(f"{k}={quoted(v)}" for k, v in labels if k != "__name__")
    return f"{name}{{{inside}}}"


def larger(a: FloatArray, b: FloatArray) -> FloatArray:
    """Go's math.Max: +Inf against anything is +Inf, else NaN against anything is NaN."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def smaller(a: FloatArray, b: FloatArray) -> FloatArray:
    """Go's math.Min: -Inf against anything is -Inf, else NaN against anything is NaN."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))
