"""Measures on their way in: JSON bodies to flat columns. Pure.

A body is decoded once; instants that are named many times over are read once; nothing goes point by point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import voluptuous as v
from numpy.typing import NDArray

from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.errors import unfit
from weatherglass.metrics.types import FloatArray, Int64Array

MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Measures of several metrics after each other: `counts[k]` samples of the k-th."""

    counts: Sequence[int] | NDArray[np.uint32]
    times_ms: Int64Array
    values: FloatArray


def columns(lists: Sequence[Any], now_ns: int, path: Sequence[Sequence[Any]] | None = None) -> Columns:
    """Columns of lists of `{"timestamp", "value"}`. `path[k]` names the k-th list in an error. Raises Bad."""
    try:
        stamps = [one["timestamp"] for measures in lists for one in measures]
        values = [one["value"] for measures in lists for one in measures]
        found = _instants(stamps, [len(measures) for measures in lists], now_ns)
        numbers = np.array(values, np.float64)
        if numbers.ndim != 1:
            raise ValueError("values are numbers")
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        raise _told(lists, now_ns, path) from None
    return Columns([len(measures) for measures in lists], found // MS_NS, numbers)


def _instants(stamps: list[Any], counts: list[int], now_ns: int) -> Int64Array:
    kinds = set(map(type, stamps))
    if kinds <= {int, float} or kinds == {str}:
        try:
            return times.instants(stamps, now_ns)
        except ValueError:
            pass  # the lists may be of several forms, each of one
    parts, at = [], 0
    for count in counts:
        parts.append(times.instants(stamps[at : at + count], now_ns))
        at += count
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _told(lists: Sequence[Any], now_ns: int, path: Sequence[Sequence[Any]] | None) -> Exception:
    """The error of the first list that is wrong, in Gnocchi's words."""
    for k, measures in enumerate(lists):
        try:
            check(measures, now_ns)
        except v.Invalid as error:
            at = list(path[k]) if path else []
            return unfit(v.Invalid(error.msg + (" for dictionary value" if at else ""), path=at))
    return unfit(v.Invalid("unexpected measures format"))


def check(measures: Any, now_ns: int) -> None:
    """Raises voluptuous.Invalid where this is not a list of measures."""
    try:
        times.instants([one["timestamp"] for one in measures], now_ns)
    except (TypeError, KeyError, AttributeError):
        raise v.Invalid("unexpected measures format") from None
    except ValueError as error:
        raise v.Invalid(f"unexpected timestamp '{error}'") from None
    try:
        np.array([one["value"] for one in measures], np.float64)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise v.Invalid("unexpected measures value") from None


_NAMED = v.Schema(
    {
        v.Optional("archive_policy_name"): str,
        v.Optional("unit"): v.All(str, v.Length(max=31)),
        "measures": object,
    },
    required=True,
)


def named(value: Any) -> Mapping[str, Any]:
    """A metric's part of a batch by resources: measures alone, or with its policy and unit. Raises voluptuous.Invalid."""
    if isinstance(value, list):
        return {"measures": value}
    fit: Mapping[str, Any] = _NAMED(value)
    return fit
