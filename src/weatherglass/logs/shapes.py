"""How a line is put together from its fields: `{time:19.3} {pid} {level} {logger} [-] {message}\\n`. Pure.

A line whose shape is known need not be kept: it is written again from the columns. `Shapes.fit` finds for each line of
a batch a shape that gives exactly this line, or none; only then is the line's text kept as it came. A time is
`{time:DATE.DIGITS}`: its form (a key of `TIMES`) and how many digits of a second follow. `{tail}` is what comes after the
message; `{tail|}` is the same, each of whose lines begins as the line does (oslo.log's prefix of tracebacks).
Braces in a line are doubled in its shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from weatherglass.base.time import SECOND_NS

MAX_SHAPES = 256
_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|([^{}]+)")
TIMES: Mapping[str, tuple[str, str]] = {
    "iso": ("%Y-%m-%d %H:%M:%S", "."),
    "iso,": ("%Y-%m-%d %H:%M:%S", ","),
    "isoT": ("%Y-%m-%dT%H:%M:%S", "."),
    "bsd": ("%b %d %H:%M:%S", "."),
    "day": ("%d/%b/%Y:%H:%M:%S", "."),
    "ceph": ("%Y-%m-%dT%H:%M:%S", "."),
}
ORDER = (
    "pid",
    "thread",
    "level",
    "logger",
    "program",
    "global_request_id",
    "request_id",
    "user",
    "project",
    "domain",
    "system_scope",
    "user_domain",
    "project_domain",
    "context",
    "instance",
    "host",
)
"""Fields that a line's head may show, in the order in which it mostly does."""


@lru_cache(8192)
def _second(second: int, form: str) -> str:
    at = datetime.fromtimestamp(second, UTC)
    text = at.strftime(TIMES[form][0])
    return text if at.year > 999 else text.replace(f"{at.year}", f"{at.year:04}", 1)


def time_text(time_ns: int, style: str) -> str:
    """An instant as `{time:style}` shows it."""
    form, _, digits = style.partition(".")
    second, rest = divmod(time_ns, SECOND_NS)
    if not digits or digits == "0":
        return _second(second, form)
    return f"{_second(second, form)}{TIMES[form][1]}{rest:09}"[: -(9 - int(digits)) or None]


@lru_cache(4096)
def parts(shape: str) -> tuple[tuple[bool, str], ...]:
    """(is a field, its name or the fixed text) …"""
    out: list[tuple[bool, str]] = []
    for found in _PART.finditer(shape):
        if found[1]:
            out.append((True, found[1]))
        else:
            text = found[2] or found[0][0]
            if out and not out[-1][0]:
                out[-1] = (False, out[-1][1] + text)
            else:
                out.append((False, text))
    return tuple(out)


def line(shape: str, values: Mapping[str, str], time_ns: int, message: str, tail: str) -> str:
    """The line that a shape and its fields give."""
    out: list[str] = []
    head = 0
    for is_field, text in parts(shape):
        if not is_field:
            out.append(text)
        elif text == "message":
            head = len("".join(out))
            out.append(message)
        elif text == "tail":
            out.append(tail)
        elif text == "tail|":
            prefix = head_of("".join(out)[:head], values)
            out.append(tail.replace("\n", "\n" + prefix) if tail else "")
        elif text.startswith("time:"):
            out.append(time_text(time_ns, text[5:]))
        else:
            out.append(values.get(text, ""))
    return "".join(out)


def head_of(start: str, values: Mapping[str, str]) -> str:
    """What oslo.log puts before each line of a traceback: all up to the logger, and the instance."""
    logger = values.get("logger", "")
    at = start.find(logger) if logger else -1
    head = start[: at + len(logger)] + " " if at >= 0 else start
    instance = values.get("instance")
    return f"{head}[instance: {instance}] " if instance and f"[instance: {instance}] " in start else head


def derive(
    text: str, message: str, time_ns: int, values: Mapping[str, str], order: Sequence[str] = ORDER
) -> tuple[str, str] | None:
    """(shape, tail) of one line, or None where it cannot be written again (the message is not in it as it is)."""
    at = text.find(message)
    if at < 0:
        return None
    head, rest = text[:at], text[at + len(message) :]
    out: list[str] = []
    begin = 0
    for form in TIMES:
        begin = _time_in(head, time_ns, form, out)
        if begin:
            break
    for name in order:
        value = values.get(name)
        if value:
            found = head.find(value, begin)
            if found >= 0:
                out += (_fixed(head[begin:found]), "{", name, "}")
                begin = found + len(value)
    out += (_fixed(head[begin:]), "{message}")
    if len(rest) <= 2:
        return "".join((*out, _fixed(rest))), ""
    end = rest[len(rest.rstrip("\r\n")) :]
    body = rest[: len(rest) - len(end)]
    prefix = head_of(head, values)
    if len(prefix) > 8 and body.count("\n") == body.count("\n" + prefix):
        shown = body.replace("\n" + prefix, "\n")
        return "".join((*out, "{tail|}", _fixed(end))), shown
    return "".join((*out, "{tail}")), rest


def _time_in(head: str, time_ns: int, form: str, out: list[str]) -> int:
    """Put the time of this form that the head has, and what stands before it, into `out`; where it ends, or 0."""
    shown = _second(time_ns // SECOND_NS, form)
    found = head.find(shown)
    if found < 0:
        return 0
    end, digits = found + len(shown), 0
    if head[end : end + 1] == TIMES[form][1]:
        digits = next((n for n in range(9) if not head[end + 1 + n : end + 2 + n].isdigit()), 9)
    style = f"{form}.{digits}"
    full = time_text(time_ns, style)
    if not head.startswith(full, found):
        return 0
    out += (_fixed(head[:found]), "{time:", style, "}")
    return found + len(full)


def _fixed(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
