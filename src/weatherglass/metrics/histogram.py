"""A native histogram as one value: what it is, its bytes, and the algebra on it. Pure; no series, no time.

Every histogram is one of floats here. Buckets are sparse: ascending absolute indices and what each counts. The
standard schemas −4…8 have exponential bounds, bucket i of schema s is (2^((i−1)·2^−s), 2^(i·2^−s)]; schema −53 has
bounds of its own (`custom_values`), bucket i is (custom_values[i−1], custom_values[i]], open to −Inf and +Inf.
Source: the Prometheus native histograms specification. What PromQL makes of them is in `promql/native.py`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weatherglass.base.errors import Corrupt, Invalid

Int32Array = NDArray[np.int32]
FloatArray = NDArray[np.float64]

CUSTOM = -53
LEAST_SCHEMA, MOST_SCHEMA = -4, 8
_MAX_FLOAT = float(np.finfo(np.float64).max)
_HEAD = struct.Struct("<BbBxddddIII")
_VERSION = 1


class Reset(IntEnum):
    """What a histogram's sender knew of counter resets (`ResetHint` of remote write)."""

    UNKNOWN = 0
    YES = 1
    NO = 2
    GAUGE = 3


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket with its bounds, and whether each belongs to it."""

    lower: float
    upper: float
    lower_inclusive: bool
    upper_inclusive: bool
    count: float


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The buckets of one sign: ascending indices (k,) int32, counts (k,) float64."""

    index: Int32Array
    count: FloatArray


class IncompatibleSchemas(Invalid):
    """An exponential histogram met one of custom buckets."""


def side(index: object = (), count: object = ()) -> Side:
    """A Side of any two sequences in step."""
    return Side(np.asarray(index, np.int32), np.asarray(count, np.float64))


