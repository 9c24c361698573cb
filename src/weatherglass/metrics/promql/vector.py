"""An instant vector over all steps, what keeps its label sets unique, and sums that keep their digits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

_CANCELLED = 1e-5  # of the terms' weight: below it, rounding may reach the 11th digit


@dataclass(frozen=True, slots=True)
class Vector:
    """`values` and `present` are (n_series, n_steps); a value counts where `present`."""

    labels: list[Labels]
    values: FloatArray
    present: BoolArray

    @classmethod
    def empty(cls, steps: int) -> Vector:
        return cls([], np.zeros((0, steps)), np.zeros((0, steps), np.bool_))


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
    """A Vector with unique label sets: like ones are joined where they never meet. Raises Invalid where they do."""
    rows: dict[Labels, int] = {}
    group = np.fromiter((rows.setdefault(one, len(rows)) for one in labels), np.int64, len(labels))
    if len(rows) == len(labels):
        return Vector(labels, values, present)
    steps = values.shape[1]
    out, there = np.zeros((len(rows), steps)), np.zeros((len(rows), steps), np.bool_)
    for i, row in enumerate(group):
        if (there[row] & present[i]).any():
            raise Invalid(
                "vector cannot contain metrics with the same labelset",
                where=show(labels[i]),
                mend="keep a label that tells them apart, or aggregate",
            )
        out[row] = np.where(present[i], values[i], out[row])
        there[row] |= present[i]
    return Vector(list(rows), out, there)


def quoted(text: str) -> str:
    """A string as PromQL writes it."""
    return json.dumps(text, ensure_ascii=False)


def show(labels: Labels) -> str:
    """`name{a="b"}` for messages."""
    name = dict(labels).get("__name__", "")
    inside = ", ".join(f"{k}={quoted(v)}" for k, v in labels if k != "__name__")
    return f"{name}{{{inside}}}"


def sums(values: FloatArray, starts: Int64Array, ends: Int64Array) -> FloatArray:
    """Sums of runs [start, end) along the first axis of (n,) or (n, k): (runs,) or (runs, k); runs are not empty.

    Fast where the terms add up; where they cancel out and the fast sum may have lost digits, summed exactly
    (Prometheus compensates every sum, Kahan-Neumaier).
    """
    pairs = np.empty(2 * len(starts), np.int64)
    pairs[0::2], pairs[1::2] = starts, ends
    # One row more than there is, so that the last end may be an index for reduceat.
    padded = np.concatenate([values, np.zeros((1, *values.shape[1:]))])
    out = np.add.reduceat(padded, pairs, axis=0)[0::2]
    if len(values) and np.fmin.reduce(values, axis=None) >= 0:
        return out
    weights = np.add.reduceat(np.abs(padded), pairs, axis=0)[0::2]
    doubtful = np.isfinite(weights) & (np.abs(out) < weights * _CANCELLED)
    for place in zip(*np.nonzero(doubtful), strict=True):
        run = slice(starts[place[0]], ends[place[0]])
        out[place] = math.fsum(values[(run, *place[1:])])
    return out


def larger(a: FloatArray, b: FloatArray) -> FloatArray:
    """Go's math.Max: +Inf against anything is +Inf, else NaN against anything is NaN."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def smaller(a: FloatArray, b: FloatArray) -> FloatArray:
    """Go's math.Min: -Inf against anything is -Inf, else NaN against anything is NaN."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))
