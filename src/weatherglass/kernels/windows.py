# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Windows of samples, series by series: where each begins and ends, and what a range function makes of it.

`times` and `values` are flat; series i begins at `starts[i]`. Series of one scrape share a clock, the instants of
their samples: `lo` and `hi` (clocks, steps) are each window's [lo, hi) from its series' start, `clock_of[i]` says
which row is whose. Rows [first, last) are worked on, so that threads may share the series out. Indices come from
`edges` and are trusted. Not here: what the functions mean (metrics/promql).
"""

import cython
import numpy as np
from cython.cimports.libc.math import NAN, fabs, floor, isfinite, isnan
from cython.cimports.libc.stdlib import free, malloc, qsort
from cython.cimports.libc.string import memcmp, memmove


def places(
    times: list,
    values: list,
    time_column: cython.const[cython.longlong][::1],
    value_column: cython.const[cython.double][::1],
) -> object:
    """Where each series begins in the two columns that all of them are pieces of, alike in both; None if not alike."""
    i: cython.Py_ssize_t
    n: cython.Py_ssize_t = len(times)
    at: cython.Py_ssize_t
    t: cython.const[cython.longlong][::1]
    v: cython.const[cython.double][::1]
    total: cython.Py_ssize_t = time_column.shape[0]
    if len(values) != n or value_column.shape[0] != total or not total:
        return None
    out: cython.longlong[::1] = np.empty(n, np.int64)
    for i in range(n):
        t = times[i]
        v = values[i]
        if t.shape[0] != v.shape[0]:
            return None
        if t.shape[0] == 0:
            out[i] = 0
            continue
        at = cython.address(t[0]) - cython.address(time_column[0])
        if at < 0 or at + t.shape[0] > total or cython.address(v[0]) - cython.address(value_column[0]) != at:
            return None
        out[i] = at
    return np.asarray(out)


def edges(
    times: cython.const[cython.longlong][::1],
    starts: cython.const[cython.longlong][::1],
    lengths: cython.const[cython.longlong][::1],
    ends: cython.const[cython.longlong][::1],
    range_ms: cython.longlong,
) -> tuple:
    """(clock_of, lo, hi): the windows (end - range, end] of every series; `ends` never fall."""
    n: cython.Py_ssize_t = starts.shape[0]
    steps: cython.Py_ssize_t = ends.shape[0]
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    at: cython.Py_ssize_t
    length: cython.Py_ssize_t
    clock: cython.Py_ssize_t = -1
    before: cython.Py_ssize_t = 0
    total: cython.Py_ssize_t = times.shape[0]
    if lengths.shape[0] != n:
        raise IndexError("columns of different lengths")
    for i in range(n):
        if lengths[i] < 0 or starts[i] < 0 or starts[i] + lengths[i] > total:
            raise IndexError("a series lies outside the columns")
    clock_of: cython.longlong[::1] = np.empty(n, np.int64)
    lo: cython.longlong[:, ::1] = np.empty((max(n, 1), max(steps, 1)), np.int64)
    hi: cython.longlong[:, ::1] = np.empty((max(n, 1), max(steps, 1)), np.int64)
    with cython.nogil:
        for i in range(n):
            at = starts[i]
            length = lengths[i]
            if (
                clock < 0
                or length != lengths[before]
                or (
                    length > 0
                    and memcmp(
                        cython.address(times[at]),
                        cython.address(times[starts[before]]),
                        length * cython.sizeof(cython.longlong),
                    )
                    != 0
                )
            ):
                clock += 1
                before = i
                a = 0
                b = 0
                for k in range(steps):
                    while b < length and times[at + b] <= ends[k]:
                        b += 1
                    while a < b and times[at + a] <= ends[k] - range_ms:
                        a += 1
                    lo[clock, k] = a
                    hi[clock, k] = b
            clock_of[i] = clock
    return np.asarray(clock_of), np.asarray(lo)[: clock + 1, :steps], np.asarray(hi)[: clock + 1, :steps]


def ended(values: cython.const[cython.double][::1]) -> cython.bint:
    """Whether a stale marker is among the values."""
    n: cython.Py_ssize_t = values.shape[0]
    k: cython.Py_ssize_t
    stale: cython.longlong = 0x7FF0000000000002
    found: cython.bint = False
    if n:
        bits: cython.p_longlong = cython.cast(cython.p_longlong, cython.address(values[0]))
        with cython.nogil:
            for k in range(n):
                if bits[k] == stale:
                    found = True
                    break
    return found


def instants(
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    out: cython.double[:, ::1],
    present: cython.uchar[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The last sample of each window, unless there is none or it is a stale marker."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t
    b: cython.Py_ssize_t
    value: cython.double
    bits: cython.longlong
    stale: cython.longlong = 0x7FF0000000000002
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            for k in range(hi.shape[1]):
                b = hi[c, k]
                if b <= lo[c, k]:
                    out[i, k] = 0.0
                    present[i, k] = 0
                    continue
                value = values[starts[i] + b - 1]
                out[i, k] = value
                bits = cython.cast(cython.p_longlong, cython.address(value))[0]
                present[i, k] = 0 if bits == stale else 1


def extrapolated(
    times: cython.const[cython.longlong][::1],
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    ends: cython.const[cython.longlong][::1],
    range_ms: cython.longlong,
    counter: cython.bint,
    per_second: cython.bint,
    zero_first: cython.bint,
    out: cython.double[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The rise over each window stretched to its edges (rate, increase, delta); 0 with fewer than two samples.

    `zero_first` lets a counter's zero be looked for before the half interval at a gap (Prometheus 2).
    """
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    p: cython.Py_ssize_t
    q: cython.Py_ssize_t
    at: cython.Py_ssize_t
    steps: cython.Py_ssize_t = hi.shape[1]
    most: cython.Py_ssize_t = 1
    resets: cython.Py_ssize_t
    rise: cython.double
    sampled: cython.double
    interval: cython.double
    to_start: cython.double
    to_end: cython.double
    to_zero: cython.double
    seconds: cython.double = range_ms / 1000.0
    for c in range(hi.shape[0]):
        if steps and hi[c, steps - 1] > most:
            most = hi[c, steps - 1]
    fell: cython.longlong[::1] = np.empty(most, np.int64)
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            at = starts[i]
            resets = 0
            if counter and steps:
                for k in range(lo[c, 0] + 1, hi[c, steps - 1]):
                    if values[at + k] < values[at + k - 1]:
                        fell[resets] = k
                        resets += 1
            p = 0
            for k in range(steps):
                a = lo[c, k]
                b = hi[c, k]
                if b - a < 2:
                    out[i, k] = 0.0
                    continue
                rise = values[at + b - 1] - values[at + a]
                if resets:
                    while p < resets and fell[p] <= a:
                        p += 1
                    q = p
                    while q < resets and fell[q] < b:
                        rise += values[at + fell[q] - 1]
                        q += 1
                sampled = (times[at + b - 1] - times[at + a]) / 1000.0
                interval = sampled / (b - a - 1)
                to_start = (times[at + a] - (ends[k] - range_ms)) / 1000.0
                to_end = (ends[k] - times[at + b - 1]) / 1000.0
                if not zero_first and to_start >= interval * 1.1:
                    to_start = interval / 2
                if counter and rise > 0 and values[at + a] >= 0:
                    # A counter is never below zero: not back past where it would have been.
                    to_zero = sampled * (values[at + a] / rise)
                    if to_zero < to_start:
                        to_start = to_zero
                if zero_first and to_start >= interval * 1.1:
                    to_start = interval / 2
                if to_end >= interval * 1.1:
                    to_end = interval / 2
                rise = rise * ((sampled + to_start + to_end) / sampled)
                out[i, k] = rise / seconds if per_second else rise


