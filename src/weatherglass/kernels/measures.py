# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Batches of measures from JSON to columns in one walk, without an object a point.

Only the form that clients send is read: `{"key": [{"timestamp": …, "value": …}, …], …}` with keys and times that
are ASCII without escapes, times of ISO 8601 (UTC) or seconds, values that are numbers. Whatever else there is, `decode` says
None, and somebody slower and more patient looks at it: nothing is refused here, and no byte is read past the end.
"""

import cython
import numpy as np
from cython.cimports.libc.stdlib import strtod

_SHORTEST = 24  # {"timestamp":0,"value":0}: what bounds how many points a body has
_POWERS = np.array([10.0**k for k in range(23)])  # exact, as doubles


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def blank(p: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Past white space."""
    while at < end and (p[at] == 32 or p[at] == 10 or p[at] == 13 or p[at] == 9):
        at += 1
    return at


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def text(p: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The place of the quote that ends the string whose inside begins at `at`; -1 where it is not plain."""
    while at < end:
        if p[at] == 34:
            return at
        if p[at] == 92 or p[at] < 32 or p[at] > 126:
            return -1
        at += 1
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def number(
    p: cython.p_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    powers: cython.p_double,
    out: cython.p_double,
) -> cython.Py_ssize_t:
    """A JSON number, rounded as strtod rounds; the place after it, -1 where there is none."""
    begin: cython.Py_ssize_t = at
    mantissa: cython.ulonglong = 0
    digits: cython.int = 0
    after: cython.int = 0
    negative: cython.bint = at < end and p[at] == 45
    if negative:
        at += 1
    if at >= end or p[at] < 48 or p[at] > 57:
        return -1
    if p[at] == 48 and at + 1 < end and 48 <= p[at + 1] <= 57:
        return -1
    while at < end and 48 <= p[at] <= 57:
        mantissa = mantissa * 10 + (p[at] - 48)
        digits += 1
        at += 1
    if at < end and p[at] == 46:
        at += 1
        if at >= end or p[at] < 48 or p[at] > 57:
            return -1
        while at < end and 48 <= p[at] <= 57:
            mantissa = mantissa * 10 + (p[at] - 48)
            digits += 1
            after += 1
            at += 1
    if at < end and (p[at] == 101 or p[at] == 69):
        at += 1
        if at < end and (p[at] == 43 or p[at] == 45):
            at += 1
        if at >= end or p[at] < 48 or p[at] > 57:
            return -1
        while at < end and 48 <= p[at] <= 57:
            at += 1
        digits = 99
    if digits <= 18 and mantissa <= cython.cast(cython.ulonglong, 1) << 53 and after <= 22:
        # both are exact, so that their quotient is the nearest double (Clinger 1990)
        out[0] = cython.cast(cython.double, mantissa) / powers[after]
        if negative:
            out[0] = -out[0]
        return at
    out[0] = strtod(cython.cast(cython.p_char, p + begin), cython.NULL)
    return at


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def pair(p: cython.p_uchar) -> cython.int:
    """Two digits; -1 where they are none."""
    if p[0] < 48 or p[0] > 57 or p[1] < 48 or p[1] > 57:
        return -1
    return (p[0] - 48) * 10 + (p[1] - 48)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def iso(p: cython.p_uchar, size: cython.Py_ssize_t) -> cython.longlong:
    """ms of `2026-01-01T00:00:00[.fraction][Z|+00:00]`, a space for the T too; -1 where it is anything else."""
    if size < 19 or p[4] != 45 or p[7] != 45 or (p[10] != 84 and p[10] != 32) or p[13] != 58 or p[16] != 58:
        return -1
    century: cython.int = pair(p)
    years: cython.int = pair(p + 2)
    month: cython.int = pair(p + 5)
    day: cython.int = pair(p + 8)
    hour: cython.int = pair(p + 11)
    minute: cython.int = pair(p + 14)
    second: cython.int = pair(p + 17)
    if (
        century < 19
        or century > 21
        or years < 0
        or month < 1
        or month > 12
        or day < 1
        or hour < 0
        or hour > 23
    ):
        return -1
    if minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1
    year: cython.int = century * 100 + years
    most: cython.int = 31
    if month == 4 or month == 6 or month == 9 or month == 11:
        most = 30
    elif month == 2:
        most = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    if day > most or year < 1970:
        return -1
    # days since the epoch (Hinnant, chrono-compatible low-level date algorithms)
    y: cython.int = year - (1 if month <= 2 else 0)
    shifted: cython.int = month + (-3 if month > 2 else 9)
    in_era: cython.int = y % 400
    of_year: cython.int = (153 * shifted + 2) // 5 + day - 1
    of_era: cython.int = in_era * 365 + in_era // 4 - in_era // 100 + of_year
    days: cython.longlong = (y // 400) * 146097 + of_era - 719468
    at: cython.Py_ssize_t = 19
    fraction: cython.int = 0
    if at < size and p[at] == 46:
        at += 1
        scale: cython.int = 100
        begin: cython.Py_ssize_t = at
        while at < size and 48 <= p[at] <= 57:
            fraction += (p[at] - 48) * scale
            scale //= 10
            at += 1
        if at == begin or at - begin > 9:
            return -1
    if at < size:
        plain: cython.bint = size - at == 1 and p[at] == 90
        zero: cython.bint = size - at == 6 and p[at] == 43 and p[at + 3] == 58
        if zero:
            zero = pair(p + at + 1) == 0 and pair(p + at + 4) == 0
        if not plain and not zero:
            return -1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def point(
    p: cython.p_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    powers: cython.p_double,
    time: cython.p_longlong,
    value: cython.p_double,
) -> cython.Py_ssize_t:
    """One measure, its brace read already; the place after its closing brace, -1 where it is not plain."""
    seen: cython.int = 0
    field: cython.int
    begin: cython.Py_ssize_t
    seconds: cython.double = 0
    while True:
        at = blank(p, at, end)
        if at >= end or p[at] != 34:
            return -1
        begin = at + 1
        at = text(p, begin, end)
        if at < 0:
            return -1
        if at - begin == 9 and p[begin] == 116 and p[begin + 1] == 105 and p[begin + 8] == 112:
            field = 1  # "ti……p": checked whole below, where it counts
            if p[begin + 2] != 109 or p[begin + 3] != 101 or p[begin + 4] != 115 or p[begin + 5] != 116:
                return -1
            if p[begin + 6] != 97 or p[begin + 7] != 109:
                return -1
        elif at - begin == 5 and p[begin] == 118 and p[begin + 1] == 97 and p[begin + 2] == 108:
            field = 2
            if p[begin + 3] != 117 or p[begin + 4] != 101:
                return -1
        else:
            return -1
        if seen & field:
            return -1
        seen |= field
        at = blank(p, at + 1, end)
        if at >= end or p[at] != 58:
            return -1
        at = blank(p, at + 1, end)
        if field == 2:
            at = number(p, at, end, powers, value)
        elif at < end and p[at] == 34:
            begin = at + 1
            at = text(p, begin, end)
            if at < 0:
                return -1
            time[0] = iso(p + begin, at - begin)
            if time[0] < 0:
                return -1
            at += 1
        else:
            at = number(p, at, end, powers, cython.address(seconds))
            if at >= 0:
                if not 0 <= seconds < 9.2e9:
                    return -1
                time[0] = cython.cast(cython.longlong, seconds * 1e9) // 1000000
        if at < 0:
            return -1
        at = blank(p, at, end)
        if at < end and p[at] == 44:
            at += 1
            continue
        if at < end and p[at] == 125 and seen == 3:
            return at + 1
        return -1


def decode(body: bytes):
    """(keys, counts uint32, times int64 ms, values float64), or None where the body is not of the plain form."""
    end: cython.Py_ssize_t = len(body)
    p: cython.p_uchar = body
    most: cython.Py_ssize_t = end // _SHORTEST + 1
    all_times = np.empty(most, np.int64)
    all_values = np.empty(most, np.float64)
    times: cython.longlong[::1] = all_times
    values: cython.double[::1] = all_values
    powers: cython.double[::1] = _POWERS
    keys: list = []
    counts: list = []
    n: cython.Py_ssize_t = 0
    before: cython.Py_ssize_t
    begin: cython.Py_ssize_t
    at: cython.Py_ssize_t = blank(p, 0, end)
    if at >= end or p[at] != 123:
        return None
    at = blank(p, at + 1, end)
    while True:
        if at >= end or p[at] != 34:
            return None
        begin = at + 1
        at = text(p, begin, end)
        if at < 0:
            return None
        keys.append(body[begin:at])
        at = blank(p, at + 1, end)
        if at >= end or p[at] != 58:
            return None
        at = blank(p, at + 1, end)
        if at >= end or p[at] != 91:
            return None
        at = blank(p, at + 1, end)
        before = n
        if at < end and p[at] == 93:
            at += 1
        else:
            with cython.nogil:
                while True:
                    if at >= end or p[at] != 123 or n >= most:
                        at = -1
                        break
                    at = point(
                        p,
                        at + 1,
                        end,
                        cython.address(powers[0]),
                        cython.address(times[n]),
                        cython.address(values[n]),
                    )
                    if at < 0:
                        break
                    n += 1
                    at = blank(p, at, end)
                    if at < end and p[at] == 44:
                        at = blank(p, at + 1, end)
                        continue
                    if at < end and p[at] == 93:
                        at += 1
                        break
                    at = -1
                    break
            if at < 0:
                return None
        counts.append(n - before)
        at = blank(p, at, end)
        if at < end and p[at] == 44:
            at = blank(p, at + 1, end)
            continue
        if at < end and p[at] == 125 and blank(p, at + 1, end) == end:
            break
        return None
    if len(set(keys)) != len(keys):
        return None  # of a key that stands twice the last counts
    return [key.decode("ascii") for key in keys], np.array(counts, np.uint32), all_times[:n], all_values[:n]
