# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Bit packing of unsigned integers: 64 at a time, `width u8` and ceil(count x width / 8) bytes, lowest bit first.

In C alone, for `codec` (zigzag and width are inline in packing.pxd). Counts are not stored: the caller knows them.
"""

import cython
from cython.cimports.libc.string import memcpy, memset


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pack(z: cython.p_ulonglong, n: cython.Py_ssize_t, out: cython.p_uchar) -> cython.Py_ssize_t:
    """Bytes written: at most 8 n + n / 64 + 1."""
    words = cython.declare(cython.ulonglong[66])
    used: cython.Py_ssize_t = 0
    start: cython.Py_ssize_t = 0
    m: cython.Py_ssize_t
    k: cython.Py_ssize_t
    every: cython.ulonglong
    w: cython.int
    bit: cython.int
    size: cython.Py_ssize_t
    while start < n:
        m = n - start if n - start < 64 else 64
        every = 0
        for k in range(m):
            every |= z[start + k]
        w = width_of(every)  # noqa: F821 (inline in packing.pxd)
        out[used] = cython.cast(cython.uchar, w)
        used += 1
        if w:
            memset(words, 0, 8 * (w + 1))
            bit = 0
            for k in range(m):
                words[bit >> 6] |= z[start + k] << (bit & 63)
                if (bit & 63) + w > 64:
                    words[(bit >> 6) + 1] |= z[start + k] >> (64 - (bit & 63))
                bit += w
            size = (bit + 7) >> 3
            memcpy(out + used, words, size)
            used += size
        start += m
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def unpack(
    p: cython.p_uchar, size: cython.Py_ssize_t, z: cython.p_ulonglong, n: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Bytes read, or -1."""
    words = cython.declare(cython.ulonglong[66])
    used: cython.Py_ssize_t = 0
    start: cython.Py_ssize_t = 0
    m: cython.Py_ssize_t
    k: cython.Py_ssize_t
    w: cython.int
    bit: cython.int
    length: cython.Py_ssize_t
    mask: cython.ulonglong
    one: cython.ulonglong = 1
    x: cython.ulonglong
    while start < n:
        if used >= size:
            return -1
        m = n - start if n - start < 64 else 64
        w = p[used]
        used += 1
        if w > 64:
            return -1
        if w == 0:
            memset(z + start, 0, 8 * m)
        else:
            length = (m * w + 7) >> 3
            if length > size - used:
                return -1
            words[length >> 3] = 0
            memcpy(words, p + used, length)
            used += length
            mask = (one << (w & 63)) - 1 if w < 64 else 0 - one
            bit = 0
            for k in range(m):
                x = words[bit >> 6] >> (bit & 63)
                if (bit & 63) + w > 64:
                    x |= words[(bit >> 6) + 1] << (64 - (bit & 63))
                z[start + k] = x & mask
                bit += w
        start += m
    return used
