"""What an event says: text → time, level, logger, message, fields.

Here: one table of formats (`FORMATS`), each a function from text to `Parsed` or None, tried by the first
character and in order. Not here: where an event ends (`framing`), storage. Pure: the same text gives the same
event. What fits no format is kept whole as a message under the format `plain`; nothing is refused.

A source's own times are read as UTC unless they carry an offset. Text without a time is dated by when it was
seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from sys import intern
from typing import Final, NamedTuple

from weatherglass.base.time import MS_NS, SECOND_NS, parse_iso
from weatherglass.engine.protocols import Event, RawEvent
from weatherglass.logs.traces import BEGIN, exception_of

FIELDS: Final = (
    "format",
    "pid",
    "request_id",
    "global_request_id",
    "user",
    "project",
    "domain",
    "system_scope",
    "user_domain",
    "project_domain",
    "context",
    "instance",
    "exception",
    "exception_message",
    "thread",
    "program",
    "remote",
    "method",
    "path",
    "status",
    "bytes",
    "seconds",
)
"""Every field a parser may give. Each is a column of the blocks."""

IDENTITY: Final = {
    5: ("user", "project", "domain", "user_domain", "project_domain"),
    6: ("user", "project", "domain", "system_scope", "user_domain", "project_domain"),
}
"""oslo.context's user identity as oslo.log prints it: six fields since system scope, five before."""

LEVELS: Final = {
    "TRACE": "ERROR",  # oslo.log's exception prefix before 2015
    "DEBUG": "DEBUG",
    "AUDIT": "INFO",
    "INFO": "INFO",
    "NOTE": "INFO",
    "NOTICE": "INFO",
    "SYSTEM": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERR": "ERROR",
    "ERROR": "ERROR",
    "CRIT": "CRITICAL",
    "CRITICAL": "CRITICAL",
    "ALERT": "CRITICAL",
    "EMERG": "CRITICAL",
    "FATAL": "CRITICAL",
}


_EPOCH: Final = date(1970, 1, 1).toordinal() * 86_400


class Parsed(NamedTuple):
    """What a format made of a text; `time_ns` is 0 where the text has none."""

    time_ns: int
    level: str
    logger: str
    message: str
    fields: dict[str, str]


@lru_cache(1024)
def _day(text: str) -> int:
    """Seconds at the midnight that begins `2026-11-22`; -1 for a day that is none."""
    try:
        return date.fromisoformat(text).toordinal() * 86_400 - _EPOCH
    except ValueError:
        return -1


def _second(text: str) -> int:
    """Nanoseconds of `2026-11-22 10:01:02`; 0 for a day or an hour that is none."""
    day, hour, minute, second = _day(text[:10]), int(text[11:13]), int(text[14:16]), int(text[17:19])
    if day < 0 or hour > 23 or minute > 59 or second > 60:
        return 0
    return (day + hour * 3600 + minute * 60 + second) * SECOND_NS


def _stamp(text: str) -> int:
    """Nanoseconds of an ISO instant with a `.` or `,` fraction and perhaps an offset; 0 when it is none."""
    try:
        return parse_iso(text.replace(",", ".", 1))
    except (ValueError, OverflowError):
        return 0


# --- oslo.log --------------------------------------------------------------------------------------------

_INSTANCE = r"(?:\[instance: ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\] )?"
_OSLO = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) (\d+) ([A-Z]+) (\S+)(?: \[(-|(?:[^\] ]* )?req-[^\]]*)\])? ?"
    + _INSTANCE
)


def context_fields(context: str) -> dict[str, str]:
    """The fields of oslo.log's bracket: `[global id] request id, user identity`; what does not fit as `context`."""
    if context == "-":
        return {}
    words = context.split(" ")
    fields: dict[str, str] = {}
    at = 0 if words[0].startswith("req-") and not (len(words) > 1 and words[1].startswith("req-")) else 1
    if at and words[0] not in ("", "-", "None"):
        fields["global_request_id"] = words[0]
    fields["request_id"] = words[at]
    if at + 1 < len(words):
        fields.update(_identity(" ".join(words[at + 1 :])))
    return fields


@lru_cache(4096)
def _identity(text: str) -> dict[str, str]:
    """The fields of a user's identity. Cached, as few speak often; not to be changed."""
    words = text.split(" ")
    names = IDENTITY.get(len(words))
    if names is None:
        return {"context": text}
    return {
        name: intern(value)
        for name, value in zip(names, words, strict=True)
        if value not in ("-", "", "None")
    }


