"""Instants as queries write them: `2026-11-22T14:00`, `now-1h/d`, `2026-11||+1M`, ms since the epoch. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from weatherglass.base.errors import Invalid
from weatherglass.base.time import MS_NS, SECOND_NS
from weatherglass.logs.spans import after_calendar, floor_calendar, zone

_ISO = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?"
)
_STEP = re.compile(r"([+-])(\d*)([yMwdhHms])|/([yMwdhHms])")
_UNITS = {
    "y": "year",
    "M": "month",
    "w": "week",
    "d": "day",
    "h": "hour",
    "H": "hour",
    "m": "minute",
    "s": "second",
}
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "H": 3600, "m": 60, "s": 1}


def instant(text: str, now_ns: int, tz: str = "UTC", *, up: bool = False) -> int:
    """Nanoseconds since the epoch; with `up` the last of what the text tells (all of 2026-11). Raises Invalid."""
    anchor, bars, math = text.partition("||")
    if text.startswith("now"):
        anchor, math = "now", text[3:]
    place = zone(tz)
    if anchor == "now":
        at, precision = datetime.fromtimestamp(now_ns / SECOND_NS, place), ""
        rest_ns = now_ns % SECOND_NS
    elif re.fullmatch(r"-?\d{5,19}", anchor):
        ns = int(anchor) * (MS_NS if len(anchor.lstrip("-")) < 16 else 1)
        if not bars:
            return ns
        at, precision, rest_ns = datetime.fromtimestamp(ns / SECOND_NS, place), "", ns % SECOND_NS
    else:
        at, precision, rest_ns = _read(anchor, tz)
    at = at.replace(microsecond=0)
    end = 0
    while end < len(math):
        step = _STEP.match(math, end)
        if step is None:
            raise Invalid(
                f"{text[:60]!r} is no instant", where="query", mend="now-1h, now/d, 2026-11-22||+1d"
            )
        end = step.end()
        try:
            if step[4]:
                begin = floor_calendar(at, _UNITS[step[4]])
                begin = after_calendar(begin, _UNITS[step[4]]) if up else begin
                at = begin.replace(tzinfo=at.tzinfo)
                rest_ns, precision = (-1 if up else 0), ""
            else:
                at = _moved(at, int(step[2] or 1) * (1 if step[1] == "+" else -1), step[3])
        except (OverflowError, ValueError) as error:
            raise Invalid(f"{text[:60]!r} lies outside the calendar", where="query") from error
    if up and precision:
        at = after_calendar(at.replace(tzinfo=None), precision).replace(tzinfo=at.tzinfo)
        rest_ns = -1
    return int(at.timestamp()) * SECOND_NS + rest_ns


def _read(text: str, tz: str) -> tuple[datetime, str, int]:
    """(instant to the second, the unit that it is told to, "" to the fraction; nanoseconds beyond)."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise Invalid(
            f"{text[:60]!r} is no instant", where="query", mend="2026-11-22T14:00:00Z, now-15m, or ms"
        )
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    told = [
        ("year", year),
        ("month", month),
        ("day", day),
        ("hour", hour),
        ("minute", minute),
        ("second", second),
    ]
    precision = "" if fraction else [unit for unit, value in told if value][-1]
    name = (offset if len(offset) > 3 or offset == "Z" else offset + ":00") if offset else tz
    try:
        at = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=zone(name),
        )
    except ValueError as error:
        raise Invalid(f"{text[:60]!r} is no instant: {error}", where="query") from error
    return at, precision, int(f"{fraction:0<9}") if fraction else 0


def _moved(at: datetime, count: int, unit: str) -> datetime:
    if unit in _SECONDS:
        return at + timedelta(seconds=count * _SECONDS[unit])
    months = at.year * 12 + at.month - 1 + count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    for day in range(at.day, 27, -1):
        try:
            return at.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return at.replace(year=year, month=month + 1, day=min(at.day, 28))
