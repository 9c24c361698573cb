# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
# ruff: noqa: F821 (State is in stack.pxd)
"""Blocks of at most 16 values, as they are pushed onto a series' stack of bytes in the head and popped again.

In C alone, for `head`. Popped from the newest back, so the state that goes with a stack is that behind its newest
block, and what belongs to a block stands before its mark (one byte):
- 0…57 FLAT + width: zigzag differences of the values' integers at the series' scale, bit-packed;
- 58…115 STEEP + width: the same of second differences. With bit 7 of either a shift u8 stands before the mark;
- CONSTANT: bits u64; PLANES: first bits u64, byte planes low…high of each value xor the one before, low << 4 | high;
- COUNT: u8, the block below has so many values and not 16;
- ODD: bits u64 of each value that no integer gives (NaN, the stale marker, -0.0, infinities), positions u16;
- STATE: what integer, difference and scale were before; JUMP: in which stream the series stood, and where.
"""

import cython
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.weatherglass.kernels.codec import exact, power_of
from cython.cimports.weatherglass.kernels.packing import fold, unfold, width_of

ROW = cython.declare(cython.int, 16)
STEEP = cython.declare(cython.int, 58)
CONSTANT = cython.declare(cython.int, 116)
PLANES = cython.declare(cython.int, 117)
COUNT = cython.declare(cython.int, 118)
ODD = cython.declare(cython.int, 119)
STATE = cython.declare(cython.int, 120)
JUMP = cython.declare(cython.int, 121)
SHIFTED = cython.declare(cython.int, 128)

