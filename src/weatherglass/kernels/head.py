# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""The head: one tenant's newest samples in memory, compressed as they age.

Each series has an open row of at most 64 samples; a full row becomes a part (two codec chunks in one
allocation, `kernels.codec`), so that a series at rest weighs about its bytes on disk. A sample not newer than
the series' newest goes to the series' late list, in order of arrival; whoever reads sorts it in, last one wins.
Not here: locking (the owner holds a lock around every call), labels, files.
"""

import cython
import numpy as np
from cython.cimports.libc.stdlib import free, malloc, realloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.weatherglass.kernels.codec import (
    get_times,
    get_values,
    put_times,
    put_values,
)

from weatherglass.base.errors import Corrupt

ROW = cython.declare(cython.int, 64)

Row = cython.struct(
    data=cython.p_longlong,  # `room` times, then `room` values
    parts=cython.p_void,
    tail=cython.p_void,
    late=cython.p_longlong,  # (time, value) pairs
    last=cython.longlong,
    n=cython.int,
    room=cython.int,
    late_n=cython.int,
    late_room=cython.int,
)

Part = cython.struct(
    next=cython.p_void,
    first=cython.longlong,
    last=cython.longlong,
    n=cython.int,
    times_size=cython.int,
    values_size=cython.int,
    spare=cython.int,
)


@cython.cclass
class Head:
    """Rows by series number. `before` hands on where each series stood, so that late samples are told as such."""

    rows: cython.pointer(Row)
    size: cython.Py_ssize_t
    series = cython.declare(cython.longlong, visibility="readonly")
    samples = cython.declare(cython.longlong, visibility="readonly")
    memory = cython.declare(cython.longlong, visibility="readonly")
    first_ms = cython.declare(cython.longlong, visibility="readonly")
    last_ms = cython.declare(cython.longlong, visibility="readonly")

    def __cinit__(self, before=None):
        other: Head
        k: cython.Py_ssize_t
        self.first_ms = 0x7FFFFFFFFFFFFFFF
        self.last_ms = -0x7FFFFFFFFFFFFFFF
        self.reserve(64)
        if before is not None:
            other = before
            self.reserve(other.size)
            for k in range(other.size):
                self.rows[k].last = other.rows[k].last

    def __dealloc__(self):
        k: cython.Py_ssize_t
        part: cython.p_void
        following: cython.p_void
        for k in range(self.size):
            free(self.rows[k].data)
            free(self.rows[k].late)
            part = self.rows[k].parts
            while part != cython.NULL:
                following = cython.cast(cython.pointer(Part), part).next
                free(part)
                part = following
        free(self.rows)

    def reserve(self, size: cython.Py_ssize_t):
        """Room for series numbers below `size`."""
        k: cython.Py_ssize_t
        rows: cython.p_void
        if size <= self.size:
            return
        if size < self.size * 2:
            size = self.size * 2
        rows = realloc(self.rows, size * cython.sizeof(Row))
        if rows == cython.NULL:
            raise MemoryError
        self.rows = cython.cast(cython.pointer(Row), rows)
        memset(self.rows + self.size, 0, (size - self.size) * cython.sizeof(Row))
        for k in range(self.size, size):
            self.rows[k].last = -0x7FFFFFFFFFFFFFFF
        self.memory += (size - self.size) * cython.sizeof(Row)
        self.size = size

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def freeze(self, row: cython.pointer(Row)) -> cython.int:
        """The open row becomes a part; -1 without memory."""
        out = cython.declare(cython.uchar[1400])
        work = cython.declare(cython.longlong[128])
        times_size: cython.Py_ssize_t
        values_size: cython.Py_ssize_t
        part: cython.pointer(Part)
        times_size = put_times(row.data, row.n, out, work)
        values_size = put_values(
            cython.cast(cython.p_double, row.data + row.room), row.n, out + times_size, work
        )
        part = cython.cast(cython.pointer(Part), malloc(cython.sizeof(Part) + times_size + values_size))
        if part == cython.NULL:
            return -1
        memcpy(cython.cast(cython.p_uchar, part) + cython.sizeof(Part), out, times_size + values_size)
        part.next = cython.NULL
        part.first = row.data[0]
        part.last = row.data[row.n - 1]
        part.n = row.n
        part.times_size = cython.cast(cython.int, times_size)
        part.values_size = cython.cast(cython.int, values_size)
        if row.tail == cython.NULL:
            row.parts = part
        else:
            cython.cast(cython.pointer(Part), row.tail).next = part
        row.tail = part
        row.n = 0
        self.memory += cython.sizeof(Part) + times_size + values_size + 16
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def widen(self, row: cython.pointer(Row)) -> cython.int:
        """A bigger open row, or a frozen one; -1 without memory."""
        room: cython.int = row.room * 2 if row.room else 8
        data: cython.p_longlong
        if row.room >= ROW:
            return self.freeze(row)
        data = cython.cast(cython.p_longlong, malloc(room * 16))
        if data == cython.NULL:
            return -1
        if row.n:
            memcpy(data, row.data, row.n * 8)
            memcpy(data + room, row.data + row.room, row.n * 8)
        free(row.data)
        self.memory += (room - row.room) * 16
        row.data = data
        row.room = room
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put_late(self, row: cython.pointer(Row), time: cython.longlong, value: cython.p_double) -> cython.int:
        room: cython.int
        late: cython.p_void
        if row.late_n == row.late_room:
            room = row.late_room * 2 if row.late_room else 4
            late = realloc(row.late, room * 16)
            if late == cython.NULL:
                return -1
            self.memory += (room - row.late_room) * 16
            row.late = cython.cast(cython.p_longlong, late)
            row.late_room = room
        row.late[2 * row.late_n] = time
        memcpy(row.late + 2 * row.late_n + 1, value, 8)
        row.late_n += 1
        return 0

    def append(
        self,
        numbers: cython.const[cython.longlong][::1],
        counts: cython.const[cython.uint][::1],
        times: cython.const[cython.longlong][::1],
        values: cython.const[cython.double][::1],
    ) -> tuple:
        """(stored, duplicates, out of order); the last two are among the stored. Series after series, `counts`
        samples each; the counts add up to the samples. Raises MemoryError, IndexError."""
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t = 0
        duplicates: cython.Py_ssize_t = 0
        late: cython.Py_ssize_t = 0
        bad: cython.int = 0
        row: cython.pointer(Row)
        t: cython.longlong
        value: cython.double
        total: cython.Py_ssize_t = 0
        for k in range(numbers.shape[0]):
            if not 0 <= numbers[k] < self.size:
                raise IndexError(f"series {numbers[k]} was not reserved")
            total += counts[k]
        if total != times.shape[0] or total != values.shape[0] or counts.shape[0] != numbers.shape[0]:
            raise IndexError("columns of different lengths")
        with cython.nogil:
            for k in range(numbers.shape[0]):
                row = self.rows + numbers[k]
                end += counts[k]
                if at < end and not row.n and row.parts == cython.NULL and not row.late_n:
                    self.series += 1
                while at < end:
                    t = times[at]
                    value = values[at]
                    if t > row.last:
                        if row.n == row.room:
                            bad |= self.widen(row)
                            if bad:
                                break
                        row.data[row.n] = t
                        cython.cast(cython.p_double, row.data + row.room)[row.n] = value
                        row.n += 1
                        row.last = t
                        if t > self.last_ms:
                            self.last_ms = t
                    elif t == row.last and row.n:
                        cython.cast(cython.p_double, row.data + row.room)[row.n - 1] = value
                        duplicates += 1
                    else:
                        if t == row.last:
                            duplicates += 1
                        else:
                            late += 1
                        bad |= self.put_late(row, t, cython.address(value))
                        if t > self.last_ms:
                            self.last_ms = t
                    if t < self.first_ms:
                        self.first_ms = t
                    at += 1
                if bad:
                    break
        self.samples += at
        if bad:
            raise MemoryError
        return at, duplicates, late

    def active(self) -> object:
        """int64: the numbers of the series that have samples here."""
        found = np.empty(self.size + 1, np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        n: cython.Py_ssize_t = 0
        for k in range(self.size):
            if self.rows[k].n or self.rows[k].parts != cython.NULL or self.rows[k].late_n:
                out[n] = k
                n += 1
        return found[:n]

    def sizes(
        self,
        numbers: cython.const[cython.longlong][::1],
        start: cython.longlong,
        end: cython.longlong,
    ) -> object:
        """int64: how many samples `read` gives of each series for the span (whole parts; not yet cut to it)."""
        found = np.zeros(numbers.shape[0], np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        row: cython.pointer(Row)
        part: cython.pointer(Part)
        with cython.nogil:
            for k in range(numbers.shape[0]):
                if not 0 <= numbers[k] < self.size:
                    continue
                row = self.rows + numbers[k]
                out[k] = row.late_n
                part = cython.cast(cython.pointer(Part), row.parts)
                while part != cython.NULL:
                    if part.last >= start and part.first <= end:
                        out[k] += part.n
                    part = cython.cast(cython.pointer(Part), part.next)
                if row.n and row.last >= start and row.data[0] <= end:
                    out[k] += row.n
        return found

    def read(
        self,
        numbers: cython.const[cython.longlong][::1],
        start: cython.longlong,
        end: cython.longlong,
        offsets: cython.const[cython.longlong][::1],
        times: cython.longlong[::1],
        values: cython.double[::1],
    ) -> object:
        """Writes what `sizes` announced (same lock held) at each series' offset: parts, open row, late ones in
        order of arrival. Raises IndexError where the room does not suffice."""
        k: cython.Py_ssize_t
        j: cython.int
        at: cython.Py_ssize_t
        room: cython.Py_ssize_t = min(times.shape[0], values.shape[0])
        row: cython.pointer(Row)
        part: cython.pointer(Part)
        p: cython.p_uchar
        bad: cython.int = 0
        if offsets.shape[0] < numbers.shape[0]:
            raise IndexError("columns of different lengths")
        if not room:
            return
        with cython.nogil:
            for k in range(numbers.shape[0]):
                if not 0 <= numbers[k] < self.size:
                    continue
                row = self.rows + numbers[k]
                at = offsets[k]
                part = cython.cast(cython.pointer(Part), row.parts)
                while part != cython.NULL:
                    if part.last >= start and part.first <= end:
                        if at < 0 or at + part.n > room:
                            bad = 1
                            break
                        p = cython.cast(cython.p_uchar, part) + cython.sizeof(Part)
                        if (
                            get_times(p, part.times_size, cython.address(times[at]), part.n) < 0
                            or get_values(
                                p + part.times_size,
                                part.values_size,
                                cython.address(values[at]),
                                part.n,
                            )
                            < 0
                        ):
                            bad = 2
                            break
                        at += part.n
                    part = cython.cast(cython.pointer(Part), part.next)
                if bad:
                    break
                if row.n and row.last >= start and row.data[0] <= end:
                    if at < 0 or at + row.n > room:
                        bad = 1
                        break
                    memcpy(cython.address(times[at]), row.data, 8 * row.n)
                    memcpy(cython.address(values[at]), row.data + row.room, 8 * row.n)
                    at += row.n
                if row.late_n:
                    if at < 0 or at + row.late_n > room:
                        bad = 1
                        break
                    for j in range(row.late_n):
                        times[at + j] = row.late[2 * j]
                        memcpy(cython.address(values[at + j]), row.late + 2 * j + 1, 8)
        if bad == 1:
            raise IndexError("the head holds more than was announced")
        if bad == 2:
            raise Corrupt("a part of the head does not check out", mend="have the memory tested; restart")
