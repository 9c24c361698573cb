"""What a request to `/api/v1` asks for: instants, spans, pages, read strictly. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS, parse_iso
from weatherglass.base.units import parse_duration

T = TypeVar("T")

PAGE = 200
PAGE_MOST = 1000
_FAR_S = 4e9


def instant_ns(text: str, where: str, now_ns: int) -> int:
    """Nanoseconds of `2026-11-22T14:02:11Z`, Unix seconds, `now`, or `-15m` (before now). Raises Invalid."""
    try:
        if text == "now":
            return now_ns
        if text.startswith("-") and text[-1:].isalpha():
            return max(0, now_ns - int(min(parse_duration(text[1:]), _FAR_S) * SECOND_NS))
        try:
            seconds = float(text)
        except ValueError:
            return parse_iso(text)
        if not (math.isfinite(seconds) and 0 <= seconds <= _FAR_S):
            raise ValueError(text)
        return int(seconds * SECOND_NS)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{text[:80]!r} is not an instant",
            where=where,
            mend="write 2026-11-22T14:02:11Z, Unix seconds, now, or -15m",
        ) from None


def span_ns(params: Mapping[str, str], now_ns: int, otherwise: str = "-1h") -> tuple[int, int]:
    """(start, end) of `start` and `end`; the last hour where not said. Raises Invalid."""
    start = instant_ns(params.get("start") or otherwise, "start", now_ns)
    end = instant_ns(params.get("end") or "now", "end", now_ns)
    if end < start:
        raise Invalid("end is before start", where="end")
    return start, end


def whole(params: Mapping[str, str], name: str, otherwise: int, most: int, least: int = 1) -> int:
    """A whole number between `least` and `most`. Raises Invalid."""
    text = params.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most):
        raise Invalid(f"{text[:40]!r} is not a number from {least} to {most}", where=name)
    return int(text)


def page(found: Sequence[tuple[str, T]], params: Mapping[str, str]) -> tuple[list[T], str]:
    """Of (key, value) in the order of keys: those after `after`, at most `limit`; and the next `after`, or ""."""
    limit, after = whole(params, "limit", PAGE, PAGE_MOST), params.get("after", "")
    kept = [pair for pair in found if not after or pair[0] > after]
    return [value for _, value in kept[:limit]], kept[limit - 1][0] if len(kept) > limit else ""


def text(body: Mapping[str, Any], name: str, otherwise: str | None = None, most: int = 4096) -> str:
    """A text of a JSON body. Raises Invalid."""
    value = body.get(name, otherwise)
    if value is None:
        raise Invalid(f"{name} is missing", where=name)
    if not isinstance(value, str) or len(value) > most:
        raise Invalid(f"{name} is not a text of at most {most} characters", where=name)
    return value


def texts(body: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts of a JSON body. Raises Invalid."""
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Invalid(f"{name} is not a list of texts", where=name)
    return value


def seconds(body: Mapping[str, Any], name: str) -> float:
    """Seconds of `"8h"` or a number; 0 where absent. Raises Invalid."""
    value = body.get(name, 0)
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise Invalid(str(error), where=name) from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _FAR_S:
        raise Invalid(f"{name} is not a span of time", where=name, mend="seconds, or a text like 8h")
    return float(value)
