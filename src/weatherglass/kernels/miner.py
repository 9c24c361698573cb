# cython: boundscheck=False, wraparound=False, cdivision=True
"""Known templates, matched: a batch of messages → ids and the spans of their variables, in one pass.

A message is found by its looks: first by all of its tokens (one look into a table), then, where a template has
tokens that may be any word, among the few templates of its structure. What is found is checked byte for byte
against the fixed texts of the template, so a hash that collides makes a miss and never a wrong answer. Learning
from misses is `logs.templates`.
"""

import cython
import numpy as np
from cython.cimports.cpython.bytes import PyBytes_AS_STRING
from cython.cimports.libc.stdlib import calloc, free, malloc, realloc
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.weatherglass.kernels.tokens import Tokens

CANDIDATES = 64
"""Templates with free words that one structure may have; more are not looked at."""
DEAD: cython.int = cython.declare(cython.int, 1 << 30)


@cython.cclass
class Table:
    """64-bit keys to numbers, open addressing; nothing is removed."""

    keys: cython.p_ulonglong
    values: cython.p_int
    mask: cython.size_t
    count: cython.Py_ssize_t

    def __cinit__(self):
        self.mask = 1023
        self.keys = cython.cast(cython.p_ulonglong, calloc(1024, 8))
        self.values = cython.cast(cython.p_int, calloc(1024, 4))
        if self.keys == cython.NULL or self.values == cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.keys)
        free(self.values)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def get(self, key: cython.ulonglong) -> cython.int:
        at: cython.size_t
        key = key if key else 1
        at = key & self.mask
        while self.keys[at]:
            if self.keys[at] == key:
                return self.values[at]
            at = (at + 1) & self.mask
        return -1

    @cython.cfunc
    def put(self, key: cython.ulonglong, value: cython.int) -> cython.int:
        at: cython.size_t
        i: cython.size_t
        mask: cython.size_t
        keys: cython.p_ulonglong
        values: cython.p_int
        if cython.cast(cython.size_t, self.count) * 2 > self.mask:
            mask = self.mask * 2 + 1
            keys = cython.cast(cython.p_ulonglong, calloc(mask + 1, 8))
            values = cython.cast(cython.p_int, calloc(mask + 1, 4))
            if keys == cython.NULL or values == cython.NULL:
                free(keys)
                free(values)
                raise MemoryError
            for i in range(self.mask + 1):
                if self.keys[i]:
                    at = self.keys[i] & mask
                    while keys[at]:
                        at = (at + 1) & mask
                    keys[at] = self.keys[i]
                    values[at] = self.values[i]
            free(self.keys)
            free(self.values)
            self.keys = keys
            self.values = values
            self.mask = mask
        key = key if key else 1
        at = key & self.mask
        while self.keys[at] and self.keys[at] != key:
            at = (at + 1) & self.mask
        if not self.keys[at]:
            self.keys[at] = key
            self.count += 1
        self.values[at] = value
        return 0


@cython.cclass
class Entry:
    """One way to a template: which tokens must be what, and where the variables lie between them."""

    id: cython.longlong
    slots: cython.int
    tokens: cython.int
    next: cython.int
    plan: cython.p_int
    """(token, var, delta) twice a slot; var −1: from the token's begin, −2: from its end, else from the end of
    the token's var of that number."""
    fixed: cython.p_ulonglong
    """The tokens' hashes, 0 where any will do; NULL where the whole hash has spoken for all."""
    texts: bytes
    sizes: cython.p_int

    def __cinit__(self, id, plan, pieces, fixed):
        i: cython.int
        self.id = id
        self.slots = len(pieces) - 1
        self.next = -1
        self.texts = b"".join(pieces)
        self.plan = cython.cast(cython.p_int, malloc(max(len(plan), 1) * 4))
        self.sizes = cython.cast(cython.p_int, malloc(len(pieces) * 4))
        if self.plan == cython.NULL or self.sizes == cython.NULL:
            raise MemoryError
        if len(plan) != self.slots * 6:
            raise ValueError("a plan has six numbers a slot")
        for i in range(len(plan)):
            self.plan[i] = plan[i]
        for i in range(len(pieces)):
            self.sizes[i] = len(pieces[i])
        if fixed is not None:
            self.tokens = len(fixed)
            self.fixed = cython.cast(cython.p_ulonglong, malloc(max(len(fixed), 1) * 8))
            if self.fixed == cython.NULL:
                raise MemoryError
            for i in range(len(fixed)):
                self.fixed[i] = fixed[i]

    def __dealloc__(self):
        free(self.plan)
        free(self.fixed)
        free(self.sizes)

    @cython.cfunc
    @cython.exceptval(check=False)
    def place(self, t: Tokens, base: cython.Py_ssize_t, out: cython.p_longlong) -> cython.bint:
        """Writes the variables' spans; False where the message is none of this template's."""
        i: cython.int
        side: cython.int
        token: cython.int
        var: cython.int
        at: cython.Py_ssize_t = 0
        b: cython.Py_ssize_t = 0
        e: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t
        plan: cython.p_int = self.plan
        text: cython.pointer(cython.char) = PyBytes_AS_STRING(self.texts)
        if self.fixed != cython.NULL:
            if t.count != self.tokens:
                return False
            for i in range(self.tokens):
                if self.fixed[i] and self.fixed[i] != t.hash[i]:
                    return False
        for i in range(self.slots):
            for side in range(2):
                token = plan[0]
                var = plan[1]
                if token < 0 or token >= t.count:
                    return False
                if var == -1:
                    e = t.begin[token]
                elif var == -2:
                    e = t.end[token]
                else:
                    var += t.var_first[token]
                    if var >= t.var_first[token + 1]:
                        return False
                    e = t.var_end[var]
                e += plan[2]
                if side == 0:
                    b = e
                plan += 3
            size = self.sizes[i]
            if b < at or e < b or e > t.n or b - at != size or memcmp(t.p + at, text, size) != 0:
                return False
            text += size
            at = e
            out[0] = base + b
            out[1] = base + e
            out += 2
        size = self.sizes[self.slots]
        return t.n - at == size and memcmp(t.p + at, text, size) == 0


