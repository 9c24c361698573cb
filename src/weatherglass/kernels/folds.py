# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Many series folded into few, step by step: sums, extremes, and which are the largest. One pass, row by row.

`values` and `present` are (series, steps); `of[i]` is the group of series i, less than the groups of `out`.
"""

import cython
from cython.cimports.libc.math import fabs, isinf


@cython.cfunc
def _check(
    of: cython.const[cython.longlong][::1], rows: cython.Py_ssize_t, groups: cython.Py_ssize_t
) -> cython.void:
    i: cython.Py_ssize_t
    if of.shape[0] != rows:
        raise IndexError("columns of different lengths")
    for i in range(rows):
        if not 0 <= of[i] < groups:
            raise IndexError("no such group")


def sums(
    values: cython.const[cython.double][:, :],
    present: cython.const[cython.uchar][:, :],
    of: cython.const[cython.longlong][::1],
    out: cython.double[:, ::1],
    lost: cython.double[:, ::1],
    count: cython.double[:, ::1],
) -> None:
    """Adds each series to its group's `out` and `count`, what rounding took to `lost` (Kahan, Neumaier)."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    g: cython.Py_ssize_t
    following: cython.double
    value: cython.double
    _check(of, values.shape[0], out.shape[0])
    with cython.nogil:
        for i in range(values.shape[0]):
            g = of[i]
            for k in range(values.shape[1]):
                if not present[i, k]:
                    continue
                value = values[i, k]
                count[g, k] += 1
                following = out[g, k] + value
                if isinf(following):
                    lost[g, k] = 0.0
                elif fabs(out[g, k]) >= fabs(value):
                    lost[g, k] += (out[g, k] - following) + value
                else:
                    lost[g, k] += (value - following) + out[g, k]
                out[g, k] = following


def extremes(
    values: cython.const[cython.double][:, :],
    present: cython.const[cython.uchar][:, :],
    of: cython.const[cython.longlong][::1],
    largest: cython.bint,
    out: cython.double[:, ::1],
) -> None:
    """Leaves each group's largest or smallest in `out`, which is NaN at first; NaN stays where there is nothing else."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    g: cython.Py_ssize_t
    value: cython.double
    _check(of, values.shape[0], out.shape[0])
    with cython.nogil:
        for i in range(values.shape[0]):
            g = of[i]
            for k in range(values.shape[1]):
                if not present[i, k]:
                    continue
                value = values[i, k]
                if out[g, k] != out[g, k] or (value > out[g, k] if largest else value < out[g, k]):
                    out[g, k] = value


def tops(
    values: cython.const[cython.double][:, :],
    present: cython.const[cython.uchar][:, :],
    of: cython.const[cython.longlong][::1],
    wanted: cython.const[cython.longlong][::1],
    largest: cython.bint,
    best: cython.double[:, :, ::1],
    rows: cython.longlong[:, :, ::1],
    held: cython.longlong[:, ::1],
) -> None:
    """The `wanted[k]` largest or smallest of each group at each step, best first, into `rows` (groups, steps, most).

    Of equals the first comes first; NaN comes after all numbers. `held` (groups, steps) counts them, 0 at first.
    """
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    g: cython.Py_ssize_t
    p: cython.Py_ssize_t
    n: cython.Py_ssize_t
    value: cython.double
    other: cython.double
    _check(of, values.shape[0], held.shape[0])
    for k in range(wanted.shape[0]):
        if wanted[k] > best.shape[2]:
            raise IndexError("more are wanted than there is room for")
    with cython.nogil:
        for i in range(values.shape[0]):
            g = of[i]
            for k in range(values.shape[1]):
                if not present[i, k] or wanted[k] <= 0:
                    continue
                value = values[i, k]
                n = held[g, k]
                p = n
                while p > 0:
                    other = best[g, k, p - 1]
                    if not (
                        (value > other if largest else value < other) or (other != other and value == value)
                    ):
                        break
                    p -= 1
                if p >= wanted[k]:
                    continue
                if n < wanted[k]:
                    n += 1
                    held[g, k] = n
                while n - 1 > p:
                    best[g, k, n - 1] = best[g, k, n - 2]
                    rows[g, k, n - 1] = rows[g, k, n - 2]
                    n -= 1
                best[g, k, p] = value
                rows[g, k, p] = i