_EMPTY = side()


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """One native histogram. Arrays are never written to after it is made."""

    schema: int = 0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    count: float = 0.0
    sum: float = 0.0
    positive: Side = _EMPTY
    negative: Side = _EMPTY
    custom_values: tuple[float, ...] = ()
    reset_hint: Reset = Reset.UNKNOWN

    @property
    def custom(self) -> bool:
        """Whether its buckets have bounds of its own (NHCB)."""
        return self.schema == CUSTOM

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return same(self, other)

    __hash__ = None  # type: ignore[assignment]

    # --- bytes ---

    def pack(self) -> bytes:
        """Its bytes, versioned, without loss; `unpack` reads them."""
        custom = np.asarray(self.custom_values, np.float64)
        return b"".join(
            (
                _HEAD.pack(
                    _VERSION, self.schema, self.reset_hint, self.zero_threshold, self.zero_count, self.count,
                    self.sum, len(self.positive.index), len(self.negative.index), len(custom),
                ),
                self.positive.index.astype("<i4").tobytes(), self.negative.index.astype("<i4").tobytes(),
                self.positive.count.astype("<f8").tobytes(), self.negative.count.astype("<f8").tobytes(),
                custom.astype("<f8").tobytes(),
            )
        )  # fmt: skip

    # --- buckets ---

    def bound(self, index: int) -> float:
        """The upper bound of bucket `index`, without sign."""
        return bound(self.schema, index, self.custom_values)

    def buckets(self) -> Iterator[Bucket]:
        """All buckets, ascending: the negative, the zero bucket where it counts, the positive."""
        for index, count in zip(
            self.negative.index[::-1].tolist(), self.negative.count[::-1].tolist(), strict=True
        ):
            yield Bucket(-self.bound(index), -self.bound(index - 1), True, False, count)
        if self.zero_count != 0:
            yield Bucket(-self.zero_threshold, self.zero_threshold, True, True, self.zero_count)
        for index, count in zip(self.positive.index.tolist(), self.positive.count.tolist(), strict=True):
            lower, upper = self.bound(index - 1), self.bound(index)
            yield Bucket(lower, upper, self.custom and index == 0, True, count)

    # --- algebra ---

    def scaled(self, factor: float) -> Histogram:
        """Every count and the sum times `factor`; a negative one makes it a gauge."""
        return replace(
            self,
            zero_count=self.zero_count * factor,
            count=self.count * factor,
            sum=self.sum * factor,
            positive=Side(self.positive.index, self.positive.count * factor),
            negative=Side(self.negative.index, self.negative.count * factor),
            reset_hint=Reset.GAUGE if factor < 0 else self.reset_hint,
        )

    def divided(self, by: float) -> Histogram:
        """Every count and the sum by `by`; by nought no bucket is left, only ±Inf or NaN in the totals."""
        with np.errstate(all="ignore"):
            zero, count, total = (float(np.float64(x) / by) for x in (self.zero_count, self.count, self.sum))
            hint = Reset.GAUGE if by < 0 else self.reset_hint
            if by == 0:
                return replace(
                    self,
                    zero_count=zero,
                    count=count,
                    sum=total,
                    positive=_EMPTY,
                    negative=_EMPTY,
                    reset_hint=hint,
                )
            return replace(
                self,
                zero_count=zero,
                count=count,
                sum=total,
                positive=Side(self.positive.index, self.positive.count / by),
                negative=Side(self.negative.index, self.negative.count / by),
                reset_hint=hint,
            )

    def plus(self, other: Histogram, factor: float = 1.0) -> Histogram:
        """`self + factor · other`, on the coarser schema, the wider zero bucket, the bounds both have.

        Raises IncompatibleSchemas. Whether bounds were reconciled is told by `bounds_differ`, whether the reset
        hints contradict each other by `hints_collide`.
        """
        if self.custom != other.custom:
            raise IncompatibleSchemas("histograms of exponential and of custom buckets cannot be added")
        if self.custom:
            shared = self.custom_values
            if bounds_differ(self, other):
                shared = tuple(sorted(set(self.custom_values) & set(other.custom_values)))
            a, b = self.rebounded(shared), other.rebounded(shared)
        else:
            schema = min(self.schema, other.schema)
            a, b = widened(self, other)
            a, b = a.to_schema(schema), b.to_schema(schema)
        return replace(
            a,
            zero_count=a.zero_count + factor * b.zero_count,
            count=a.count + factor * b.count,
            sum=a.sum + factor * b.sum,
            positive=_merged(a.positive, b.positive, factor),
            negative=_merged(a.negative, b.negative, factor),
            reset_hint=_hint(a.reset_hint, b.reset_hint),
        )

    def minus(self, other: Histogram) -> Histogram:
        """`self − other`. Raises IncompatibleSchemas."""
        return self.plus(other, -1.0)

    def to_schema(self, schema: int) -> Histogram:
        """The same on a coarser (or its own) exponential schema."""
        if schema == self.schema:
            return self
        if self.custom or schema > self.schema:
            raise Invalid(f"a histogram of schema {self.schema} has no form in schema {schema}")
        by = self.schema - schema
        return replace(
            self, schema=schema, positive=_coarser(self.positive, by), negative=_coarser(self.negative, by)
        )

    def rebounded(self, bounds: tuple[float, ...]) -> Histogram:
        """A custom histogram on a subset of its bounds."""
        if bounds == self.custom_values:
            return self
        uppers = [*self.custom_values, math.inf]
        # a bucket goes where its upper bound lies
        index = np.searchsorted(bounds, [uppers[i] for i in self.positive.index.tolist()], side="left")
        return replace(self, custom_values=bounds, positive=_gathered(index, self.positive.count))

    def compact(self) -> Histogram:
        """Without buckets that count nothing."""
        return replace(self, positive=_some(self.positive), negative=_some(self.negative))

    def zero_widened(self, threshold: float) -> Histogram:
        """With a zero bucket of at least `threshold`; wider where that lies inside a bucket that counts something."""
        if threshold == self.zero_threshold:
            return self
        while True:
            wanted = threshold
            for one in (self.positive, self.negative):
                for index, count in zip(one.index.tolist(), one.count.tolist(), strict=True):
                    if count and self.bound(index - 1) < threshold < self.bound(index):
                        threshold = self.bound(index)
            if wanted == threshold:
                break
        zero = self.zero_count
        sides = []
        for one in (self.positive, self.negative):
            inside = np.array([self.bound(i - 1) < threshold for i in one.index.tolist()], np.bool_)
            zero += float(one.count[inside].sum())
            sides.append(Side(one.index[~inside], one.count[~inside]))
        return replace(self, zero_threshold=threshold, zero_count=zero, positive=sides[0], negative=sides[1])

    def reset_since(self, before: Histogram) -> bool:
        """Whether a counter was reset between `before` and this: by the hint, else since something counts less."""
        if self.reset_hint is Reset.YES:
            return True
        if self.reset_hint is Reset.NO:
            return False
        if self.count < before.count or self.custom != before.custom:
            return True
        if self.custom:
            a: Histogram = self
            if bounds_differ(self, before):
                shared = tuple(sorted(set(self.custom_values) & set(before.custom_values)))
                a, before = self.rebounded(shared), before.rebounded(shared)
            return _fell(a.positive, before.positive)
        if self.schema > before.schema or self.zero_threshold < before.zero_threshold:
            return True
        wide = before.zero_widened(self.zero_threshold)
        if wide.zero_threshold != self.zero_threshold or self.zero_count < wide.zero_count:
            return True
        wide = wide.to_schema(self.schema)
        return _fell(self.positive, wide.positive) or _fell(self.negative, wide.negative)


def unpack(data: bytes) -> Histogram:
    """A histogram of its bytes. Raises Corrupt."""
    if len(data) < _HEAD.size or data[0] != _VERSION:
        raise Corrupt("these bytes are no packed histogram")
    _, schema, hint, threshold, zero, count, total, n_pos, n_neg, n_custom = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + 12 * (n_pos + n_neg) + 8 * n_custom or hint > 3:
        raise Corrupt("a packed histogram is cut short")
    at = _HEAD.size
    indices = np.frombuffer(data, "<i4", n_pos + n_neg, at)
    counts = np.frombuffer(data, "<f8", n_pos + n_neg, at + 4 * (n_pos + n_neg))
    custom = np.frombuffer(data, "<f8", n_custom, at + 12 * (n_pos + n_neg))
    return Histogram(
        schema, threshold, zero, count, total,
        side(indices[:n_pos], counts[:n_pos]), side(indices[n_pos:], counts[n_pos:]),
        tuple(custom.tolist()), Reset(hint),
    )  # fmt: skip


