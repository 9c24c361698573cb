"""What parsers share: the fields they may give, levels, what a format makes of a text, and how times are read. Pure."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from weatherglass.base.time import SECOND_NS, parse_iso

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


def second_ns(text: str) -> int:
    """Nanoseconds of `2026-11-22 10:01:02`; 0 for a day or an hour that is none."""
    day, hour, minute, second = _day(text[:10]), int(text[11:13]), int(text[14:16]), int(text[17:19])
    if day < 0 or hour > 23 or minute > 59 or second > 60:
        return 0
    return (day + hour * 3600 + minute * 60 + second) * SECOND_NS


def stamp_ns(text: str) -> int:
    """Nanoseconds of an ISO instant with a `.` or `,` fraction and perhaps an offset; 0 when it is none."""
    try:
        return parse_iso(text.replace(",", ".", 1))
    except (ValueError, OverflowError):
        return 0


MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
