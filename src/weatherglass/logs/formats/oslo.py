"""oslo.log's text: with and without a context, its prefixed tracebacks, its DEBUG suffix, its colours. Pure.

Two readers of one grammar: `oslo` by a regular expression, for any event of it; `quick` by slices and tables, for
the common line (one line, no traceback, no suffix), four times as fast. What `quick` takes, `oslo` reads the same;
a property test holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from sys import intern
from typing import Final

from weatherglass.base.time import MS_NS
from weatherglass.kernels.oslolines import reader
from weatherglass.logs.formats.access import REQUEST_MARK, request_fields
from weatherglass.logs.formats.traces import BEGIN, exception_in, exception_of, without_summary
from weatherglass.logs.reading import LEVELS, Reading, Value, second_ns

IDENTITY: Final = {
    5: ("user", "project", "domain", "user_domain", "project_domain"),
    6: ("user", "project", "domain", "system_scope", "user_domain", "project_domain"),
}
"""oslo.context's user identity as oslo.log prints it: six fields since system scope, five before."""

LEVEL_WORDS: Final = {**LEVELS, "TRACE": "ERROR"}
"""TRACE was the level of oslo.log's exception prefix until 2015."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CONTEXT = r"\[(-|(?:[^\] \n]{0,100} )?req-[^\]\n]{0,400})\]"
_OSLO = re.compile(
    r"(?:([^\s\[\]\"]{1,200}[^\s\[\]\":]):? {1,2})?"
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) (\d{1,10}) ([A-Z]{1,10}) (\S{1,250})(?: "
    + CONTEXT
    + r")?(?: |$|(?=\r?\n))"
    r"(?:\[instance: (" + _UUID + r")\] )?",
    re.ASCII,
)
_DEVSTACK = re.compile(
    r"(?:([A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d) )?(DEBUG|INFO|WARNING|ERROR|CRITICAL) ([\w.-]{1,200}) "
    + CONTEXT
    + r" "
    r"(?:\[instance: (" + _UUID + r")\] )?",
    re.ASCII,
)
_PLACE = re.compile(r" ([\w<>]{1,80}) (/[^\s{}]{1,300}\.pyx?):(\d{1,7})", re.ASCII)
_BRACED = re.compile(
    r" \{\{(?:\(pid=(\d{1,10})\) )?([\w<>]{1,80}) (/[^\s{}]{1,300}\.pyx?):(\d{1,7})\}\}", re.ASCII
)
_COLOUR = re.compile(r"\x1b\[[\d;]{0,12}m")


def context_fields(context: str) -> dict[str, Value]:
    """The fields of oslo.log's bracket: `[global id] request id, user identity`; what does not fit as `context`."""
    if context == "-":
        return {}
    first, _, rest = context.partition(" ")
    if first[:4] == "req-" and rest[:4] != "req-":
        return {"request_id": first, **identity_fields(rest)} if rest else {"request_id": first}
    request, _, identity = rest.partition(" ")
    if first in ("", "-", "None"):
        return {"request_id": request, **identity_fields(identity)}
    return {"global_request_id": first, "request_id": request, **identity_fields(identity)}


@lru_cache(4096)
def identity_fields(text: str) -> dict[str, Value]:
    """The fields of a user's identity. Cached, as few speak often; not to be changed."""
    words = text.split(" ")
    names = IDENTITY.get(len(words))
    if names is None:
        return {"context": text} if text else {}
    return {
        name: intern(value)
        for name, value in zip(names, words, strict=True)
        if value not in ("-", "", "None")
    }


def oslo(text: str, seen_ns: int = 0) -> Reading | None:
    """One event of the text form, its traceback with it."""
    head = _OSLO.match(text)
    if head is None:
        return _coloured(text, seen_ns) if "\x1b[" in text[:200] else None
    label, second, millis, pid, level, logger, context, instance = head.groups()
    fields: dict[str, Value] = {"pid": int(pid)}
    if label:
        fields["label"] = label
    if context is not None and context != "-":
        fields.update(context_fields(context))
    if instance:
        fields["instance"] = intern(instance)
    begin = head.end()
    if text.find("\n", begin, -1) < 0:
        message = text[begin:].rstrip("\r\n")
    else:
        prefix = f"{second}.{millis} {pid} "
        if context is None and LEVEL_WORDS.get(level) == "ERROR":
            # A traceback whose head was lost: all of it is the message.
            message, lines = text[begin:], text.split("\n")
        else:
            cut = text.find("\n" + prefix, begin - 1)
            message, lines = (text[begin:], []) if cut < 0 else (text[begin:cut], text[cut + 1 :].split("\n"))
        message = message.rstrip("\r\n")
        if lines:
            trace = _trace(lines, prefix, logger, instance)
            fields.update(exception_of(trace))
            if context is not None:
                whole = _trace(lines, prefix, logger, instance, cut=False) if BEGIN in message else trace
                message = without_summary(message, whole)
    if level == "DEBUG":
        place = place_of(message)
        if place:
            message = message[: place[0]]
            fields.update(place[1])
    if "exception" not in fields:
        fields.update(exception_in(message))
    if REQUEST_MARK in message:
        fields.update(request_fields(message))
    at = second_ns(second)
    return Reading(
        at + int(millis) * MS_NS if at else 0,
        LEVEL_WORDS.get(level, level),
        intern(logger),
        message,
        "oslo",
        fields,
    )


@lru_cache(8192)
def place_fields(tail: str) -> dict[str, Value] | None:
    """The fields of ` function /file.py:line`. Cached, as places are few; not to be changed."""
    found = _PLACE.fullmatch(tail)
    if found is None:
        return None
    return {"code_func": intern(found[1]), "code_file": intern(found[2]), "code_line": int(found[3])}


