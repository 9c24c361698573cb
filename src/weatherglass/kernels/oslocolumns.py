# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""oslo.log's common lines → columns: one pass over the texts, what comes again and again coded on the way.

What the parts mean is `logs.formats.oslo`'s, who hands in what it asks of a second, a level, a place. A line that is not
common in every part (more than one line, an odd context, no whole second) is told as one that is left to the grammar.
Nothing is decided here that the grammar does not decide alike; a property test holds the two together.
"""

import cython
import numpy as np
from cython.cimports.cpython.unicode import PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from cython.cimports.libc.stdlib import calloc, free, malloc, realloc, strtod
from cython.cimports.libc.string import memchr, memcmp, memcpy

NO_CONTEXT, PLAIN, GLOBAL, EMPTY, DASH, NONE = range(6)
"""How a context begins: `-`; with the request id; with a global id; with an unset one of three kinds."""
MAX_CONTEXT: cython.Py_ssize_t = cython.declare(cython.Py_ssize_t, 400)


@cython.cclass
class Coder:
    """Spans of bytes to small numbers, in the order in which they first came. What they point at must stay."""

    slots: cython.p_int
    mask: cython.size_t
    hashes: cython.p_ulonglong
    starts: cython.pointer(cython.p_char)
    sizes: cython.pointer(cython.Py_ssize_t)
    count: cython.int
    room: cython.int

    def __cinit__(self):
        self.mask = 255
        self.room = 128
        self.slots = cython.cast(cython.p_int, calloc(256, 4))
        self.hashes = cython.cast(cython.p_ulonglong, malloc(128 * 8))
        self.starts = cython.cast(cython.pointer(cython.p_char), malloc(128 * 8))
        self.sizes = cython.cast(cython.pointer(cython.Py_ssize_t), malloc(128 * 8))
        if (
            self.slots == cython.NULL
            or self.hashes == cython.NULL
            or self.starts == cython.NULL
            or self.sizes == cython.NULL
        ):
            raise MemoryError

    def __dealloc__(self):
        free(self.slots)
        free(self.hashes)
        free(self.starts)
        free(self.sizes)

    @cython.cfunc
    @cython.exceptval(-1)
    def code(self, p: cython.p_char, n: cython.Py_ssize_t) -> cython.int:
        """The number of these bytes; a new one is `count - 1`."""
        k: cython.ulonglong = 0x3F58476D1CE4E5B9
        h: cython.ulonglong = k * cython.cast(cython.ulonglong, n)
        w: cython.ulonglong = 0
        at: cython.Py_ssize_t = 0
        slot: cython.size_t
        known: cython.int
        while n - at >= 8:
            memcpy(cython.address(w), p + at, 8)
            h = (h ^ w) * k
            h ^= h >> 29
            at += 8
        w = 0
        if n - at:
            memcpy(cython.address(w), p + at, n - at)
        h = (h ^ w) * k
        h ^= h >> 31
        slot = h & self.mask
        while True:
            known = self.slots[slot]
            if known == 0:
                break
            known -= 1
            if self.hashes[known] == h and self.sizes[known] == n and memcmp(self.starts[known], p, n) == 0:
                return known
            slot = (slot + 1) & self.mask
        if self.count == self.room:
            self.grow()
            slot = h & self.mask
            while self.slots[slot]:
                slot = (slot + 1) & self.mask
        self.hashes[self.count] = h
        self.starts[self.count] = p
        self.sizes[self.count] = n
        self.count += 1
        self.slots[slot] = self.count
        return self.count - 1

    @cython.cfunc
    @cython.exceptval(-1)
    def grow(self) -> cython.int:
        room: cython.int = self.room * 2
        mask: cython.size_t = self.mask * 2 + 1
        i: cython.int
        at: cython.size_t
        moved: cython.p_void
        slots: cython.p_int
        moved = realloc(self.hashes, room * 8)
        if moved == cython.NULL:
            raise MemoryError
        self.hashes = cython.cast(cython.p_ulonglong, moved)
        moved = realloc(self.starts, room * 8)
        if moved == cython.NULL:
            raise MemoryError
        self.starts = cython.cast(cython.pointer(cython.p_char), moved)
        moved = realloc(self.sizes, room * 8)
        if moved == cython.NULL:
            raise MemoryError
        self.sizes = cython.cast(cython.pointer(cython.Py_ssize_t), moved)
        slots = cython.cast(cython.p_int, calloc(mask + 1, 4))
        if slots == cython.NULL:
            raise MemoryError
        for i in range(self.count):
            at = self.hashes[i] & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = i + 1
        free(self.slots)
        self.slots = slots
        self.mask = mask
        self.room = room
        return 0

    @cython.cfunc
    def last(self) -> object:
        return PyUnicode_DecodeUTF8(self.starts[self.count - 1], self.sizes[self.count - 1], b"strict")

    @cython.cfunc
    def texts(self) -> list:
        i: cython.int
        out: list = []
        for i in range(self.count):
            out.append(PyUnicode_DecodeUTF8(self.starts[i], self.sizes[i], b"strict"))
        return out


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def digit(c: cython.char) -> cython.bint:
    return 48 <= c <= 57


@cython.cfunc
@cython.exceptval(check=False)
def find(p: cython.p_char, end: cython.p_char, what: cython.p_char, size: cython.Py_ssize_t) -> cython.p_char:
    """Where `what` first begins in p..end, or NULL."""
    at: cython.p_char = p
    while end - at >= size:
        at = cython.cast(cython.p_char, memchr(at, what[0], end - at - size + 1))
        if at == cython.NULL:
            return cython.NULL
        if memcmp(at, what, size) == 0:
            return at
        at += 1
    return cython.NULL


@cython.cfunc
@cython.exceptval(check=False)
def blank_before(p: cython.p_char, end: cython.p_char) -> cython.p_char:
    """The last blank of p..end, or NULL."""
    while end > p:
        end -= 1
        if end[0] == 32:
            return end
    return cython.NULL


@cython.cfunc
@cython.exceptval(check=False)
def uuid(p: cython.p_char) -> cython.bint:
    i: cython.int
    for i in range(36):
        if i == 8 or i == 13 or i == 18 or i == 23:
            if p[i] != 45:
                return False
        elif not (digit(p[i]) or 97 <= p[i] <= 102):
            return False
    return True


@cython.cclass
class Request:
    """nova's own form of a request line, by words; its numbers lie here after `read`."""

    path: cython.p_char
    path_size: cython.Py_ssize_t
    remote: cython.p_char
    remote_size: cython.Py_ssize_t
    method: cython.p_char
    method_size: cython.Py_ssize_t
    protocol: cython.p_char
    protocol_size: cython.Py_ssize_t
    status: cython.longlong
    size: cython.longlong
    duration: cython.double

    @cython.cfunc
    @cython.exceptval(check=False)
    def read(self, p: cython.p_char, end: cython.p_char) -> cython.bint:
        words = cython.declare(cython.p_char[11])
        sizes = cython.declare(cython.Py_ssize_t[11])
        count: cython.int = 0
        at: cython.p_char = p
        blank: cython.p_char
        i: cython.Py_ssize_t
        dots: cython.int = 0
        while True:
            if count == 10:
                return False
            blank = cython.cast(cython.p_char, memchr(at, 32, end - at))
            words[count] = at
            sizes[count] = (end if blank == cython.NULL else blank) - at
            count += 1
            if blank == cython.NULL:
                break
            at = blank + 1
        if count != 10 or sizes[4] != 7 or sizes[5] != 3 or sizes[6] != 4 or sizes[8] != 5:
            return False
        if memcmp(words[4], b"status:", 7) or memcmp(words[6], b"len:", 4) or memcmp(words[8], b"time:", 5):
            return False
        if not 4 <= sizes[1] <= 8 or words[1][0] != 34 or not 7 <= sizes[3] <= 9:
            return False
        if words[3][sizes[3] - 1] != 34 or not 0 < sizes[2] <= 65536 or not 3 <= sizes[0] <= 200:
            return False
        for i in range(sizes[2]):
            if not 32 < words[2][i] < 127:
                return False
        for i in range(3):
            if not digit(words[5][i]):
                return False
        self.status = (words[5][0] - 48) * 100 + (words[5][1] - 48) * 10 + words[5][2] - 48
        if not 100 <= self.status < 600 or not 0 < sizes[7] < 16:
            return False
        self.size = 0
        for i in range(sizes[7]):
            if not digit(words[7][i]):
                return False
            self.size = self.size * 10 + words[7][i] - 48
        if not 3 <= sizes[9] <= 19:
            return False
        for i in range(sizes[9]):
            if words[9][i] == 46:
                dots += 1
                if dots > 1 or not 1 <= i <= 9 or not 1 <= sizes[9] - i - 1 <= 9:
                    return False
            elif not digit(words[9][i]):
                return False
        if dots != 1:
            return False
        # What follows is a newline or the end of the text: no part of a number.
        self.duration = strtod(words[9], cython.NULL)
        self.remote = words[0]
        self.remote_size = sizes[0]
        self.method = words[1] + 1
        self.method_size = sizes[1] - 1
        self.path = words[2]
        self.path_size = sizes[2]
        self.protocol = words[3]
        self.protocol_size = sizes[3] - 1
        return True


