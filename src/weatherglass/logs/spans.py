"""Spans of time: where a fixed or a calendar bucket begins, in any time zone. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS

if TYPE_CHECKING:
    import numpy as np

CALENDAR = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
MAX_BUCKETS = 65_536
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


@lru_cache(256)
def zone(name: str) -> tzinfo:
    """Raises Invalid."""
    if name in ("UTC", "Z", ""):
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(span if offset[1] == "+" else -span)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            f"no time zone {name[:60]!r}", where="time_zone", mend="Europe/Berlin, +01:00 or UTC"
        ) from error


def floor_calendar(at: datetime, unit: str) -> datetime:
    """Where the calendar's span that an instant of a zone lies in begins, as the zone's clock shows it."""
    at = at.replace(microsecond=0, tzinfo=None)
    if unit == "second":
        return at
    at = at.replace(second=0)
    if unit == "minute":
        return at
    at = at.replace(minute=0)
    if unit == "hour":
        return at
    at = at.replace(hour=0)
    if unit == "day":
        return at
    if unit == "week":
        return at - timedelta(days=at.weekday())
    at = at.replace(day=1)
    if unit == "month":
        return at
    if unit == "quarter":
        return at.replace(month=(at.month - 1) // 3 * 3 + 1)
    return at.replace(month=1)


def after_calendar(at: datetime, unit: str) -> datetime:
    """Where the next span begins."""
    if unit in ("month", "quarter", "year"):
        months = at.year * 12 + at.month - 1 + {"month": 1, "quarter": 3, "year": 12}[unit]
        return at.replace(year=months // 12, month=months % 12 + 1)
    steps = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
    return at + timedelta(seconds=steps[unit])


def edges_calendar(first_ns: int, last_ns: int, unit: str, tz: tzinfo, offset_ns: int = 0) -> list[int]:
    """The beginnings (ns) of every span from that of `first_ns` until one past that of `last_ns`. Raises Invalid."""
    at = floor_calendar(datetime.fromtimestamp((first_ns - offset_ns) / SECOND_NS, tz), unit)
    edges: list[int] = []
    while True:
        edge = int(at.replace(tzinfo=tz).timestamp()) * SECOND_NS + offset_ns
        if not edges or edge > edges[-1]:
            edges.append(edge)
        if edge > last_ns:
            return edges
        if len(edges) > MAX_BUCKETS:
            raise Invalid(
                f"more than {MAX_BUCKETS} buckets", where="interval", mend="ask for longer spans or less time"
            )
        at = after_calendar(at, unit)


def floor_fixed(times: np.ndarray, width: int, tz: tzinfo, offset_ns: int) -> np.ndarray:
    """The beginning of each instant's span of a fixed width, counted from the zone's midnight of 1970."""
    import numpy as np

    if not len(times):
        return times
    shift: int | np.ndarray = 0
    if tz is not UTC:
        low, high = shift_of(int(times.min()), tz), shift_of(int(times.max()), tz)
        shift = low if low == high else np.array([shift_of(at, tz) for at in times.tolist()], np.int64)
    moved = times + shift - offset_ns
    return np.asarray(moved - moved % width - shift + offset_ns)


def shift_of(at_ns: int, tz: tzinfo) -> int:
    offset = datetime.fromtimestamp(at_ns / SECOND_NS, tz).utcoffset()
    return int(offset.total_seconds()) * SECOND_NS if offset else 0
