# cython: boundscheck=False, wraparound=False, cdivision=True
"""Prometheus remote write 2.0 (io.prometheus.write.v2.Request): protobuf bytes to columns.

Labels are references into a table of texts: each series' label span is written out in the form of 1.0, so that the
series table finds it by its bytes. Bytes come from outside, so every read is preceded by its own bounds check, and
what references blow up to is bounded before it is written. Not here: histograms, exemplars (few: `metrics.remote2`
reads them from their series' message), what labels say.
"""

import cython
import numpy as np
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.weatherglass.kernels.wire import sample, skip, varint

from weatherglass.base.errors import Invalid, TooLarge
from weatherglass.kernels.wire import Batch

SPANS_MAX = 128 << 20
"""Bytes of labels that one request may refer to, all series together."""

BAD, HISTOGRAMS, EXEMPLARS, EMPTY = 1, 2, 4, 8
"""What a series' flag says: its references lead nowhere or it has no name; it holds these; it holds no data."""


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def survey(b: cython.p_uchar, n: cython.Py_ssize_t, found: cython.p_longlong) -> cython.Py_ssize_t:
    """Counts symbols, series and samples into found[0..2]; 0, or -(1 + where it stopped)."""
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
        if tag == 34:
            found[0] += 1
        if tag != 42:
            at = skip(b, at, n, tag & 7)
            if at < 0:
                return -1 - last
            continue
        at = varint(b, at, n, cython.address(size))
        if at < 0 or size > cython.cast(cython.ulonglong, n - at):
            return -1 - last
        end = at + cython.cast(cython.Py_ssize_t, size)
        found[1] += 1
        while at < end:
            last = at
            at = varint(b, at, end, cython.address(tag))
            if at < 0 or tag >> 3 == 0:
                return -1 - last
            if tag == 18:
                found[2] += 1
            at = skip(b, at, end, tag & 7)
            if at < 0:
                return -1 - last
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def symbols(
    b: cython.p_uchar, n: cython.Py_ssize_t, starts: cython.p_longlong, sizes: cython.p_longlong
) -> cython.void:
    """Where each text of the table stands, over bytes that `survey` went over."""
    at: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t = 0
    tag: cython.ulonglong = 0
    size: cython.ulonglong = 0
    while at < n:
        at = varint(b, at, n, cython.address(tag))
        if tag == 34:
            at = varint(b, at, n, cython.address(size))
            starts[k] = at
            sizes[k] = cython.cast(cython.longlong, size)
            k += 1
            at += cython.cast(cython.Py_ssize_t, size)
        else:
            at = skip(b, at, n, tag & 7)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def width(value: cython.longlong) -> cython.longlong:
    """Bytes of a varint."""
    many: cython.longlong = 1
    while value > 127:
        value >>= 7
        many += 1
    return many


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def put(out: cython.p_uchar, at: cython.longlong, value: cython.longlong) -> cython.longlong:
    """A varint at `at`; the position behind it."""
    while value > 127:
        out[at] = cython.cast(cython.uchar, value & 127) | 128
        value >>= 7
        at += 1
    out[at] = cython.cast(cython.uchar, value)
    return at + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def text(
    b: cython.p_uchar, out: cython.p_uchar, at: cython.longlong, tag: cython.uchar,
    start: cython.longlong, size: cython.longlong,
) -> cython.longlong:  # fmt: skip
    out[at] = tag
    at = put(out, at + 1, size)
    memcpy(out + at, b + start, cython.cast(cython.size_t, size))
    return at + size


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pair(
    b: cython.p_uchar,
    starts: cython.p_longlong,
    sizes: cython.p_longlong,
    name: cython.longlong,
    value: cython.longlong,
    out: cython.p_uchar,
    at: cython.longlong,
) -> cython.longlong:
    """One label as a message of 1.0 at `at` (only measured where `out` is NULL); the position behind it."""
    inner: cython.longlong = 2 + width(sizes[name]) + sizes[name] + width(sizes[value]) + sizes[value]
    if out == cython.NULL:
        return at + 1 + width(inner) + inner
    out[at] = 10
    at = put(out, at + 1, inner)
    at = text(b, out, at, 10, starts[name], sizes[name])
    return text(b, out, at, 18, starts[value], sizes[value])


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def labels(
    b: cython.p_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    wire: cython.int,
    starts: cython.p_longlong,
    sizes: cython.p_longlong,
    known: cython.longlong,
    state: cython.p_longlong,
    out: cython.p_uchar,
) -> cython.Py_ssize_t:
    """References at `at` (packed or one) as labels; the position behind them, or -1.

    state: [a name that waits for its value or -1, written so far, the metric's name or -1, whether all lead somewhere]
    """
    stop: cython.Py_ssize_t = end
    ref: cython.ulonglong = 0
    if wire == 2:
        at = varint(b, at, end, cython.address(ref))
        if at < 0 or ref > cython.cast(cython.ulonglong, end - at):
            return -1
        stop = at + cython.cast(cython.Py_ssize_t, ref)
    elif wire != 0:
        return -1
    while at < stop:
        at = varint(b, at, stop, cython.address(ref))
        if at < 0:
            return -1
        if ref >= cython.cast(cython.ulonglong, known):
            state[3] = 0
        elif state[3]:
            if state[0] < 0:
                state[0] = cython.cast(cython.longlong, ref)
            else:
                if sizes[state[0]] == 8 and memcmp(b + starts[state[0]], b"__name__", 8) == 0:
                    state[2] = cython.cast(cython.longlong, ref)
                elif sizes[state[0]] == 0:
                    state[3] = 0
                state[1] = pair(b, starts, sizes, state[0], cython.cast(cython.longlong, ref), out, state[1])
                state[0] = -1
        if wire == 0:
            break
    return at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def metadata(
    b: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, told: cython.p_longlong
) -> cython.Py_ssize_t:
    """type, help_ref, unit_ref into told[0..2]; 0 or -1."""
    tag: cython.ulonglong = 0
    value: cython.ulonglong = 0
    while at < end:
        at = varint(b, at, end, cython.address(tag))
        if at < 0 or tag >> 3 == 0:
            return -1
        if tag == 8 or tag == 24 or tag == 32:
            at = varint(b, at, end, cython.address(value))
            if at < 0 or value >> 32:
                return -1
            told[0 if tag == 8 else 1 if tag == 24 else 2] = cython.cast(cython.longlong, value)
        else:
            at = skip(b, at, end, tag & 7)
            if at < 0:
                return -1
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def fill(
    b: cython.p_uchar,
    n: cython.Py_ssize_t,
    known: cython.longlong,
    texts: cython.p_longlong,
    lengths: cython.p_longlong,
    out: cython.p_uchar,
    starts: cython.p_longlong,
    sizes: cython.p_longlong,
    counts: cython.p_uint,
    times: cython.p_longlong,
    values: cython.p_double,
    series: cython.p_longlong,
) -> cython.Py_ssize_t:
    """The columns; 0 or -(1 + where it stopped). `out` NULL: only label spans are measured (sizes).

    series: per series [body's start, body's size, flags, name_ref, type, help_ref, unit_ref, created]
    """
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t
    stop: cython.Py_ssize_t
    last: cython.Py_ssize_t
    s: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t = 0
    first: cython.Py_ssize_t
    bad: cython.Py_ssize_t
    tag: cython.ulonglong = 0
    size: cython.ulonglong = 0
    flags: cython.longlong
    written: cython.longlong = 0
    row: cython.p_longlong
    state = cython.declare(cython.longlong[4])
    while at < n:
        at = varint(b, at, n, cython.address(tag))
        if tag != 42:
            at = skip(b, at, n, tag & 7)
            continue
        at = varint(b, at, n, cython.address(size))
        end = at + cython.cast(cython.Py_ssize_t, size)
        row = series + 8 * s
        row[0] = at
        row[1] = end - at
        row[4] = row[5] = row[6] = row[7] = 0
        state[0] = state[2] = -1
        state[1] = written
        state[3] = 1
        flags = 0
        first = k
        while at < end:
            last = at
            at = varint(b, at, end, cython.address(tag))
            if tag == 10 or tag == 8:
                at = labels(b, at, end, tag & 7, texts, lengths, known, state, out)
                if at < 0:
                    return -1 - last
            elif tag == 18 and out != cython.NULL:
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
            elif tag == 42:
                at = varint(b, at, end, cython.address(size))
                stop = at + cython.cast(cython.Py_ssize_t, size)
                if metadata(b, at, stop, row + 4) < 0:
                    return -1 - last
                at = stop
            elif tag == 48:
                at = varint(b, at, end, cython.address(size))
                row[7] = cython.cast(cython.longlong, size)
            else:
                if tag == 26:
                    flags |= HISTOGRAMS_
                elif tag == 34:
                    flags |= EXEMPLARS_
                at = skip(b, at, end, tag & 7)
        if state[0] >= 0 or not state[3] or state[2] < 0 or lengths[state[2]] == 0:
            flags |= BAD_
        if k == first and not flags & HISTOGRAMS_:
            flags |= EMPTY_
        if row[5] >= known or row[6] >= known:
            row[4] = row[5] = row[6] = 0
        row[2] = flags
        row[3] = state[2]
        if out != cython.NULL:
            starts[s] = written
            counts[s] = cython.cast(cython.uint, k - first)
        sizes[s] = state[1] - written
        written = state[1]
        if written > SPANS_MAX_:
            return 1
        s += 1
    return 0


