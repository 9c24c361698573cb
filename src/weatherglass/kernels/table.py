# cython: boundscheck=False, wraparound=False, cdivision=True
"""The series table: label bytes → series number, open addressing, many spellings to one series.

Compares whole keys, so a hash that collides costs time and never a wrong series. Not here: what the labels
say (the inverted index of `metrics`), locking (the owner holds a lock around every call).
"""

import cython
import numpy as np
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.weatherglass.kernels.wire import hash_bytes


@cython.cclass
class SeriesTable:
    """Keys are bytes, values are series numbers (uint32). Grows by doubling; nothing is removed."""

    slots: cython.p_uint
    mask: cython.size_t
    hashes: cython.p_ulonglong
    offsets: cython.p_longlong
    sizes: cython.p_uint
    numbers: cython.p_uint
    count: cython.Py_ssize_t
    capacity: cython.Py_ssize_t
    arena: cython.p_uchar
    used: cython.Py_ssize_t
    room: cython.Py_ssize_t

    def __cinit__(self):
        self.mask = 1023
        self.slots = cython.cast(cython.p_uint, calloc(1024, 4))
        if self.slots == cython.NULL:
            raise MemoryError
        self.grow_entries(512)
        self.grow_arena(1 << 16)

    def __dealloc__(self):
        free(self.slots)
        free(self.hashes)
        free(self.offsets)
        free(self.sizes)
        free(self.numbers)
        free(self.arena)

    def __len__(self):
        return self.count

    @property
    def memory(self) -> object:
        """Bytes held."""
        return self.room + self.capacity * 24 + (self.mask + 1) * 4

    @cython.cfunc
    def grow_entries(self, capacity: cython.Py_ssize_t) -> cython.int:
        hashes = realloc(self.hashes, capacity * 8)
        if hashes != cython.NULL:
            self.hashes = cython.cast(cython.p_ulonglong, hashes)
        offsets = realloc(self.offsets, capacity * 8)
        if offsets != cython.NULL:
            self.offsets = cython.cast(cython.p_longlong, offsets)
        sizes = realloc(self.sizes, capacity * 4)
        if sizes != cython.NULL:
            self.sizes = cython.cast(cython.p_uint, sizes)
        numbers = realloc(self.numbers, capacity * 4)
        if numbers != cython.NULL:
            self.numbers = cython.cast(cython.p_uint, numbers)
        if hashes == cython.NULL or offsets == cython.NULL or sizes == cython.NULL or numbers == cython.NULL:
            raise MemoryError
        self.capacity = capacity
        return 0

    @cython.cfunc
    def grow_arena(self, room: cython.Py_ssize_t) -> cython.int:
        arena = realloc(self.arena, room)
        if arena == cython.NULL:
            raise MemoryError
        self.arena = cython.cast(cython.p_uchar, arena)
        self.room = room
        return 0

    @cython.cfunc
    def grow_slots(self) -> cython.int:
        size: cython.size_t = (self.mask + 1) * 2
        slots: cython.p_uint = cython.cast(cython.p_uint, calloc(size, 4))
        entry: cython.Py_ssize_t
        slot: cython.size_t
        if slots == cython.NULL:
            raise MemoryError
        for entry in range(self.count):
            slot = self.hashes[entry] & (size - 1)
            while slots[slot]:
                slot = (slot + 1) & (size - 1)
            slots[slot] = cython.cast(cython.uint, entry + 1)
        free(self.slots)
        self.slots = slots
        self.mask = size - 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def find(self, p: cython.p_uchar, n: cython.Py_ssize_t, h: cython.ulonglong) -> cython.longlong:
        slot: cython.size_t = h & self.mask
        entry: cython.uint
        while self.slots[slot]:
            entry = self.slots[slot] - 1
            if (
                self.hashes[entry] == h
                and self.sizes[entry] == n
                and memcmp(self.arena + self.offsets[entry], p, n) == 0
            ):
                return self.numbers[entry]
            slot = (slot + 1) & self.mask
        return -1

    def get(self, key: bytes) -> object:
        """The series of a key, or -1."""
        p: cython.p_uchar = cython.cast(cython.p_uchar, key)
        return self.find(p, len(key), hash_bytes(p, len(key)))

    def add(self, key: bytes, number: cython.uint) -> object:
        """Another key; the caller knows that it is not there. Raises MemoryError."""
        p: cython.p_uchar = cython.cast(cython.p_uchar, key)
        n: cython.Py_ssize_t = len(key)
        h: cython.ulonglong = hash_bytes(p, n)
        room: cython.Py_ssize_t = self.room
        slot: cython.size_t
        if self.count >= self.capacity:
            self.grow_entries(self.capacity * 2)
        while self.used + n > room:
            room += room // 2
        if room != self.room:
            self.grow_arena(room)
        if cython.cast(cython.size_t, self.count + 1) * 2 > self.mask:
            self.grow_slots()
        slot = h & self.mask
        while self.slots[slot]:
            slot = (slot + 1) & self.mask
        memcpy(self.arena + self.used, p, n)
        self.hashes[self.count] = h
        self.offsets[self.count] = self.used
        self.sizes[self.count] = cython.cast(cython.uint, n)
        self.numbers[self.count] = number
        self.used += n
        self.count += 1
        self.slots[slot] = cython.cast(cython.uint, self.count)

    def key_at(self, entry: cython.Py_ssize_t) -> bytes:
        """The bytes of the key that was added as number `entry` (from 0). Raises IndexError."""
        if not 0 <= entry < self.count:
            raise IndexError(f"{entry} of {self.count} keys")
        start: cython.p_char = cython.cast(cython.p_char, self.arena + self.offsets[entry])
        return start[: self.sizes[entry]]

    def lookup(self, batch: object) -> tuple:
        """(series numbers int64 of a `wire.Batch`, -1 where unknown; how many are unknown)."""
        raw: cython.const[cython.uchar][::1] = batch.raw
        starts: cython.longlong[::1] = batch.starts
        sizes: cython.longlong[::1] = batch.sizes
        hashes: cython.ulonglong[::1] = batch.hashes
        n: cython.Py_ssize_t = starts.shape[0]
        found = np.empty(n, np.int64)
        out: cython.longlong[::1] = found
        p: cython.p_uchar
        k: cython.Py_ssize_t
        misses: cython.Py_ssize_t = 0
        if n:
            p = cython.cast(cython.p_uchar, cython.address(raw[0]))
            with cython.nogil:
                for k in range(n):
                    out[k] = self.find(p + starts[k], sizes[k], hashes[k])
                    misses += out[k] < 0
        return found, misses