def columns(texts: list, levels: frozenset, meet_day: object, place_of: object, requests: tuple) -> dict:
    """The columns of the lines that are common; `left` are the numbers of the others.

    `levels`: those that are written as they are kept. `meet_day(text)`: ns of a day's begin, or −1. `place_of(text)`: the fields of a
    place that a DEBUG line was logged from, or None. `requests`: (methods, protocols, whether it is a client's address).
    """
    n: cython.Py_ssize_t = len(texts)
    row: cython.Py_ssize_t
    k: cython.Py_ssize_t = 0
    size: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    p: cython.p_char
    end: cython.p_char
    at: cython.p_char
    blank: cython.p_char
    close: cython.p_char
    first: cython.p_char
    rest: cython.p_char
    begin: cython.p_char
    request_at: cython.p_char
    day = cython.declare(cython.char[11])
    day_ns: cython.longlong = 0
    clock: cython.longlong
    pid: cython.longlong
    form: cython.int
    level: cython.int
    logger: cython.int
    found: cython.int
    newline: cython.bint
    identity_at: cython.p_char
    identity_size: cython.Py_ssize_t
    debug: cython.bint
    read: Request = Request()
    level_names: Coder = Coder()
    logger_names: Coder = Coder()
    identities: Coder = Coder()
    request_ids: Coder = Coder()
    global_ids: Coder = Coder()
    instances: Coder = Coder()
    places: Coder = Coder()
    methods: Coder = Coder()
    paths: Coder = Coder()
    remotes: Coder = Coder()
    protocols: Coder = Coder()
    level_good: list = []
    place_fields: list = []
    request_good: list = [[], [], []]
    left: list = []
    messages: list = []
    asked: list = []
    text: object
    ints = np.zeros((4, n), np.int64)
    codes = np.full((12, n), -1, np.int32)
    forms = np.zeros((2, n), np.int8)
    floats = np.zeros(n, np.float64)
    kept = np.zeros(n, np.int64)
    numbers: cython.longlong[:, ::1] = ints
    out: cython.int[:, ::1] = codes
    shapes: cython.schar[:, ::1] = forms
    took: cython.double[::1] = floats
    rows: cython.longlong[::1] = kept
    day[0] = 0
    for row in range(n):
        text = texts[row]
        try:
            p = cython.cast(cython.p_char, PyUnicode_AsUTF8AndSize(text, cython.address(size)))
        except UnicodeEncodeError:
            left.append(row)
            continue
        end = p + size
        newline = size > 0 and p[size - 1] == 10
        if newline:
            end -= 1
        if (
            end - p < 40
            or p[end - p - 1] == 13
            or p[19] != 46
            or not (digit(p[20]) and digit(p[21]) and digit(p[22]))
            or p[23] != 32
            or memchr(p, 10, end - p) != cython.NULL
        ):
            left.append(row)
            continue
        if memcmp(day, p, 10) != 0:
            day_ns = meet_day(PyUnicode_DecodeUTF8(p, 10, b"replace"))
            if day_ns <= 0:
                day[0] = 0
                left.append(row)
                continue
            memcpy(day, p, 10)
        if (
            not (digit(p[11]) and digit(p[12]) and digit(p[14]) and digit(p[15]) and digit(p[17]))
            or not (digit(p[18]) and p[10] == 32 and p[13] == 58 and p[16] == 58)
            or p[14] > 53
            or p[17] > 53
        ):
            left.append(row)
            continue
        clock = (p[11] - 48) * 10 + p[12] - 48
        if clock > 23:
            left.append(row)
            continue
        clock = clock * 3600 + ((p[14] - 48) * 10 + p[15] - 48) * 60 + (p[17] - 48) * 10 + p[18] - 48
        # Process, level, logger.
        at = p + 24
        pid = 0
        i = 0
        while i < 11 and digit(at[i]):
            pid = pid * 10 + at[i] - 48
            i += 1
        if i == 0 or i > 10 or at[i] != 32 or (at[0] == 48 and i > 1):
            left.append(row)
            continue
        at += i + 1
        blank = cython.cast(cython.p_char, memchr(at, 32, end - at))
        if blank == cython.NULL:
            left.append(row)
            continue
        level = level_names.code(at, blank - at)
        if level == len(level_good):
            level_good.append(level_names.last() in levels)
        if not level_good[level]:
            left.append(row)
            continue
        debug = blank - at == 5 and at[0] == 68
        at = blank + 1
        blank = at
        while blank < end and 32 < blank[0] < 127:
            blank += 1
        if blank >= end or blank[0] != 32 or not 0 < blank - at <= 250 or end - blank < 5 or blank[1] != 91:
            left.append(row)
            continue
        begin = at
        i = blank - at
        # The context.
        first = blank + 2
        close = cython.cast(cython.p_char, memchr(first, 93, end - first))
        if close == cython.NULL or end - close < 3 or close[1] != 32 or close - first > MAX_CONTEXT:
            left.append(row)
            continue
        identity_at = cython.NULL
        identity_size = 0
        rest = cython.NULL
        request_at = cython.NULL
        form = 0
        if close - first == 1 and first[0] == 45:
            form = 0
        else:
            request_at = first
            blank = cython.cast(cython.p_char, memchr(first, 32, close - first))
            if close - first >= 4 and memcmp(first, b"req-", 4) == 0:
                form = 1
            else:
                form = 2
            if blank != cython.NULL and close - blank > 4 and memcmp(blank + 1, b"req-", 4) == 0:
                form = 2
            elif form == 2:
                left.append(row)
                continue
            if form == 2:
                if blank - first > 100:
                    left.append(row)
                    continue
                request_at = blank + 1
                if blank == first:
                    form = 3
                elif blank - first == 1 and first[0] == 45:
                    form = 4
                elif blank - first == 4 and memcmp(first, b"None", 4) == 0:
                    form = 5
                rest = blank
                blank = cython.cast(cython.p_char, memchr(request_at, 32, close - request_at))
            if blank != cython.NULL:
                identity_at = blank + 1
                identity_size = close - identity_at
                if identity_size == 0:
                    left.append(row)
                    continue
            else:
                blank = close
        # The instance, the message.
        at = close + 2
        found = -1
        if end - at >= 49 and memcmp(at, b"[instance: ", 11) == 0 and at[47] == 93 and at[48] == 32:
            if not uuid(at + 11):
                left.append(row)
                continue
            found = instances.code(at + 11, 36)
            at += 49
        if at >= end:
            left.append(row)
            continue
        logger = logger_names.code(begin, i)
        out[4, k] = found
        out[5, k] = -1
        # The place of a DEBUG line.
        close = end
        if debug and find(end - 20 if end - at > 20 else at, end, b".py", 3) != cython.NULL:
            begin = blank_before(at, end)
            if begin != cython.NULL:
                begin = blank_before(at, begin)
            if begin != cython.NULL and end - begin > 400:
                left.append(row)
                continue
            if begin != cython.NULL:
                found = places.code(begin, end - begin)
                if found == len(place_fields):
                    place_fields.append(place_of(places.last()))
                if place_fields[found] is not None:
                    if begin == at:
                        left.append(row)
                        continue
                    out[5, k] = found
                    close = begin
        out[6, k] = -1
        if find(at, end, b'" status: ', 10) != cython.NULL:
            if read.read(at, end):
                found = methods.code(read.method, read.method_size)
                if found == len(request_good[0]):
                    request_good[0].append(methods.last() in requests[0])
                out[6, k] = found
                found = protocols.code(read.protocol, read.protocol_size)
                if found == len(request_good[1]):
                    request_good[1].append(protocols.last() in requests[1])
                out[8, k] = found
                found = remotes.code(read.remote, read.remote_size)
                if found == len(request_good[2]):
                    request_good[2].append(requests[2](remotes.last()) is not None)
                out[9, k] = found
            if (
                out[6, k] >= 0
                and request_good[0][out[6, k]]
                and request_good[1][out[8, k]]
                and request_good[2][out[9, k]]
            ):
                out[7, k] = paths.code(read.path, read.path_size)
                numbers[2, k] = read.status
                numbers[3, k] = read.size
                took[k] = read.duration
            else:
                out[6, k] = -1
                out[8, k] = -1
                out[9, k] = -1
                asked.append((k, PyUnicode_DecodeUTF8(at, end - at, b"strict")))
        numbers[0, k] = (
            day_ns + clock * 1000000000 + ((p[20] - 48) * 100 + (p[21] - 48) * 10 + p[22] - 48) * 1000000
        )
        numbers[1, k] = pid
        out[0, k] = level
        out[1, k] = logger
        shapes[0, k] = form
        shapes[1, k] = newline
        if form:
            out[2, k] = request_ids.code(request_at, blank - request_at)
            out[3, k] = identities.code(identity_at, identity_size) if identity_size else -1
            out[10, k] = global_ids.code(first, rest - first) if form == 2 else -1
        messages.append(PyUnicode_DecodeUTF8(at, close - at, b"strict"))
        rows[k] = row
        k += 1
    return {
        "left": left,
        "rows": kept[:k],
        "time": ints[0, :k],
        "pid": ints[1, :k],
        "status": ints[2, :k],
        "bytes": ints[3, :k],
        "duration": floats[:k],
        "level": (codes[0, :k], level_names.texts()),
        "logger": (codes[1, :k], logger_names.texts()),
        "request_id": (codes[2, :k], request_ids.texts()),
        "identity": (codes[3, :k], identities.texts()),
        "instance": (codes[4, :k], instances.texts()),
        "place": (codes[5, :k], places.texts()),
        "place_fields": place_fields,
        "method": (codes[6, :k], methods.texts()),
        "path": (codes[7, :k], paths.texts()),
        "protocol": (codes[8, :k], protocols.texts()),
        "remote": (codes[9, :k], remotes.texts()),
        "global_request_id": (codes[10, :k], global_ids.texts()),
        "form": forms[0, :k],
        "newline": forms[1, :k],
        "messages": messages,
        "asked": asked,
    }
