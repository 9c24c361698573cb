# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""Cells of an answer as text: `[time,"value"]` for each step that is present, as Prometheus' JSON has them.

What would take an exponent, and what is no number, is written by the function handed in.
"""

import cython
from cython.cimports.cpython.conversion import PyOS_double_to_string
from cython.cimports.cpython.mem import PyMem_Free
from cython.cimports.libc.math import fabs, floor
from cython.cimports.libc.string import memcpy, strlen


def cells(
    heads: bytes,
    ends: cython.const[cython.longlong][::1],
    values: cython.const[cython.double][::1],
    present: cython.const[cython.uchar][::1],
    number: object,
) -> bytes:
    """The cells of one series, commas between. Head k, `[time,"`, ends at `ends[k]` in `heads`; `number(float)` → str."""
    n: cython.Py_ssize_t = values.shape[0]
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    begin: cython.Py_ssize_t = 0
    size: cython.Py_ssize_t
    digits: cython.Py_ssize_t
    value: cython.double
    whole: cython.longlong
    texts: dict = {}
    extra: cython.Py_ssize_t = 0
    piece: bytes
    text: cython.p_char
    if ends.shape[0] < n or present.shape[0] < n or (n and ends[n - 1] > len(heads)):
        raise IndexError("columns of different lengths")
    for k in range(n):
        if present[k] and not (fabs(values[k]) < 9007199254740992.0 and values[k] == floor(values[k])):
            if 1e-4 <= fabs(values[k]) < 1e16:  # the shortest form that reads back has no exponent there
                text = PyOS_double_to_string(values[k], b"r", 0, 0, cython.NULL)
                if text is cython.NULL:
                    raise MemoryError
                piece = text[: strlen(text)]
                PyMem_Free(text)
            else:
                piece = number(values[k]).encode()
            texts[k] = piece
            extra += len(piece)
    buffer: bytearray = bytearray(len(heads) + 24 * n + extra)
    out: cython.uchar[::1] = buffer
    source: cython.const[cython.uchar][::1] = heads
    digit = cython.declare(cython.uchar[20])
    for k in range(n):
        size = ends[k] - begin
        if size < 0:
            raise IndexError("heads descend")
        if present[k]:
            if at:
                out[at] = 44  # ,
                at += 1
            if size:
                memcpy(cython.address(out[at]), cython.address(source[begin]), size)
            at += size
            value = values[k]
            if fabs(value) < 9007199254740992.0 and value == floor(value):
                whole = cython.cast(cython.longlong, value)
                if whole < 0 or (whole == 0 and 1.0 / value < 0):
                    out[at] = 45  # -
                    at += 1
                    whole = -whole
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
            else:
                piece = texts[k]
                text = piece
                memcpy(cython.address(out[at]), text, len(piece))
                at += len(piece)
            out[at] = 34  # "
            out[at + 1] = 93  # ]
            at += 2
        begin = ends[k]
    return bytes(buffer[:at])
