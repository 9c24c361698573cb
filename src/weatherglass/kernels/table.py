# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
# ruff: noqa: F821 (what digest.pxd defines)
"""The series table: label bytes → series number, open addressing, many spellings to one series.

Keys are not kept, 128 bits of each are (`digest.pxd`, keyed at random in every process): that two of 2^25 label
sets share them has a chance below 2^-70. Not here: what the labels say (`labelsets`), locking (the owner holds
a lock around every call).
"""

import secrets

import cython
import numpy as np
from cython.cimports.libc.string import memcpy
from cython.cimports.weatherglass.kernels.pages import give, grow

from weatherglass.base.errors import Corrupt

_random = cython.declare(bytes, secrets.token_bytes(1056))
memcpy(wg_words, cython.cast(cython.p_uchar, _random), 1056)

Entry = cython.struct(one=cython.ulonglong, two=cython.ulonglong)


@cython.cclass
class SeriesTable:
    """Keys are bytes, values are series numbers (uint32). Grows by doubling; nothing is removed."""

    slots: cython.p_uint
    mask: cython.size_t
    digests: cython.pointer(Entry)
    numbers: cython.p_uint
    count: cython.Py_ssize_t
    capacity: cython.Py_ssize_t

    def __cinit__(self):
        self.mask = 1023
        self.slots = cython.cast(cython.p_uint, grow(cython.NULL, 0, 4096))
        if self.slots == cython.NULL:
            raise MemoryError
        self.grow_entries(512)

    def __dealloc__(self):
        give(self.slots, (self.mask + 1) * 4)
        give(self.digests, self.capacity * cython.sizeof(Entry))
        give(self.numbers, self.capacity * 4)

    def __len__(self):
        return self.count

    @property
    def memory(self) -> object:
        """Bytes held."""
        return self.count * 20 + (self.mask + 1) * 4

    @cython.cfunc
    def grow_entries(self, capacity: cython.Py_ssize_t) -> cython.int:
        size: cython.size_t = cython.sizeof(Entry)
        digests = grow(self.digests, self.capacity * size, capacity * size)
        if digests == cython.NULL:
            raise MemoryError
        self.digests = cython.cast(cython.pointer(Entry), digests)
        numbers = grow(self.numbers, self.capacity * 4, capacity * 4)
        if numbers == cython.NULL:
            raise MemoryError
        self.numbers = cython.cast(cython.p_uint, numbers)
        self.capacity = capacity
        return 0

    @cython.cfunc
    def grow_slots(self) -> cython.int:
        size: cython.size_t = (self.mask + 1) * 2
        slots: cython.p_uint = cython.cast(cython.p_uint, grow(cython.NULL, 0, size * 4))
        entry: cython.Py_ssize_t
        slot: cython.size_t
        if slots == cython.NULL:
            raise MemoryError
        for entry in range(self.count):
            slot = self.digests[entry].one & (size - 1)
            while slots[slot]:
                slot = (slot + 1) & (size - 1)
            slots[slot] = cython.cast(cython.uint, entry + 1)
        give(self.slots, (self.mask + 1) * 4)
        self.slots = slots
        self.mask = size - 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(check=False)
    def find(self, key: cython.pointer(Entry)) -> cython.longlong:
        slot: cython.size_t = key.one & self.mask
        entry: cython.uint
        while self.slots[slot]:
            entry = self.slots[slot] - 1
            if self.digests[entry].one == key.one and self.digests[entry].two == key.two:
                return self.numbers[entry]
            slot = (slot + 1) & self.mask
        return -1

    @cython.cfunc
    def put(self, key: cython.pointer(Entry), number: cython.uint) -> cython.int:
        slot: cython.size_t
        if self.count >= self.capacity:
            self.grow_entries(self.capacity * 2)
        if cython.cast(cython.size_t, self.count + 1) * 4 > self.mask * 3:
            self.grow_slots()
        slot = key.one & self.mask
        while self.slots[slot]:
            slot = (slot + 1) & self.mask
        self.digests[self.count] = key[0]
        self.numbers[self.count] = number
        self.count += 1
        self.slots[slot] = cython.cast(cython.uint, self.count)
        return 0

    def get(self, key: bytes) -> object:
        """The series of a key, or -1."""
        digest = cython.declare(Entry)
        wg_digest(
            cython.cast(cython.p_uchar, key),
            len(key),
            cython.cast(cython.p_ulonglong, cython.address(digest)),
        )
        return self.find(cython.address(digest))

    def add(self, key: bytes, number: cython.uint) -> object:
        """Another key; the caller knows that it is not there. Raises MemoryError."""
        digest = cython.declare(Entry)
        wg_digest(
            cython.cast(cython.p_uchar, key),
            len(key),
            cython.cast(cython.p_ulonglong, cython.address(digest)),
        )
        self.put(cython.address(digest), number)

    def load(self, body: bytes) -> object:
        """Every key of a body of `number u32, size u32, key` that is not there yet. Raises Corrupt, MemoryError."""
        p: cython.p_uchar = cython.cast(cython.p_uchar, body)
        end: cython.Py_ssize_t = len(body)
        at: cython.Py_ssize_t = 0
        head = cython.declare(cython.uint[2])
        digest = cython.declare(Entry)
        while at < end:
            if end - at < 8:
                raise Corrupt("a record of labels is cut short")
            memcpy(head, p + at, 8)
            at += 8
            if head[1] > end - at:
                raise Corrupt("a record of labels is cut short")
            wg_digest(p + at, head[1], cython.cast(cython.p_ulonglong, cython.address(digest)))
            if self.find(cython.address(digest)) < 0:
                self.put(cython.address(digest), head[0])
            at += head[1]

    def lookup(self, batch: object) -> tuple:
        """(series numbers int64 of a `wire.Batch`, -1 where unknown; how many are unknown)."""
        raw: cython.const[cython.uchar][::1] = batch.raw
        starts: cython.longlong[::1] = batch.starts
        sizes: cython.longlong[::1] = batch.sizes
        n: cython.Py_ssize_t = starts.shape[0]
        found = np.empty(n, np.int64)
        out: cython.longlong[::1] = found
        p: cython.p_uchar
        k: cython.Py_ssize_t
        digest = cython.declare(Entry)
        misses: cython.Py_ssize_t = 0
        if n:
            p = cython.cast(cython.p_uchar, cython.address(raw[0]))
            with cython.nogil:
                for k in range(n):
                    wg_digest(
                        p + starts[k], sizes[k], cython.cast(cython.p_ulonglong, cython.address(digest))
                    )
                    out[k] = self.find(cython.address(digest))
                    misses += out[k] < 0
        return found, misses
