"""klog's and glog's lines, and logfmt: what Kubernetes and other programs written in Go log. Pure."""

from __future__ import annotations

import re
from sys import intern
from typing import Final

from weatherglass.logs.formats.stamps import iso_ns, number_ns, yearless_ns
from weatherglass.logs.reading import Reading, Value, level_of

_KLOG = re.compile(
    r"([DIWEF])((?:19|20)\d\d)?(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) {1,8}(\d{1,10}) (\S{1,200}):(\d{1,7})\] ",
    re.ASCII,
)
_LETTERS: Final = {"D": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}


def klog(text: str, seen_ns: int) -> Reading | None:
    """`I1122 10:01:02.123456    1234 controller.go:12] message`; with a year as glog writes it now."""
    head = _KLOG.match(text)
    if head is None:
        return None
    letter, year, month, day, hour, minute, second, micros, thread, file, line = head.groups()
    parts: dict[str, str | None] = {"h": hour, "m": minute, "s": second, "f": micros}
    if year:
        at = iso_ns(f"{year}-{month}-{day} {hour}:{minute}:{second}.{micros}")
    else:
        at = yearless_ns(parts, int(month), int(day), seen_ns)
    fields: dict[str, Value] = {"thread": int(thread), "code_file": intern(file), "code_line": int(line)}
    return Reading(
        at,
        _LETTERS[letter],
        intern(file.rpartition("/")[2].partition(".")[0]),
        text[head.end() :].rstrip("\r\n"),
        "klog",
        fields,
    )


_PAIR = re.compile(
    r"([A-Za-z_@][\w.@/-]{0,80})=(\"(?:[^\"\\]|\\.)*+\"|[^\s\"]*+)(?: +|$)", re.ASCII | re.DOTALL
)
_OPENING = re.compile(r"(?:time|ts|t|timestamp|level|lvl|msg|logger|caller|component|severity)=", re.ASCII)
_MOST_PAIRS: Final = 200
_UNESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:e[+-]?\d{1,3})?")
TIME_KEYS: Final = ("time", "ts", "t", "timestamp")
LEVEL_KEYS: Final = ("level", "lvl", "severity")
MESSAGE_KEYS: Final = ("msg", "message")
LOGGER_KEYS: Final = ("logger", "component", "module")


def typed(text: str) -> Value:
    """A bare word as the number or truth it is written as; else itself."""
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text) and (
        text in ("0", "-0") or not text.lstrip("-").startswith("0") or "." in text
    ):
        if text.lstrip("-").isdigit():
            return int(text)
        value = float(text)
        return value if abs(value) < 1e300 else text
    return text


def logfmt(text: str, seen_ns: int) -> Reading | None:
    """`time=… level=info msg="…" key=value`: only where all of the line is pairs, and a level or a message is among them."""
    if _OPENING.match(text) is None:
        return None
    line, at = text.rstrip("\r\n "), 0
    pairs: dict[str, Value] = {}
    for _ in range(_MOST_PAIRS):
        if at >= len(line):
            break
        found = _PAIR.match(line, at)
        if found is None:
            return None
        value = found[2]
        if value[:1] == '"':
            pairs[found[1]] = _ESCAPE.sub(lambda one: _UNESCAPED.get(one[1], one[1]), value[1:-1])
        else:
            pairs[found[1]] = typed(value)
        at = found.end()
    if at < len(line):
        return None
    message = next((pairs.pop(key) for key in MESSAGE_KEYS if isinstance(pairs.get(key), str)), None)
    level = next((pairs.pop(key) for key in LEVEL_KEYS if isinstance(pairs.get(key), str)), "")
    if message is None and not level:
        return None
    when = 0
    for key in TIME_KEYS:
        value_ = pairs.get(key)
        when = (
            iso_ns(value_)
            if isinstance(value_, str)
            else number_ns(value_)
            if isinstance(value_, int | float) and not isinstance(value_, bool)
            else 0
        )
        if when:
            del pairs[key]
            break
    logger = next((str(pairs.pop(key)) for key in LOGGER_KEYS if isinstance(pairs.get(key), str)), "")
    pairs.pop("format", None)
    return Reading(
        when, level_of(str(level)), intern(logger), line if message is None else str(message), "logfmt", pairs
    )
