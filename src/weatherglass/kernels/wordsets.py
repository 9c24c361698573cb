# cython: boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -fno-strict-aliasing
"""The different words of many ASCII texts as CRC-32s, and the Bloom filter of such: what `logs.words` does, in C.

A word is a run of letters, digits and `_`, its case folded; which words count is `logs.words.kept`'s to say and is
said here again, held to it by a property test. Texts beyond ASCII are told, for who knows their letters.
"""

import cython
import numpy as np
from cython.cimports.libc.stdlib import calloc, free

crc_table = cython.declare(cython.uint[256])
classes = cython.declare(cython.uchar[256])
"""0: between words; else the folded letter."""


def _fill() -> None:
    i: cython.uint
    _: cython.int
    c: cython.uint
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ (0xEDB88320 if c & 1 else 0)
        crc_table[i] = c
        classes[i] = 0
        if 48 <= i <= 57 or 97 <= i <= 122 or i == 95:
            classes[i] = i
        elif 65 <= i <= 90:
            classes[i] = i + 32


_fill()


@cython.cclass
class Words:
    """A set of CRC-32s that grows."""

    slots: cython.p_uint
    mask: cython.size_t
    count: cython.Py_ssize_t
    zero: cython.bint

    def __cinit__(self):
        self.mask = 4095
        self.slots = cython.cast(cython.p_uint, calloc(4096, 4))
        if self.slots == cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.slots)

    @cython.cfunc
    @cython.exceptval(-1)
    def put(self, crc: cython.uint) -> cython.int:
        at: cython.size_t
        i: cython.size_t
        slots: cython.p_uint
        mask: cython.size_t
        if crc == 0:
            self.zero = True
            return 0
        at = crc & self.mask
        while self.slots[at]:
            if self.slots[at] == crc:
                return 0
            at = (at + 1) & self.mask
        self.slots[at] = crc
        self.count += 1
        if cython.cast(cython.size_t, self.count) * 2 > self.mask:
            mask = self.mask * 2 + 1
            slots = cython.cast(cython.p_uint, calloc(mask + 1, 4))
            if slots == cython.NULL:
                raise MemoryError
            for i in range(self.mask + 1):
                if self.slots[i]:
                    at = self.slots[i] & mask
                    while slots[at]:
                        at = (at + 1) & mask
                    slots[at] = self.slots[i]
            free(self.slots)
            self.slots = slots
            self.mask = mask
        return 0

    def add(self, crc: cython.uint) -> None:
        self.put(crc)

    def scan(self, data: cython.const[cython.uchar][::1], offsets: cython.const[cython.int][::1]) -> list:
        """Takes in the words of texts `offsets[i]:offsets[i + 1]` of `data`; the numbers of those beyond ASCII."""
        n: cython.Py_ssize_t = offsets.shape[0] - 1
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        end: cython.Py_ssize_t
        begin: cython.Py_ssize_t
        size: cython.Py_ssize_t
        crc: cython.uint
        c: cython.uchar
        high: cython.uchar
        digits: cython.int
        letters: cython.int
        others: list = []
        if n > 0 and (offsets[0] < 0 or offsets[n] > data.shape[0]):
            raise IndexError("offsets beyond the data")
        for i in range(n):
            at = offsets[i]
            end = offsets[i + 1]
            if end < at or end > data.shape[0]:
                raise IndexError("offsets descend")
            high = 0
            while at < end:
                high |= data[at]
                at += 1
            if high > 127:
                others.append(i)
                continue
            at = offsets[i]
            while at < end:
                while at < end and classes[data[at]] == 0:
                    at += 1
                begin = at
                crc = 0xFFFFFFFF
                digits = 0
                letters = 0
                while at < end:
                    c = classes[data[at]]
                    if c == 0:
                        break
                    crc = crc_table[(crc ^ c) & 255] ^ (crc >> 8)
                    digits += c <= 57
                    letters += 97 <= c <= 102
                    at += 1
                size = at - begin
                if size < 3 or (size == 4 and digits + letters == 4 and digits and letters):
                    continue
                self.put(crc ^ 0xFFFFFFFF)
        return others

    def __len__(self) -> int:
        return self.count + self.zero

    def bloom(self, bits: cython.ulonglong, probes: cython.int) -> bytes:
        """The filter: bit 0 is the highest of the first byte. `bits` is a multiple of eight."""
        table = np.zeros(bits >> 3, np.uint8)
        out: cython.uchar[::1] = table
        i: cython.size_t
        j: cython.int
        k: cython.ulonglong
        first: cython.ulonglong
        step: cython.ulonglong
        # splitmix64's finaliser; its constants are beyond a signed long, so they are put together.
        a: cython.ulonglong = 0x9E3779B9
        b: cython.ulonglong = 0xBF58476D
        c: cython.ulonglong = 0x94D049BB
        a = (a << 32) | 0x7F4A7C15
        b = (b << 32) | 0x1CE4E5B9
        c = (c << 32) | 0x133111EB
        for i in range(self.mask + 2):
            if i <= self.mask:
                if self.slots[i] == 0:
                    continue
                k = self.slots[i]
            elif self.zero:
                k = 0
            else:
                continue
            k += a
            k = (k ^ (k >> 30)) * b
            k = (k ^ (k >> 27)) * c
            k ^= k >> 31
            first = k & 0xFFFFFFFF
            step = (k >> 32) | 1
            for j in range(probes):
                k = (first + step * cython.cast(cython.ulonglong, j)) % bits
                out[k >> 3] |= 0x80 >> (k & 7)
        return table.tobytes()
