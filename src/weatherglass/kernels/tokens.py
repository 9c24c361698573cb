# cython: boundscheck=False, wraparound=False, cdivision=True
"""One message → tokens: runs of text between delimiters, and in each the parts that are values by their looks.

What is a value by its looks: a number, a UUID, an address, a path, a URL, a literal of Python or JSON. A token
whose letters come before its digits (`eth0`, `ssh2`) is `soft`: a word, until it is seen to vary. No statistics
here, no memory of other messages: the same bytes always give the same tokens. Every read is bounds-checked.
"""

import cython
from cython.cimports.weatherglass.kernels.looks import Looks, _class

from weatherglass.kernels.looks import MOST, VALUES
from weatherglass.kernels.looks import NAMES as NAMES

_MOST = cython.declare(cython.int, MOST)
_VALUES = cython.declare(cython.int, VALUES)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def mix(h: cython.ulonglong, value: cython.ulonglong) -> cython.ulonglong:
    h = (h ^ value) * cython.cast(cython.ulonglong, 0x9FB21C651E98DF25)
    return h ^ (h >> 32)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def unit(p: cython.pointer(cython.const[cython.uchar]), n: cython.Py_ssize_t) -> cython.int:
    """The type a unit behind digits gives: DURATION, SIZE; 0 where it is no unit."""
    a: cython.uchar = p[0]
    b: cython.uchar = p[1] if n > 1 else 0
    c: cython.uchar = p[2] if n > 2 else 0
    if n == 1:
        if a == ord("s"):
            return 6
        return 7 if a == ord("B") else 0
    if n == 2:
        if b == ord("s") and (a == ord("m") or a == ord("u") or a == ord("n")):
            return 6
        if b == ord("B") and (
            a == ord("k") or a == ord("K") or a == ord("M") or a == ord("G") or a == ord("T")
        ):
            return 7
        return 0
    if n == 3:
        if a == ord("s") and b == ord("e") and c == ord("c"):
            return 6
        if (
            b == ord("i")
            and c == ord("B")
            and (a == ord("K") or a == ord("M") or a == ord("G") or a == ord("T"))
        ):
            return 7
        if b == ord("H") and c == ord("z") and (a == ord("k") or a == ord("M") or a == ord("G")):
            return 7
    return 0