@cython.cclass
class Matcher:
    """All entries. Not safe from threads: one owner."""

    tokens: Tokens
    exact: Table
    free: Table
    entries: list

    def __init__(self):
        self.tokens = Tokens()
        self.exact = Table()
        self.free = Table()
        self.entries = []

    def __len__(self):
        return len(self.entries)

    def add_exact(self, whole: int, id: int, plan: list, pieces: list) -> int:
        """Messages whose tokens are all as in `whole` are of template `id`; replaces what was told of them before.

        Gives the entry's number, by which it can be dropped."""
        self.exact.put(whole, len(self.entries))
        self.entries.append(Entry(id, plan, pieces, None))
        return len(self.entries) - 1

    def add_free(self, structure: int, fixed: list, id: int, plan: list, pieces: list) -> int:
        """Messages of this structure whose tokens are `fixed` (0: any) are of template `id`."""
        entry: Entry = Entry(id, plan, pieces, fixed)
        entry.next = self.free.get(structure)
        self.free.put(structure, len(self.entries))
        self.entries.append(entry)
        return len(self.entries) - 1

    def drop(self, number: int) -> None:
        """The entry answers no more."""
        entry: Entry = cython.cast(Entry, self.entries[number])
        entry.slots = DEAD

    @cython.cfunc
    def find(self, out: cython.p_longlong, room: cython.Py_ssize_t, base: cython.Py_ssize_t) -> Entry:
        """The entry of the message just read, or None; its spans are written where they have room."""
        t: Tokens = self.tokens
        entry: Entry
        tries: cython.int = 0
        at: cython.int = self.exact.get(t.whole)
        if at >= 0:
            entry = cython.cast(Entry, self.entries[at])
            if entry.slots <= room and entry.place(t, base, out):
                return entry
        at = self.free.get(t.structure)
        while at >= 0 and tries < CANDIDATES:
            entry = cython.cast(Entry, self.entries[at])
            if entry.slots <= room and entry.place(t, base, out):
                return entry
            at = entry.next
            tries += entry.slots != DEAD
        return None

    def match(self, messages: list, rest: cython.longlong) -> tuple:
        """(ids, first, spans, buffer, offsets, misses) of messages (str); a miss has id 0 and no span.

        `rest`, where it is not 0, is the id for a miss instead: the whole message is one variable.
        """
        n: cython.Py_ssize_t = len(messages)
        i: cython.Py_ssize_t
        total: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t = 0
        room: cython.Py_ssize_t
        used: cython.Py_ssize_t = 0
        grown: cython.pointer(cython.void)
        p: cython.pointer(cython.const[cython.uchar])
        t: Tokens = self.tokens
        entry: Entry
        message: object
        raw: bytes
        raws: list = [None] * n
        misses: list = []
        ids = np.zeros(n, np.int64)
        first = np.zeros(n + 1, np.int64)
        offsets = np.zeros(n + 1, np.int64)
        ids_: cython.longlong[::1] = ids
        first_: cython.longlong[::1] = first
        offsets_: cython.longlong[::1] = offsets
        spans_: cython.longlong[::1]
        spans: cython.p_longlong
        for i in range(n):
            message = messages[i]
            raw = message.encode("utf-8", "surrogatepass")
            raws[i] = raw
            total += len(raw)
            offsets_[i + 1] = total
        buffer: bytes = b"".join(raws)
        raws = []
        p = cython.cast(cython.pointer(cython.const[cython.uchar]), PyBytes_AS_STRING(buffer))
        room = n * 16 + 8192
        spans = cython.cast(cython.p_longlong, malloc(room * 8))
        if spans == cython.NULL:
            raise MemoryError
        try:
            for i in range(n):
                size = offsets_[i + 1] - offsets_[i]
                t.read(p + offsets_[i], size)
                if room - used < 8192 + 16:
                    room *= 2
                    grown = realloc(spans, room * 8)
                    if grown == cython.NULL:
                        raise MemoryError
                    spans = cython.cast(cython.p_longlong, grown)
                entry = self.find(spans + used, 4096, offsets_[i])
                if entry is not None:
                    ids_[i] = entry.id
                    used += entry.slots * 2
                else:
                    misses.append(i)
                    ids_[i] = rest
                    spans[used] = offsets_[i]
                    spans[used + 1] = offsets_[i + 1]
                    used += 2
                first_[i + 1] = used >> 1
            found = np.zeros(used, np.int64)
            spans_ = found
            if used:
                memcpy(cython.address(spans_[0]), spans, used * 8)
        finally:
            free(spans)
        return ids, first, found.reshape(-1, 2), buffer, offsets, misses

    def look(self, message: bytes) -> tuple:
        """(whole hash, structure hash, whether cut, tokens) of one message.

        A token: (begin, end, hash, soft, ((begin, end, type), …)).
        """
        t: Tokens = self.tokens
        i: cython.int
        v: cython.int
        t.read(message, len(message))
        tokens = []
        for i in range(t.count):
            vars = []
            for v in range(t.var_first[i], t.var_first[i + 1]):
                vars.append((t.var_begin[v], t.var_end[v], t.var_type[v]))
            tokens.append((t.begin[i], t.end[i], t.hash[i], bool(t.soft[i]), tuple(vars)))
        return t.whole, t.structure, bool(t.cut), tokens
