"""An instant vector over all steps, and what keeps its label sets unique."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.types import BoolArray, FloatArray


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


def show(labels: Labels) -> str:
    """`name{a="b"}` for messages."""
    name = dict(labels).get("__name__", "")
    inside = ", ".join(f'{k}="{v}"' for k, v in labels if k != "__name__")
    return f"{name}{{{inside}}}"