def checked(histogram: Histogram) -> Histogram:
    """The histogram itself, once it is one that may be stored. Raises Invalid."""
    h = histogram
    if not (LEAST_SCHEMA <= h.schema <= MOST_SCHEMA or h.custom):
        raise Invalid(f"schema {h.schema} is not one of native histograms", mend="-4 to 8, or -53")
    for one in (h.positive, h.negative):
        if (np.diff(one.index.astype(np.int64)) <= 0).any():
            raise Invalid("the buckets of a native histogram are not in order")
    if h.custom:
        values = np.asarray(h.custom_values)
        if (np.diff(values) <= 0).any() or np.isnan(values).any() or np.isposinf(values[-1:]).any():
            raise Invalid("the custom values of a native histogram do not rise, or end in +Inf")
        if len(h.negative.index) or h.zero_count or h.zero_threshold:
            raise Invalid("a native histogram of custom buckets has no negative and no zero bucket")
        if len(h.positive.index) and not 0 <= int(h.positive.index.min()) <= int(
            h.positive.index.max()
        ) <= len(values):
            raise Invalid("a native histogram has a bucket without bounds")
    elif h.custom_values:
        raise Invalid("only schema -53 has custom values")
    return h


def bound(schema: int, index: int, custom_values: tuple[float, ...] = ()) -> float:
    """The upper bound of a bucket; the lower is that of `index − 1`."""
    if schema == CUSTOM:
        if index < 0:
            return -math.inf
        return custom_values[index] if index < len(custom_values) else math.inf
    if schema < 0:
        exponent, fraction = index << -schema, 1.0
    else:
        exponent, part = index >> schema, index & ((1 << schema) - 1)
        fraction = 2.0 ** (part / (1 << schema))
    if exponent >= 1024:
        # the bucket of the largest floats ends at the largest of them
        return _MAX_FLOAT if exponent == 1024 and fraction == 1.0 else math.inf
    return math.ldexp(fraction, exponent)


def same(a: Histogram, b: Histogram) -> bool:
    """Whether both have the same layout and the same counts, bit for bit; empty buckets and hints do not count."""
    a, b = a.compact(), b.compact()
    floats = [(h.zero_threshold, h.zero_count, h.count, h.sum, *h.custom_values) for h in (a, b)]
    return (
        a.schema == b.schema
        and len(floats[0]) == len(floats[1])
        and np.array_equal(floats[0], floats[1], equal_nan=True)
        and all(
            np.array_equal(x.index, y.index) and np.array_equal(x.count, y.count, equal_nan=True)
            for x, y in ((a.positive, b.positive), (a.negative, b.negative))
        )
    )


def bounds_differ(a: Histogram, b: Histogram) -> bool:
    """Whether two custom histograms have different bounds."""
    return a.custom and b.custom and a.custom_values != b.custom_values


def hints_collide(a: Histogram, b: Histogram) -> bool:
    """Whether one says that it was reset and the other that it was not."""
    return {a.reset_hint, b.reset_hint} == {Reset.YES, Reset.NO}


def widened(a: Histogram, b: Histogram) -> tuple[Histogram, Histogram]:
    """Both with one zero bucket, the wider; wider still where it would end inside a bucket."""
    while a.zero_threshold != b.zero_threshold:
        if a.zero_threshold > b.zero_threshold:
            b = b.zero_widened(a.zero_threshold)
        else:
            a = a.zero_widened(b.zero_threshold)
    return a, b


def _hint(a: Reset, b: Reset) -> Reset:
    if a is b:
        return a
    return Reset.GAUGE if Reset.GAUGE in (a, b) else Reset.UNKNOWN


def _gathered(index: NDArray[Any], count: FloatArray) -> Side:
    """A Side of indices that may repeat: counts of one bucket are added."""
    if not len(index):
        return _EMPTY
    unique, where = np.unique(index, return_inverse=True)
    return Side(unique.astype(np.int32), np.asarray(np.bincount(where, count, len(unique)), np.float64))


def _merged(a: Side, b: Side, factor: float) -> Side:
    if not len(b.index):
        return a
    if np.array_equal(a.index, b.index):
        return Side(a.index, a.count + factor * b.count)
    return _gathered(np.concatenate([a.index, b.index]), np.concatenate([a.count, factor * b.count]))


def _coarser(one: Side, by: int) -> Side:
    # bucket i of the finer schema ends up in bucket ⌈i / 2^by⌉
    return _gathered(((one.index.astype(np.int64) - 1) >> by) + 1, one.count)


def _some(one: Side) -> Side:
    kept = one.count != 0
    return one if kept.all() else Side(one.index[kept], one.count[kept])


def _fell(now: Side, before: Side) -> bool:
    """Whether a bucket counts less now than before."""
    merged = _merged(now, before, -1.0)
    return bool((merged.count < 0).any())