@cython.cclass
class Tokens(Looks):
    """The tokens of the message read last. One to a thread."""

    @cython.cfunc
    @cython.exceptval(check=False)
    def read(self, p: cython.pointer(cython.const[cython.uchar]), n: cython.Py_ssize_t) -> cython.int:
        """Tokenises; returns how many tokens."""
        at: cython.Py_ssize_t = 0
        begin: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        gap: cython.Py_ssize_t
        k: cython.Py_ssize_t
        first: cython.int
        v: cython.int
        last: cython.int
        h: cython.ulonglong
        s: cython.ulonglong = 0x51ED270B
        w: cython.ulonglong = 0x1234567
        c: cython.uchar
        before: cython.uchar
        digits: cython.int
        empty: cython.bint
        listing: cython.bint = False
        joined: cython.bint
        s_last: cython.ulonglong = s
        self.p = p
        self.n = n
        self.count = 0
        self.vars = 0
        self.cut = False
        self.unbalanced = False
        while True:
            gap = at
            stop = -1
            empty = False
            before = 0
            while at < n and _class[p[at]] & 1:
                c = p[at]
                if (
                    at > gap
                    and self.hollow(before, c)
                    and not (before == ord("=") and at > 1 and _class[p[at - 2]] & 16)
                ):
                    # Nothing between brackets or quotes, nothing behind "=": an empty value.
                    empty = True
                    break
                if c == ord("<"):
                    stop = self.instance(at)
                    if stop > 0:
                        break
                # A literal of Python or JSON: the bracket, then a quote or a bracket.
                if (c == ord("{") or c == ord("[") or c == ord("(")) and not self.unbalanced and at + 1 < n:
                    stop = self.literal(at)
                    if stop > 0:
                        break
                w = mix(w, c)
                if not _class[c] & 16 or not _class[before] & 16 or at == gap:
                    s = mix(s, 32 if _class[c] & 16 else c)
                # What was hollow is told once.
                before = c
                at += 1
            if at >= n and not (before == ord("=") and at - gap == 1 and gap > 0):
                break
            if at >= n:
                empty = True
            begin = at
            first = self.vars
            if self.count == _MOST or self.vars > _VALUES - 512:
                self.begin[self.count] = at
                self.end[self.count] = n
                self.var_first[self.count] = self.vars
                self.soft[self.count] = 0
                self.variable(at, n, 8)
                self.hash[self.count] = 8
                self.count += 1
                self.cut = True
                s = mix(s, 257)
                break
            self.var_first[self.count] = first
            self.soft[self.count] = 0
            if empty:
                stop = at
            elif stop > 0:
                # "[]" and "{}" are words of their own: what varies may be empty.
                if stop > at + 2:
                    self.variable(at, stop, 9)
            else:
                stop = self.special(at)
                if stop < 0:
                    stop = at
                    digits = 0
                    while stop < n and not _class[p[stop]] & 1:
                        digits |= _class[p[stop]] & 2
                        stop += 1
                    if digits:
                        self.runs(at, stop)
            h = 0xABCDEF
            k = begin
            v = first
            while v < self.vars:
                while k < self.var_begin[v]:
                    h = mix(h, p[k])
                    k += 1
                h = mix(h, 256)
                k = self.var_end[v]
                v += 1
            while k < stop:
                h = mix(h, p[k])
                k += 1
            if empty:
                # The delimiters go on behind an empty token; the next of them is never hollow with what was before.
                h = 3
            last = self.count - 1
            joined = False
            if last >= 0 and self.vars == first + 1 and self.var_end[first] == stop and self.hash[last] == h \
                    and self.end[last] == self.var_end[first - 1] and gap < begin:  # fmt: skip
                # The next of a list: the same looks as the token before, no more than a comma or a blank between.
                v = 0
                if p[gap] == ord(","):
                    v = 1 if gap + 1 == begin else 2 if gap + 2 == begin and p[gap + 1] == 32 else 0
                elif p[gap] == 32 and gap + 1 == begin:
                    v = 3
                if self.var_begin[first] > begin + 1 and _class[p[begin]] & 4:
                    joined = v > 0
                elif self.var_begin[first] == begin:
                    joined = (v == 1 and self.var_type[first] != 1) or (listing and (v == 1 or v == 2))
            if joined:
                self.var_end[first - 1] = stop
                self.end[last] = stop
                self.vars = first
                s = s_last
                w = self.w_last
                at = stop
                continue
            listing = begin > 0 and p[begin - 1] == ord("[")
            self.begin[self.count] = begin
            self.end[self.count] = stop
            self.hash[self.count] = h
            w = mix(w, h)
            s = mix(s, 257)
            s_last = s
            self.w_last = w
            self.count += 1
            at = stop
            if empty and at >= n:
                break
            if empty:
                # Step over the closing delimiter, so that it is not taken for hollow again.
                w = mix(w, p[at])
                s = mix(s, 32 if _class[p[at]] & 16 else p[at])
                at += 1
        self.var_first[self.count] = self.vars
        self.structure = s
        self.whole = mix(w, s)
        return self.count

    @cython.cfunc
    @cython.exceptval(check=False)
    def runs(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Finds the values in a token with digits in it; marks it soft where it has none."""
        p = self.p
        i: cython.Py_ssize_t = at
        j: cython.Py_ssize_t
        b: cython.Py_ssize_t
        k: cython.Py_ssize_t
        digits: cython.int
        hexes: cython.int
        type: cython.int
        last: cython.Py_ssize_t = -1  # where the value before ended, as long as only joiners came since
        first: cython.int = self.vars
        soft: cython.int = 0
        several: cython.bint = False
        if self.hostname(at, end):
            self.variable(at, end, 15)
            return 0
        # `compute-07`, `utf-8`: small letters, a hyphen and few digits are a name, until it is seen to vary.
        while i < end and (p[i] == ord("-") or (_class[p[i]] & 4 and p[i] >= ord("a"))):
            i += 1
        if i > at + 1 and p[i - 1] == ord("-") and _class[p[at]] & 4 and i < end and end - i < 5:
            while i < end and _class[p[i]] & 2:
                i += 1
            while i < end and not _class[p[i]] & 6:
                i += 1
            if i == end:
                self.soft[self.count] = 1
                return 0
        i = at
        while i < end:
            if not _class[p[i]] & 6:
                if p[i] == ord(".") and several and i + 1 < end and _class[p[i + 1]] & 2:
                    i += 1
                    continue
                if p[i] != ord("_") and p[i] != ord("-"):
                    last = -1
                    several = False
                i += 1
                continue
            b = i
            digits = 0
            hexes = 1
            while i < end and _class[p[i]] & 6:
                if _class[p[i]] & 2:
                    digits += 1
                if not _class[p[i]] & 8:
                    hexes = 0
                i += 1
            if digits == 0 and (i - b != 8 or not hexes):
                continue
            type = 0
            if i - b == 8 and hexes and i + 28 <= end and p[i] == ord("-") and p[i + 5] == ord("-") \
                    and p[i + 10] == ord("-") and p[i + 15] == ord("-"):  # fmt: skip
                k = i
                while k < i + 28 and (_class[p[k]] & 8 or p[k] == ord("-")):
                    k += 1
                if k == i + 28 and (k == end or not _class[p[k]] & 6):
                    self.variable(b, k, 2)
                    i = k
                    last = -1
                    continue
            if digits == 0:
                continue
            if digits == i - b:
                type = 1
                # Four numbers between dots are an address; other dots part a number.
                if last < 0 and i + 5 < end and p[i] == ord(".") and (b == at or p[b - 1] != ord(".")):
                    k = i
                    j = 0
                    while k < end and (
                        _class[p[k]] & 2 or (p[k] == ord(".") and k + 1 < end and _class[p[k + 1]] & 2)
                    ):
                        j += p[k] == ord(".")
                        k += 1
                    if j == 3 and k - b <= 15 and (k == end or not _class[p[k]] & 4):
                        if k < end and p[k] == ord("/"):
                            j = k + 1
                            while j < end and _class[p[j]] & 2:
                                j += 1
                            if j > k + 1 and j < k + 4 and (j == end or p[j] != ord(".")):
                                k = j
                        self.variable(b, k, 3)
                        i = k
                        last = -1
                        continue
            elif p[b] == ord("0") and i - b > 2 and (p[b + 1] == ord("x") or p[b + 1] == ord("X")):
                type = 5
            elif _class[p[b]] & 2:
                type = 11
                j = b
                while _class[p[j]] & 2 or (p[j] == ord(".") and j + 1 < i):
                    j += 1
                k = unit(p + j, i - j)
                if k and digits == j - b:
                    type = cython.cast(cython.int, k)
            elif (hexes and i - b >= 8 and digits > 1) or (i - b >= 16 and digits >= 4):
                type = 5 if hexes else 11
            elif digits == i - b - 1 and p[b] == ord("v"):
                b += 1
                type = 1
            if type == 0:
                soft = 1
                # `OAuth2.0`, `python3.11`: a name with its version.
                if (
                    self.vars == first
                    and i + 1 < end
                    and p[i] == ord(".")
                    and _class[p[i + 1]] & 2
                    and end - i < 5
                ):
                    k = i
                    while k < end and (_class[p[k]] & 2 or p[k] == ord(".")):
                        k += 1
                    if k == end:
                        break
                continue
            j = i
            if type == 6 or type == 7:
                j = b + digits
            if last >= 0 and self.vars > first:
                self.var_end[self.vars - 1] = j
                self.var_type[self.vars - 1] = 11
                several = True
            else:
                k = b
                if (
                    k > at
                    and (p[k - 1] == ord("-") or p[k - 1] == ord("+"))
                    and (k - 1 == at or not _class[p[k - 2]] & 6)
                ):
                    k -= 1
                self.variable(k, j, type)
                if self.vars > _VALUES - 8:
                    self.var_end[self.vars - 1] = end
                    return 0
            last = j if j == i else -1
        if self.vars == first and soft:
            self.soft[self.count] = 1
        return 0

    def split(self, message: bytes) -> list:
        """[(begin, end, soft, [(begin, end, type), …]), …]: the tokens of a message, for what is met first."""
        self.read(message, len(message))
        return [
            (
                self.begin[i],
                self.end[i],
                self.soft[i],
                [
                    (self.var_begin[v], self.var_end[v], self.var_type[v])
                    for v in range(self.var_first[i], self.var_first[i + 1])
                ],
            )
            for i in range(self.count)
        ]
