"""The text that exporters expose: Prometheus' text format 0.0.4 and OpenMetrics 1.0 (also with UTF-8 names). Pure.

A target says nearly the same lines at each scrape: what stands before a line's value is read once and remembered
(`Seen`), as Prometheus does. The two formats differ in how strict they are; `OPENMETRICS` says where.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NoReturn

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.formats.taken import Exemplar, Family, Taken

KINDS = {"counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"}
_SUFFIXES = ("_total", "_created", "_count", "_sum", "_bucket", "_gcount", "_gsum", "_info")
MAX_LINES = 1_000_000
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_SPACE = re.compile(r"[ \t]*")
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_SPECIAL = {"+inf": math.inf, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_FAR_MS = 1 << 53


@dataclass(slots=True)
class Seen:
    """What stood before values in earlier bodies of one target: text → its series. Cleared when it grows past `most`."""

    most: int = 200_000
    heads: dict[str, Labels] = field(default_factory=dict)


def parse(text: str, *, openmetrics: bool = False, seen: Seen | None = None) -> Taken:
    """Everything in one exposition. Raises Invalid with the line: a broken body is refused whole, as Prometheus does."""
    taken, known = Taken(), (seen or Seen()).heads
    if seen and len(known) > seen.most:
        known.clear()
    ended = False
    number = 0
    for number, line in enumerate(text.split("\n"), 1):
        if number > MAX_LINES:
            raise Invalid(f"more than {MAX_LINES} lines", where="body")
        if line.endswith("\r") and not openmetrics:
            line = line[:-1]
        if not line or line.isspace():
            if openmetrics and not ended:
                _bad(number, "an empty line")
            continue
        if ended:
            _bad(number, "text after # EOF")
        if line[0] == "#":
            ended = _comment(line, number, taken, openmetrics)
            continue
        _sample(line, number, taken, known, openmetrics)
    if openmetrics and not ended:
        raise Invalid("the body does not end with # EOF", where=f"line {number}", mend="it may be cut short")
    return taken


def _bad(line: int, message: str) -> NoReturn:
    raise Invalid(message, where=f"line {line}")


def _comment(line: str, number: int, taken: Taken, openmetrics: bool) -> bool:
    """A line that begins with #; whether it is the end."""
    if openmetrics and line == "# EOF":
        return True
    words = line[1:].lstrip(" \t").split(None, 1)
    if len(words) < 2 or words[0] not in ("HELP", "TYPE", "UNIT"):
        return False
    name, rest = _family_name(words[1], number)
    before = taken.families.get(name, Family())
    if words[0] == "HELP":
        told = _unescaped(rest)
        taken.families[name] = before._replace(help=told)
    elif words[0] == "UNIT" and openmetrics:
        taken.families[name] = before._replace(unit=rest.strip())
    elif words[0] == "TYPE":
        kind = rest.strip().lower()
        kind = "unknown" if kind == "untyped" and not openmetrics else kind
        if kind not in KINDS:
            _bad(number, f"{kind[:40]!r} is no type of metric")
        taken.families[name] = before._replace(kind=kind)
    return False


def _family_name(text: str, number: int) -> tuple[str, str]:
    if text.startswith('"'):
        quoted = _QUOTED.match(text)
        if not quoted:
            _bad(number, "a quoted name does not end")
        return _unescaped(quoted[1]), text[quoted.end() :].lstrip(" \t")
    name, _, rest = text.replace("\t", " ", 1).partition(" ")
    if not _NAME.fullmatch(name):
        _bad(number, f"{name[:60]!r} is no name of a metric")
    return name, rest.lstrip(" \t")


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[0]), text)


def _sample(line: str, number: int, taken: Taken, known: dict[str, Labels], openmetrics: bool) -> None:
    body, hash_at = line, -1
    if openmetrics and " # " in line:
        hash_at = _exemplar_at(line)
        body = line if hash_at < 0 else line[:hash_at]
    brace = body.rfind("}")
    split = brace + 1 if brace >= 0 else _name_end(body)
    head = body[:split]
    series = known.get(head)
    if series is None:
        series, split = _series(body, number)
        head = body[:split]
        known[head] = series
    words = body[split:].split()
    if not words or len(words) > 2:
        _bad(number, "a value and perhaps a time belong behind a series")
    value = _number(words[0], number)
    time_ms = None
    if len(words) == 2:
        time_ms = _seconds_ms(words[1], number) if openmetrics else _whole_ms(words[1], number)
    taken.add(series, time_ms, value)
    if hash_at >= 0:
        taken.exemplars.append(_exemplar(series, line, hash_at, number))


