"""Lines of HTTP servers: Apache's and wsgiref's access lines, uWSGI's, Apache's error log. Pure."""

from __future__ import annotations

import re
from sys import intern

from weatherglass.logs.reading import LEVELS, MONTHS, Parsed, second_ns, stamp_ns

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


def combined(text: str) -> Parsed | None:
    """Apache's common and combined format, wsgiref's."""
    head = _COMBINED.match(text)
    if head is None or head[4] not in MONTHS:
        return None
    remote, user, day, month, year, clock, offset, method, path, status, size = head.groups()
    day_text = f"{year}-{MONTHS[month]:02}-{day}"
    at = stamp_ns(f"{day_text}T{clock}{offset}") if offset else second_ns(f"{day_text} {clock}")
    fields = {"format": "access", "remote": remote, "method": intern(method), "path": path, "status": status}
    if size != "-":
        fields["bytes"] = size
    if user != "-":
        fields["user"] = user
    return Parsed(at, status_level(status), "access", text.rstrip("\r\n"), fields)


def uwsgi(text: str) -> Parsed | None:
    """uWSGI's request line."""
    head = _UWSGI.match(text)
    if head is None or head[3] not in MONTHS:
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
    at = second_ns(f"{year}-{MONTHS[month]:02}-{int(day):02} {clock}")
    return Parsed(at, status_level(status), "access", text.rstrip("\r\n"), fields)


_APACHE_ERROR = re.compile(
    r"\[\w{3} (\w{3}) +(\d+) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))? (\d{4})\] \[(?:(\w*):)?(\w+)\] (?:\[pid (\d+)(?::tid (\d+))?\] )?(?:\[(?:client|remote) ([^\]]+)\] )?"
)


def apache_error(text: str) -> Parsed | None:
    """Apache 2.4's error log, mod_wsgi's lines in it."""
    head = _APACHE_ERROR.match(text)
    if head is None or head[1] not in MONTHS:
        return None
    month, day, clock, micros, year, module, level, pid, thread, remote = head.groups()
    at = second_ns(f"{year}-{MONTHS[month]:02}-{int(day):02} {clock}")
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
