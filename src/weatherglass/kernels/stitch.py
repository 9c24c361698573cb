# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Many series at once: cutting flat columns into chunks, and putting chunks and heads back into flat columns.

Flat columns hold series after series; `bounds` int64 (n + 1) says where each begins. Offsets that come from
files are checked against the bytes at hand. Not here: the codec itself, zstd, files.
"""

import cython
import numpy as np
from cython.cimports.libc.string import memcpy
from cython.cimports.weatherglass.kernels.codec import (
    get_times,
    get_values,
    put_times,
    put_values,
)

from weatherglass.base.errors import Corrupt


def encode_chunks(
    times: cython.const[cython.longlong][::1],
    values: cython.const[cython.double][::1],
    bounds: cython.const[cython.longlong][::1],
    most: cython.Py_ssize_t,
) -> tuple:
    """(series, counts, time bytes, time bounds, value bytes, value bounds): chunks of at most `most` samples.

    `series[c]` is the position in `bounds` that chunk c is of; a series of more than `most` samples is cut into
    chunks of nearly the same size.
    """
    n: cython.Py_ssize_t = bounds.shape[0] - 1
    total: cython.Py_ssize_t = times.shape[0]
    k: cython.Py_ssize_t
    c: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t
    length: cython.Py_ssize_t
    pieces: cython.Py_ssize_t
    piece: cython.Py_ssize_t
    chunks: cython.Py_ssize_t = 0
    time_used: cython.Py_ssize_t = 0
    value_used: cython.Py_ssize_t = 0
    if total != values.shape[0] or not 0 < most <= 65535 or (n >= 0 and bounds[n] > total):
        raise IndexError("columns of different lengths")
    for k in range(n):
        if bounds[k] < 0 or bounds[k + 1] < bounds[k]:
            raise IndexError("bounds descend")
        chunks += (bounds[k + 1] - bounds[k] + most - 1) // most
    series: cython.longlong[::1] = np.empty(chunks + 1, np.int64)
    counts: cython.longlong[::1] = np.empty(chunks + 1, np.int64)
    time_bounds: cython.longlong[::1] = np.empty(chunks + 1, np.int64)
    value_bounds: cython.longlong[::1] = np.empty(chunks + 1, np.int64)
    time_out: cython.uchar[::1] = np.empty(total * 8 + total // 64 + 96 * (chunks + 1), np.uint8)
    value_out: cython.uchar[::1] = np.empty(total * 10 + total // 16 + 96 * (chunks + 1), np.uint8)
    work: cython.longlong[::1] = np.empty(2 * most, np.int64)
    with cython.nogil:
        for k in range(n):
            length = bounds[k + 1] - bounds[k]
            pieces = (length + most - 1) // most
            at = bounds[k]
            for piece in range(pieces):
                length = (bounds[k + 1] - at + (pieces - piece) - 1) // (pieces - piece)
                series[c] = k
                counts[c] = length
                time_bounds[c] = time_used
                value_bounds[c] = value_used
                time_used += put_times(
                    cython.cast(cython.p_longlong, cython.address(times[at])),
                    length,
                    cython.address(time_out[time_used]),
                    cython.address(work[0]),
                )
                value_used += put_values(
                    cython.cast(cython.p_double, cython.address(values[at])),
                    length,
                    cython.address(value_out[value_used]),
                    cython.address(work[0]),
                )
                at += length
                c += 1
    time_bounds[c] = time_used
    value_bounds[c] = value_used
    return (
        np.asarray(series)[:c],
        np.asarray(counts)[:c],
        bytes(time_out[:time_used]),
        np.asarray(time_bounds),
        bytes(value_out[:value_used]),
        np.asarray(value_bounds),
    )


def decode_values(
    data: cython.const[cython.uchar][::1],
    starts: cython.const[cython.longlong][::1],
    counts: cython.const[cython.longlong][::1],
    offsets: cython.const[cython.longlong][::1],
    out: cython.double[::1],
) -> object:
    """The chunks at `starts` in `data`, `counts[c]` values each, into `out` at `offsets`. Raises Corrupt."""
    k: cython.Py_ssize_t
    size: cython.Py_ssize_t = data.shape[0]
    room: cython.Py_ssize_t = out.shape[0]
    bad: cython.bint = counts.shape[0] < starts.shape[0] or offsets.shape[0] < starts.shape[0]
    if not bad:
        with cython.nogil:
            for k in range(starts.shape[0]):
                if (
                    not 0 <= starts[k] < size
                    or not 0 < counts[k] <= 65535
                    or offsets[k] < 0
                    or offsets[k] > room - counts[k]
                    or get_values(
                        cython.cast(cython.p_uchar, cython.address(data[starts[k]])),
                        size - starts[k],
                        cython.address(out[offsets[k]]),
                        counts[k],
                    )
                    < 0
                ):
                    bad = True
                    break
    if bad:
        raise Corrupt("a page of values does not check out")


def decode_times(
    data: cython.const[cython.uchar][::1],
    starts: cython.const[cython.longlong][::1],
    counts: cython.const[cython.longlong][::1],
    offsets: cython.const[cython.longlong][::1],
    out: cython.longlong[::1],
) -> object:
    """As `decode_values`, of times."""
    k: cython.Py_ssize_t
    size: cython.Py_ssize_t = data.shape[0]
    room: cython.Py_ssize_t = out.shape[0]
    bad: cython.bint = counts.shape[0] < starts.shape[0] or offsets.shape[0] < starts.shape[0]
    if not bad:
        with cython.nogil:
            for k in range(starts.shape[0]):
                if (
                    not 0 <= starts[k] < size
                    or not 0 < counts[k] <= 65535
                    or offsets[k] < 0
                    or offsets[k] > room - counts[k]
                    or get_times(
                        cython.cast(cython.p_uchar, cython.address(data[starts[k]])),
                        size - starts[k],
                        cython.address(out[offsets[k]]),
                        counts[k],
                    )
                    < 0
                ):
                    bad = True
                    break
    if bad:
        raise Corrupt("a page of times does not check out")


def spread(
    source: cython.const[cython.longlong][::1],
    starts: cython.const[cython.longlong][::1],
    counts: cython.const[cython.longlong][::1],
    offsets: cython.const[cython.longlong][::1],
    out: cython.longlong[::1],
) -> object:
    """Copies `counts[c]` elements of `source` at `starts[c]` to `out` at `offsets[c]`. Raises IndexError."""
    k: cython.Py_ssize_t
    bad: cython.bint = counts.shape[0] < starts.shape[0] or offsets.shape[0] < starts.shape[0]
    if not bad:
        with cython.nogil:
            for k in range(starts.shape[0]):
                if counts[k] <= 0:
                    continue
                if (
                    starts[k] < 0
                    or starts[k] > source.shape[0] - counts[k]
                    or offsets[k] < 0
                    or offsets[k] > out.shape[0] - counts[k]
                ):
                    bad = True
                    break
                memcpy(
                    cython.address(out[offsets[k]]),
                    cython.cast(cython.p_longlong, cython.address(source[starts[k]])),
                    8 * counts[k],
                )
    if bad:
        raise IndexError("columns of different lengths")


def unsettled(
    times: cython.const[cython.longlong][::1], bounds: cython.const[cython.longlong][::1]
) -> object:
    """int64: the series whose times do not strictly ascend."""
    n: cython.Py_ssize_t = bounds.shape[0] - 1
    found = np.empty(n + 1, np.int64)
    out: cython.longlong[::1] = found
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    wrong: cython.Py_ssize_t
    count: cython.Py_ssize_t = 0
    if n < 0 or bounds[n] > times.shape[0] or bounds[0] < 0:
        raise IndexError("bounds beyond the column")
    with cython.nogil:
        for k in range(n):
            wrong = 0
            for j in range(bounds[k] + 1, bounds[k + 1]):
                wrong |= times[j] <= times[j - 1]
            if wrong:
                out[count] = k
                count += 1
    return found[:count]


def trim(
    times: cython.const[cython.longlong][::1],
    starts: cython.const[cython.longlong][::1],
    ends: cython.const[cython.longlong][::1],
    first: cython.longlong,
    last: cython.longlong,
) -> tuple:
    """(from, to) int64 of each series' samples with first <= t <= last; times ascend within a series."""
    n: cython.Py_ssize_t = starts.shape[0]
    low = np.empty(n, np.int64)
    high = np.empty(n, np.int64)
    a: cython.longlong[::1] = low
    b: cython.longlong[::1] = high
    k: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    middle: cython.Py_ssize_t
    if ends.shape[0] < n:
        raise IndexError("columns of different lengths")
    for k in range(n):
        if starts[k] < 0 or ends[k] > times.shape[0] or ends[k] < starts[k]:
            raise IndexError("bounds beyond the column")
    with cython.nogil:
        for k in range(n):
            x = starts[k]
            y = ends[k]
            while x < y:
                middle = (x + y) >> 1
                if times[middle] < first:
                    x = middle + 1
                else:
                    y = middle
            a[k] = x
            y = ends[k]
            while x < y:
                middle = (x + y) >> 1
                if times[middle] <= last:
                    x = middle + 1
                else:
                    y = middle
            b[k] = x
    return low, high