def _name_end(text: str) -> int:
    for at, sign in enumerate(text):
        if sign in " \t{":
            return at
    return len(text)


def _exemplar_at(line: str) -> int:
    """Where ` # ` stands outside quotes, or -1."""
    at = 0
    while True:
        quote, mark = line.find('"', at), line.find(" # ", at)
        if mark < 0 or quote < 0 or mark < quote:
            return mark
        found = _QUOTED.match(line, quote)
        if not found:
            return -1
        at = found.end()


def _series(text: str, number: int) -> tuple[Labels, int]:
    """(series, where its value begins) of a line whose beginning was not seen before."""
    at, name = 0, ""
    if not text.startswith("{"):
        found = _NAME.match(text)
        if not found:
            _bad(number, f"{text[:40]!r} does not begin with the name of a metric")
        name, at = found[0], found.end()
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    pairs: list[tuple[str, str]] = []
    if text[at : at + 1] == "{":
        name, pairs, at = _braces(text, at + 1, name, number)
    if not name:
        _bad(number, "there is no name of a metric")
    pairs.append(("__name__", name))
    names = [one for one, _ in pairs]
    if len(set(names)) < len(names):
        _bad(number, "a label is given twice")
    # A label with an empty value is a label that is not there.
    return tuple(sorted(pair for pair in pairs if pair[1])), at


def _braces(text: str, at: int, name: str, number: int) -> tuple[str, list[tuple[str, str]], int]:
    pairs: list[tuple[str, str]] = []
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] == "}":
            return name, pairs, at + 1
        quoted = _QUOTED.match(text, at)
        plain = None if quoted else _LABEL.match(text, at)
        if quoted is None and plain is None:
            _bad(number, f"{text[at : at + 40]!r} is no label")
        found = quoted or plain
        assert found is not None
        label = _unescaped(quoted[1]) if quoted else found[0]
        at = _SPACE.match(text, found.end()).end()  # type: ignore[union-attr]
        if text[at : at + 1] == "=":
            value = _QUOTED.match(text, _SPACE.match(text, at + 1).end())  # type: ignore[union-attr]
            if not value:
                _bad(number, f"the value of {label[:40]!r} is not in quotes, or does not end")
            pairs.append((label, _unescaped(value[1])))
            at = _SPACE.match(text, value.end()).end()  # type: ignore[union-attr]
        elif quoted and not name:
            name = label  # {"a name with dots", label="…"}
        else:
            _bad(number, f"= is missing behind {label[:40]!r}")
        if text[at : at + 1] == ",":
            at += 1
        elif text[at : at + 1] != "}":
            _bad(number, "a comma or } belongs behind a label")


def _number(word: str, number: int) -> float:
    try:
        # Python takes underscores and hexadecimal forms apart differently than the formats do.
        if "_" not in word and word.isascii():
            return float(word)
    except ValueError:
        pass
    special = _SPECIAL.get(word.lower())
    if special is not None:
        return special
    try:
        return float.fromhex(word) if "x" in word.lower() and "_" not in word else _nothing(word)
    except (ValueError, OverflowError):
        _bad(number, f"{word[:40]!r} is not a number")


def _nothing(word: str) -> float:
    raise ValueError(word)


def _whole_ms(word: str, number: int) -> int:
    if not re.fullmatch(r"[-+]?\d{1,18}", word) or abs(int(word)) > _FAR_MS:
        _bad(number, f"{word[:40]!r} is not a time in milliseconds")
    return int(word)


def _seconds_ms(word: str, number: int) -> int:
    seconds = _number(word, number)
    if not math.isfinite(seconds) or abs(seconds) * 1000 > _FAR_MS:
        _bad(number, f"{word[:40]!r} is not a time in seconds")
    return round(seconds * 1000)


def _exemplar(series: Labels, line: str, at: int, number: int) -> Exemplar:
    text = line[at + 3 :].lstrip(" ")
    if not text.startswith("{"):
        _bad(number, "an exemplar begins with its labels")
    _, pairs, end = _braces(text, 1, "exemplar", number)
    words = text[end:].split()
    if not 1 <= len(words) <= 2:
        _bad(number, "an exemplar has a value and perhaps a time")
    if sum(len(name) + len(value) for name, value in pairs) > 128:
        _bad(number, "an exemplar's labels have more than 128 characters")
    time_ms = _seconds_ms(words[1], number) if len(words) == 2 else None
    return Exemplar(series, tuple(sorted(pairs)), _number(words[0], number), time_ms)


def family_of(name: str, families: dict[str, Family]) -> str:
    """The family a sample's name belongs to: the name itself, or without the suffix its kind gives."""
    if name in families:
        return name
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) in families:
            return name.removesuffix(suffix)
    return name