def _oslo(text: str) -> Parsed | None:
    head = _OSLO.match(text)
    if head is None:
        return None
    second, millis, pid, level, logger, context, instance = head.groups()
    fields = {"format": "oslo", "pid": intern(pid)}
    if context is not None and context != "-":
        fields.update(context_fields(context))
    if instance:
        fields["instance"] = intern(instance)
    if text.find("\n", head.end(), -1) < 0:
        message = text[head.end() :].rstrip("\r\n")
    else:
        prefix = f"{second}.{millis} {pid} "
        begin = head.end()
        if context is None and LEVELS.get(level) == "ERROR":
            # A traceback whose head was lost: all of it is the message.
            message, lines = text[begin:], text.split("\n")
        else:
            cut = text.find("\n" + prefix, begin - 1)
            message, lines = (text[begin:], []) if cut < 0 else (text[begin:cut], text[cut + 1 :].split("\n"))
        message = message.rstrip("\r\n")
        if lines:
            fields.update(_exception(lines, prefix, logger))
        elif BEGIN in message:
            fields.update(exception_of(message.split("\n")))
    at = _second(second)
    return Parsed(
        at + int(millis) * MS_NS if at else 0, LEVELS.get(level, level), intern(logger), message, fields
    )


def _exception(lines: list[str], prefix: str, logger: str) -> dict[str, str]:
    """The exception of prefixed lines. Its end is looked at first: tracebacks are long."""
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].endswith(BEGIN) and _unprefixed(lines[number], prefix, logger) == BEGIN:
            lines = lines[number:]
            break
    return exception_of([_unprefixed(line, prefix, logger) for line in lines])


def _unprefixed(line: str, prefix: str, logger: str) -> str:
    """A traceback line without oslo.log's exception prefix."""
    if not line.startswith(prefix):
        return line
    rest = line[len(prefix) :].partition(" ")[2]
    rest = rest[len(logger) :].removeprefix(" ") if rest.startswith(logger) else rest
    if rest.startswith("[instance: "):
        rest = rest.partition("] ")[2]
    return rest.rstrip("\r")


def _json(text: str) -> Parsed | None:
    """oslo.log's JSONFormatter. JSON of any other make is left to `plain`."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("message"), str) or "levelname" not in body:
        return None
    fields = {"format": "oslo-json"}
    if isinstance(body.get("process"), int):
        fields["pid"] = str(body["process"])
    context = body.get("context")
    if isinstance(context, dict):
        for name in ("request_id", "global_request_id", *IDENTITY[6]):
            if isinstance(context.get(name), str) and context[name]:
                fields[name] = context[name]
        if isinstance(context.get("resource_uuid"), str):
            fields["instance"] = context["resource_uuid"]
    trace = body.get("traceback")
    if isinstance(trace, list | str) and trace:
        lines = trace.split("\n") if isinstance(trace, str) else [str(line) for line in trace]
        fields.update(exception_of(lines))
    created = body.get("created")
    at = int(created * 1e6) * 1000 if isinstance(created, float) and 0 < created < 4e9 else 0
    level = str(body["levelname"])
    return Parsed(
        at or _stamp(str(body.get("asctime"))),
        LEVELS.get(level, level),
        str(body.get("name", "")),
        body["message"],
        fields,
    )


# --- MariaDB, Python, syslog -----------------------------------------------------------------------------

_MARIADB = re.compile(
    r"(\d{4}-\d\d-\d\d) +(\d{1,2}):(\d\d:\d\d)([+-]\d\d:?\d\d)?(?: (\d+))? \[(Note|Warning|ERROR|System)\] (?:\[\w+\]:? ?)?(?:(InnoDB|WSREP|Aria engine|Plugin|Slave|Server): )?"
)
_MYSQL_OLD = re.compile(r"(\d\d)(\d\d)(\d\d) +(\d{1,2}):(\d\d:\d\d) \[(\w+)\] ")


def _mariadb(text: str) -> Parsed | None:
    head = _MARIADB.match(text)
    if head:
        day, hour, rest, offset, thread, level, part = head.groups()
        at = _stamp(f"{day}T{hour:0>2}:{rest}{offset}") if offset else _second(f"{day} {hour:0>2}:{rest}")
    else:
        old = _MYSQL_OLD.match(text)
        if old is None:
            return None
        head, (year, month, date, hour, rest, level) = old, old.groups()
        at, thread, part = _second(f"20{year}-{month}-{date} {hour:0>2}:{rest}"), None, None
    fields = {"format": "mariadb"}
    if thread and thread != "0":
        fields["thread"] = thread
    level = level.upper()
    return Parsed(at, LEVELS.get(level, level), part or "", text[head.end() :].rstrip("\r\n"), fields)


_PYTHON = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"(?: - ([\w.]+) - ([A-Z]+) - | +\[?([A-Za-z]+)\]?:? +(?:\[([\w.-]+)\] |([\w.]+): )?| )"
)
_LEVEL_FIRST = re.compile(r"(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)(?::([\w.]+):| +\[([\w.]+)\] )")


def _python(text: str) -> Parsed | None:
    """Python's `asctime - name - level - message` and any other line that begins with an ISO instant."""
    head = _PYTHON.match(text)
    if head is None:
        return None
    level = (head[3] or head[4] or "").upper()
    begin = head.end()
    if level not in LEVELS:
        # The word after the time is the message's own.
        level, logger, begin = "", "", head.end(1) + 1
    else:
        logger = head[2] or head[5] or head[6] or ""
    fields = {"format": "python"}
    message = text[begin:].rstrip("\r\n")
    if BEGIN in message:
        fields.update(exception_of(message.split("\n")))
    return Parsed(_stamp(head[1]), LEVELS.get(level, ""), intern(logger), message, fields)


