"""Instants as Elasticsearch writes them: date math, formats, time zones. Pure; everything in ms since the epoch.

An instant in a query may be a number, a date in one of the formats, or an anchor with math (`now-1d/d`,
`2026-01-01||+1M/d`). Rounding and missing parts go down, or up to the last millisecond (§ "Date math and rounding").
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from weatherglass.gateway.elastic.faults import Fault, argument, parsing

DEFAULT = "strict_date_optional_time||epoch_millis"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(?P<Y>[+-]?\d{4,9})(?:-(?P<M>\d{1,2})(?:-(?P<D>\d{1,2}))?)?"
    r"(?:[T ](?:(?P<h>\d{1,2})(?::(?P<m>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?)?)?"
    r"(?P<z>Z|[+-]\d{2}(?::?\d{2})?|\[[\w/+-]+\])?"
)
_MATH = re.compile(r"([+-])(\d*)([yMwdhHms])|/([yMwdhHms])")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "H": "hours", "m": "minutes", "s": "seconds"}
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?")


@lru_cache(256)
def zone(text: str) -> tzinfo:
    """The zone of an IANA name or an offset. Raises Fault."""
    if text in ("Z", "UTC", "GMT", "utc"):
        return UTC
    found = _OFFSET.fullmatch(text)
    if found:
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        if minutes <= 18 * 60:
            return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    try:
        if found is None and re.fullmatch(r"[A-Za-z][\w+/-]{1,63}", text):
            return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise argument(f"The datetime zone id '{text[:64]}' is not recognised")


def ms_of(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment_of(ms: int, tz: tzinfo = UTC) -> datetime:
    """Raises OverflowError beyond the years 1 to 9999."""
    return (_EPOCH + timedelta(milliseconds=ms)).astimezone(tz)


# --- formats ---------------------------------------------------------------------------------------------

# Java's pattern letters (java.time.format.DateTimeFormatter) → (regular expression, how it is written).
_LETTERS: dict[str, tuple[str, str]] = {
    "yyyy": (r"(?P<Y>[+-]?\d{4,9})", "%Y"), "uuuu": (r"(?P<Y>[+-]?\d{4,9})", "%Y"),
    "yy": (r"(?P<YY>\d{2})", "%y"), "y": (r"(?P<Y>\d{1,9})", "%Y"), "u": (r"(?P<Y>\d{1,9})", "%Y"),
    "MM": (r"(?P<M>\d{2})", "%m"), "M": (r"(?P<M>\d{1,2})", "%-m"), "MMM": (r"(?P<Mon>[A-Za-z]{3})", "%b"),
    "MMMM": (r"(?P<Month>[A-Za-z]+)", "%B"),
    "dd": (r"(?P<D>\d{2})", "%d"), "d": (r"(?P<D>\d{1,2})", "%-d"),
    "HH": (r"(?P<h>\d{2})", "%H"), "H": (r"(?P<h>\d{1,2})", "%-H"),
    "hh": (r"(?P<h12>\d{2})", "%I"), "h": (r"(?P<h12>\d{1,2})", "%-I"), "a": (r"(?P<ampm>[AP]M)", "%p"),
    "mm": (r"(?P<m>\d{2})", "%M"), "m": (r"(?P<m>\d{1,2})", "%-M"),
    "ss": (r"(?P<s>\d{2})", "%S"), "s": (r"(?P<s>\d{1,2})", "%-S"),
    "S": (r"(?P<f>\d{1,9})", "%f1"), "SSS": (r"(?P<f>\d{3})", "%f3"), "SSSSSS": (r"(?P<f>\d{6})", "%f6"),
    "SSSSSSSSS": (r"(?P<f>\d{9})", "%f9"),
    "Z": (r"(?P<z>[+-]\d{4})", "%z"), "XXX": (r"(?P<z>Z|[+-]\d{2}:\d{2})", "%:zZ"),
    "XX": (r"(?P<z>Z|[+-]\d{4})", "%zZ"), "X": (r"(?P<z>Z|[+-]\d{2})", "%zZ"),
    "xxx": (r"(?P<z>[+-]\d{2}:\d{2})", "%:z"), "ZZ": (r"(?P<z>Z|[+-]\d{2}:\d{2})", "%:zZ"),
    "ZZZZZ": (r"(?P<z>Z|[+-]\d{2}:\d{2})", "%:zZ"), "VV": (r"(?P<z>[\w/+-]+)", "%Z"), "z": (r"(?P<z>\w+)", "%Z"),
    "EEE": (r"[A-Za-z]{3}", "%a"), "EEEE": (r"[A-Za-z]+", "%A"), "E": (r"[A-Za-z]{3}", "%a"),
    "e": (r"\d", "%u"), "ww": (r"(?P<week>\d{2})", "%V"), "w": (r"(?P<week>\d{1,2})", "%V"),
    "DDD": (r"(?P<doy>\d{3})", "%j"), "YYYY": (r"(?P<G>\d{4})", "%G"), "xxxx": (r"(?P<G>\d{4})", "%G"),
}  # fmt: skip

_NAMED: dict[str, str] = {
    "basic_date": "yyyyMMdd", "basic_date_time": "yyyyMMdd'T'HHmmss.SSSXX",
    "basic_date_time_no_millis": "yyyyMMdd'T'HHmmssXX", "basic_time": "HHmmss.SSSXX",
    "date": "yyyy-MM-dd", "date_hour": "yyyy-MM-dd'T'HH", "date_hour_minute": "yyyy-MM-dd'T'HH:mm",
    "date_hour_minute_second": "yyyy-MM-dd'T'HH:mm:ss",
    "date_hour_minute_second_millis": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "date_hour_minute_second_fraction": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "date_time": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "date_time_no_millis": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "hour": "HH", "hour_minute": "HH:mm", "hour_minute_second": "HH:mm:ss", "time": "HH:mm:ss.SSSXXX",
    "year": "yyyy", "year_month": "yyyy-MM", "year_month_day": "yyyy-MM-dd",
}  # fmt: skip
_ISO_NAMES = frozenset(
    ("date_optional_time", "iso8601", "dateOptionalTime", "strict_date_optional_time_nanos")
)
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_PIECES = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']|\[|\]")


@lru_cache(256)
def _compiled(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern of letters as an expression to read with, and the parts to write. Raises Fault."""
    expression, parts = "", []
    for piece in _PIECES.finditer(pattern):
        text = piece[0]
        if piece[1] is not None:
            literal = piece[1].replace("''", "'") or "'"
            expression += re.escape(literal)
            parts.append("'" + literal)
        elif text in "[]":
            expression += "(?:" if text == "[" else ")?"
        elif piece[2]:
            if text not in _LETTERS and set(text) != {"S"}:
                raise argument(f"Invalid format: [{pattern}]: Unknown pattern letter: {text[0]}")
            read, written = _LETTERS.get(text, (rf"(?P<f>\d{{{len(text)}}})", f"%f{len(text)}"))
            expression += read
            parts.append(written)
        else:
            expression += re.escape(text)
            parts.append("'" + text)
    try:
        return re.compile(expression), tuple(parts)
    except re.error:
        raise argument(f"Invalid format: [{pattern}]") from None


