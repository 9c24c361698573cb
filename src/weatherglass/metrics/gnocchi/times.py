"""Instants and spans as Gnocchi writes and reads them. Pure; the present is handed in.

An instant is nanoseconds since the epoch, never before it; a resource's is microseconds. A span is nanoseconds.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from weatherglass.metrics.types import Int64Array

SECOND_NS = 1_000_000_000
_LAST_S = 9.2e9  # what int64 nanoseconds hold
_NUMBER = r"\d+(?:\.\d+)?"
_SIGN = re.compile(r"\s*([+-]?)\s*(.*)", re.DOTALL)
_CLOCK = re.compile(rf"(?:(?:(?P<d>\d+):)?(?P<h>\d+):)?(?P<m>\d{{1,2}}):(?P<s>{_NUMBER})")
_UNITS = {
    name: (place, seconds)
    for place, (seconds, names) in enumerate(
        (
            (604800, ("weeks", "week", "wks", "wk", "w")),
            (86400, ("days", "day", "d")),
            (3600, ("hours", "hour", "hrs", "hr", "h")),
            (60, ("minutes", "minute", "mins", "min", "m")),
            (1, ("seconds", "second", "secs", "sec", "s")),
        )
    )
    for name in names
}
"""A unit's name → its place in the order they are written in, and its seconds."""
_WORD = re.compile(rf"({_NUMBER})\s*([a-z]+)\s*,?\s*", re.IGNORECASE)
_LONGEST = 128


def _spoken(text: str) -> float | None:
    """Seconds of `1 hour`, `-5 minutes`, `2d 3h`, `0:01:30`; None where it is not a span."""
    if len(text) > _LONGEST:
        return None
    form = _SIGN.fullmatch(text)
    assert form is not None
    sign, body = (-1.0 if form[1] == "-" else 1.0), form[2].strip()
    if clock := _CLOCK.fullmatch(body):
        parts = {key: float(value or 0) for key, value in clock.groupdict().items()}
        return sign * sum(parts[key] * _UNITS[key][1] for key in parts)
    total, at, last = 0.0, 0, -1
    while at < len(body):
        word = _WORD.match(body, at)
        unit = _UNITS.get(word[2].lower()) if word else None
        if word is None or unit is None or unit[0] <= last:
            return None
        last, at = unit[0], word.end()
        total += float(word[1]) * unit[1]
    return sign * total if body else None


def span(value: Any, *, positive: bool = True) -> int:
    """Nanoseconds of seconds or words. Raises ValueError with Gnocchi's text."""
    if value is None:
        raise ValueError("Invalid timespan")
    try:
        seconds: float | None = float(value)
    except (TypeError, ValueError):
        seconds = _spoken(value) if isinstance(value, str) else None
    if seconds is None or not math.isfinite(seconds) or abs(seconds) > _LAST_S:
        raise ValueError("Unable to parse timespan")
    nanoseconds = int(seconds * 1e9)
    if positive and nanoseconds <= 0:
        raise ValueError("Timespan must be positive")
    return nanoseconds


def instants(values: Sequence[Any], now_ns: int) -> Int64Array:
    """(n,) int64 ns. All are of the first one's form: seconds, ISO 8601, or a span from now. Raises ValueError."""
    if not len(values):
        return np.empty(0, np.int64)
    first = values[0]
    try:
        float(first)
    except TypeError:
        raise ValueError("Unable to convert timestamps") from None
    except ValueError:
        found = _texts(values, now_ns)
    else:
        try:
            seconds = np.array(values, np.float64)
        except (TypeError, ValueError):
            raise ValueError("Unable to convert timestamps") from None
        if not (np.abs(seconds) < _LAST_S).all():
            raise ValueError("Unable to convert timestamps")
        found = (seconds * 1e9).astype(np.int64)
    if (found < 0).any():
        raise ValueError("Timestamp must be after Epoch")
    return found


def _texts(values: Sequence[Any], now_ns: int) -> Int64Array:
    # a batch names few instants, many times over
    known: dict[Any, int] = {}
    for value in values:
        if value not in known:
            known[value] = 0
    if not all(isinstance(value, str) for value in known):
        raise ValueError("Unable to convert timestamps")
    names = list(known)
    try:
        found = isos(names)
    except ValueError:
        try:
            found = np.array([now_ns + span(name, positive=False) for name in names], np.int64)
        except ValueError:
            raise ValueError("Unable to convert timestamps") from None
    if len(names) == len(values):
        return found
    known = dict(zip(names, found.tolist(), strict=True))
    return np.array([known[value] for value in values], np.int64)


def isos(texts: Sequence[str]) -> Int64Array:
    """(n,) int64 ns of ISO 8601, of UTC where no zone is said. Raises ValueError."""
    if any(not text[:4].isdigit() for text in texts):
        raise ValueError("not a date")
    with warnings.catch_warnings():
        # numpy converts what has a zone to UTC, as is wanted, and warns that it forgets the zone
        warnings.simplefilter("ignore")
        found = np.array(texts, dtype="datetime64[ns]")
    if np.isnat(found).any():
        raise ValueError("not a date")
    return found.astype(np.int64)


def instant(value: Any, now_ns: int) -> int:
    """ns of one instant. Raises ValueError."""
    return int(instants([value], now_ns)[0])


def microseconds(value: Any, now_ns: int) -> int:
    """µs of one instant, as a resource keeps it. Raises ValueError."""
    return instant(value, now_ns) // 1000


def shown_us(microseconds: int | None) -> str | None:
    """`2014-01-03T02:02:02+00:00`, with µs where there are any."""
    if microseconds is None:
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()


def shown(times_ns: Int64Array) -> list[str]:
    """Instants to the second, as measures show them."""
    texts: list[str] = np.char.add(
        np.datetime_as_string(times_ns.astype("datetime64[ns]"), unit="s"), "+00:00"
    ).tolist()
    return texts


def shown_span(nanoseconds: int | None) -> str | None:
    """`0:05:00`, `30 days, 0:00:00`."""
    return None if nanoseconds is None else str(timedelta(microseconds=nanoseconds / 1000))
