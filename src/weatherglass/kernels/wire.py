# cython: boundscheck=False, wraparound=False, cdivision=True
"""Prometheus remote write 1.0: protobuf bytes to columns.

Bytes come from outside, so every read is preceded by its own bounds check; what does not parse is `Invalid`
with the byte where it stopped. Not here: snappy, limits, what a label span says (`labels`).
"""

import secrets

import cython
import numpy as np
from cython.cimports.libc.string import memcpy

from weatherglass.base.errors import Invalid

# One NH block: 128 words of 8 bytes (Black et al. 1999, UMAC). The key is random per process, so that nobody
# can prepare texts that fall into one slot of a table.
_key = cython.declare(cython.uint[256])
_random = cython.declare(bytes, secrets.token_bytes(1024))
memcpy(_key, cython.cast(cython.p_uchar, _random), 1024)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def finish(h: cython.ulonglong) -> cython.ulonglong:
    one: cython.ulonglong = 0x7FB5D329728EA185
    two: cython.ulonglong = 0x2545F4914F6CDD1D
    h ^= h >> 33
    h *= one
    h ^= h >> 33
    h *= two
    return h ^ (h >> 33)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def hash_bytes(p: cython.p_uchar, n: cython.Py_ssize_t) -> cython.ulonglong:
    h: cython.ulonglong = 0x1E3779B97F4A7C15
    h = finish(h + cython.cast(cython.ulonglong, n))
    total: cython.ulonglong
    a: cython.uint
    b: cython.uint
    word: cython.ulonglong = 0
    k: cython.Py_ssize_t
    words: cython.Py_ssize_t
    while n > 0:
        words = n >> 3
        if words > 128:
            words = 128
        total = 0
        for k in range(words):
            memcpy(cython.address(word), p + 8 * k, 8)
            a = cython.cast(cython.uint, word) + _key[2 * k]
            b = cython.cast(cython.uint, word >> 32) + _key[2 * k + 1]
            total += cython.cast(cython.ulonglong, a) * b
        p += 8 * words
        n -= 8 * words
        if n > 0 and words < 128:
            word = 0
            memcpy(cython.address(word), p, n)
            a = cython.cast(cython.uint, word) + _key[2 * words]
            b = cython.cast(cython.uint, word >> 32) + _key[2 * words + 1]
            total += cython.cast(cython.ulonglong, a) * b
            n = 0
        h = finish(h ^ total)
    return h


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def varint(
    b: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, out: cython.p_ulonglong
) -> cython.Py_ssize_t:
    """The position behind the varint at `at`, or -1."""
    value: cython.ulonglong = 0
    shift: cython.int = 0
    byte: cython.uchar
    while at < end and shift < 64:
        byte = b[at]
        at += 1
        value |= cython.cast(cython.ulonglong, byte & 127) << shift
        if byte < 128:
            out[0] = value
            return at
        shift += 7
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def skip(
    b: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.int
) -> cython.Py_ssize_t:
    """The position behind a field's payload of that wire type, or -1. Groups are not accepted."""
    size: cython.ulonglong = 0
    if wire == 0:
        return varint(b, at, end, cython.address(size))
    if wire == 1:
        size = 8
    elif wire == 5:
        size = 4
    elif wire == 2:
        at = varint(b, at, end, cython.address(size))
        if at < 0:
            return -1
    else:
        return -1
    if size > cython.cast(cython.ulonglong, end - at):
        return -1
    return at + cython.cast(cython.Py_ssize_t, size)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def survey(b: cython.p_uchar, n: cython.Py_ssize_t, found: cython.p_longlong) -> cython.Py_ssize_t:
    """Counts series, samples, metadata and histograms into found[0..3]; 0, or -(1 + where it stopped)."""
    at: cython.Py_ssize_t = 0
    last: cython.Py_ssize_t
    end: cython.Py_ssize_t
    tag: cython.ulonglong = 0
    size: cython.ulonglong = 0
    while at < n:
        last = at
        at = varint(b, at, n, cython.address(tag))
        if at < 0 or tag >> 3 == 0:
            return -1 - last
        if tag != 10:
            if tag == 26:
                found[2] += 1
            at = skip(b, at, n, tag & 7)
            if at < 0:
                return -1 - last
            continue
        at = varint(b, at, n, cython.address(size))
        if at < 0 or size > cython.cast(cython.ulonglong, n - at):
            return -1 - last
        end = at + cython.cast(cython.Py_ssize_t, size)
        found[0] += 1
        while at < end:
            last = at
            at = varint(b, at, end, cython.address(tag))
            if at < 0 or tag >> 3 == 0:
                return -1 - last
            if tag == 18:
                found[1] += 1
            elif tag == 34:
                found[3] += 1
            at = skip(b, at, end, tag & 7)
            if at < 0:
                return -1 - last
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def sample(
    b: cython.p_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    time: cython.p_longlong,
    value: cython.p_double,
) -> cython.Py_ssize_t:
    """One Sample message into *time and *value; 0 or -(1 + where it stopped)."""
    tag: cython.ulonglong = 0
    raw: cython.ulonglong = 0
    last: cython.Py_ssize_t
    value[0] = 0.0
    time[0] = 0
    while at < end:
        last = at
        at = varint(b, at, end, cython.address(tag))
        if at < 0 or tag >> 3 == 0:
            return -1 - last
        if tag == 9:
            if end - at < 8:
                return -1 - last
            memcpy(value, b + at, 8)
            at += 8
        elif tag == 16:
            at = varint(b, at, end, cython.address(raw))
            if at < 0:
                return -1 - last
            time[0] = cython.cast(cython.longlong, raw)
        else:
            at = skip(b, at, end, tag & 7)
            if at < 0:
                return -1 - last
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def fill(
    b: cython.p_uchar,
    n: cython.Py_ssize_t,
    starts: cython.p_longlong,
    sizes: cython.p_longlong,
    counts: cython.p_uint,
    times: cython.p_longlong,
    values: cython.p_double,
) -> cython.Py_ssize_t:
    """Fills the columns that `survey` measured, over the very same bytes; 0 or -(1 + where it stopped)."""
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t
    stop: cython.Py_ssize_t
    last: cython.Py_ssize_t
    begin: cython.Py_ssize_t
    close: cython.Py_ssize_t
    s: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t = 0
    first: cython.Py_ssize_t
    tag: cython.ulonglong = 0
    size: cython.ulonglong = 0
    bad: cython.Py_ssize_t
    while at < n:
        at = varint(b, at, n, cython.address(tag))
        if tag != 10:
            at = skip(b, at, n, tag & 7)
            continue
        at = varint(b, at, n, cython.address(size))
        end = at + cython.cast(cython.Py_ssize_t, size)
        begin = -1
        close = 0
        first = k
        while at < end:
            last = at
            at = varint(b, at, end, cython.address(tag))
            if tag == 10:
                if begin < 0:
                    begin = last
                at = skip(b, at, end, 2)
                close = at
            elif tag == 18:
                at = varint(b, at, end, cython.address(size))
                stop = at + cython.cast(cython.Py_ssize_t, size)
                if size >= 11 and b[at] == 9 and b[at + 9] == 16:  # the form every known sender writes
                    memcpy(values + k, b + at + 1, 8)
                    bad = varint(b, at + 10, stop, cython.address(size))
                    times[k] = cython.cast(cython.longlong, size)
                    if bad != stop:
                        bad = sample(b, at, stop, times + k, values + k)
                        if bad < 0:
                            return bad
                else:
                    bad = sample(b, at, stop, times + k, values + k)
                    if bad < 0:
                        return bad
                k += 1
                at = stop
            else:
                at = skip(b, at, end, tag & 7)
        starts[s] = begin if begin >= 0 else 0
        sizes[s] = close - begin if begin >= 0 else 0
        counts[s] = cython.cast(cython.uint, k - first)
        s += 1
    return 0


