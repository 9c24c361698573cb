# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Cells of an answer as text: `[time,"value"]` for each step that is present, as Prometheus' JSON has them.

Numbers come in as the JSON that orjson makes of a column (the shortest form that reads back, 17 ns each). What has an
exponent there, and what is no number, is written by the function handed in.
"""

import cython
import numpy as np
from cython.cimports.libc.string import memcpy

_HEAD = 24
"""Bytes that the head of a time takes at most: a bracket, 17 digits and a sign, a point and three, a comma, a quote."""


def heads(times_ms: cython.const[cython.longlong][::1]) -> tuple:
    """`[seconds,"` of every time, one after the other, and where each ends (int64)."""
    n: cython.Py_ssize_t = times_ms.shape[0]
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    digits: cython.Py_ssize_t
    whole: cython.ulonglong
    rest: cython.ulonglong
    buffer: bytearray = bytearray(_HEAD * n)
    out: cython.uchar[::1] = buffer
    ends: object = np.empty(n, np.int64)
    end: cython.longlong[::1] = ends
    digit = cython.declare(cython.uchar[24])
    for k in range(n):
        out[at] = 91  # [
        at += 1
        if times_ms[k] < 0:
            out[at] = 45  # -
            at += 1
            whole = 0 - cython.cast(cython.ulonglong, times_ms[k])
        else:
            whole = times_ms[k]
        rest, whole = whole % 1000, whole // 1000
        if whole > 99999999999999999:
            raise OverflowError("a time of more than 17 digits")
        digits = 0
        while True:
            digit[digits] = 48 + whole % 10
            digits += 1
            whole //= 10
            if whole == 0:
                break
        while digits:
            digits -= 1
            out[at] = digit[digits]
            at += 1
        if rest:
            out[at] = 46  # .
            out[at + 1] = 48 + rest // 100
            at += 2
            if rest % 100:
                out[at] = 48 + rest // 10 % 10
                at += 1
                if rest % 10:
                    out[at] = 48 + rest % 10
                    at += 1
        out[at] = 44  # ,
        out[at + 1] = 34  # "
        at += 2
        end[k] = at
    return bytes(buffer[:at]), ends


def cells(
    begun: bytes,
    ends: cython.const[cython.longlong][::1],
    texts: bytes,
    values: cython.const[cython.double][::1],
    present: cython.const[cython.uchar][::1],
    number: object,
) -> bytearray:
    """The cells of one series, commas between. Head k (see `heads`) ends at `ends[k]` in `begun`; `texts` is the JSON
    list of `values`; `number(float)` → str. Raises ValueError where `texts` is no such list."""
    n: cython.Py_ssize_t = values.shape[0]
    length: cython.Py_ssize_t = len(texts)
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    read: cython.Py_ssize_t = 1
    begin: cython.Py_ssize_t = 0
    size: cython.Py_ssize_t
    stop: cython.Py_ssize_t
    plain: cython.bint
    piece: bytes
    source: cython.const[cython.uchar][::1] = begun
    text: cython.const[cython.uchar][::1] = texts
    if ends.shape[0] < n or present.shape[0] < n or (n and ends[n - 1] > len(begun)):
        raise IndexError("columns of different lengths")
    if length < 2 or text[0] != 91 or text[length - 1] != 93:
        raise ValueError("not a JSON list")
    # Every cell is a head, a text no longer than it is there, and three bytes more; longer ones are made room for.
    room: cython.Py_ssize_t = len(begun) + length + 3 * n
    buffer: bytearray = bytearray(room)
    out: cython.uchar[::1] = buffer
    for k in range(n):
        stop, plain = read, True
        while stop < length - 1 and text[stop] != 44:
            if text[stop] == 101 or text[stop] == 110:  # an exponent; null
                plain = False
            stop += 1
        if stop == read or (stop == length - 1) != (k == n - 1):
            raise ValueError("another list than of these values")
        size = ends[k] - begin
        if size < 0:
            raise IndexError("heads descend")
        if present[k]:
            piece = b"" if plain else number(values[k]).encode()
            if len(piece) > stop - read:
                room += len(piece)
                del out
                buffer.extend(bytes(len(piece)))
                out = buffer
            if at:
                out[at] = 44  # ,
                at += 1
            if size:
                memcpy(cython.address(out[at]), cython.address(source[begin]), size)
            at += size
            if plain:
                i = stop - read
                if i > 2 and text[stop - 1] == 48 and text[stop - 2] == 46:  # a whole number: no `.0`
                    i -= 2
                memcpy(cython.address(out[at]), cython.address(text[read]), i)
                at += i
            else:
                for i in range(len(piece)):
                    out[at] = piece[i]
                    at += 1
            out[at] = 34  # "
            out[at + 1] = 93  # ]
            at += 2
        begin, read = ends[k], stop + 1
    del out
    del buffer[at:]
    return buffer
