# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""The head: one tenant's newest samples in memory, compressed as they come.

A series has an open row of at most 16 values; a full row is pushed as a *block* onto the series' stack of bytes,
which lies in slabs of 64. Stacks are read from the newest sample back, so that who asks for the last minutes
decodes the last minutes. Times are shared: a *stream* is the times of a scrape, a series holds its place in it.

A sample not newer than the series' newest goes to the series' late list, in order of arrival; whoever reads sorts
it in, last one wins. Not here: locking (the owner holds a lock around every call), what the bytes of a block say
(`stack`), labels, files.
"""

import cython
import numpy as np
from cython.cimports.libc.stdlib import calloc, free, malloc, realloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.weatherglass.kernels.pages import give, grow
from cython.cimports.weatherglass.kernels.stack import MOST, State, decode, encode, jump

from weatherglass.base.errors import Corrupt

ROW = cython.declare(cython.int, 16)

_NOWHERE = cython.declare(cython.uint, 0xFFFFFFFF)
_OLDEST = cython.declare(cython.longlong, -0x7FFFFFFFFFFFFFFF)
_SLAB = cython.declare(cython.int, 60)  # bytes of one slab that carry something
_CHUNK_SLABS = cython.declare(cython.int, 16384)  # 1 MiB
_MEMORY_MS = cython.declare(cython.longlong, 86_400_000)  # how long a series that sends nothing is remembered
_RECENT = cython.declare(cython.int, 4096)
_SPAN = cython.declare(cython.longlong, 0xFFFFFFFF)

Row = cython.struct(
    last=cython.longlong,
    state=State,
    late=cython.p_void,
    tail=cython.uint,  # the newest slab, 0 for none
    number=cython.uint,
    count=cython.uint,  # values on the stack
    run=cython.uint,  # where it came into this stream
    slabs=cython.uint,
    used=cython.uchar,  # bytes of the newest slab
    n=cython.uchar,  # open values
)

Slab = cython.struct(below=cython.uint, data=cython.uchar[60])

Late = cython.struct(n=cython.int, room=cython.int)  # (time, value) pairs follow

Stream = cython.struct(
    base=cython.longlong,
    at=cython.p_uint,  # ms since base, ascending
    n=cython.uint,
    room=cython.uint,
)

Recent = cython.struct(time=cython.longlong, stream=cython.uint, place=cython.uint)

Cursor = cython.struct(
    slab=cython.uint,  # the next one to take
    left=cython.uint,  # bytes of it
    low=cython.Py_ssize_t,  # what is in `bytes` begins here
    top=cython.Py_ssize_t,  # and is unread up to here
    bytes=cython.p_uchar,
    room=cython.Py_ssize_t,
)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def slot_of(t: cython.longlong) -> cython.ulonglong:
    """Where a time is noted among the recent ones."""
    odd: cython.ulonglong = 0x1E3779B97F4A7C15
    return (cython.cast(cython.ulonglong, t) * odd) >> 52


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def before(
    stream: cython.pointer(Stream), t: cython.longlong, low: cython.uint, high: cython.uint
) -> cython.uint:
    """The first place from `low` on, up to `high`, that is not before `t`."""
    middle: cython.uint
    while low < high:
        middle = (low + high) >> 1
        if stream.base + stream.at[middle] < t:
            low = middle + 1
        else:
            high = middle
    return low


@cython.cclass
class Head:
    """Rows by series number. `before` hands on where each series stood, so that late samples are told as such."""

    slots: cython.p_uint  # number → 1 + its row
    size: cython.Py_ssize_t
    rows: cython.pointer(Row)
    open: cython.p_double  # ROW of each row
    used_rows: cython.Py_ssize_t
    room_rows: cython.Py_ssize_t
    chunks: cython.pp_void
    chunk_count: cython.Py_ssize_t
    next_slab: cython.uint
    streams: cython.pointer(Stream)
    stream_count: cython.Py_ssize_t
    stream_room: cython.Py_ssize_t
    recent: cython.pointer(Recent)
    series = cython.declare(cython.longlong, visibility="readonly")
    samples = cython.declare(cython.longlong, visibility="readonly")
    memory = cython.declare(cython.longlong, visibility="readonly")
    first_ms = cython.declare(cython.longlong, visibility="readonly")
    last_ms = cython.declare(cython.longlong, visibility="readonly")

    def __cinit__(self, before=None):
        other: Head
        k: cython.Py_ssize_t
        row: cython.pointer(Row)
        self.first_ms = 0x7FFFFFFFFFFFFFFF
        self.last_ms = -0x7FFFFFFFFFFFFFFF
        self.next_slab = 1
        self.recent = cython.cast(cython.pointer(Recent), calloc(_RECENT, cython.sizeof(Recent)))
        if self.recent == cython.NULL:
            raise MemoryError
        for k in range(_RECENT):
            self.recent[k].stream = _NOWHERE
        self.reserve(64)
        if before is not None:
            other = before
            self.reserve(other.size)
            for k in range(other.used_rows):
                row = other.rows + k
                if row.n or row.count or row.late != cython.NULL or row.last > other.last_ms - _MEMORY_MS:
                    if self.enter(row.number) == cython.NULL:
                        raise MemoryError
                    self.rows[self.used_rows - 1].last = row.last

    def __dealloc__(self):
        k: cython.Py_ssize_t
        for k in range(self.used_rows):
            free(self.rows[k].late)
        for k in range(self.chunk_count):
            give(self.chunks[k], _CHUNK_SLABS * cython.sizeof(Slab))
        for k in range(self.stream_count):
            free(self.streams[k].at)
        give(self.slots, self.size * 4)
        give(self.rows, self.room_rows * cython.sizeof(Row))
        give(self.open, self.room_rows * ROW * 8)
        free(self.chunks)
        free(self.streams)
        free(self.recent)

    def reserve(self, size: cython.Py_ssize_t):
        """Room for series numbers below `size`."""
        slots: cython.p_void
        if size <= self.size:
            return
        if size < self.size + self.size // 4:
            size = self.size + self.size // 4
        slots = grow(self.slots, self.size * 4, size * 4)
        if slots == cython.NULL:
            raise MemoryError
        self.slots = cython.cast(cython.p_uint, slots)
        self.memory += (size - self.size) * 4
        self.size = size

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def enter(self, number: cython.uint) -> cython.pointer(Row):
        """A row for a number that has none; NULL without memory."""
        room: cython.Py_ssize_t
        rows: cython.p_void
        row: cython.pointer(Row)
        if self.used_rows == self.room_rows:
            room = self.room_rows * 2 if self.room_rows else 64
            rows = grow(self.rows, self.room_rows * cython.sizeof(Row), room * cython.sizeof(Row))
            if rows == cython.NULL:
                return cython.NULL
            self.rows = cython.cast(cython.pointer(Row), rows)
            rows = grow(self.open, self.room_rows * ROW * 8, room * ROW * 8)
            if rows == cython.NULL:
                self.room_rows = 0  # the two are no longer of one size: neither can be given back
                return cython.NULL
            self.open = cython.cast(cython.p_double, rows)
            self.room_rows = room
        row = self.rows + self.used_rows
        memset(row, 0, cython.sizeof(Row))
        row.last = _OLDEST
        row.state.stream = _NOWHERE
        row.number = number
        self.used_rows += 1
        self.slots[number] = cython.cast(cython.uint, self.used_rows)
        self.memory += cython.sizeof(Row) + ROW * 8
        return row

    # --- stacks of bytes ---------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def slab(self, number: cython.uint) -> cython.pointer(Slab):
        return cython.cast(cython.pointer(Slab), self.chunks[number // _CHUNK_SLABS]) + number % _CHUNK_SLABS

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def push(self, row: cython.pointer(Row), p: cython.p_uchar, n: cython.int) -> cython.int:
        """-1 without memory."""
        piece: cython.int
        chunks: cython.p_void
        while n:
            if row.tail == 0 or row.used == _SLAB:
                if self.next_slab // cython.cast(cython.uint, _CHUNK_SLABS) >= self.chunk_count:
                    chunks = realloc(self.chunks, (self.chunk_count + 1) * cython.sizeof(cython.p_void))
                    if chunks == cython.NULL:
                        return -1
                    self.chunks = cython.cast(cython.pp_void, chunks)
                    self.chunks[self.chunk_count] = grow(cython.NULL, 0, _CHUNK_SLABS * cython.sizeof(Slab))
                    if self.chunks[self.chunk_count] == cython.NULL:
                        return -1
                    self.chunk_count += 1
                self.slab(self.next_slab).below = row.tail
                row.tail = self.next_slab
                row.used = 0
                row.slabs += 1
                self.next_slab += 1
                self.memory += cython.sizeof(Slab)
            piece = _SLAB - row.used
            if piece > n:
                piece = n
            memcpy(cython.address(self.slab(row.tail).data[row.used]), p, piece)
            row.used += piece
            p += piece
            n -= piece
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def fetch(self, cursor: cython.pointer(Cursor), least: cython.Py_ssize_t) -> cython.void:
        """At least so many unread bytes, or all that there are."""
        slab: cython.pointer(Slab)
        while cursor.top - cursor.low < least and cursor.slab:
            slab = self.slab(cursor.slab)
            cursor.low -= cursor.left
            memcpy(cursor.bytes + cursor.low, cython.address(slab.data[0]), cursor.left)
            cursor.slab = slab.below
            cursor.left = _SLAB

    # --- writing -----------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def flush(self, row: cython.pointer(Row)) -> cython.int:
        """The open row becomes a block; -1 without memory."""
        out = cython.declare(cython.uchar[400])
        used: cython.int = encode(
            cython.address(row.state), row.count == 0, self.open + (row - self.rows) * ROW, row.n, out
        )
        if self.push(row, out, used) < 0:
            return -1
        row.count += row.n
        row.n = 0
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def move(self, row: cython.pointer(Row), t: cython.longlong) -> cython.int:
        """Puts the row where `t` is in a stream: a little ahead in its own, in one that had it lately, or in a new
        one. -1 without memory."""
        stream: cython.uint = _NOWHERE
        place: cython.uint = 0
        k: cython.uint
        room: cython.Py_ssize_t
        one: cython.pointer(Stream)
        grown: cython.p_void
        out = cython.declare(cython.uchar[9])
        recent: cython.pointer(Recent) = self.recent + slot_of(t)
        if row.state.stream != _NOWHERE:
            one = self.streams + row.state.stream
            for k in range(row.state.place + 1, row.state.place + 9):
                if k < one.n and one.base + one.at[k] == t:
                    stream = row.state.stream
                    place = k
                    break
        if stream == _NOWHERE and recent.stream != _NOWHERE and recent.time == t:
            stream = recent.stream
            place = recent.place
        if stream == _NOWHERE:
            if self.stream_count == self.stream_room:
                room = self.stream_room * 2 if self.stream_room else 16
                grown = realloc(self.streams, room * cython.sizeof(Stream))
                if grown == cython.NULL:
                    return -1
                self.streams = cython.cast(cython.pointer(Stream), grown)
                self.stream_room = room
            one = self.streams + self.stream_count
            one.base = t
            one.at = cython.NULL
            one.n = 0
            one.room = 0
            stream = cython.cast(cython.uint, self.stream_count)
            self.stream_count += 1
            self.memory += cython.sizeof(Stream)
            if self.extend(one, t) < 0:
                return -1
            recent.time = t
            recent.stream = stream
            recent.place = 0
        if row.n or row.count:
            if row.n and self.flush(row) < 0:
                return -1
            if self.push(row, out, jump(cython.address(row.state), out)) < 0:
                return -1
        row.state.stream = stream
        row.state.place = place
        row.run = place
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def extend(self, stream: cython.pointer(Stream), t: cython.longlong) -> cython.int:
        room: cython.uint
        at: cython.p_void
        if stream.n == stream.room:
            room = stream.room + stream.room // 2 if stream.room else 16
            at = realloc(stream.at, room * 4)
            if at == cython.NULL:
                return -1
            self.memory += (room - stream.room) * 4
            stream.at = cython.cast(cython.p_uint, at)
            stream.room = room
        stream.at[stream.n] = cython.cast(cython.uint, t - stream.base)
        stream.n += 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def stands(self, row: cython.pointer(Row), t: cython.longlong) -> cython.int:
        """Whether `t` is the time at the row's place, writing it there where the stream ends; -1 without memory."""
        stream: cython.pointer(Stream)
        if row.state.stream == _NOWHERE:
            return 0
        stream = self.streams + row.state.stream
        if row.state.place < stream.n:
            return stream.base + stream.at[row.state.place] == t
        if t - stream.base > _SPAN:
            return 0
        if self.extend(stream, t) < 0:
            return -1
        self.note(t, row.state.stream, row.state.place)
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def note(self, t: cython.longlong, stream: cython.uint, place: cython.uint) -> cython.void:
        recent: cython.pointer(Recent) = self.recent + slot_of(t)
        recent.time = t
        recent.stream = stream
        recent.place = place

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put_late(self, row: cython.pointer(Row), time: cython.longlong, value: cython.p_double) -> cython.int:
        late: cython.pointer(Late) = cython.cast(cython.pointer(Late), row.late)
        grown: cython.p_void
        pairs: cython.p_longlong
        room: cython.int
        if late == cython.NULL or late.n == late.room:
            room = late.room * 2 if late != cython.NULL else 4
            grown = realloc(late, cython.sizeof(Late) + room * 16)
            if grown == cython.NULL:
                return -1
            if late == cython.NULL:
                cython.cast(cython.pointer(Late), grown).n = 0
                self.memory += cython.sizeof(Late) + room * 16
            else:
                self.memory += room * 8
            late = cython.cast(cython.pointer(Late), grown)
            late.room = room
            row.late = grown
        pairs = cython.cast(cython.p_longlong, late + 1) + 2 * late.n
        pairs[0] = time
        memcpy(pairs + 1, value, 8)
        late.n += 1
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
        open: cython.p_double
        t: cython.longlong
        value: cython.double
        there: cython.int
        total: cython.Py_ssize_t = 0
        for k in range(numbers.shape[0]):
            if not 0 <= numbers[k] < self.size:
                raise IndexError(f"series {numbers[k]} was not reserved")
            total += counts[k]
        if total != times.shape[0] or total != values.shape[0] or counts.shape[0] != numbers.shape[0]:
            raise IndexError("columns of different lengths")
        with cython.nogil:
            for k in range(numbers.shape[0]):
                end += counts[k]
                if at == end:
                    continue
                if self.slots[numbers[k]]:
                    row = self.rows + (self.slots[numbers[k]] - 1)
                else:
                    row = self.enter(cython.cast(cython.uint, numbers[k]))
                    if row == cython.NULL:
                        bad = -1
                        break
                open = self.open + (row - self.rows) * ROW
                if not row.n and not row.count and row.late == cython.NULL:
                    self.series += 1
                while at < end:
                    t = times[at]
                    value = values[at]
                    if t > row.last:
                        there = self.stands(row, t)
                        if there <= 0 and (there < 0 or self.move(row, t) < 0):
                            bad = -1
                            break
                        if row.n == ROW and self.flush(row) < 0:
                            bad = -1
                            break
                        open[row.n] = value
                        row.n += 1
                        row.state.place += 1
                        row.last = t
                        if t > self.last_ms:
                            self.last_ms = t
                    elif t == row.last and row.n:
                        open[row.n - 1] = value
                        duplicates += 1
                    else:
                        if t == row.last:
                            duplicates += 1
                        else:
                            late += 1
                        if self.put_late(row, t, cython.address(value)) < 0:
                            bad = -1
                            break
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

    # --- reading -----------------------------------------------------------------------------------------

    def active(self) -> object:
        """int64: the numbers of the series that have samples here, ascending."""
        found = np.empty(self.used_rows + 1, np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        n: cython.Py_ssize_t = 0
        for k in range(self.used_rows):
            if self.rows[k].n or self.rows[k].count or self.rows[k].late != cython.NULL:
                out[n] = self.rows[k].number
                n += 1
        found = found[:n]
        found.sort()
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wanted(
        self,
        row: cython.pointer(Row),
        start: cython.longlong,
        end: cython.longlong,
        newer: cython.p_uint,
    ) -> cython.Py_ssize_t:
        """How many samples, late ones apart, are read for a span, and how many *newer* ones are passed over."""
        stream: cython.pointer(Stream)
        total: cython.uint = row.count + row.n
        first: cython.uint
        behind: cython.uint
        newer[0] = 0
        if total == 0 or row.last < start:
            return 0
        stream = self.streams + row.state.stream
        first = row.run
        if row.state.place - first != total and stream.base + stream.at[first] > start:
            return total  # some of it stood in another stream: all of it is read
        if stream.base + stream.at[first] > end:
            return 0
        behind = row.state.place
        if row.last > end:
            behind = before(stream, end + 1, first, behind)
        if stream.base + stream.at[first] < start:
            first = before(stream, start, first, behind)
        newer[0] = row.state.place - behind
        return behind - first

    def sizes(
        self,
        numbers: cython.const[cython.longlong][::1],
        start: cython.longlong,
        end: cython.longlong,
    ) -> object:
        """int64: how many samples `read` gives of each series for the span (not yet cut to it)."""
        found = np.zeros(numbers.shape[0], np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        row: cython.pointer(Row)
        newer: cython.uint = 0
        with cython.nogil:
            for k in range(numbers.shape[0]):
                if not 0 <= numbers[k] < self.size or not self.slots[numbers[k]]:
                    continue
                row = self.rows + (self.slots[numbers[k]] - 1)
                out[k] = self.wanted(row, start, end, cython.address(newer))
                if row.late != cython.NULL:
                    out[k] += cython.cast(cython.pointer(Late), row.late).n
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def values_back(
        self,
        row: cython.pointer(Row),
        newer: cython.uint,
        keep: cython.Py_ssize_t,
        times: cython.p_longlong,
        values: cython.p_double,
        cursor: cython.pointer(Cursor),
    ) -> cython.int:
        """`keep` samples of a row, the `newer` ones passed over, into columns that begin with the oldest of them; -1
        for no memory, -2 where the bytes do not check out."""
        state = cython.declare(State)
        below = cython.declare(State)
        v = cython.declare(cython.double[16])
        n: cython.int = row.n
        size: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, row.slabs) * _SLAB
        state = row.state
        memcpy(v, self.open + (row - self.rows) * ROW, 8 * n)
        if (
            self.deal(v, n, cython.address(state), cython.address(newer), cython.address(keep), times, values)
            < 0
        ):
            return -2
        if keep and cursor.room < size:
            free(cursor.bytes)
            cursor.bytes = cython.cast(cython.p_uchar, malloc(size))
            cursor.room = size if cursor.bytes != cython.NULL else 0
            if cursor.bytes == cython.NULL:
                return -1
        cursor.low = cursor.top = size
        cursor.slab = row.tail
        cursor.left = row.used
        while keep > 0:
            self.fetch(cursor, _SLAB)
            below = state
            size = decode(
                cursor.bytes + cursor.low,
                cursor.top - cursor.low,
                cython.address(state),
                v,
                cython.address(n),
            )
            if size < 0 and cursor.slab:  # most blocks are small; this one is not
                self.fetch(cursor, MOST)
                state = below
                size = decode(
                    cursor.bytes + cursor.low,
                    cursor.top - cursor.low,
                    cython.address(state),
                    v,
                    cython.address(n),
                )
            if size < 0:
                return -2
            cursor.top = cursor.low + size
            if (
                self.deal(
                    v, n, cython.address(state), cython.address(newer), cython.address(keep), times, values
                )
                < 0
            ):
                return -2
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def deal(
        self,
        v: cython.p_double,
        n: cython.int,
        state: cython.pointer(State),
        newer: cython.p_uint,
        keep: cython.p_Py_ssize_t,
        times: cython.p_longlong,
        values: cython.p_double,
    ) -> cython.int:
        """A block's samples to where they belong; -1 where the stream has not so many."""
        k: cython.int
        stream: cython.pointer(Stream)
        if newer[0] >= cython.cast(cython.uint, n):
            newer[0] -= n
            state.place -= n
            return 0
        n -= newer[0]
        state.place -= newer[0]
        newer[0] = 0
        k = n if n < keep[0] else cython.cast(cython.int, keep[0])
        if k == 0:
            return 0
        state.place -= k
        keep[0] -= k
        if state.stream >= self.stream_count:
            return -1
        stream = self.streams + state.stream
        if state.place > stream.n or stream.n - state.place < cython.cast(cython.uint, k):
            return -1
        memcpy(values + keep[0], v + (n - k), 8 * k)
        times += keep[0]
        for n in range(k):
            times[n] = stream.base + stream.at[state.place + n]
        return 0

    def read(
        self,
        numbers: cython.const[cython.longlong][::1],
        start: cython.longlong,
        end: cython.longlong,
        offsets: cython.const[cython.longlong][::1],
        times: cython.longlong[::1],
        values: cython.double[::1],
    ) -> object:
        """Writes what `sizes` announced (same lock held) at each series' offset: ascending ones, then late ones in
        order of arrival. Raises IndexError where the room does not suffice."""
        k: cython.Py_ssize_t
        j: cython.int
        n: cython.int
        at: cython.Py_ssize_t
        keep: cython.Py_ssize_t
        room: cython.Py_ssize_t = min(times.shape[0], values.shape[0])
        row: cython.pointer(Row)
        pairs: cython.p_longlong
        cursor = cython.declare(Cursor)
        newer: cython.uint = 0
        bad: cython.int = 0
        if offsets.shape[0] < numbers.shape[0]:
            raise IndexError("columns of different lengths")
        if not room:
            return
        cursor.bytes = cython.NULL
        cursor.room = 0
        with cython.nogil:
            for k in range(numbers.shape[0]):
                if not 0 <= numbers[k] < self.size or not self.slots[numbers[k]]:
                    continue
                row = self.rows + (self.slots[numbers[k]] - 1)
                at = offsets[k]
                keep = self.wanted(row, start, end, cython.address(newer))
                n = 0
                if row.late != cython.NULL:
                    n = cython.cast(cython.pointer(Late), row.late).n
                if at < 0 or at + keep + n > room:
                    bad = -3
                    break
                if keep:
                    bad = self.values_back(
                        row,
                        newer,
                        keep,
                        cython.address(times[at]),
                        cython.address(values[at]),
                        cython.address(cursor),
                    )
                    if bad:
                        break
                at += keep
                if n:
                    pairs = cython.cast(cython.p_longlong, cython.cast(cython.pointer(Late), row.late) + 1)
                    for j in range(n):
                        times[at + j] = pairs[2 * j]
                        memcpy(cython.address(values[at + j]), pairs + 2 * j + 1, 8)
        free(cursor.bytes)
        if bad == -3:
            raise IndexError("the head holds more than was announced")
        if bad == -2:
            raise Corrupt("a block of the head does not check out", mend="have the memory tested; restart")
        if bad == -1:
            raise MemoryError