def _pattern(name: str) -> str | None:
    """The letters of a named format; None for the ISO ones."""
    plain = name.removeprefix("strict_")
    if plain in _ISO_NAMES:
        return None
    return _NAMED.get(plain, name)


def check_format(format: str) -> None:
    """Raises Fault for a format that is none."""
    for one in format.split("||"):
        if one not in ("epoch_millis", "epoch_second"):
            pattern = _pattern(one)
            if pattern is not None:
                _compiled(pattern)


def _build(found: dict[str, str | None], tz: tzinfo, up: bool) -> int:
    """Milliseconds of the parts; those that are missing are the first, or where `up` the last, there are."""

    def part(name: str, low: int, high: int) -> int:
        text = found.get(name)
        return int(text) if text is not None else high if up else low

    year = int(found.get("Y") or found.get("G") or (f"20{found['YY']}" if found.get("YY") else 1970))
    if not 1 <= year <= 9999:
        raise ValueError("year out of range")
    named = found.get("Mon") or found.get("Month")
    month = _MONTHS[named[:3].lower()] if named else part("M", 1, 12)
    if found.get("doy"):
        first = datetime(year, 1, 1) + timedelta(days=int(found["doy"] or 1) - 1)
        month, day = first.month, first.day
    else:
        day = part("D", 1, calendar.monthrange(year, month)[1])
    if found.get("week"):
        first = datetime.fromisocalendar(year, int(found["week"] or 1), 7 if up else 1)
        year, month, day = first.year, first.month, first.day
    hour = part("h", 0, 23)
    if found.get("h12"):
        hour = int(found["h12"] or 0) % 12 + (12 if found.get("ampm") == "PM" else 0)
    fraction = found.get("f")
    micro = int((fraction + "000000")[:6]) if fraction else (999_000 if up and found.get("s") is None else 0)
    if up and found.get("s") is not None and fraction is None:
        micro = 999_000
    own = found.get("z")
    if own:
        tz = zone(own.strip("[]"))
    moment = datetime(year, month, day, hour, part("m", 0, 59), part("s", 0, 59), micro, tzinfo=tz)
    return ms_of(moment)