BAD_ = cython.declare(cython.longlong, BAD)
HISTOGRAMS_ = cython.declare(cython.longlong, HISTOGRAMS)
EXEMPLARS_ = cython.declare(cython.longlong, EXEMPLARS)
EMPTY_ = cython.declare(cython.longlong, EMPTY)
SPANS_MAX_ = cython.declare(cython.longlong, SPANS_MAX)


class Request:
    """What one request holds.

    `batch` is a `wire.Batch` of its series and float samples. Per series, (n, 8) int64 `series`: where its message
    starts in `raw` and its size, flags, the reference of its name, its metadata (type, help_ref, unit_ref), and its
    created_timestamp (ms). The texts are `raw[texts[i] : texts[i] + lengths[i]]`.
    """

    __slots__ = ("batch", "lengths", "raw", "series", "texts")


def decode(raw: cython.const[cython.uchar][::1]) -> object:
    """A Request's columns. Raises Invalid, TooLarge."""
    n: cython.Py_ssize_t = raw.shape[0]
    found = cython.declare(cython.longlong[3])
    found[0] = found[1] = found[2] = 0
    bad: cython.Py_ssize_t = 0
    p: cython.p_uchar = cython.NULL
    if n:
        p = cython.cast(cython.p_uchar, cython.address(raw[0]))
        with cython.nogil:
            bad = survey(p, n, found)
    if bad < 0:
        raise _broken(-1 - bad)
    # One spare element, so that the address of the first exists in an empty column.
    texts: cython.longlong[::1] = np.empty(found[0] + 1, np.int64)
    lengths: cython.longlong[::1] = np.empty(found[0] + 1, np.int64)
    starts: cython.longlong[::1] = np.empty(found[1] + 1, np.int64)
    sizes: cython.longlong[::1] = np.empty(found[1] + 1, np.int64)
    series: cython.longlong[::1] = np.empty(found[1] * 8 + 8, np.int64)
    counts: cython.uint[::1] = np.empty(found[1] + 1, np.uint32)
    times: cython.longlong[::1] = np.empty(found[2] + 1, np.int64)
    values: cython.double[::1] = np.empty(found[2] + 1, np.float64)
    with cython.nogil:
        symbols(p, n, cython.address(texts[0]), cython.address(lengths[0]))
    if found[1] and (found[0] == 0 or lengths[0] != 0):
        raise Invalid(
            "the first text of the table of symbols is not empty",
            where="symbols[0]",
            mend="remote write 2.0 §Symbols",
        )
    with cython.nogil:
        bad = fill(
            p, n, found[0], cython.address(texts[0]), cython.address(lengths[0]), cython.NULL,
            cython.address(starts[0]), cython.address(sizes[0]), cython.address(counts[0]),
            cython.address(times[0]), cython.address(values[0]), cython.address(series[0]),
        )  # fmt: skip
    if bad < 0:
        raise _broken(-1 - bad)
    if bad > 0:
        raise TooLarge(f"labels of more than {SPANS_MAX} bytes are referred to", mend="send smaller batches")
    whole: cython.Py_ssize_t = int(np.asarray(sizes)[: found[1]].sum())
    spans: cython.uchar[::1] = np.empty(whole + 1, np.uint8)
    with cython.nogil:
        bad = fill(
            p, n, found[0], cython.address(texts[0]), cython.address(lengths[0]), cython.address(spans[0]),
            cython.address(starts[0]), cython.address(sizes[0]), cython.address(counts[0]),
            cython.address(times[0]), cython.address(values[0]), cython.address(series[0]),
        )  # fmt: skip
    if bad < 0:
        raise _broken(-1 - bad)
    batch = Batch()
    batch.raw = memoryview(np.asarray(spans)[:whole]) if whole else b""
    batch.starts, batch.sizes = np.asarray(starts)[: found[1]], np.asarray(sizes)[: found[1]]
    batch.counts = np.asarray(counts)[: found[1]]
    batch.times, batch.values = np.asarray(times)[: found[2]], np.asarray(values)[: found[2]]
    batch.metadata = batch.histograms = 0
    request = Request()
    request.batch, request.raw = batch, raw
    request.series = np.asarray(series)[: found[1] * 8].reshape(-1, 8)
    request.texts, request.lengths = np.asarray(texts)[: found[0]], np.asarray(lengths)[: found[0]]
    return request


def _broken(at: object) -> Invalid:
    return Invalid(
        "the write request is not a protobuf io.prometheus.write.v2.Request",
        where=f"byte {at} after decompression",
        mend="send remote write 2.0, snappy block format",
    )
