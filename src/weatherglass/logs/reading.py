"""What parsers share: what a reading of a text holds, the standard fields, levels, and ISO times. Pure.

Other date forms live in `formats.stamps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

from weatherglass.base.time import SECOND_NS, parse_iso

Value = str | int | float | bool | None | list[Any] | dict[str, Any]
"""What a field may hold: what JSON can say. A logger may say one name with several types; both are kept."""

FIELDS: Final[dict[str, str]] = {
    "format": "which of the formats below read the text",
    "pid": "process (int)",
    "thread": "thread: a number (int) or a name",
    "host": "host, as the line itself names it",
    "program": "program (syslog's tag, the journal's identifier)",
    "facility": "syslog's facility (kern, daemon, local0 …)",
    "request_id": "OpenStack's request id, req-UUID; other makes' ids of a request",
    "global_request_id": "the request id that came in from another service",
    "user": "id of the user",
    "project": "id of the project",
    "user_name": "name of the user",
    "project_name": "name of the project",
    "domain": "domain of the token's scope",
    "system_scope": "system scope of the token",
    "user_domain": "domain of the user",
    "project_domain": "domain of the project",
    "context": "what stood in oslo.log's bracket and has no other name",
    "instance": "UUID of the instance (server) that it is about",
    "exception": "class of the exception raised last, dotted",
    "exception_message": "what that exception says",
    "code_file": "source file that logged it",
    "code_line": "line of it (int)",
    "code_func": "function of it",
    "remote": "address of the client",
    "method": "HTTP method",
    "path": "path and query that was asked for",
    "protocol": "HTTP/1.1 …",
    "status": "HTTP status (int)",
    "bytes": "bytes of the answer's body (int)",
    "duration": "seconds that it took (float)",
    "referer": "HTTP Referer",
    "user_agent": "HTTP User-Agent",
    "vhost": "virtual host",
    "frontend": "HAProxy: frontend",
    "backend": "HAProxy: backend",
    "server": "HAProxy: server of the backend",
    "termination": "HAProxy: how the session ended",
    "error_code": "the maker's own number of an error or message",
    "message_id": "RFC 5424's MSGID, the journal's MESSAGE_ID",
    "structured": "RFC 5424's structured data: {id: {name: value}}",
    "uptime": "seconds since boot, where that is all the time there is (float)",
    "sequence": "the source's own count (int)",
    "node": "node or location of a large machine's own log",
    "label": "a mark that was put before the line (Blue Gene's alert, a file's name)",
    "extra": "what a JSON of a known make carries besides: {name: value}",
}
"""Standard name → what it holds. A format may give others besides (JSON, logfmt: as the source names them)."""

LEVELS: Final = {
    "TRACE": "DEBUG",
    "VERBOSE": "DEBUG",
    "FINEST": "DEBUG",
    "FINER": "DEBUG",
    "FINE": "DEBUG",
    "DBG": "DEBUG",
    "DEBUG": "DEBUG",
    "AUDIT": "INFO",
    "INF": "INFO",
    "INFO": "INFO",
    "INFORMATION": "INFO",
    "CONFIG": "INFO",
    "NOTE": "INFO",
    "NOTICE": "INFO",
    "SYSTEM": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "WRN": "WARNING",
    "ERR": "ERROR",
    "ERROR": "ERROR",
    "FAILURE": "ERROR",
    "SEVERE": "ERROR",
    "CRIT": "CRITICAL",
    "CRITICAL": "CRITICAL",
    "ALERT": "CRITICAL",
    "EMER": "CRITICAL",
    "EMERG": "CRITICAL",
    "FATAL": "CRITICAL",
    "PANIC": "CRITICAL",
}
"""A level as any maker spells it (upper case) → ours."""

SEVERITY: Final = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "INFO", "INFO", "DEBUG")
"""syslog's severity, 0 to 7 → ours."""

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}

_EPOCH: Final = date(1970, 1, 1).toordinal() * 86_400


class Reading(NamedTuple):
    """What a format made of a text; `time_ns` is 0 where the text has none. `fields` may be shared: never change them."""

    time_ns: int
    level: str
    logger: str
    message: str
    format: str
    fields: Mapping[str, Value]


@lru_cache(1024)
def day_s(text: str) -> int:
    """Seconds at the midnight that begins `2026-11-22`; -1 for a day that is none."""
    try:
        return date.fromisoformat(text).toordinal() * 86_400 - _EPOCH
    except ValueError:
        return -1


def second_ns(text: str) -> int:
    """Nanoseconds of `2026-11-22 10:01:02`; 0 for a day or an hour that is none."""
    day, hour, minute, second = day_s(text[:10]), int(text[11:13]), int(text[14:16]), int(text[17:19])
    if day < 0 or hour > 23 or minute > 59 or second > 60:
        return 0
    return (day + hour * 3600 + minute * 60 + second) * SECOND_NS


def stamp_ns(text: str) -> int:
    """Nanoseconds of an ISO instant with a `.` or `,` fraction and perhaps an offset; 0 when it is none."""
    try:
        return parse_iso(text.replace(",", ".", 1))
    except (ValueError, OverflowError):
        return 0


def level_of(word: str) -> str:
    """Our level of a maker's word; the word itself in upper case where it is none of the table's."""
    word = word.upper()
    return LEVELS.get(word, word)