def _level_first(text: str) -> Parsed | None:
    """`logging.basicConfig`'s `LEVEL:name:message`, Alembic's `INFO  [name] message`."""
    head = _LEVEL_FIRST.match(text)
    if head is None:
        return None
    fields = {"format": "python"}
    message = text[head.end() :].rstrip("\r\n")
    if BEGIN in message:
        fields.update(exception_of(message.split("\n")))
    return Parsed(0, LEVELS[head[1]], intern(head[2] or head[3]), message, fields)


def _trace(text: str) -> Parsed | None:
    """A bare Python traceback."""
    if not text.startswith(("Traceback (most recent call last):", "Exception in ", "Unhandled exception")):
        return None
    fields = exception_of(text.split("\n"))
    if "exception" not in fields:
        return None
    return Parsed(0, "ERROR", "", text.rstrip("\r\n"), {"format": "traceback", **fields})


_SYSLOG = re.compile(r"(?:<(\d{1,3})>)?(\w{3}) ([ \d]\d) (\d\d:\d\d:\d\d) (\S+) ([^\s:\[]+)(?:\[(\d+)\])?: ")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_SEVERITY = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "INFO", "INFO", "DEBUG")


def _syslog(text: str, seen_ns: int) -> Parsed | None:
    """RFC 3164. It writes no year: the one that makes the time the latest before it was seen (and a day)."""
    head = _SYSLOG.match(text)
    if head is None or head[2] not in _MONTHS:
        return None
    priority, month, day, clock, _, program, pid = head.groups()
    year = datetime.fromtimestamp(seen_ns / SECOND_NS, UTC).year
    times = [
        _second(f"{one}-{_MONTHS[month]:02}-{int(day):02} {clock}") for one in (year - 1, year, year + 1)
    ]
    fields = {"format": "syslog", "program": intern(program)}
    if pid:
        fields["pid"] = pid
    return Parsed(
        max((at for at in times if at <= seen_ns + 86400 * SECOND_NS), default=0),
        _SEVERITY[int(priority) % 8] if priority else "",
        intern(program),
        text[head.end() :].rstrip("\r\n"),
        fields,
    )


# --- access lines ----------------------------------------------------------------------------------------

_COMBINED = re.compile(
    r'(\S+) \S+ (\S+) \[(\d\d)/(\w{3})/(\d{4})[: ](\d\d:\d\d:\d\d)(?: ([+-]\d{4}))?\] "([A-Z]+) (\S+)[^"]*" (\d{3}) (\d+|-)'
)
_UWSGI = re.compile(
    r"\[pid: (\d+)\|[^\]]*\] (\S+) \([^)]*\) \{[^}]*\} \[\w{3} (\w{3}) +(\d+) (\d\d:\d\d:\d\d) (\d{4})\] ([A-Z]+) (\S+) => generated (\d+) bytes in (\d+) (msecs|micros|secs)[^(]*\(\S+ (\d{3})\)"
)
_SPAN = {"secs": 1.0, "msecs": 1e-3, "micros": 1e-6}