def place_of(message: str) -> tuple[int, Mapping[str, Value]] | None:
    """Where the place that a DEBUG line was logged from begins, and its fields."""
    begin = message.rfind(" ", 0, max(message.rfind(" "), 0))
    if begin < 0 or len(message) - begin > 400:
        return None
    place = place_fields(message[begin:])
    return None if place is None else (begin, place)


def _trace(
    lines: list[str], prefix: str, logger: str, instance: str | None, *, cut: bool = True
) -> list[str]:
    """The last (or all, not `cut`) traceback of prefixed lines, without the prefix. The end is looked at first: tracebacks are long."""
    marked = f"[instance: {instance}] " if instance else ""
    for number in range(len(lines) - 1, -1, -1) if cut else ():
        if (
            lines[number].rstrip("\r").endswith(BEGIN)
            and _unprefixed(lines[number], prefix, logger, marked) == BEGIN
        ):
            lines = lines[number:]
            break
    return [_unprefixed(line, prefix, logger, marked) for line in lines]


def _unprefixed(line: str, prefix: str, logger: str, marked: str) -> str:
    """A traceback line without oslo.log's exception prefix."""
    if not line.startswith(prefix):
        return line
    rest = line[len(prefix) :].partition(" ")[2]
    rest = rest[len(logger) :].removeprefix(" ") if rest.startswith(logger) else rest
    return (rest.removeprefix(marked) if marked else rest).rstrip("\r")


def _coloured(text: str, seen_ns: int) -> Reading | None:
    """The same with terminal colours (devstack, `log_color`): read without them, so the message has none either."""
    plain = _COLOUR.sub("", text)
    return (oslo(plain) or devstack(plain)) if plain != text else None


def devstack(text: str, seen_ns: int = 0) -> Reading | None:
    """devstack's form under systemd: no time, names in place of ids, the place in braces at the end."""
    head = _DEVSTACK.match(text)
    if head is None:
        return None
    _, level, logger, context, instance = head.groups()
    fields = context_fields(context)
    names = str(fields.get("context", "")).split(" ")
    if len(names) == 2:
        del fields["context"]
        fields.update(
            (name, value)
            for name, value in zip(("project_name", "user_name"), names, strict=True)
            if value not in ("None", "-", "")
        )
    if instance:
        fields["instance"] = instance
    message = text[head.end() :].rstrip("\r\n")
    place = _BRACED.fullmatch(message, max(message.rfind(" {{"), 0))
    if place:
        if place[1]:
            fields["pid"] = int(place[1])
        fields.update(code_func=place[2], code_file=place[3], code_line=int(place[4]))
        message = message[: place.start()]
    if REQUEST_MARK in message:
        fields.update(request_fields(message))
    return Reading(0, LEVEL_WORDS[level], intern(logger), message, "oslo", fields)


# --- the quick reader ------------------------------------------------------------------------------------

_MILLIS: Final = {f".{number:03} ": number * MS_NS for number in range(1000)}
_MOST: Final = 16_384  # entries of a table before it begins anew
_SECOND = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_LOGGER = re.compile(r"\S{1,250}", re.ASCII)
_PID = re.compile(r"\d{1,10}", re.ASCII)
_WHOLE_CONTEXT = re.compile(CONTEXT[2:-2], re.ASCII)
_WHOLE_UUID = re.compile(_UUID, re.ASCII)

Row = tuple[int, str, str, str, str, Mapping[str, Value] | None]
"""A `Reading` as it is in a column: time_ns, level, logger, message, format, fields or None."""


def quick_reader() -> Callable[[str], Row | None]:
    """A reader of common lines by slices, that remembers what comes again and again; bounded; of one thread.

    It gives the reading of a text, or None: then the table of formats has to be asked. The loop itself is compiled
    (`kernels.oslolines`); here is what it asks when something comes for the first time.
    """
    seconds: dict[str, int] = {}
    loggers: set[str] = set()
    pids: dict[str, int] = {}
    known: dict[tuple[str, str, str], dict[str, Value]] = {}

    def meet(key: tuple[str, str, str]) -> dict[str, Value] | None:
        """The fields of a process, a context and an instance that come for the first time, if they are such."""
        pid, context, instance = key
        number = pids.get(pid)
        if number is None:
            if _PID.fullmatch(pid) is None:
                return None
            if len(pids) >= _MOST:
                pids.clear()
            number = pids[pid] = int(pid)
        if _WHOLE_CONTEXT.fullmatch(context) is None or (
            instance and _WHOLE_UUID.fullmatch(instance) is None
        ):
            return None
        fields: dict[str, Value] = {"pid": number, **context_fields(context)}
        if instance:
            fields["instance"] = instance
        if len(known) >= _MOST:
            known.clear()
        known[key] = fields
        return fields

    def meet_second(text: str) -> int:
        if _SECOND.fullmatch(text) is None:
            return 0
        at = second_ns(text)
        if at:
            if len(seconds) >= _MOST:
                seconds.clear()
            seconds[text] = at
        return at

    def meet_logger(logger: str) -> bool:
        if _LOGGER.fullmatch(logger) is None:
            return False
        if len(loggers) >= _MOST:
            loggers.clear()
        loggers.add(logger)
        return True

    return reader(
        LEVEL_WORDS,
        _MILLIS,
        seconds,
        loggers,
        known,
        meet_second,
        meet_logger,
        meet,
        request_fields,
        place_of,
    )
