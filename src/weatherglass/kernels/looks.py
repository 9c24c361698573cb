# cython: boundscheck=False, wraparound=False, cdivision=True
"""Values known by their looks that may hold delimiters: instants, addresses, paths, URLs, literals, hosts.

The parts of a message on which `tokens` builds: classes of bytes, the values found so far, and a recogniser a kind.
Each gives where its value ends, or -1; none reads past the message. Not here: where tokens begin and end.
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


@cython.cclass
class Looks:
    """A message and the values found in it."""

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
