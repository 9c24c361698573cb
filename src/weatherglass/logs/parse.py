"""What an event says: text → time, level, logger, message, fields.

Here: one table of formats (`FORMATS`), each a function from text to `Parsed` or None, tried by the first
character and in order. Not here: where an event ends (`framing`), storage. Pure: the same text gives the same
event. What fits no format is kept whole as a message under the format `plain`; nothing is refused.

A source's own times are read as UTC unless they carry an offset. Text without a time is dated by when it was
seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from sys import intern
from typing import Final

from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import Event, RawEvent
from weatherglass.logs.access import apache_error, combined, uwsgi
from weatherglass.logs.oslo import oslo, oslo_json
from weatherglass.logs.reading import LEVELS, MONTHS, Parsed, second_ns, stamp_ns
from weatherglass.logs.traces import BEGIN, exception_of

# --- MariaDB, Python, syslog -----------------------------------------------------------------------------

_MARIADB = re.compile(
    r"(\d{4}-\d\d-\d\d) +(\d{1,2}):(\d\d:\d\d)([+-]\d\d:?\d\d)?(?: (\d+))? \[(Note|Warning|ERROR|System)\] (?:\[\w+\]:? ?)?(?:(InnoDB|WSREP|Aria engine|Plugin|Slave|Server): )?"
)
_MYSQL_OLD = re.compile(r"(\d\d)(\d\d)(\d\d) +(\d{1,2}):(\d\d:\d\d) \[(\w+)\] ")


def _mariadb(text: str) -> Parsed | None:
    head = _MARIADB.match(text)
    if head:
        day, hour, rest, offset, thread, level, part = head.groups()
        at = stamp_ns(f"{day}T{hour:0>2}:{rest}{offset}") if offset else second_ns(f"{day} {hour:0>2}:{rest}")
    else:
        old = _MYSQL_OLD.match(text)
        if old is None:
            return None
        head, (year, month, date, hour, rest, level) = old, old.groups()
        at, thread, part = second_ns(f"20{year}-{month}-{date} {hour:0>2}:{rest}"), None, None
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
    return Parsed(stamp_ns(head[1]), LEVELS.get(level, ""), intern(logger), message, fields)


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
_SEVERITY = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "INFO", "INFO", "DEBUG")


def _syslog(text: str, seen_ns: int) -> Parsed | None:
    """RFC 3164. It writes no year: the one that makes the time the latest before it was seen (and a day)."""
    head = _SYSLOG.match(text)
    if head is None or head[2] not in MONTHS:
        return None
    priority, month, day, clock, _, program, pid = head.groups()
    year = datetime.fromtimestamp(seen_ns / SECOND_NS, UTC).year
    times = [
        second_ns(f"{one}-{MONTHS[month]:02}-{int(day):02} {clock}") for one in (year - 1, year, year + 1)
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


# --- the table -------------------------------------------------------------------------------------------

Format = Callable[[str], Parsed | None]
_DIGIT: Final[tuple[Format, ...]] = (oslo, _mariadb, _python, combined)
FORMATS: Final[dict[str, tuple[Format, ...]]] = {
    **dict.fromkeys("0123456789", _DIGIT),
    "[": (uwsgi, apache_error, combined),
    "{": (oslo_json,),
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
        or combined(text)
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
