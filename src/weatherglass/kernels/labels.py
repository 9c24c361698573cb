# cython: boundscheck=False, wraparound=False, cdivision=True
"""Label sets from and to protobuf spans, and the fields of small messages; for what is seen once, not per sample.

Bytes come from outside, so every read is preceded by its own bounds check; what does not parse is `Invalid`.
"""

import cython
from cython.cimports.weatherglass.kernels.wire import skip, varint

from weatherglass.base.errors import Invalid


def _broken() -> Invalid:
    return Invalid(
        "labels or metadata in the write request do not parse",
        mend="send remote write 1.0 (prometheus.WriteRequest)",
    )


def read_labels(span: bytes) -> tuple:
    """((name, value) pairs as they stand, whether the span holds nothing but labels). Raises Invalid."""
    b: cython.p_uchar = cython.cast(cython.p_uchar, span)
    n: cython.Py_ssize_t = len(span)
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t
    stop: cython.Py_ssize_t
    tag: cython.ulonglong = 0
    size: cython.ulonglong = 0
    name: bytes
    value: bytes
    pairs: list = []
    pure: bool = True
    while at < n:
        at = varint(b, at, n, cython.address(tag))
        if at < 0:
            raise _broken()
        if tag != 10:
            pure = False
            at = skip(b, at, n, tag & 7)
            if at < 0:
                raise _broken()
            continue
        at = varint(b, at, n, cython.address(size))
        if at < 0 or size > cython.cast(cython.ulonglong, n - at):
            raise _broken()
        end = at + cython.cast(cython.Py_ssize_t, size)
        name = b""
        value = b""
        while at < end:
            at = varint(b, at, end, cython.address(tag))
            if at < 0 or tag >> 3 == 0:
                raise _broken()
            if tag != 10 and tag != 18:
                at = skip(b, at, end, tag & 7)
                if at < 0:
                    raise _broken()
                continue
            at = varint(b, at, end, cython.address(size))
            if at < 0 or size > cython.cast(cython.ulonglong, end - at):
                raise _broken()
            stop = at + cython.cast(cython.Py_ssize_t, size)
            if tag == 10:
                name = span[at:stop]
            else:
                value = span[at:stop]
            at = stop
        try:
            pairs.append((name.decode(), value.decode()))
        except UnicodeDecodeError as error:
            raise Invalid("a label is not UTF-8", where=repr(name), mend="labels are UTF-8 text") from error
    return pairs, pure


def read_fields(message: bytes) -> list:
    """(field number, payload) of a message's length-delimited fields, (number, int) of its varints. Raises Invalid."""
    b: cython.p_uchar = cython.cast(cython.p_uchar, message)
    n: cython.Py_ssize_t = len(message)
    at: cython.Py_ssize_t = 0
    stop: cython.Py_ssize_t
    tag: cython.ulonglong = 0
    size: cython.ulonglong = 0
    fields: list = []
    while at < n:
        at = varint(b, at, n, cython.address(tag))
        if at < 0 or tag >> 3 == 0:
            raise _broken()
        if tag & 7 == 2:
            at = varint(b, at, n, cython.address(size))
            if at < 0 or size > cython.cast(cython.ulonglong, n - at):
                raise _broken()
            stop = at + cython.cast(cython.Py_ssize_t, size)
            fields.append((tag >> 3, message[at:stop]))
            at = stop
        elif tag & 7 == 0:
            at = varint(b, at, n, cython.address(size))
            if at < 0:
                raise _broken()
            fields.append((tag >> 3, size))
        else:
            at = skip(b, at, n, tag & 7)
            if at < 0:
                raise _broken()
    return fields


@cython.cfunc
def field(tag: cython.int, payload: bytes) -> bytes:
    size: cython.Py_ssize_t = len(payload)
    head = cython.declare(cython.uchar[11])
    used: cython.int = 1
    head[0] = cython.cast(cython.uchar, tag)
    while size > 127:
        head[used] = cython.cast(cython.uchar, size & 127) | 128
        size >>= 7
        used += 1
    head[used] = cython.cast(cython.uchar, size)
    return cython.cast(cython.p_char, head)[: used + 1] + payload


def write_labels(labels: object) -> bytes:
    """The canonical bytes of sorted label pairs: what identifies a series in the table, the log and the index."""
    parts: list = []
    name: str
    value: str
    for name, value in labels:
        parts.append(field(10, field(10, name.encode()) + field(18, value.encode())))
    return b"".join(parts)
