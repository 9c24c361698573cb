"""Characters → tokens with positions. Context-free but for two things: inside `[…]` a colon is punctuation.

Numbers, durations and strings arrive read: a token's `value` is a float, seconds, or the unescaped text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from weatherglass.base.errors import Invalid

Kind = Literal["ident", "number", "duration", "string", "op", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `start` and `end` are character offsets into the query."""

    kind: Kind
    text: str
    start: int
    end: int
    value: float | str = 0.0


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_PATTERNS = (
    ("space", re.compile(r"[ \t\r\n]+|#[^\n]*")),
    # Units must fall (1h30m, never 30m1h): Prometheus' own rule.
    (
        "duration",
        re.compile(
            r"(?=\d+(?:ms|[smhdwy]))(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?(?![\w.])"
        ),
    ),
    (
        "number",
        re.compile(r"0[xX][0-9a-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?(?![\w.])"),
    ),
    ("ident", re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")),
    ("op", re.compile(r"==|!=|<=|>=|</|>/|=~|!~|[-+*/%^<>=(){}\[\],@:]")),
)
_OCTAL = re.compile(r"0[0-7]+")  # as Go reads whole numbers
_BARE_IDENT = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))"
)


def position(text: str, offset: int) -> str:
    """`line:column`, both from 1, as Prometheus writes it."""
    line = text.count("\n", 0, offset) + 1
    return f"{line}:{offset - (text.rfind(chr(10), 0, offset) + 1) + 1}"


def error(text: str, offset: int, message: str, mend: str = "") -> Invalid:
    return Invalid(f"parse error: {message}", where=position(text, offset), mend=mend)


def duration_seconds(text: str) -> float:
    """Seconds of a duration token's text, `1h30m`."""
    return sum(int(n) * _UNITS[u] for n, u in _DURATION_PART.findall(text))


def _string(text: str, start: int) -> Token:
    quote = text[start]
    if quote == "`":
        end = text.find("`", start + 1)
        if end < 0:
            raise error(text, start, "unterminated raw string")
        return Token("string", text[start : end + 1], start, end + 1, text[start + 1 : end])
    out, i = [], start + 1
    while i < len(text) and text[i] != quote:
        if text[i] == "\n":
            break
        if text[i] != "\\":
            out.append(text[i])
            i += 1
            continue
        form = _ESCAPE.match(text, i)
        if not form:
            raise error(text, i, f"unknown escape sequence {text[i : i + 2]!r}")
        simple, *numbers = form.groups()
        if simple is not None:
            out.append(_ESCAPES[simple])
        else:
            digits, base = next((n, 8 if k == 3 else 16) for k, n in enumerate(numbers) if n is not None)
            code = int(digits, base)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise error(text, i, f"escape sequence {form[0]!r} is no character")
            out.append(chr(code))
        i = form.end()
    if i >= len(text) or text[i] != quote:
        raise error(text, start, "unterminated quoted string")
    return Token("string", text[start : i + 1], start, i + 1, "".join(out))


def tokens(text: str) -> list[Token]:
    """All tokens of a query, closed by an `end` token. Raises Invalid with `line:column`."""
    out: list[Token] = []
    at, brackets = 0, 0
    while at < len(text):
        if text[at] in "\"'`":
            out.append(_string(text, at))
            at = out[-1].end
            continue
        for kind, pattern in _PATTERNS:
            if kind == "ident" and brackets:
                pattern = _BARE_IDENT
            found = pattern.match(text, at)
            if not found or not found[0]:
                continue
            word, end = found[0], found.end()
            if kind == "duration":
                out.append(Token("duration", word, at, end, duration_seconds(word)))
            elif kind == "number":
                out.append(Token("number", word, at, end, _number(text, at, word)))
            elif kind == "ident":
                out.append(Token("ident", word, at, end, word))
            elif kind == "op":
                brackets += (word == "[") - (word == "]")
                out.append(Token("op", word, at, end, word))
            at = end
            break
        else:
            if text[at].isdigit():
                raise error(text, at, f"bad number or duration syntax: {text[at : at + 12].split()[0]!r}")
            raise error(text, at, f"unexpected character: {text[at]!r}")
    out.append(Token("end", "", len(text), len(text)))
    return out


def _number(text: str, at: int, word: str) -> float:
    try:
        if word[:2].lower() == "0x":
            return float(int(word, 16))
        if _OCTAL.fullmatch(word):
            return float(int(word, 8))
        value = float(word)
    except (ValueError, OverflowError):
        raise error(text, at, f"bad number {word!r}") from None
    if value == float("inf"):
        raise error(text, at, f"number {word!r} is out of range", mend="write Inf if you mean it")
    return value
