# cython: boundscheck=False, wraparound=False, cdivision=True
"""One message → tokens: runs of text between delimiters, and in each the parts that are values by their looks.

What is a value by its looks: a number, a UUID, an address, a path, a URL, a literal of Python or JSON. A token
whose letters come before its digits (`eth0`, `ssh2`) is `soft`: a word, until it is seen to vary. No statistics
here, no memory of other messages: the same bytes always give the same tokens. Every read is bounds-checked.
"""

import cython
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcmp

MOST = 640
"""Tokens of one message; what comes after is one value of type TEXT."""
VALUES = 4096

(
    NUMBER,
    UUID,
    ADDRESS,
    PATH,
    HEX,
    DURATION,
    SIZE,
    TEXT,
    LITERAL,
    URL,
    IDENTIFIER,
    WORD,
    REQUEST,
    TIME,
    HOST,
) = range(1, 16)
NAMES = ("", "number", "uuid", "address", "path", "hex", "duration", "size", "text", "literal", "url",
         "identifier", "word", "request", "time", "host")  # fmt: skip

# Classes of bytes, as bits: 1 delimiter, 2 digit, 4 letter (and all of UTF-8's bytes), 8 hexadecimal digit,
# 16 blank, 32 ends a path or a URL.
_class = cython.declare(cython.uchar[256])


def _classes() -> None:
    byte: cython.int
    for byte in range(256):
        char = chr(byte)
        value = 0
        if char in " \t\r\n\v\f=:,;()[]{}<>\"'|`" or byte == 0:
            value |= 1
        if char in "0123456789":
            value |= 2
        if byte >= 128 or char.isalpha():
            value |= 4
        if char in "0123456789abcdefABCDEF":
            value |= 8
        if char in " \t\r\n\v\f":
            value |= 16
        if char in " \t\r\n\v\f,;()[]{}<>\"'|`" or byte == 0:
            value |= 32
        _class[byte] = value


