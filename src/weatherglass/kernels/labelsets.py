# cython: boundscheck=False, wraparound=False, cdivision=True
"""Label sets by series number, and postings from each label pair to its series, in arrays of 32-bit ids.

A text is kept once per label it stands under: names and (name, value) pairs are *entries* with an id, found by
open addressing, each with a sorted array, of series for a pair and of its pairs for a name. A series is *known*
once its set is here and *published* once it is in the postings. Label sets come and go as canonical bytes
(`labels.write_labels`). Not here: matching (`metrics.index`), locking (the owner holds a lock around every call).
"""

import cython
import numpy as np
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memcmp, memcpy, memmove, memset
from cython.cimports.weatherglass.kernels.pages import give, grow
from cython.cimports.weatherglass.kernels.wire import hash_bytes, varint

from weatherglass.base.errors import Corrupt

PREFIX = cython.declare(cython.int, 0)
SUFFIX = cython.declare(cython.int, 1)
WITHIN = cython.declare(cython.int, 2)

_NAMES = cython.declare(cython.uint, 0xFFFFFFFF)  # what a name stands under
_MOST = cython.declare(cython.int, 4096)  # labels of one series

Entry = cython.struct(
    hash=cython.ulonglong,
    text=cython.ulonglong,  # where in the arena
    posting=cython.p_uint,
    name=cython.uint,
    size=cython.uint,
    n=cython.uint,
    room=cython.uint,
)


def _broken() -> Corrupt:
    return Corrupt("a label set does not check out")