class Batch:
    """The columns of one write request.

    Per series: `starts`, `sizes` int64 (its label span in `raw`), `counts` uint32.
    Per sample, series after series: `times` int64 ms, `values` float64. `metadata` and `histograms` are counts
    of what the request held besides.
    """

    __slots__ = ("counts", "histograms", "metadata", "raw", "sizes", "starts", "times", "values")


def decode(raw: cython.const[cython.uchar][::1]) -> object:
    """A WriteRequest's columns. Raises Invalid."""
    n: cython.Py_ssize_t = raw.shape[0]
    found = cython.declare(cython.longlong[4])
    found[0] = found[1] = found[2] = found[3] = 0
    bad: cython.Py_ssize_t = 0
    p: cython.p_uchar = cython.NULL
    if n:
        p = cython.cast(cython.p_uchar, cython.address(raw[0]))
        with cython.nogil:
            bad = survey(p, n, found)
    if bad < 0:
        raise _broken(-1 - bad)
    batch = Batch()
    # One spare element, so that the address of the first exists in an empty column.
    starts: cython.longlong[::1] = np.empty(found[0] + 1, np.int64)
    sizes: cython.longlong[::1] = np.empty(found[0] + 1, np.int64)
    counts: cython.uint[::1] = np.empty(found[0] + 1, np.uint32)
    times: cython.longlong[::1] = np.empty(found[1] + 1, np.int64)
    values: cython.double[::1] = np.empty(found[1] + 1, np.float64)
    with cython.nogil:
        bad = fill(
            p,
            n,
            cython.address(starts[0]),
            cython.address(sizes[0]),
            cython.address(counts[0]),
            cython.address(times[0]),
            cython.address(values[0]),
        )
    if bad < 0:
        raise _broken(-1 - bad)
    batch.raw = raw
    batch.starts, batch.sizes = np.asarray(starts)[: found[0]], np.asarray(sizes)[: found[0]]
    batch.counts = np.asarray(counts)[: found[0]]
    batch.times, batch.values = np.asarray(times)[: found[1]], np.asarray(values)[: found[1]]
    batch.metadata, batch.histograms = found[2], found[3]
    return batch


def _broken(at: object) -> Invalid:
    return Invalid(
        "the write request is not a protobuf WriteRequest",
        where=f"byte {at} after decompression",
        mend="send remote write 1.0 (prometheus.WriteRequest), snappy block format",
    )


def hash_of(key: bytes) -> object:
    """The 64-bit hash of the tables of texts; differs from process to process."""
    return hash_bytes(cython.cast(cython.p_uchar, key), len(key))