_classes()


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
class Tokens:
    """The tokens of the message read last. One to a thread."""

    def __cinit__(self):
        self.begin = cython.cast(cython.pointer(cython.Py_ssize_t), calloc(MOST + 1, 8))
        self.end = cython.cast(cython.pointer(cython.Py_ssize_t), calloc(MOST + 1, 8))
        self.hash = cython.cast(cython.p_ulonglong, calloc(MOST + 1, 8))
        self.var_first = cython.cast(cython.p_int, calloc(MOST + 2, 4))
        self.soft = cython.cast(cython.p_uchar, calloc(MOST + 1, 1))
        self.var_begin = cython.cast(cython.pointer(cython.Py_ssize_t), calloc(VALUES, 8))
        self.var_end = cython.cast(cython.pointer(cython.Py_ssize_t), calloc(VALUES, 8))
        self.var_type = cython.cast(cython.p_uchar, calloc(VALUES, 1))
        if (
            self.begin == cython.NULL or self.end == cython.NULL or self.hash == cython.NULL
            or self.var_first == cython.NULL or self.soft == cython.NULL or self.var_begin == cython.NULL
            or self.var_end == cython.NULL or self.var_type == cython.NULL
        ):  # fmt: skip
            raise MemoryError

    def __dealloc__(self):
        free(self.begin)
        free(self.end)
        free(self.hash)
        free(self.var_first)
        free(self.soft)
        free(self.var_begin)
        free(self.var_end)
        free(self.var_type)

    @cython.cfunc
    @cython.exceptval(check=False)
    def variable(self, begin: cython.Py_ssize_t, end: cython.Py_ssize_t, type: cython.int) -> cython.int:
        self.var_begin[self.vars] = begin
        self.var_end[self.vars] = end
        self.var_type[self.vars] = type
        self.vars += 1
        return 0

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
            if self.count == MOST or self.vars > VALUES - 512:
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
    @cython.inline
    @cython.exceptval(check=False)
    def hollow(self, a: cython.uchar, b: cython.uchar) -> cython.bint:
        """Whether nothing stands between two delimiters where a value could."""
        if a == ord("("):
            return b == ord(")")
        if a == ord("["):
            return b == ord("]")
        if a == ord("{"):
            return b == ord("}")
        if a == ord("<"):
            return b == ord(">")
        if a == ord('"') or a == ord("'"):
            return b == a
        if a == ord("="):
            return bool(_class[b] & 16) or b == ord(",") or b == ord(";") or b == ord(")")
        return False

    @cython.cfunc
    @cython.exceptval(check=False)
    def clock(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The end of hh:mm[:ss[.fraction]], or -1."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t = at
        while i < n and i < at + 2 and _class[p[i]] & 2:
            i += 1
        if i == at or i + 3 > n or p[i] != ord(":") or not _class[p[i + 1]] & 2 or not _class[p[i + 2]] & 2:
            return -1
        i += 3
        if i + 3 <= n and p[i] == ord(":") and _class[p[i + 1]] & 2 and _class[p[i + 2]] & 2:
            i += 3
            if i + 1 < n and (p[i] == ord(".") or p[i] == ord(",")) and _class[p[i + 1]] & 2:
                i += 1
                while i < n and _class[p[i]] & 2:
                    i += 1
        if i < n and (_class[p[i]] & 6 or p[i] == ord(":")) and p[i] != ord("Z"):
            return -1
        return i

    @cython.cfunc
    @cython.exceptval(check=False)
    def calendar(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The end of an instant: ISO 8601's, or weekday, month, day, clock, zone, year in any order. -1: none."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t = at
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t
        seen: cython.int = 0
        part: cython.int
        _: cython.int
        if _class[p[at]] & 2:
            if at + 16 > n or (p[at + 4] != ord("-") and p[at + 4] != ord("/")) or p[at + 7] != p[at + 4]:
                return -1
            for part in range(10):
                if part != 4 and part != 7 and not _class[p[at + part]] & 2:
                    return -1
            if p[at + 10] != 32 and p[at + 10] != ord("T"):
                return -1
            i = self.clock(at + 11)
            if i < 0:
                return -1
            if i < n and p[i] == ord("Z"):
                i += 1
            elif (
                i + 5 <= n
                and (p[i] == ord("+") or p[i] == ord("-"))
                and _class[p[i + 1]] & 2
                and _class[p[i + 2]] & 2
            ):
                j = i + 3
                j += p[j] == ord(":")
                if j + 2 <= n and _class[p[j]] & 2 and _class[p[j + 1]] & 2:
                    i = j + 2
            if i < n and _class[p[i]] & 6:
                return -1
            return i
        k = at
        for _ in range(7):
            j = i
            while j < n and _class[p[j]] & 6:
                j += 1
            if j < n and p[j] == ord(":"):
                j = self.clock(i)
                if j < 0 or seen & 4:
                    break
                seen |= 4
            elif j - i == 3 and not seen & 1 and self.named(i, True):
                seen |= 1
            elif j - i == 3 and not seen & 2 and self.named(i, False):
                seen |= 2
            elif j > i and _class[p[i]] & 2 and j - i <= 2 and not seen & 8:
                seen |= 8
            elif j - i == 4 and _class[p[i]] & 2 and _class[p[i + 3]] & 2 and seen & 4 and not seen & 16:
                seen |= 16
            elif (
                2 < j - i < 5
                and seen & 4
                and not seen & 48
                and (p[j - 1] == ord("T") or (j - i == 3 and p[i] == ord("U") and p[i + 2] == ord("C")))
            ):
                seen |= 32
            else:
                break
            k = j
            i = j
            if i < n and p[i] == ord(","):
                i += 1
            while i < n and p[i] == 32 and i < j + 3:
                i += 1
            if i == j:
                break
        return k if seen & 14 == 14 else -1

    @cython.cfunc
    @cython.exceptval(check=False)
    def named(self, at: cython.Py_ssize_t, weekday: cython.bint) -> cython.bint:
        """Whether a weekday's or a month's three letters stand here."""
        p = self.p
        names: cython.p_char = (
            b"MonTueWedThuFriSatSun" if weekday else b"JanFebMarAprMayJunJulAugSepOctNovDec"
        )
        k: cython.int
        for k in range(7 if weekday else 12):
            if (
                p[at] == cython.cast(cython.uchar, names[3 * k])
                and p[at + 1] == cython.cast(cython.uchar, names[3 * k + 1])
                and p[at + 2] == cython.cast(cython.uchar, names[3 * k + 2])
            ):
                return True
        return False

    @cython.cfunc
    @cython.exceptval(check=False)
    def literal(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The end of the literal that begins here: a bracket that holds a quoted text or a bracket at once. -1: none."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t = at + 1
        depth: cython.int = 0
        quote: cython.uchar = 0
        c: cython.uchar = p[i]
        if (p[at] == ord("[") and c == ord("]")) or (p[at] == ord("{") and c == ord("}")):
            if at == 0 or _class[p[at - 1]] & 16 or p[at - 1] == ord("=") or p[at - 1] == ord(":"):
                return i + 1
            return -1
        if (c == ord("u") or c == ord("b")) and i + 1 < n:
            i += 1
            c = p[i]
        if (
            c != ord("'")
            and c != ord('"')
            and not (p[at] != ord("(") and p[at + 1] == c and (c == ord("{") or c == ord("[")))
        ):
            return -1
        i = at
        while i < n:
            c = p[i]
            if quote:
                if c == ord("\\"):
                    i += 1
                elif c == quote:
                    quote = 0
            elif c == ord("'") or c == ord('"'):
                quote = c
            elif c == ord("{") or c == ord("[") or c == ord("("):
                depth += 1
            elif c == ord("}") or c == ord("]") or c == ord(")"):
                depth -= 1
                if depth == 0:
                    return i + 1
            i += 1
        self.unbalanced = True
        return -1

    @cython.cfunc
    @cython.exceptval(check=False)
    def instance(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The end of `<name object at 0x…>`, Python's word for what has none of its own. -1: none."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t = at + 1
        while i < n and (_class[p[i]] & 6 or p[i] == ord(".") or p[i] == ord("_")):
            i += 1
        if i == at + 1 or i + 14 > n or memcmp(p + i, cython.cast(cython.p_char, b" object at 0x"), 13) != 0:
            return -1
        i += 13
        while i < n and _class[p[i]] & 8:
            i += 1
        return i + 1 if i < n and p[i] == ord(">") else -1

    @cython.cfunc
    @cython.exceptval(check=False)
    def special(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """A token that may hold delimiters: path, URL, MAC, IPv6, request target. Its end, or -1."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        colons: cython.int
        pairs: cython.int
        double: cython.int
        run: cython.int
        c: cython.uchar = p[at]
        if c == ord("/"):
            # An address behind a slash (Java's InetAddress) is no path.
            i = at + 1
            if i >= n or _class[p[i]] & 1 or p[i] == ord("/"):
                return -1
            if _class[p[i]] & 2:
                j = i
                run = 0
                while j < n and (_class[p[j]] & 2 or p[j] == ord(".")):
                    run += p[j] == ord(".")
                    j += 1
                if run == 3 and (j == n or _class[p[j]] & 1):
                    self.variable(i, j, 3)
                    return j
            # HTTP's request: the target and the version behind it are one value.
            while i < n and not _class[p[i]] & 32 and p[i] != ord(":"):
                i += 1
            if at > 0 and p[at - 1] == 32 and i + 8 < n and p[i] == 32 and p[i + 1] == ord("H") \
                    and p[i + 2] == ord("T") and p[i + 3] == ord("T") and p[i + 4] == ord("P") \
                    and p[i + 5] == ord("/") and _class[p[i + 6]] & 2:  # fmt: skip
                i += 7
                while i < n and not _class[p[i]] & 1:
                    i += 1
                self.variable(at, i, 13)
                return i
            while i > at + 1 and (p[i - 1] == ord(".") or p[i - 1] == ord("!") or p[i - 1] == ord("?")):
                i -= 1
            self.variable(at, i, 4)
            while i < n and not _class[p[i]] & 1:
                i += 1
            return i
        if not _class[c] & 12 and c != ord(":"):
            return -1
        if at + 12 < n and (
            (_class[p[at + 3]] & 17 and c <= ord("W") and (self.named(at, True) or self.named(at, False)))
            or (_class[c] & 2 and _class[p[at + 3]] & 2)
        ):
            i = self.calendar(at)
            if i > 0:
                self.variable(at, i, 14)
                return i
        # A scheme and "://": the scheme stays, what follows is the value.
        if _class[c] & 4:
            i = at + 1
            while (
                i < n
                and i < at + 16
                and (_class[p[i]] & 6 or p[i] == ord("+") or p[i] == ord(".") or p[i] == ord("-"))
            ):
                i += 1
            if i + 3 < n and p[i] == ord(":"):
                if p[i + 1] == ord("/") and p[i + 2] == ord("/"):
                    j = i + 3
                    while j < n and not _class[p[j]] & 32:
                        j += 1
                    while j > i + 3 and (p[j - 1] == ord(".") or p[j - 1] == ord(":")):
                        j -= 1
                    if j > i + 3:
                        # The web's addresses are values whole; other schemes name a kind and stay.
                        if (
                            c == ord("h")
                            and p[at + 1] == ord("t")
                            and p[at + 2] == ord("t")
                            and p[at + 3] == ord("p")
                        ):
                            self.variable(at, j, 10)
                        else:
                            self.variable(i + 3, j, 10)
                        return j
                elif i == at + 1 and (p[i + 1] == ord("/") or p[i + 1] == ord("\\")):
                    j = i + 1
                    while j < n and not _class[p[j]] & 32:
                        j += 1
                    self.variable(at, j, 4)
                    return j
        # MAC and IPv6: groups of hexadecimal digits between colons.
        if _class[c] & 8:
            i = at
            colons = 0
            pairs = 1
            double = 0
            run = 0
            while i < n and i < at + 46:
                if _class[p[i]] & 8:
                    run += 1
                    if run > 4:
                        return -1
                elif p[i] == ord(":"):
                    if run == 0:
                        double += 1
                    elif run != 2:
                        pairs = 0
                    colons += 1
                    run = 0
                else:
                    break
                i += 1
            if (i == n or _class[p[i]] & 1 or p[i] == ord("/") or p[i] == ord("%")) and colons > 1:
                if run == 0 and not (double and p[i - 2] == ord(":")):
                    return -1
                if (colons >= 5 and pairs and run == 2) or colons == 7 or (double == 1 and colons < 8):
                    while i < n and not _class[p[i]] & 1:
                        i += 1
                    self.variable(at, i, 3)
                    return i
        return -1

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
                if self.vars > VALUES - 8:
                    self.var_end[self.vars - 1] = end
                    return 0
            last = j if j == i else -1
        if self.vars == first and soft:
            self.soft[self.count] = 1
        return 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def hostname(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a token with digits is a host's name: dotted, the first label with digits, the last of letters;
        or with a hyphen, and a port behind it."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t
        label: cython.Py_ssize_t = at
        dots: cython.int = 0
        numbered: cython.bint = False
        hyphen: cython.bint = False
        letters: cython.bint = True
        for i in range(at, end):
            if p[i] == ord("."):
                if i == label:
                    return False
                dots += 1
                label = i + 1
                letters = True
            elif _class[p[i]] & 2:
                letters = False
                if dots == 0:
                    numbered = True
            elif p[i] == ord("-"):
                hyphen = True
            elif not _class[p[i]] & 4:
                return False
        if not numbered:
            return False
        if dots > 1 and letters and end - label > 1:
            return True
        if (
            dots == 0
            and hyphen
            and _class[p[at]] & 4
            and end + 2 < n
            and p[end] == ord(":")
            and _class[p[end + 1]] & 2
        ):
            i = end + 1
            while i < n and _class[p[i]] & 2:
                i += 1
            return 2 < i - end < 7 and (i == n or (_class[p[i]] & 1 and p[i] != ord(":")) or p[i] == ord("."))
        return False

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