def read(value: object, format: str = DEFAULT, tz: tzinfo = UTC, *, up: bool = False) -> int:
    """Milliseconds of a date in one of the formats (`a||b`). Raises Fault (parse_exception)."""
    text = str(value).strip() if not isinstance(value, float) else f"{value:.0f}"
    if isinstance(value, bool) or value is None:
        raise _unread(text, format)
    for one in format.split("||"):
        try:
            if one == "epoch_millis":
                if re.fullmatch(r"-?\d{1,16}(?:\.\d+)?", text):
                    return int(float(text)) if "." in text else int(text)
            elif one == "epoch_second":
                if re.fullmatch(r"-?\d{1,13}(?:\.\d+)?", text):
                    return round(float(text) * 1000) if "." in text else int(text) * 1000
            else:
                pattern = _pattern(one)
                found = (_ISO if pattern is None else _compiled(pattern)[0]).fullmatch(text)
                # A bare number of five digits or more is no year: strict years have four.
                if found and not (pattern is None and re.fullmatch(r"[+-]?\d{5,}", text)):
                    return _build(found.groupdict(), tz, up)
        except (ValueError, OverflowError):
            continue
    raise _unread(text, format)


def _unread(text: str, format: str) -> Fault:
    inner = argument(f"failed to parse date field [{text[:80]}] with format [{format}]")
    return Fault(
        "parse_exception",
        f"failed to parse date field [{text[:80]}] with format [{format}]: [{inner.reason}]",
        cause=inner,
    )


# --- math ------------------------------------------------------------------------------------------------


def _add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(
        year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1])
    )


def add(moment: datetime, count: int, unit: str) -> datetime:
    """`count` units later, by the calendar of the moment's own zone. Raises OverflowError, ValueError."""
    if unit in "yM":
        return _add_months(moment, count * (12 if unit == "y" else 1))
    step = timedelta(**{_UNITS[unit]: count})
    if unit in "wd":
        return (moment.replace(tzinfo=None) + step).replace(tzinfo=moment.tzinfo)
    return (moment.astimezone(UTC) + step).astimezone(moment.tzinfo)


