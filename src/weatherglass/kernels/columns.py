# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Decoded columns as one record of the write-ahead log, and back.

`series u32, samples u32`, per series `zigzag(number - number before)` and `count << 1 | own` as varints, then,
where `own` is set, its times as zigzag varint differences (the first from the first of the series before);
where it is not, the series has the times of the series before. Last the values, 8 bytes each.
The log has its own checksums; what does not parse all the same is Corrupt, never read past its end.
"""

import cython
import numpy as np
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.weatherglass.kernels.packing import fold, unfold

from weatherglass.base.errors import Corrupt


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def put(out: cython.p_uchar, at: cython.Py_ssize_t, x: cython.ulonglong) -> cython.Py_ssize_t:
    while x > 127:
        out[at] = cython.cast(cython.uchar, x & 127) | 128
        at += 1
        x >>= 7
    out[at] = cython.cast(cython.uchar, x)
    return at + 1


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def get(
    p: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, out: cython.p_ulonglong
) -> cython.Py_ssize_t:
    x: cython.ulonglong = 0
    shift: cython.int = 0
    while 0 <= at < end and shift < 64:
        x |= cython.cast(cython.ulonglong, p[at] & 127) << shift
        at += 1
        if p[at - 1] < 128:
            out[0] = x
            return at
        shift += 7
    return -1


def pack(
    numbers: cython.const[cython.longlong][::1],
    counts: cython.const[cython.uint][::1],
    times: cython.const[cython.longlong][::1],
    values: cython.const[cython.double][::1],
) -> bytes:
    """One record of columns whose counts add up to the samples. Raises IndexError where they do not."""
    n: cython.Py_ssize_t = numbers.shape[0]
    total: cython.Py_ssize_t = times.shape[0]
    buffer: cython.uchar[::1] = np.empty(8 + 15 * n + 18 * total, np.uint8)
    out: cython.p_uchar = cython.address(buffer[0])
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    at: cython.Py_ssize_t = 8
    i: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t
    before: cython.longlong = 0
    last: cython.longlong
    seen: cython.Py_ssize_t = 0  # where the times of the series before begin, and how many they are
    seen_count: cython.Py_ssize_t = 0
    for k in range(n):
        seen += counts[k]
    if seen != total or values.shape[0] != total or counts.shape[0] != n:
        raise IndexError("columns of different lengths")
    seen = 0
    (cython.cast(cython.p_uint, out))[0] = cython.cast(cython.uint, n)
    (cython.cast(cython.p_uint, out))[1] = cython.cast(cython.uint, total)
    with cython.nogil:
        for k in range(n):
            count = counts[k]
            at = put(out, at, fold(numbers[k] - before))
            before = numbers[k]
            if count == 0:
                at = put(out, at, 0)
                continue
            if (
                count == seen_count
                and memcmp(
                    cython.cast(cython.p_longlong, cython.address(times[i])),
                    cython.cast(cython.p_longlong, cython.address(times[seen])),
                    8 * count,
                )
                == 0
            ):
                at = put(out, at, count << 1)
            else:
                at = put(out, at, count << 1 | 1)
                last = times[seen] if seen_count else 0
                for j in range(i, i + count):
                    at = put(out, at, fold(times[j] - last))
                    last = times[j]
                seen = i
                seen_count = count
            i += count
        if total:
            memcpy(out + at, cython.cast(cython.p_double, cython.address(values[0])), 8 * total)
    return bytes(buffer[: at + 8 * total])


def unpack(data: cython.const[cython.uchar][::1]) -> tuple:
    """(numbers int64, counts uint32, times int64, values float64) of a record. Raises Corrupt."""
    size: cython.Py_ssize_t = data.shape[0]
    head = cython.declare(cython.uint[2])
    if size < 8:
        raise Corrupt("a record of samples is cut short")
    p: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(data[0]))
    memcpy(head, p, 8)
    n: cython.Py_ssize_t = head[0]
    total: cython.Py_ssize_t = head[1]
    end: cython.Py_ssize_t = size - 8 * total
    if end < 8 or n > size:
        raise Corrupt("a record of samples is cut short")
    found = (np.empty(n, np.int64), np.empty(n, np.uint32), np.empty(total, np.int64), np.empty(total))
    numbers: cython.longlong[::1] = found[0]
    counts: cython.uint[::1] = found[1]
    times: cython.longlong[::1] = found[2]
    values: cython.double[::1] = found[3]
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    at: cython.Py_ssize_t = 8
    i: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t
    x: cython.ulonglong = 0
    before: cython.ulonglong = 0
    last: cython.ulonglong
    seen: cython.Py_ssize_t = 0
    seen_count: cython.Py_ssize_t = 0
    with cython.nogil:
        for k in range(n):
            at = get(p, at, end, cython.address(x))
            before += unfold(x)
            at = get(p, at, end, cython.address(x))
            if at < 0 or (x >> 1) > cython.cast(cython.ulonglong, total - i):
                at = -1
                break
            numbers[k] = cython.cast(cython.longlong, before)
            count = x >> 1
            counts[k] = cython.cast(cython.uint, count)
            if count == 0:
                continue
            if x & 1:
                last = cython.cast(cython.ulonglong, times[seen]) if seen_count else 0
                for j in range(i, i + count):
                    at = get(p, at, end, cython.address(x))
                    if at < 0:
                        break
                    last += unfold(x)
                    times[j] = cython.cast(cython.longlong, last)
                if at < 0:
                    break
                seen = i
                seen_count = count
            elif count == seen_count:
                memcpy(cython.address(times[i]), cython.address(times[seen]), 8 * count)
            else:
                at = -1
                break
            i += count
        if at == end and i == total and total:
            memcpy(cython.address(values[0]), p + end, 8 * total)
    if at != end or i != total:
        raise Corrupt("a record of samples does not check out")
    return found
