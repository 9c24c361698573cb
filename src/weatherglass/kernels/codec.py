# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Chunks of one series: float64 values and int64 times to bytes and back, bit by bit the same.

Values: `kind u8, scale u8, exceptions u16`, then per exception `position u16, bits u64`, then by kind:
- CONSTANT: bits u64;
- DELTA: shift u8, first zigzag u64, zigzag deltas >> shift, bit-packed (`packing`);  DELTA2: the same of second differences;
- XOR: low u8, high u8, first bits u64, then byte planes low…high of each value xor the one before.
A value is its integer at the smallest power of ten at which all are exact; those that never are (NaN, the
stale marker, infinities, -0.0) are exceptions, and where these are many the chunk is XOR.
Times: first u64, first difference zigzag u64, zigzag second differences, bit-packed (Gorilla §4.1.1, packed).

Counts are not stored: the caller knows them. A chunk holds at most 65,535 values. What does not check out is
Corrupt. Not here: compression on top (zstd over pages of chunks), files.
"""

import cython
import numpy as np
from cython.cimports.libc.math import fabs
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.weatherglass.kernels.packing import fold, pack, unfold, unpack, width_of

from weatherglass.base.errors import Corrupt, Invalid

CONSTANT = cython.declare(cython.int, 0)
DELTA = cython.declare(cython.int, 1)
DELTA2 = cython.declare(cython.int, 2)
XOR = cython.declare(cython.int, 3)
CHUNK_MAX = 65_535

_TOP_SCALE = cython.declare(cython.int, 12)
_POWERS = cython.declare(cython.double[13])
_k = cython.declare(cython.int)
_power = cython.declare(cython.double, 1.0)
for _k in range(13):  # exact: powers of ten up to 10^22 are doubles
    _POWERS[_k] = _power
    _power *= 10.0
_LARGEST = cython.declare(cython.double, 4503599627370496.0)  # 2^52: rounding by adding a half is exact below


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def power_of(scale: cython.int) -> cython.double:
    return _POWERS[scale]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def exact(v: cython.double, scale: cython.int, out: cython.p_longlong) -> cython.bint:
    """Whether `v` is out / 10^scale, to the bit; -0.0 is not."""
    x: cython.double = v * _POWERS[scale]
    k: cython.longlong
    if not fabs(x) < _LARGEST:
        return False
    k = cython.cast(cython.longlong, x + (-0.5 if x < 0 else 0.5))
    out[0] = k
    if k == 0:
        return cython.cast(cython.p_ulonglong, cython.address(v))[0] == 0
    return cython.cast(cython.double, k) / _POWERS[scale] == v


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def scale_of(v: cython.p_double, n: cython.Py_ssize_t) -> cython.int:
    """The smallest scale at which all but a few are exact, or -1.

    One that is exact at a scale is so at the next: the same rational is divided, both operands exact.
    """
    scale: cython.int = 0
    trial: cython.int
    failures: cython.Py_ssize_t = 0
    patience: cython.Py_ssize_t = n // 8 + 2
    waste: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t
    i: cython.longlong = 0
    for k in range(n):
        if exact(v[k], scale, cython.address(i)):
            continue
        if not fabs(v[k]) < _LARGEST or v[k] == 0:
            failures += 1  # NaN, infinity, -0.0, huge: exact at no scale
        else:
            trial = scale + 1
            while trial <= _TOP_SCALE and not exact(v[k], trial, cython.address(i)):
                trial += 1
            if trial <= _TOP_SCALE:
                scale = trial
            else:
                failures += 1
                waste += 1
                if waste > 6 and waste * 4 > k:
                    return -1
        if failures > patience:
            return -1
    return scale


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def values_bound(n: cython.Py_ssize_t) -> cython.Py_ssize_t:
    return 64 + n * 10 + n // 16


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def times_bound(n: cython.Py_ssize_t) -> cython.Py_ssize_t:
    return 32 + n * 8 + n // 64


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_xor(v: cython.p_double, n: cython.Py_ssize_t, out: cython.p_uchar) -> cython.Py_ssize_t:
    bits: cython.p_ulonglong = cython.cast(cython.p_ulonglong, v)
    every: cython.ulonglong = 0
    one: cython.ulonglong = 255
    low: cython.int = 0
    high: cython.int = 7
    plane: cython.int
    k: cython.Py_ssize_t
    used: cython.Py_ssize_t = 14
    for k in range(1, n):
        every |= bits[k] ^ bits[k - 1]
    while low < 7 and not (every & (one << (8 * low))):
        low += 1
    while high > low and not (every & (one << (8 * high))):
        high -= 1
    out[0] = cython.cast(cython.uchar, XOR)
    out[1] = out[2] = out[3] = 0
    out[4] = low
    out[5] = high
    memcpy(out + 6, bits, 8)
    for plane in range(low, high + 1):
        for k in range(1, n):
            out[used] = cython.cast(cython.uchar, (bits[k] ^ bits[k - 1]) >> (8 * plane))
            used += 1
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_values(
    v: cython.p_double, n: cython.Py_ssize_t, out: cython.p_uchar, work: cython.p_longlong
) -> cython.Py_ssize_t:
    """Bytes written to `out` (`values_bound(n)` big); `work` has room for 2 n. 0 < n <= CHUNK_MAX."""
    bits: cython.p_ulonglong = cython.cast(cython.p_ulonglong, v)
    z: cython.p_ulonglong = cython.cast(cython.p_ulonglong, work + n)
    k: cython.Py_ssize_t = 1
    used: cython.Py_ssize_t = 4
    scale: cython.int
    exceptions: cython.int = 0
    i: cython.longlong = 0
    d: cython.longlong
    before: cython.longlong = 0
    cost1: cython.Py_ssize_t = 0
    cost2: cython.Py_ssize_t = 0
    every1: cython.ulonglong = 0
    every2: cython.ulonglong = 0
    low: cython.ulonglong = 0
    shift: cython.int = 0
    first: cython.ulonglong
    while k < n and bits[k] == bits[0]:
        k += 1
    if k == n:
        out[0] = cython.cast(cython.uchar, CONSTANT)
        out[1] = out[2] = out[3] = 0
        memcpy(out + 4, bits, 8)
        return 12
    scale = scale_of(v, n)
    if scale < 0:
        return put_xor(v, n, out)
    for k in range(n):
        if exact(v[k], scale, cython.address(i)):
            work[k] = i
            before = i
        else:
            if (exceptions + 1) * 8 > n + 16:
                return put_xor(v, n, out)
            out[used] = k & 255
            out[used + 1] = (k >> 8) & 255
            memcpy(out + used + 2, bits + k, 8)
            used += 10
            exceptions += 1
            work[k] = before
    if exceptions and exceptions < n:  # those in front take the first real value, so that they cost no bits
        k = 0
        while k < n and not exact(v[k], scale, cython.address(i)):
            k += 1
        if k < n:
            before = work[k]
            while k > 0:
                k -= 1
                work[k] = before
    before = 0
    for k in range(1, n):
        d = work[k] - work[k - 1]
        every1 |= fold(d)
        every2 |= fold(d - before)
        low |= cython.cast(cython.ulonglong, d)
        before = d
        if k & 63 == 0 or k == n - 1:
            cost1 += width_of(every1)
            cost2 += width_of(every2) if k > 64 else width_of(every2 >> 1)
            every1 = every2 = 0
    while low and not low & 1:  # multiples of a power of two: pages, sectors
        low >>= 1
        shift += 1
    cost1 -= shift * ((n + 62) >> 6)
    out[0] = cython.cast(cython.uchar, DELTA2 if cost2 < cost1 else DELTA)
    out[1] = scale
    out[2] = exceptions & 255
    out[3] = (exceptions >> 8) & 255
    before = 0
    if cost2 < cost1:
        shift = 0
        for k in range(1, n):
            d = work[k] - work[k - 1]
            z[k - 1] = fold(d - before)
            before = d
    else:
        for k in range(1, n):
            z[k - 1] = fold((work[k] - work[k - 1]) >> shift)
    out[used] = shift
    first = fold(work[0])
    memcpy(out + used + 1, cython.address(first), 8)
    used += 9
    return used + pack(z, n - 1, out + used)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def get_values(
    p: cython.p_uchar, size: cython.Py_ssize_t, v: cython.p_double, n: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Bytes read, or -1 where they do not check out."""
    bits: cython.p_ulonglong = cython.cast(cython.p_ulonglong, v)
    kind: cython.int
    scale: cython.int
    exceptions: cython.Py_ssize_t
    table: cython.p_uchar
    used: cython.Py_ssize_t
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t
    plane: cython.int
    shift: cython.int
    x: cython.ulonglong = 0
    d: cython.ulonglong = 0
    power: cython.double
    if n <= 0:
        return 0
    if size < 12:
        return -1
    kind = p[0]
    scale = p[1]
    if kind == CONSTANT:
        memcpy(cython.address(x), p + 4, 8)
        for k in range(n):
            bits[k] = x
        return 12
    if kind == XOR:
        used = 14
        if size < used or p[4] > p[5] or p[5] > 7 or (n - 1) > (size - used) // (p[5] - p[4] + 1):
            return -1
        memcpy(bits, p + 6, 8)
        if n > 1:
            memset(bits + 1, 0, 8 * (n - 1))
        for plane in range(p[4], p[5] + 1):
            for k in range(1, n):
                bits[k] |= cython.cast(cython.ulonglong, p[used]) << (8 * plane)
                used += 1
        for k in range(1, n):
            bits[k] ^= bits[k - 1]
        return used
    exceptions = p[2] | (p[3] << 8)
    used = 4 + 10 * exceptions
    if kind > XOR or scale > _TOP_SCALE or size < used + 9 or p[used] > 63:
        return -1
    table = p + 4
    shift = p[used]
    memcpy(cython.address(x), p + used + 1, 8)
    used += 9
    at = unpack(p + used, size - used, bits + 1, n - 1)
    if at < 0:
        return -1
    used += at
    x = unfold(x)
    power = _POWERS[scale]
    v[0] = cython.cast(cython.double, cython.cast(cython.longlong, x)) / power
    if kind == DELTA2:
        for k in range(1, n):
            d += unfold(bits[k])
            x += d
            v[k] = cython.cast(cython.double, cython.cast(cython.longlong, x))
    else:
        for k in range(1, n):
            x += unfold(bits[k]) << shift
            v[k] = cython.cast(cython.double, cython.cast(cython.longlong, x))
    if scale:
        for k in range(1, n):
            v[k] /= power
    for k in range(exceptions):
        at = table[10 * k] | (table[10 * k + 1] << 8)
        if at >= n:
            return -1
        memcpy(bits + at, table + 10 * k + 2, 8)
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_times(
    t: cython.p_longlong, n: cython.Py_ssize_t, out: cython.p_uchar, work: cython.p_longlong
) -> cython.Py_ssize_t:
    """Bytes written to `out` (`times_bound(n)` big); `work` has room for n. 0 < n. Arithmetic is modulo 2^64."""
    u: cython.p_ulonglong = cython.cast(cython.p_ulonglong, t)
    z: cython.p_ulonglong = cython.cast(cython.p_ulonglong, work)
    d: cython.ulonglong
    before: cython.ulonglong = 0
    first: cython.ulonglong = 0
    k: cython.Py_ssize_t
    memcpy(out, u, 8)
    if n > 1:
        before = u[1] - u[0]
        first = fold(cython.cast(cython.longlong, before))
    memcpy(out + 8, cython.address(first), 8)
    for k in range(2, n):
        d = u[k] - u[k - 1]
        z[k - 2] = fold(cython.cast(cython.longlong, d - before))
        before = d
    return 16 + (pack(z, n - 2, out + 16) if n > 2 else 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def get_times(
    p: cython.p_uchar, size: cython.Py_ssize_t, t: cython.p_longlong, n: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Bytes read, or -1 where they do not check out."""
    u: cython.p_ulonglong = cython.cast(cython.p_ulonglong, t)
    d: cython.ulonglong = 0
    used: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t
    if n <= 0:
        return 0
    if size < 16:
        return -1
    memcpy(u, p, 8)
    memcpy(cython.address(d), p + 8, 8)
    if n > 2:
        used = unpack(p + 16, size - 16, u + 2, n - 2)
        if used < 0:
            return -1
    if n > 1:
        d = unfold(d)
        u[1] = u[0] + d
    for k in range(2, n):
        d += unfold(u[k])
        u[k] = u[k - 1] + d
    return 16 + used


def _check(n: cython.Py_ssize_t) -> cython.int:
    if not 0 < n <= CHUNK_MAX:
        raise Invalid(f"a chunk of {n} values", mend=f"1 to {CHUNK_MAX}")
    return 0


def encode_values(values: cython.const[cython.double][::1]) -> bytes:
    """One chunk of values. Raises Invalid where there are none or too many."""
    n: cython.Py_ssize_t = values.shape[0]
    _check(n)
    out: cython.uchar[::1] = np.empty(values_bound(n), np.uint8)
    work: cython.longlong[::1] = np.empty(2 * n, np.int64)
    used: cython.Py_ssize_t = put_values(
        cython.cast(cython.p_double, cython.address(values[0])),
        n,
        cython.address(out[0]),
        cython.address(work[0]),
    )
    return bytes(out[:used])


def decode_values(data: cython.const[cython.uchar][::1], n: cython.Py_ssize_t) -> object:
    """float64 (n,). Raises Corrupt."""
    _check(n)
    found = np.empty(n, np.float64)
    out: cython.double[::1] = found
    size: cython.Py_ssize_t = data.shape[0]
    if (
        size == 0
        or get_values(cython.cast(cython.p_uchar, cython.address(data[0])), size, cython.address(out[0]), n)
        < 0
    ):
        raise Corrupt("a chunk of values does not check out")
    return found


def encode_times(times: cython.const[cython.longlong][::1]) -> bytes:
    """One chunk of times. Raises Invalid where there are none or too many."""
    n: cython.Py_ssize_t = times.shape[0]
    _check(n)
    out: cython.uchar[::1] = np.empty(times_bound(n), np.uint8)
    work: cython.longlong[::1] = np.empty(n, np.int64)
    used: cython.Py_ssize_t = put_times(
        cython.cast(cython.p_longlong, cython.address(times[0])),
        n,
        cython.address(out[0]),
        cython.address(work[0]),
    )
    return bytes(out[:used])


def decode_times(data: cython.const[cython.uchar][::1], n: cython.Py_ssize_t) -> object:
    """int64 (n,). Raises Corrupt."""
    _check(n)
    found = np.empty(n, np.int64)
    out: cython.longlong[::1] = found
    size: cython.Py_ssize_t = data.shape[0]
    if (
        size == 0
        or get_times(cython.cast(cython.p_uchar, cython.address(data[0])), size, cython.address(out[0]), n)
        < 0
    ):
        raise Corrupt("a chunk of times does not check out")
    return found