def floor(moment: datetime, unit: str) -> datetime:
    """The beginning of the unit that the moment lies in; weeks begin on Monday."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "y":
        return day.replace(month=1, day=1)
    if unit == "M":
        return day.replace(day=1)
    if unit == "w":
        return add(day, -moment.weekday(), "d")
    if unit == "d":
        return day
    if unit in "hH":
        return moment.replace(minute=0, second=0, microsecond=0)
    return moment.replace(second=0, microsecond=0) if unit == "m" else moment.replace(microsecond=0)


def instant(value: object, now_ms: int, format: str = DEFAULT, tz: tzinfo = UTC, *, up: bool = False) -> int:
    """Milliseconds of a date, a number, or date math; `up` rounds to the last millisecond. Raises Fault."""
    if not isinstance(value, str):
        return read(value, format, tz, up=up)
    if value.startswith("now"):
        base, math = now_ms, value[3:]
    else:
        anchor, bars, math = value.partition("||")
        base = read(anchor, format, tz, up=up and not bars)
    if not math:
        return base
    try:
        moment, at = moment_of(base, tz), 0
        while at < len(math):
            found = _MATH.match(math, at)
            if found is None or len(found[2] or "") > 9:
                raise Fault("parse_exception", f"operator not supported for date math [{math}]", cause=None)
            at = found.end()
            if found[4]:
                moment = floor(moment, found[4])
                if up:
                    moment = add(moment, 1, found[4]) - timedelta(milliseconds=1)
            else:
                moment = add(moment, int(f"{found[1]}{found[2] or 1}"), found[3])
        return ms_of(moment)
    except (OverflowError, ValueError):
        raise parsing(f"date math [{value[:80]}] is out of range") from None


# --- writing ---------------------------------------------------------------------------------------------


def write(ms: int, format: str = "", tz: tzinfo = UTC) -> str:
    """A date in the first of the formats; by default `2026-11-22T14:02:11.000Z`. Raises Fault."""
    name = format.split("||")[0] if format else ""
    if name == "epoch_millis":
        return str(ms)
    if name == "epoch_second":
        return str(ms // 1000) if ms % 1000 == 0 else f"{ms / 1000:.3f}"
    try:
        moment = moment_of(ms, tz)
    except OverflowError:
        return str(ms)
    pattern = _pattern(name) if name else None
    if pattern is None:
        text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}"
        return text.zfill(23) + _zone(moment, colon=True, z=True)
    return "".join(_written(part, moment) for part in _compiled(pattern)[1])


def _written(part: str, moment: datetime) -> str:
    if part.startswith("'"):
        return part[1:]
    if part.startswith("%f"):
        return f"{moment.microsecond:06d}000"[: int(part[2:])]
    if part in ("%z", "%:z", "%zZ", "%:zZ"):
        return _zone(moment, colon=":" in part, z=part.endswith("Z"))
    return f"{moment.year:04d}" if part == "%Y" else moment.strftime(part)


def _zone(moment: datetime, *, colon: bool, z: bool) -> str:
    offset = moment.utcoffset() or timedelta()
    if z and not offset:
        return "Z"
    minutes = int(offset.total_seconds()) // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{sign}{minutes // 60:02d}{':' if colon else ''}{minutes % 60:02d}"


_DURATION = re.compile(r"([+-]?)(\d+(?:\.\d+)?)(nanos|micros|ms|s|m|h|d|w)")
_LENGTHS = {"nanos": 1e-6, "micros": 1e-3, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: object, what: str) -> int:
    """Milliseconds of `30s`, `-6h`, `1d`. Raises Fault."""
    found = _DURATION.fullmatch(str(text).strip())
    if found is None or found[3] not in _LENGTHS or len(found[2]) > 12:
        raise argument(f"failed to parse setting [{what}] with value [{str(text)[:40]}] as a time value")
    length = float(found[2]) * _LENGTHS[found[3]]
    return int(-length if found[1] == "-" else length)


def looks_like_date(value: str, formats: Sequence[str] = ("strict_date_optional_time",)) -> bool:
    """Whether dynamic mapping takes a text for a date: strict_date_optional_time, or `yyyy/MM/dd` with a time."""
    if not (10 <= len(value) <= 40 and value[:4].isdigit() and value[4] in "-/"):
        return False
    if value[4] == "/":
        return re.fullmatch(r"\d{4}/\d\d/\d\d(?: \d\d:\d\d:\d\d(?: Z|[+-]\d\d:?\d\d)?)?", value) is not None
    try:
        read(value, "||".join(formats))
    except Fault:
        return False
    return "T" in value or len(value) == 10