def status_level(status: str) -> str:
    """5xx is the server's own error; 4xx is the client's and says nothing of the service."""
    return "ERROR" if status.startswith("5") else "INFO"


def _combined(text: str) -> Parsed | None:
    """Apache's common and combined format, wsgiref's."""
    head = _COMBINED.match(text)
    if head is None or head[4] not in _MONTHS:
        return None
    remote, user, day, month, year, clock, offset, method, path, status, size = head.groups()
    day_text = f"{year}-{_MONTHS[month]:02}-{day}"
    at = _stamp(f"{day_text}T{clock}{offset}") if offset else _second(f"{day_text} {clock}")
    fields = {"format": "access", "remote": remote, "method": intern(method), "path": path, "status": status}
    if size != "-":
        fields["bytes"] = size
    if user != "-":
        fields["user"] = user
    return Parsed(at, status_level(status), "access", text.rstrip("\r\n"), fields)


def _uwsgi(text: str) -> Parsed | None:
    head = _UWSGI.match(text)
    if head is None or head[3] not in _MONTHS:
        return None
    pid, remote, month, day, clock, year, method, path, size, span, unit, status = head.groups()
    fields = {
        "format": "access",
        "pid": intern(pid),
        "remote": remote,
        "method": intern(method),
        "path": path,
        "status": intern(status),
        "bytes": size,
        "seconds": f"{int(span) * _SPAN[unit]:g}",
    }
    at = _second(f"{year}-{_MONTHS[month]:02}-{int(day):02} {clock}")
    return Parsed(at, status_level(status), "access", text.rstrip("\r\n"), fields)


_APACHE_ERROR = re.compile(
    r"\[\w{3} (\w{3}) +(\d+) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))? (\d{4})\] \[(?:(\w*):)?(\w+)\] (?:\[pid (\d+)(?::tid (\d+))?\] )?(?:\[(?:client|remote) ([^\]]+)\] )?"
)


def _apache_error(text: str) -> Parsed | None:
    head = _APACHE_ERROR.match(text)
    if head is None or head[1] not in _MONTHS:
        return None
    month, day, clock, micros, year, module, level, pid, thread, remote = head.groups()
    at = _second(f"{year}-{_MONTHS[month]:02}-{int(day):02} {clock}")
    if at and micros:
        at += int(f"{micros:0<6}") * 1000
    fields = {"format": "apache-error"}
    for name, value in (("pid", pid), ("thread", thread), ("remote", remote)):
        if value:
            fields[name] = value
    level = level.upper()
    return Parsed(
        at, LEVELS.get(level, level), intern(module or ""), text[head.end() :].rstrip("\r\n"), fields
    )


# --- the table -------------------------------------------------------------------------------------------

Format = Callable[[str], Parsed | None]
_DIGIT: Final[tuple[Format, ...]] = (_oslo, _mariadb, _python, _combined)
FORMATS: Final[dict[str, tuple[Format, ...]]] = {
    **dict.fromkeys("0123456789", _DIGIT),
    "[": (_uwsgi, _apache_error, _combined),
    "{": (_json,),
    "T": (_trace,),
    "E": (_trace, _level_first),
    "U": (_trace,),
    **dict.fromkeys("DIWC", (_level_first,)),
}
"""First character of the text → formats tried, in order. Whatever else: syslog, an access line, then plain."""


def parse_text(text: str, seen_ns: int) -> Parsed:
    """What the text says; never fails. `seen_ns` fills in what a format leaves out (the year of syslog)."""
    for form in FORMATS.get(text[:1], ()):
        parsed = form(text)
        if parsed is not None:
            return parsed
    return (
        _syslog(text, seen_ns)
        or _combined(text)
        or Parsed(0, "", "", text.rstrip("\r\n"), {"format": "plain"})
    )


def parse_event(raw: RawEvent) -> Event:
    """The event of a framed text. `raw` is that text; `message` is part of it, save in JSON."""
    parsed = parse_text(raw.text, raw.seen_ns)
    return Event(
        # The year 9999 is a date, but no 64-bit count of nanoseconds.
        parsed.time_ns if 0 < parsed.time_ns < 1 << 62 else raw.seen_ns,
        raw.seen_ns,
        raw.labels,
        parsed.level,
        parsed.logger,
        parsed.message,
        raw.text,
        parsed.fields,
    )
