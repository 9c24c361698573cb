"""Numbers with units: durations, sizes, shares, counts; read strictly, written for people.

A number with a unit is read with its unit (docs/site.md): `5m`, `1h30m`, `300ms`; `256MiB`, `50GB`; `99.9%`; `200k`.
All readers raise `ValueError` with a sentence that says what is accepted.
"""

from __future__ import annotations

import re

_DURATION = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "y": 31536000.0,
}
_SIZE = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_COUNT = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w|y)")
_SIZE_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)")
_COUNT_FORM = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)")


def parse_duration(text: str) -> float:
    """Seconds of `300ms`, `5m`, `1h30m`, `7d`."""
    text = text.strip()
    total, end = 0.0, 0
    for part in _DURATION_PART.finditer(text):
        if part.start() != end:
            break
        total += float(part[1]) * _DURATION[part[2]]
        end = part.end()
    if not text or end != len(text):
        raise ValueError(f"{text!r} is not a duration; write one like 300ms, 5m, 1h30m or 7d")
    return total


def parse_size(text: str) -> int:
    """Bytes of `512B`, `50GB` (powers of ten), `256MiB` (powers of two)."""
    form = _SIZE_FORM.fullmatch(text.strip())
    if not form or form[2] not in _SIZE:
        raise ValueError(f"{text!r} is not a size; write one like 512B, 50GB or 256MiB")
    return int(float(form[1]) * _SIZE[form[2]])


def parse_share(text: str) -> float:
    """A fraction of one: `99.9%` is 0.999, `0.25` is 0.25."""
    text = text.strip()
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share; write one like 99.9% or 0.25")
    return value


def parse_count(text: str) -> int:
    """`200k` is 200,000; `1M` a million."""
    form = _COUNT_FORM.fullmatch(text.strip())
    if not form:
        raise ValueError(f"{text!r} is not a count; write one like 500, 200k or 1M")
    return int(float(form[1]) * _COUNT[form[2]])


def duration(seconds: float) -> str:
    """A span for people: `850 µs`, `412 ms`, `6.2 s`, `8 min 47 s`, `3 h 10 min`, `2 d 4 h`."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, below, big, small in (("min", 3600, 60, "s"), ("h", 86400, 3600, "min")):
        if whole < below:
            head, rest = divmod(whole, big)
            rest //= 1 if small == "s" else 60
            return f"{head} {unit} {rest} {small}" if rest else f"{head} {unit}"
    days, rest = divmod(whole, 86400)
    return f"{days} d {rest // 3600} h" if rest >= 3600 else f"{days} d"


def size(count: float) -> str:
    """Bytes for people, powers of ten: `812 B`, `4.1 kB`, `2.1 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def count(number: float) -> str:
    """A count for people: `812`, `4.1 k`, `212 k`, `1.3 M`."""
    for unit in ("", " k", " M"):
        if abs(number) < 1000:
            return f"{number:.0f}{unit}" if not unit or abs(number) >= 100 else f"{number:.1f}{unit}"
        number /= 1000
    return f"{number:.1f} G"
