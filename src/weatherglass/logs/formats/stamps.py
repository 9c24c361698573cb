"""Times as logs write them: every usual date form at a place in a text → nanoseconds. Pure.

A form that does not say enough (only a clock; day and month that could be swapped) is recognised, so that the
header ends where it ends, and gives 0: a wrong time is worse than none. A missing year is the one that makes the
time the latest before it was seen (and a day, for zones). A time without a zone is read as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from weatherglass.base.time import SECOND_NS
from weatherglass.logs.reading import MONTHS, day_s

DAY_NS: Final = 86_400 * SECOND_NS
_CLOCK = r"(?P<h>\d{1,2}):(?P<m>\d\d):(?P<s>\d\d)"
_FRACTION = r"(?:[.,](?P<f>\d{1,9}))?"
_ZONE = r"(?P<z> ?(?:Z(?![A-Za-z])|UTC(?![A-Za-z])|GMT(?![A-Za-z])|[+-]\d\d:?\d\d(?![\d:])|(?<! )[+-]\d\d(?![\d:-])))?"
_MON = "(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_HALF = r"(?P<half> ?[AP]M)?"

Parts = dict[str, str | None]


def _ns(parts: Parts, year: int, month: int, day: int) -> int:
    """Nanoseconds of a day and the clock that `parts` have; 0 for what is none."""
    midnight = day_s(f"{year:04}-{month:02}-{day:02}")
    hour, minute, second = int(parts["h"] or 0), int(parts["m"] or 0), int(parts["s"] or 0)
    half = (parts.get("half") or "").strip()
    if half:
        if not 1 <= hour <= 12:
            return 0
        hour = hour % 12 + (12 if half == "PM" else 0)
    if midnight < 0 or hour > 23 or minute > 59 or second > 60:
        return 0
    ns = (midnight + hour * 3600 + minute * 60 + second) * SECOND_NS
    fraction, millis = parts.get("f"), parts.get("ms")
    if fraction:
        ns += int(f"{fraction:0<9}")
    elif millis:
        ns += int(millis) * 1_000_000
    zone = (parts.get("z") or "").strip()
    if zone[:1] in ("+", "-"):
        digits = zone[1:].replace(":", "")
        away = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
        ns -= (away if zone[0] == "+" else -away) * SECOND_NS
    return ns


def yearless_ns(parts: Parts, month: int, day: int, seen_ns: int) -> int:
    """The latest such day up to a day after `seen_ns`."""
    year = datetime.fromtimestamp(seen_ns / SECOND_NS, UTC).year
    times = [_ns(parts, one, month, day) for one in range(max(year - 4, 1), year + 2)]
    return max((at for at in times if 0 < at <= seen_ns + DAY_NS), default=0)


def _full(parts: Parts, seen_ns: int) -> int:
    return _ns(parts, int(parts["y"] or 0), int(parts["mo"] or 0), int(parts["d"] or 0))


def _two_digits(parts: Parts, seen_ns: int) -> int:
    return _ns(parts, 2000 + int(parts["y"] or 0), int(parts["mo"] or 0), int(parts["d"] or 0))


def _slashes(parts: Parts, seen_ns: int) -> int:
    """`17/06/09` is year first, as log4j writes it, unless that is no day or lies ahead; else month or day first."""
    one, two, three = int(parts["a"] or 0), int(parts["b"] or 0), int(parts["c"] or 0)
    for year, month, day in ((one, two, three), (three, one, two), (three, two, one)):
        ns = _ns(parts, 2000 + year, month, day)
        if 0 < ns <= seen_ns + DAY_NS:
            return ns
    return 0


def _swappable(parts: Parts, seen_ns: int) -> int:
    """`11/22/2026`, `22.11.2026`, `11.22`: told apart where one of the two is no month, or both are one; else 0."""
    one, two, year = int(parts["a"] or 0), int(parts["b"] or 0), int(parts.get("y") or 0)
    if one <= 12 and two <= 12 and one != two:
        return 0
    month, day = (two, one) if one > 12 else (one, two)
    return _ns(parts, year, month, day) if year else yearless_ns(parts, month, day, seen_ns)


def _named(parts: Parts, seen_ns: int) -> int:
    month, day, year = MONTHS[parts["mon"] or ""], int(parts["d"] or 0), parts.get("y") or parts.get("y2")
    return _ns(parts, int(year), month, day) if year else yearless_ns(parts, month, day, seen_ns)


def _month_day(parts: Parts, seen_ns: int) -> int:
    return yearless_ns(parts, int(parts["mo"] or 0), int(parts["d"] or 0), seen_ns)


def _epoch(parts: Parts, seen_ns: int) -> int:
    ns = int(parts["e"] or 0) * SECOND_NS + int(f"{parts.get('f') or '':0<9}")
    return ns if ns <= seen_ns + DAY_NS else 0


def _epoch_ms(parts: Parts, seen_ns: int) -> int:
    ns = int(parts["e"] or 0) * 1_000_000
    return ns if ns <= seen_ns + DAY_NS else 0


def _clock_alone(parts: Parts, seen_ns: int) -> int:
    return 0


Form = tuple[re.Pattern[str], Callable[[Parts, int], int]]


def _forms(*rows: tuple[str, Callable[[Parts, int], int]]) -> tuple[Form, ...]:
    return tuple((re.compile(pattern + r"(?!\w)", re.ASCII), read) for pattern, read in rows)


_DIGITS: Final = _forms(
    # 2026-11-22T10:01:02.123456789Z, 2026/11/22 10:01:02, 2026.11.22 …, 2005-06-03-15.42.50.675872, …:02:123
    (
        r"(?P<y>\d{4})(?P<sep>[-/.])(?P<mo>\d\d)(?P=sep)(?P<d>\d\d)(?:T| {1,2}|-)"
        r"(?P<h>\d{1,2})(?P<colon>[:.])(?P<m>\d\d)(?P=colon)(?P<s>\d\d)(?:[.,](?P<f>\d{1,9})|:(?P<ms>\d{3}))?" + _ZONE,
        _full,
    ),
    # 20261122-10:01:02:123, 20261122T100102, 20261122 10:01:02.5
    (
        r"(?P<y>(?:19|20)\d\d)(?P<mo>\d\d)(?P<d>\d\d)[-T_ ](?P<h>\d{1,2}):(?P<m>\d{1,2}):(?P<s>\d{1,2})"
        r"(?:[.,](?P<f>\d{1,9})|:(?P<ms>\d{1,3}))?" + _ZONE,
        _full,
    ),
    (r"(?P<y>(?:19|20)\d\d)(?P<mo>\d\d)(?P<d>\d\d)[-T_ ](?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d)" + _FRACTION + _ZONE, _full),
    # 081109 203615, 081109 20:36:15
    (r"(?P<y>\d\d)(?P<mo>\d\d)(?P<d>\d\d) (?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d)", _two_digits),
    (r"(?P<y>\d\d)(?P<mo>\d\d)(?P<d>\d\d) {1,2}" + _CLOCK + _FRACTION, _two_digits),
    # 17/06/09 20:10:40
    (r"(?P<a>\d\d)/(?P<b>\d\d)/(?P<c>\d\d) " + _CLOCK + _FRACTION, _slashes),
    # 22/Nov/2026:10:01:02 +0000, 22-Nov-2026 10:01:02.123, 22 Nov 2026 10:01:02, 22-Nov-2026::10:01:02
    (
        r"(?P<d>\d{1,2})(?P<sep>[-/ ])" + _MON + r"(?P=sep)(?P<y>\d{4})(?::{1,2}| )" + _CLOCK + _FRACTION + _HALF + _ZONE,
        _named,
    ),
    (r"(?P<a>\d{1,2})(?P<sep>[-/.])(?P<b>\d{1,2})(?P=sep)(?P<y>\d{4}),? " + _CLOCK + _FRACTION + _HALF + _ZONE, _swappable),
    # 11-22 10:01:02.123: logcat
    (r"(?P<mo>\d\d)-(?P<d>\d\d) " + _CLOCK + r"[.](?P<f>\d{3,9})", _month_day),
    (r"(?P<a>\d\d)[./](?P<b>\d\d) " + _CLOCK + _FRACTION, _swappable),
    (r"(?P<e>[01]\d{9})(?:\.(?P<f>\d{1,9}))?(?![:.-])", _epoch),
    (r"(?P<e>[01]\d{12})(?![:.-])", _epoch_ms),
    (r"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)" + _FRACTION, _clock_alone),
)  # fmt: skip
_LETTERS: Final = _forms(
    # Sun Dec 04 04:47:44.123456 2005, Sun, 22 Nov 2026 10:01:02 GMT, Sun Nov 22 10:01:02 UTC 2026
    (_WEEKDAY + " " + _MON + r" {1,2}(?P<d>\d{1,2}) " + _CLOCK + _FRACTION + _ZONE + r" (?P<y>\d{4})", _named),
    (_WEEKDAY + r", (?P<d>\d{1,2}) " + _MON + r" (?P<y>\d{4}) " + _CLOCK + _FRACTION + _ZONE, _named),
    # Nov 22, 2026 10:01:02 AM; Nov 22 2026 10:01:02; Nov 22 10:01:02.123 2026; Nov 22 10:01:02
    (_MON + r" {1,2}(?P<d>\d{1,2}),? (?P<y>\d{4}),? " + _CLOCK + _FRACTION + _HALF + _ZONE, _named),
    (_MON + r" {1,2}(?P<d>\d{1,2}) " + _CLOCK + _FRACTION + r"(?: (?P<y>(?:19|20)\d\d)(?=[ :\]]))?" + _HALF, _named),
)  # fmt: skip


def stamp(text: str, at: int, seen_ns: int) -> tuple[int, int] | None:
    """(nanoseconds or 0, where the stamp ends) of the time that begins at `at`; None where none does."""
    first = text[at : at + 1]
    forms = _DIGITS if first.isdigit() else _LETTERS if first in _FIRST_LETTERS else ()
    for pattern, read in forms:
        found = pattern.match(text, at)
        if found:
            return read(found.groupdict(), seen_ns), found.end()
    return None


_FIRST_LETTERS: Final = frozenset("JFMASONDTW")


def iso_ns(text: str, seen_ns: int = 1 << 62) -> int:
    """Nanoseconds of a text that is a stamp and nothing else; 0 when it is none."""
    found = stamp(text, 0, seen_ns)
    return found[0] if found and found[1] == len(text) else 0


def number_ns(value: float) -> int:
    """Nanoseconds of a number since the epoch, in s, ms, µs or ns by its size; 0 where it is none of these."""
    if not 1e8 <= value < 1e19:
        return 0
    for bound, scale in ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1000), (1e20, 1)):
        if value < bound:
            if isinstance(value, int):
                return value * scale
            whole = int(value)
            # A float has six digits behind the point at this size, and noise behind them.
            return (
                whole * scale + round((value - whole) * 1e6) * max(scale // 1_000_000, 1)
                if scale > 1000
                else whole * scale
            )
    return 0