_TOP_SCALE = cython.declare(cython.int, 12)
_WIDEST = cython.declare(cython.int, 57)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def bits_of(v: cython.p_double) -> cython.ulonglong:
    x: cython.ulonglong = 0
    memcpy(cython.address(x), v, 8)
    return x


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pack_bits(z: cython.p_ulonglong, n: cython.int, width: cython.int, out: cython.p_uchar) -> cython.int:
    """ceil(n x width / 8) bytes, lowest bit first; width <= 57."""
    hold: cython.ulonglong = 0
    held: cython.int = 0
    used: cython.int = 0
    k: cython.int
    for k in range(n):
        hold |= z[k] << held
        held += width
        while held >= 8:
            out[used] = cython.cast(cython.uchar, hold & 255)
            used += 1
            hold >>= 8
            held -= 8
    if held:
        out[used] = cython.cast(cython.uchar, hold & 255)
        used += 1
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def unpack_bits(p: cython.p_uchar, n: cython.int, width: cython.int, z: cython.p_ulonglong) -> cython.void:
    hold: cython.ulonglong = 0
    held: cython.int = 0
    used: cython.int = 0
    k: cython.int
    one: cython.ulonglong = 1
    mask: cython.ulonglong = (one << width) - 1
    for k in range(n):
        while held < width:
            hold |= cython.cast(cython.ulonglong, p[used]) << held
            used += 1
            held += 8
        z[k] = hold & mask
        hold >>= width
        held -= width


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def planes(v: cython.p_double, n: cython.int, out: cython.p_uchar) -> cython.int:
    every: cython.ulonglong = 0
    one: cython.ulonglong = 255
    low: cython.int = 0
    high: cython.int = 7
    k: cython.int
    plane: cython.int
    used: cython.int = 8
    for k in range(1, n):
        every |= bits_of(v + k) ^ bits_of(v + k - 1)
    while low < 7 and not (every & (one << (8 * low))):
        low += 1
    while high > low and not (every & (one << (8 * high))):
        high -= 1
    memcpy(out, v, 8)
    for plane in range(low, high + 1):
        for k in range(1, n):
            out[used] = cython.cast(
                cython.uchar, ((bits_of(v + k) ^ bits_of(v + k - 1)) >> (8 * plane)) & 255
            )
            used += 1
    out[used] = low << 4 | high
    out[used + 1] = cython.cast(cython.uchar, PLANES)
    return used + 2


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def body(
    state: cython.pointer(State), fresh: cython.bint, v: cython.p_double, n: cython.int, out: cython.p_uchar
) -> cython.int:
    """A block without its COUNT."""
    z = cython.declare(cython.longlong[16])
    d = cython.declare(cython.longlong[16])
    folded = cython.declare(cython.ulonglong[16])
    odd = cython.declare(cython.int[16])
    k: cython.int
    odds: cython.int = 0
    used: cython.int = 0
    scale: cython.int = state.scale
    trial: cython.int
    start: cython.int = -1
    i: cython.longlong = 0
    one: cython.ulonglong = 1
    every: cython.ulonglong = 0
    low: cython.ulonglong = 0
    every2: cython.ulonglong = 0
    first2: cython.ulonglong = 0
    width: cython.int
    shift: cython.int = 0
    steep: cython.bint = False
    marks: cython.uint = 0
    same: cython.bint = True
    x: cython.ulonglong = bits_of(v)
    for k in range(1, n):
        if bits_of(v + k) != x:
            same = False
            break
    if same and not exact(v[0], scale, cython.address(i)):
        trial = scale + 1
        while trial <= _TOP_SCALE and not exact(v[0], trial, cython.address(i)):
            trial += 1
        if trial > _TOP_SCALE:
            memcpy(out, v, 8)
            out[8] = cython.cast(cython.uchar, CONSTANT)
            return 9
    k = 0
    while k < n:
        if exact(v[k], scale, cython.address(i)):
            z[k] = i
            if start < 0:
                start = k
        else:
            trial = scale + 1
            while trial <= _TOP_SCALE and not exact(v[k], trial, cython.address(i)):
                trial += 1
            if trial <= _TOP_SCALE:
                # One that is exact at a scale is so at the next, but where it grows too large: begin again.
                scale = trial
                k = 0
                odds = 0
                start = -1
                continue
            odd[odds] = k
            odds += 1
            z[k] = z[k - 1] if k and start >= 0 else 0
            if odds > 5:
                return planes(v, n, out)
        k += 1
    if start < 0:
        return planes(v, n, out)
    for k in range(start):  # those in front take the first real value, so that they cost no bits
        z[k] = z[start]
    if fresh:  # nobody reads below the first block: its state needs no mark
        state.integer = z[0]
        state.difference = 0
        state.scale = scale
    elif scale != state.scale:
        memcpy(out, cython.address(state.integer), 8)
        memcpy(out + 8, cython.address(state.difference), 8)
        out[16] = state.scale
        out[17] = cython.cast(cython.uchar, STATE)
        used = 18
        state.integer = z[0]
        state.scale = scale
    i = state.integer
    for k in range(n):
        d[k] = z[k] - i
        i = z[k]
        every |= fold(d[k])
        low |= cython.cast(cython.ulonglong, d[k])
        if k:
            every2 |= fold(d[k] - d[k - 1])
    width = width_of(every)
    if low:
        while not low & 1:  # multiples of a power of two: pages, sectors
            low >>= 1
            shift += 1
    if shift < 3:
        shift = 0
    width -= shift
    if width > 1 and n > 2:
        first2 = fold(d[0] - state.difference)
        if width_of(every2 | first2) < width:
            steep = True
            every2 |= first2
        elif (width - width_of(every2)) * n > 160:
            steep = True
            memcpy(out + used, cython.address(state.integer), 8)
            memcpy(out + used + 8, cython.address(state.difference), 8)
            out[used + 16] = state.scale
            out[used + 17] = cython.cast(cython.uchar, STATE)
            used += 18
            state.difference = d[0]
    if steep:
        width = width_of(every2)
        shift = 0
        i = state.difference
        for k in range(n):
            folded[k] = fold(d[k] - i)
            i = d[k]
    else:
        for k in range(n):
            folded[k] = fold(d[k] >> shift)
    if width > _WIDEST:
        # The state has moved for nothing, but a mark that tells of it stands below.
        return used + planes(v, n, out + used)
    state.integer = z[n - 1]
    if steep:
        state.difference = d[n - 1]
    used += pack_bits(folded, n, width, out + used)
    if shift:
        out[used] = shift
        used += 1
    out[used] = width + (STEEP if steep else 0) + (SHIFTED if shift else 0)
    used += 1
    if odds:
        for k in range(odds):
            memcpy(out + used, v + odd[k], 8)
            used += 8
            marks |= cython.cast(cython.uint, one << odd[k])
        out[used] = marks & 255
        out[used + 1] = marks >> 8
        out[used + 2] = cython.cast(cython.uchar, ODD)
        used += 3
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def encode(
    state: cython.pointer(State), fresh: cython.bint, v: cython.p_double, n: cython.int, out: cython.p_uchar
) -> cython.int:
    """Bytes written, at most MOST: a block of 0 < n <= 16 values. `fresh`: nothing is below it."""
    used: cython.int = body(state, fresh, v, n, out)
    if n != ROW:
        out[used] = n
        out[used + 1] = cython.cast(cython.uchar, COUNT)
        used += 2
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def jump(state: cython.pointer(State), out: cython.p_uchar) -> cython.int:
    """Bytes written: where the series stood."""
    memcpy(out, cython.address(state.stream), 4)
    memcpy(out + 4, cython.address(state.place), 4)
    out[8] = cython.cast(cython.uchar, JUMP)
    return 9


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def decode(
    p: cython.p_uchar,
    top: cython.Py_ssize_t,
    state: cython.pointer(State),
    v: cython.p_double,
    count: cython.p_int,
) -> cython.Py_ssize_t:
    """How many of the bytes before `p + top` remain below the block that is popped, or -1 where they do not check
    out. `*count` values go to `v` (16 of room); `state` becomes that behind the block below, but for its place."""
    z = cython.declare(cython.ulonglong[16])
    n: cython.int = ROW
    k: cython.int
    low: cython.int
    high: cython.int
    plane: cython.int
    mark: cython.int = 0
    shift: cython.int = 0
    width: cython.int
    marks: cython.uint = 0
    odd: cython.p_uchar = cython.NULL
    while True:
        if top < 1:
            return -1
        top -= 1
        mark = p[top]
        if mark == COUNT:
            top -= 1
            if top < 0 or not 0 < p[top] <= ROW:
                return -1
            n = p[top]
        elif mark == ODD:
            top -= 2
            if top < 0:
                return -1
            marks = p[top] | p[top + 1] << 8
            for k in range(16):
                top -= 8 * ((marks >> k) & 1)
            if top < 0:
                return -1
            odd = p + top
        elif mark == STATE:
            top -= 17
            if top < 0 or p[top + 16] > _TOP_SCALE:
                return -1
            memcpy(cython.address(state.integer), p + top, 8)
            memcpy(cython.address(state.difference), p + top + 8, 8)
            state.scale = p[top + 16]
        elif mark == JUMP:
            top -= 8
            if top < 0:
                return -1
            memcpy(cython.address(state.stream), p + top, 4)
            memcpy(cython.address(state.place), p + top + 4, 4)
        else:
            break
    count[0] = n
    if mark == CONSTANT:
        top -= 8
        if top < 0:
            return -1
        for k in range(n):
            memcpy(v + k, p + top, 8)
        return top
    if mark == PLANES:
        top -= 1
        if top < 0:
            return -1
        low = p[top] >> 4
        high = p[top] & 15
        if high > 7 or low > high:
            return -1
        top -= 8 + (n - 1) * (high - low + 1)
        if top < 0:
            return -1
        memset(z, 0, 128)
        memcpy(z, p + top, 8)
        odd = p + top + 8
        for plane in range(low, high + 1):
            for k in range(1, n):
                z[k] |= cython.cast(cython.ulonglong, odd[0]) << (8 * plane)
                odd += 1
        for k in range(1, n):
            z[k] ^= z[k - 1]
        memcpy(v, z, 8 * n)
        return top
    if mark & SHIFTED:
        top -= 1
        if top < 0 or p[top] > 63:
            return -1
        shift = p[top]
    width = mark & 127
    if width >= STEEP:
        width -= STEEP
    if width > _WIDEST:
        return -1
    top -= (n * width + 7) >> 3
    if top < 0:
        return -1
    unpack_bits(p + top, n, width, z)
    k = n - 1
    while k >= 0:
        v[k] = cython.cast(cython.double, state.integer)
        if mark & 127 >= STEEP:
            state.integer = minus(state.integer, cython.cast(cython.ulonglong, state.difference))
            state.difference = minus(state.difference, unfold(z[k]))
        else:
            state.integer = minus(state.integer, unfold(z[k]) << shift)
        k -= 1
    if state.scale:
        for k in range(n):
            v[k] /= power_of(state.scale)
    if marks:
        for k in range(n):
            if (marks >> k) & 1:
                memcpy(v + k, odd, 8)
                odd += 8
    return top


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def minus(a: cython.longlong, b: cython.ulonglong) -> cython.longlong:
    """Modulo 2^64: the bytes may say anything."""
    return cython.cast(cython.longlong, cython.cast(cython.ulonglong, a) - b)