@cython.cclass
class LabelSets:
    """Entry 0 is nobody's text: its posting is all published series."""

    entries: cython.pointer(Entry)
    count: cython.Py_ssize_t
    capacity: cython.Py_ssize_t
    slots: cython.p_uint
    mask: cython.size_t
    arena: cython.p_uchar
    used: cython.ulonglong
    room: cython.ulonglong
    places: cython.p_uint  # by number: where its set is, 0 where it has none
    size: cython.Py_ssize_t
    sets: cython.p_uint  # count, then ids
    sets_used: cython.Py_ssize_t
    sets_room: cython.Py_ssize_t
    postings: cython.longlong  # bytes

    def __cinit__(self):
        self.mask = 255
        self.slots = cython.cast(cython.p_uint, calloc(256, 4))
        if self.slots == cython.NULL:
            raise MemoryError
        self.sets_used = 1
        self.enter(_NAMES, cython.cast(cython.p_uchar, b""), 0, 0)
        self.slots[0] = 0  # not to be found

    def __dealloc__(self):
        k: cython.Py_ssize_t
        for k in range(self.count):
            free(self.entries[k].posting)
        free(self.entries)
        free(self.slots)
        free(self.arena)
        give(self.places, self.size * 4)
        give(self.sets, self.sets_room * 4)

    @property
    def memory(self) -> object:
        """Bytes held."""
        entries = self.count * cython.sizeof(Entry) + (self.mask + 1) * 4 + self.used
        return entries + self.size * 4 + self.sets_used * 4 + self.postings

    @property
    def entry_count(self) -> object:
        """How many ids there are: all are below it."""
        return self.count

    # --- texts -------------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find(self, name: cython.uint, p: cython.p_uchar, n: cython.Py_ssize_t) -> cython.longlong:
        h: cython.ulonglong = hash_bytes(p, n) + name * cython.cast(cython.ulonglong, 0x51ED270B)
        slot: cython.size_t = (h ^ (h >> 32)) & self.mask
        entry: cython.pointer(Entry)
        while self.slots[slot]:
            entry = self.entries + self.slots[slot]
            if (
                entry.hash == h
                and entry.name == name
                and entry.size == n
                and memcmp(self.arena + entry.text, p, n) == 0
            ):
                return self.slots[slot]
            slot = (slot + 1) & self.mask
        return -1

    @cython.cfunc
    def enter(
        self, name: cython.uint, p: cython.p_uchar, n: cython.Py_ssize_t, h: cython.ulonglong
    ) -> cython.uint:
        """An entry for a text that has none. Raises MemoryError."""
        size: cython.size_t
        room: cython.ulonglong = self.room if self.room else 4096
        slots: cython.p_uint
        slot: cython.size_t
        k: cython.Py_ssize_t
        entry: cython.pointer(Entry)
        if self.count == self.capacity:
            self.capacity = self.capacity * 2 if self.capacity else 64
            grown = realloc(self.entries, self.capacity * cython.sizeof(Entry))
            if grown == cython.NULL:
                raise MemoryError
            self.entries = cython.cast(cython.pointer(Entry), grown)
        while self.used + n > room:
            room *= 2
        if room != self.room:
            grown = realloc(self.arena, room)
            if grown == cython.NULL:
                raise MemoryError
            self.arena = cython.cast(cython.p_uchar, grown)
            self.room = room
        if cython.cast(cython.size_t, self.count + 1) * 4 > self.mask * 3:
            size = (self.mask + 1) * 2
            slots = cython.cast(cython.p_uint, calloc(size, 4))
            if slots == cython.NULL:
                raise MemoryError
            for k in range(1, self.count):
                slot = (self.entries[k].hash ^ (self.entries[k].hash >> 32)) & (size - 1)
                while slots[slot]:
                    slot = (slot + 1) & (size - 1)
                slots[slot] = cython.cast(cython.uint, k)
            free(self.slots)
            self.slots = slots
            self.mask = size - 1
        entry = self.entries + self.count
        memset(entry, 0, cython.sizeof(Entry))
        entry.hash = h
        entry.name = name
        entry.text = self.used
        entry.size = cython.cast(cython.uint, n)
        if n:
            memcpy(self.arena + self.used, p, n)
        self.used += n
        slot = (h ^ (h >> 32)) & self.mask
        while self.slots[slot]:
            slot = (slot + 1) & self.mask
        self.slots[slot] = cython.cast(cython.uint, self.count)
        self.count += 1
        return cython.cast(cython.uint, self.count - 1)

    @cython.cfunc
    def entry_of(self, name: cython.uint, p: cython.p_uchar, n: cython.Py_ssize_t) -> cython.uint:
        """The id of a text, new or not. Raises MemoryError."""
        found: cython.longlong = self.find(name, p, n)
        made: cython.uint
        if found >= 0:
            return cython.cast(cython.uint, found)
        made = self.enter(name, p, n, hash_bytes(p, n) + name * cython.cast(cython.ulonglong, 0x51ED270B))
        if name != _NAMES:
            self.post(name, made)
        return made

    @cython.cfunc
    def post(self, entry_id: cython.uint, number: cython.uint) -> cython.int:
        """Into an entry's sorted array. Raises MemoryError."""
        entry: cython.pointer(Entry) = self.entries + entry_id
        room: cython.uint
        low: cython.uint
        high: cython.uint
        middle: cython.uint
        if entry.n == entry.room:
            room = entry.room + entry.room // 4 + 2 if entry.room else 6
            grown = realloc(entry.posting, room * 4)
            if grown == cython.NULL:
                raise MemoryError
            entry.posting = cython.cast(cython.p_uint, grown)
            self.postings += 4 * (room - entry.room)
            entry.room = room
        if entry.n == 0 or entry.posting[entry.n - 1] < number:
            entry.posting[entry.n] = number
        else:  # two writers published in another order than they were numbered
            low = 0
            high = entry.n
            while low < high:
                middle = (low + high) >> 1
                if entry.posting[middle] < number:
                    low = middle + 1
                else:
                    high = middle
            memmove(entry.posting + low + 1, entry.posting + low, 4 * (entry.n - low))
            entry.posting[low] = number
        entry.n += 1
        return 0

    def name(self, text: bytes) -> object:
        """The id of a label's name, or -1."""
        return self.find(_NAMES, cython.cast(cython.p_uchar, text), len(text))

    def pair(self, name: cython.uint, value: bytes) -> object:
        """The id of a value under a name's id, or -1."""
        return self.find(name, cython.cast(cython.p_uchar, value), len(value))

    def text(self, entry: cython.Py_ssize_t) -> bytes:
        """The text of a name or a value. Raises IndexError."""
        if not 0 < entry < self.count:
            raise IndexError(f"{entry} of {self.count} texts")
        p: cython.p_char = cython.cast(cython.p_char, self.arena + self.entries[entry].text)
        return p[: self.entries[entry].size]

    def name_of(self, entry: cython.Py_ssize_t) -> object:
        """The id of the name that a pair stands under. Raises IndexError."""
        if not 0 < entry < self.count:
            raise IndexError(f"{entry} of {self.count} texts")
        return self.entries[entry].name

    def names(self) -> list:
        """Ids of all names, published or not."""
        return [k for k in range(1, self.count) if self.entries[k].name == _NAMES]

    # --- sets --------------------------------------------------------------------------------------------

    def knows(self, number: cython.Py_ssize_t) -> object:
        return 0 <= number < self.size and self.places[number] != 0

    def know(self, key: bytes, number: cython.uint) -> object:
        """The set of a series, from its canonical bytes. Raises Corrupt, MemoryError."""
        self.take(cython.cast(cython.p_uchar, key), len(key), number)

    @cython.cfunc
    def take(self, b: cython.p_uchar, n: cython.Py_ssize_t, number: cython.uint) -> cython.int:
        at: cython.Py_ssize_t = 0
        start: cython.Py_ssize_t
        tag: cython.ulonglong = 0
        outer: cython.ulonglong = 0
        size: cython.ulonglong = 0
        stop: cython.Py_ssize_t
        name: cython.uint
        count: cython.uint = 0
        room: cython.Py_ssize_t
        ids = cython.declare(cython.uint[4096])
        while at < n:
            at = varint(b, at, n, cython.address(tag))
            if at < 0 or tag != 10 or count == cython.cast(cython.uint, _MOST):
                raise _broken()
            at = varint(b, at, n, cython.address(outer))
            if at < 0 or outer > cython.cast(cython.ulonglong, n - at):
                raise _broken()
            stop = at + cython.cast(cython.Py_ssize_t, outer)
            at = varint(b, at, stop, cython.address(tag))
            if at < 0 or tag != 10:
                raise _broken()
            at = varint(b, at, stop, cython.address(size))
            if at < 0 or size > cython.cast(cython.ulonglong, stop - at):
                raise _broken()
            start = at
            at += cython.cast(cython.Py_ssize_t, size)
            name = self.entry_of(_NAMES, b + start, at - start)
            at = varint(b, at, stop, cython.address(tag))
            if at < 0 or tag != 18:
                raise _broken()
            at = varint(b, at, stop, cython.address(size))
            if at < 0 or size != cython.cast(cython.ulonglong, stop - at):
                raise _broken()
            ids[count] = self.entry_of(name, b + at, stop - at)
            count += 1
            at = stop
        if number >= self.size:
            room = self.size + self.size // 4
            if room <= number:
                room = number + 64
            grown = grow(self.places, self.size * 4, room * 4)
            if grown == cython.NULL:
                raise MemoryError
            self.places = cython.cast(cython.p_uint, grown)
            self.size = room
        if self.sets_used + count + 1 > self.sets_room:
            room = self.sets_room + self.sets_room // 2 + count + 64
            grown = grow(self.sets, self.sets_room * 4, room * 4)
            if grown == cython.NULL:
                raise MemoryError
            self.sets = cython.cast(cython.p_uint, grown)
            self.sets_room = room
        if self.sets_used > 0xFFFFFF00:
            raise MemoryError
        self.places[number] = cython.cast(cython.uint, self.sets_used)
        self.sets[self.sets_used] = count
        memcpy(self.sets + self.sets_used + 1, ids, 4 * count)
        self.sets_used += count + 1
        return 0

    @cython.cfunc
    def shout(self, number: cython.uint) -> cython.int:
        k: cython.uint
        place: cython.uint = self.places[number]
        self.post(0, number)
        for k in range(self.sets[place]):
            self.post(self.sets[place + 1 + k], number)
        return 0

    def publish(self, numbers: cython.const[cython.longlong][::1]) -> object:
        """From now on these are in the postings; each once. Raises IndexError for one that is not known."""
        k: cython.Py_ssize_t
        for k in range(numbers.shape[0]):
            if not self.knows(numbers[k]):
                raise IndexError(f"series {numbers[k]} is not known")
            self.shout(cython.cast(cython.uint, numbers[k]))

    def load(self, body: bytes) -> object:
        """Knows and publishes what a body of `number u32, size u32, key` has and this has not; int64, their numbers.

        Raises Corrupt, MemoryError."""
        p: cython.p_uchar = cython.cast(cython.p_uchar, body)
        end: cython.Py_ssize_t = len(body)
        at: cython.Py_ssize_t = 0
        head = cython.declare(cython.uint[2])
        count: cython.Py_ssize_t = 0
        fresh = np.empty(end // 8 + 1, np.int64)
        out: cython.longlong[::1] = fresh
        while at < end:
            if end - at < 8:
                raise _broken()
            memcpy(head, p + at, 8)
            at += 8
            if head[1] > end - at:
                raise _broken()
            if head[0] >= self.size or self.places[head[0]] == 0:
                self.take(p + at, head[1], head[0])
                self.shout(head[0])
                out[count] = head[0]
                count += 1
            at += head[1]
        return fresh[:count].copy()

    def ids(self, number: cython.Py_ssize_t) -> list:
        """The ids of a series' pairs, in order of their names. Raises IndexError."""
        if not (0 <= number < self.size and self.places[number]):
            raise IndexError(f"series {number} is not known")
        place: cython.uint = self.places[number]
        return [self.sets[place + 1 + k] for k in range(self.sets[place])]

    def packed(self, numbers: cython.const[cython.longlong][::1]) -> bytes:
        """A body of `number u32, size u32, key`, as `load` takes it. Raises IndexError, MemoryError."""
        k: cython.Py_ssize_t
        total: cython.Py_ssize_t = 0
        for k in range(numbers.shape[0]):
            if not self.knows(numbers[k]):
                raise IndexError(f"series {numbers[k]} is not known")
            total += 8 + self.key_into(cython.cast(cython.uint, numbers[k]), cython.NULL)
        made: cython.uchar[::1] = np.empty(total + 1, np.uint8)
        out: cython.p_uchar = cython.address(made[0])
        head = cython.declare(cython.uint[2])
        for k in range(numbers.shape[0]):
            head[0] = cython.cast(cython.uint, numbers[k])
            head[1] = cython.cast(cython.uint, self.key_into(head[0], out + 8))
            memcpy(out, head, 8)
            out += 8 + head[1]
        return cython.cast(cython.p_char, cython.address(made[0]))[:total]

    def key(self, number: cython.Py_ssize_t) -> bytes:
        """The canonical bytes of a series' labels. Raises IndexError."""
        if not self.knows(number):
            raise IndexError(f"series {number} is not known")
        size: cython.Py_ssize_t = self.key_into(cython.cast(cython.uint, number), cython.NULL)
        made: cython.uchar[::1] = np.empty(size + 1, np.uint8)
        self.key_into(cython.cast(cython.uint, number), cython.address(made[0]))
        return cython.cast(cython.p_char, cython.address(made[0]))[:size]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def key_into(self, number: cython.uint, out: cython.p_uchar) -> cython.Py_ssize_t:
        """Bytes of a key, written where there is an `out`."""
        place: cython.uint = self.places[number]
        k: cython.uint
        used: cython.Py_ssize_t = 0
        inner: cython.Py_ssize_t
        pair: cython.pointer(Entry)
        name: cython.pointer(Entry)
        for k in range(self.sets[place]):
            pair = self.entries + self.sets[place + 1 + k]
            name = self.entries + pair.name
            inner = 2 + size_of(name.size) + name.size + size_of(pair.size) + pair.size
            if out == cython.NULL:
                used += 1 + size_of(inner) + inner
                continue
            out[used] = 10
            used = put(out, used + 1, inner)
            out[used] = 10
            used = put(out, used + 1, name.size)
            memcpy(out + used, self.arena + name.text, name.size)
            used += name.size
            out[used] = 18
            used = put(out, used + 1, pair.size)
            memcpy(out + used, self.arena + pair.text, pair.size)
            used += pair.size
        return used

    # --- postings ----------------------------------------------------------------------------------------

    def sizes(self, entries: cython.const[cython.longlong][::1]) -> object:
        """int64: how long each entry's array is. Raises IndexError."""
        found = np.empty(entries.shape[0], np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        for k in range(entries.shape[0]):
            if not 0 <= entries[k] < self.count:
                raise IndexError(f"{entries[k]} of {self.count} texts")
            out[k] = self.entries[entries[k]].n
        return found

    def gather(self, entries: cython.const[cython.longlong][::1]) -> object:
        """uint32: the arrays of entries, one behind the other. Raises IndexError."""
        total: cython.Py_ssize_t = int(self.sizes(entries).sum())
        found = np.empty(total + 1, np.uint32)
        out: cython.uint[::1] = found
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t = 0
        entry: cython.pointer(Entry)
        for k in range(entries.shape[0]):
            entry = self.entries + entries[k]
            if entry.n:
                memcpy(cython.address(out[at]), entry.posting, 4 * entry.n)
                at += entry.n
        return found[:total]

    def keep(
        self,
        numbers: cython.const[cython.longlong][::1],
        name: cython.longlong,
        accepted: cython.const[cython.uchar][::1],
        absent: cython.bint,
    ) -> object:
        """int64: those known `numbers` whose pair under `name` has its flag in `accepted` (by id); `absent`: those
        without the label too. Raises IndexError."""
        n: cython.Py_ssize_t = numbers.shape[0]
        found = np.empty(n + 1, np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        j: cython.uint
        place: cython.uint
        pair: cython.uint
        kept: cython.Py_ssize_t = 0
        good: cython.bint
        if accepted.shape[0] < self.count:
            raise IndexError("a flag for every id is needed")
        with cython.nogil:
            for k in range(n):
                if not 0 <= numbers[k] < self.size:
                    continue
                place = self.places[numbers[k]]
                if place == 0:
                    continue
                good = absent
                for j in range(self.sets[place]):
                    pair = self.sets[place + 1 + j]
                    if self.entries[pair].name == name:
                        good = accepted[pair]
                        break
                if good:
                    out[kept] = numbers[k]
                    kept += 1
        return found[:kept]

    def pairs_under(self, numbers: cython.const[cython.longlong][::1], name: cython.longlong) -> object:
        """int64: the id of each series' pair under a name, -1 where it has none."""
        found = np.full(numbers.shape[0], -1, np.int64)
        out: cython.longlong[::1] = found
        k: cython.Py_ssize_t
        j: cython.uint
        place: cython.uint
        pair: cython.uint
        with cython.nogil:
            for k in range(numbers.shape[0]):
                if not 0 <= numbers[k] < self.size:
                    continue
                place = self.places[numbers[k]]
                if place == 0:
                    continue
                for j in range(self.sets[place]):
                    pair = self.sets[place + 1 + j]
                    if self.entries[pair].name == name:
                        out[k] = pair
                        break
        return found

    def scan(self, name: cython.Py_ssize_t, how: cython.int, text: bytes, more: cython.int) -> object:
        """int64: the pairs under a name's id whose value begins with (0), ends with (1) or contains (2) a text, and
        is `more` bytes longer at least. Raises IndexError."""
        if not 0 < name < self.count or self.entries[name].name != _NAMES:
            raise IndexError(f"{name} is not a name's id")
        entry: cython.pointer(Entry) = self.entries + name
        found = np.empty(entry.n + 1, np.int64)
        out: cython.longlong[::1] = found
        p: cython.p_uchar = cython.cast(cython.p_uchar, text)
        n: cython.Py_ssize_t = len(text)
        v: cython.p_uchar
        size: cython.Py_ssize_t
        k: cython.Py_ssize_t
        j: cython.Py_ssize_t
        kept: cython.Py_ssize_t = 0
        good: cython.bint
        with cython.nogil:
            for k in range(entry.n):
                v = self.arena + self.entries[entry.posting[k]].text
                size = self.entries[entry.posting[k]].size
                if size < n + more:
                    continue
                if how == PREFIX:
                    good = memcmp(v, p, n) == 0
                elif how == SUFFIX:
                    good = memcmp(v + size - n, p, n) == 0
                else:
                    good = False
                    for j in range(size - n + 1):
                        if n == 0 or (v[j] == p[0] and memcmp(v + j, p, n) == 0):
                            good = True
                            break
                if good:
                    out[kept] = entry.posting[k]
                    kept += 1
        return found[:kept]


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def size_of(x: cython.Py_ssize_t) -> cython.Py_ssize_t:
    n: cython.Py_ssize_t = 1
    while x > 127:
        x >>= 7
        n += 1
    return n


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def put(out: cython.p_uchar, at: cython.Py_ssize_t, x: cython.Py_ssize_t) -> cython.Py_ssize_t:
    while x > 127:
        out[at] = cython.cast(cython.uchar, x & 127) | 128
        at += 1
        x >>= 7
    out[at] = cython.cast(cython.uchar, x)
    return at + 1