def last_two(
    times: cython.const[cython.longlong][::1],
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    rate: cython.bint,
    out: cython.double[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The rise between the last two samples of each window, of a counter and per second with `rate`; 0 with fewer."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t
    b: cython.Py_ssize_t
    rise: cython.double
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            for k in range(hi.shape[1]):
                if hi[c, k] - lo[c, k] < 2:
                    out[i, k] = 0.0
                    continue
                b = starts[i] + hi[c, k] - 1
                rise = values[b] - values[b - 1]
                if rate:
                    if values[b] < values[b - 1]:
                        rise = values[b]
                    rise = rise / ((times[b] - times[b - 1]) / 1000.0)
                out[i, k] = rise


def sums(
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    out: cython.double[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The sum of each window: from a running total where all are whole numbers, else anew, exactly where terms cancel."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t
    at: cython.Py_ssize_t
    steps: cython.Py_ssize_t = hi.shape[1]
    most: cython.Py_ssize_t = 0
    weight: cython.double
    whole: cython.bint
    for c in range(hi.shape[0]):
        if steps and hi[c, steps - 1] > most:
            most = hi[c, steps - 1]
    run: cython.double[::1] = np.empty(most + 1)
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            at = starts[i]
            if not steps:
                continue
            weight = 0.0
            whole = True
            run[lo[c, 0]] = 0.0
            for k in range(lo[c, 0], hi[c, steps - 1]):
                weight += fabs(values[at + k])
                run[k + 1] = run[k] + values[at + k]
                whole = whole and values[at + k] == floor(values[at + k])
            if whole and weight < 9007199254740992.0:  # 2^53: every partial sum is exact
                for k in range(steps):
                    out[i, k] = run[hi[c, k]] - run[lo[c, k]]
            else:
                for k in range(steps):
                    out[i, k] = _sum(values, at + lo[c, k], at + hi[c, k])


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _sum(
    values: cython.const[cython.double][::1], a: cython.Py_ssize_t, b: cython.Py_ssize_t
) -> cython.double:
    s0: cython.double = 0.0
    s1: cython.double = 0.0
    w0: cython.double = 0.0
    w1: cython.double = 0.0
    lost: cython.double = 0.0
    following: cython.double
    k: cython.Py_ssize_t
    for k in range(a, b - 1, 2):
        s0 += values[k]
        s1 += values[k + 1]
        w0 += fabs(values[k])
        w1 += fabs(values[k + 1])
    if (b - a) & 1:
        s0 += values[b - 1]
        w0 += fabs(values[b - 1])
    s0 += s1
    w0 += w1
    if not isfinite(w0) or fabs(s0) >= w0 * 1e-5:
        return s0
    s0 = 0.0  # most of it cancelled out: once more, the lost digits kept (Kahan, Neumaier)
    for k in range(a, b):
        following = s0 + values[k]
        if fabs(s0) >= fabs(values[k]):
            lost += (s0 - following) + values[k]
        else:
            lost += (values[k] - following) + s0
        s0 = following
    return s0 + lost


def variances(
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    out: cython.double[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The population variance of each window, in two passes; 0 where it is empty."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    c: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    mean: cython.double
    total: cython.double
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            for k in range(hi.shape[1]):
                a = starts[i] + lo[c, k]
                b = starts[i] + hi[c, k]
                out[i, k] = 0.0
                if a >= b:
                    continue
                mean = _sum(values, a, b) / (b - a)
                total = 0.0
                for j in range(a, b):
                    total += (values[j] - mean) * (values[j] - mean)
                out[i, k] = total / (b - a)


def extremes(
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    largest: cython.bint,
    out: cython.double[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The largest or smallest of each window, NaN where there is nothing else; 0 where it is empty."""
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t
    at: cython.Py_ssize_t
    head: cython.Py_ssize_t
    tail: cython.Py_ssize_t
    b: cython.Py_ssize_t
    steps: cython.Py_ssize_t = hi.shape[1]
    most: cython.Py_ssize_t = 1
    value: cython.double
    for c in range(hi.shape[0]):
        if steps and hi[c, steps - 1] > most:
            most = hi[c, steps - 1]
    queue: cython.longlong[::1] = np.empty(most, np.int64)  # indices whose values only fall (or only rise)
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            at = starts[i]
            head = 0
            tail = 0
            b = lo[c, 0] if steps else 0
            for k in range(steps):
                if lo[c, k] > b:
                    b = lo[c, k]
                while b < hi[c, k]:
                    value = values[at + b]
                    if value == value:
                        if largest:
                            while tail > head and values[at + queue[tail - 1]] <= value:
                                tail -= 1
                        else:
                            while tail > head and values[at + queue[tail - 1]] >= value:
                                tail -= 1
                        queue[tail] = b
                        tail += 1
                    b += 1
                while head < tail and queue[head] < lo[c, k]:
                    head += 1
                if hi[c, k] <= lo[c, k]:
                    out[i, k] = 0.0
                else:
                    out[i, k] = values[at + queue[head]] if tail > head else NAN


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _compare(a: cython.p_void, b: cython.p_void) -> cython.int:
    x: cython.double = cython.cast(cython.p_double, a)[0]
    y: cython.double = cython.cast(cython.p_double, b)[0]
    return (x > y) - (x < y)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _place(held: cython.p_double, n: cython.Py_ssize_t, value: cython.double) -> cython.Py_ssize_t:
    """How many of `held`, ascending, are less than `value`."""
    a: cython.Py_ssize_t = 0
    middle: cython.Py_ssize_t
    while a < n:
        middle = (a + n) >> 1
        if held[middle] < value:
            a = middle + 1
        else:
            n = middle
    return a


def quantiles(
    values: cython.const[cython.double][::1],
    starts: cython.const[cython.longlong][::1],
    clock_of: cython.const[cython.longlong][::1],
    lo: cython.const[cython.longlong][:, :],
    hi: cython.const[cython.longlong][:, :],
    q: cython.const[cython.double][::1],
    out: cython.double[:, ::1],
    first: cython.Py_ssize_t,
    last: cython.Py_ssize_t,
) -> None:
    """The q-quantile (0 ≤ q ≤ 1 of each step) of each window, NaN sorted first; 0 where it is empty.

    A window is kept sorted from one step to the next; where most of it changes it is sorted anew.
    """
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    c: cython.Py_ssize_t
    at: cython.Py_ssize_t
    a: cython.Py_ssize_t
    b: cython.Py_ssize_t
    n: cython.Py_ssize_t
    nans: cython.Py_ssize_t
    low: cython.Py_ssize_t
    place: cython.Py_ssize_t
    most: cython.Py_ssize_t = 1
    rank: cython.double
    weight: cython.double
    left: cython.double
    right: cython.double
    steps: cython.Py_ssize_t = hi.shape[1]
    for c in range(hi.shape[0]):
        for k in range(steps):
            if hi[c, k] - lo[c, k] > most:
                most = hi[c, k] - lo[c, k]
    held: cython.p_double = cython.cast(cython.p_double, malloc((most + 1) * cython.sizeof(cython.double)))
    if held is cython.NULL:
        raise MemoryError
    with cython.nogil:
        for i in range(first, last):
            c = clock_of[i]
            at = starts[i]
            a = 0
            b = 0
            n = 0
            nans = 0
            for k in range(steps):
                if hi[c, k] <= lo[c, k]:
                    out[i, k] = 0.0
                    continue
                if lo[c, k] >= b or hi[c, k] - b + lo[c, k] - a > 32 + ((b - a) >> 1):
                    n = 0
                    nans = 0
                    for j in range(lo[c, k], hi[c, k]):
                        if isnan(values[at + j]):
                            nans += 1
                        else:
                            held[n] = values[at + j]
                            n += 1
                    qsort(held, n, cython.sizeof(cython.double), _compare)
                else:
                    for j in range(a, lo[c, k]):
                        if isnan(values[at + j]):
                            nans -= 1
                            continue
                        place = _place(held, n, values[at + j])
                        n -= 1
                        memmove(held + place, held + place + 1, (n - place) * cython.sizeof(cython.double))
                    for j in range(b, hi[c, k]):
                        if isnan(values[at + j]):
                            nans += 1
                            continue
                        place = _place(held, n, values[at + j])
                        memmove(held + place + 1, held + place, (n - place) * cython.sizeof(cython.double))
                        held[place] = values[at + j]
                        n += 1
                a = lo[c, k]
                b = hi[c, k]
                rank = q[k] * (n + nans - 1)
                low = cython.cast(cython.Py_ssize_t, floor(rank))
                weight = rank - floor(rank)
                left = NAN if low < nans else held[low - nans]
                low = low + 1 if low + 1 < n + nans else low
                right = NAN if low < nans else held[low - nans]
                out[i, k] = left * (1 - weight) + right * weight
        free(held)
