"""What an address of the page asks: several queries, a span, a step, a unit, an earlier time beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS
from weatherglass.base.units import parse_duration
from weatherglass.portal.kit import parse_instant, parse_span

QUERIES_AT_MOST = 8
POINTS_AT_MOST = 2_000
STEPS = ("", "5s", "15s", "1m", "5m", "15m", "1h", "1d")
BESIDE = (("", "nothing"), ("1h", "1 hour before"), ("1d", "1 day before"), ("7d", "1 week before"))
UNITS = (
    ("", "by its name"), ("none", "none"), ("s", "seconds"), ("B", "bytes"), ("share", "share"), ("B/s", "bytes/s"),
    ("/s", "per second"), ("W", "watts"), ("°C", "°C"),
)  # fmt: skip


class Question(NamedTuple):
    """One visit's question. `step_s` and `beside_ns` are 0 where nothing was chosen."""

    queries: tuple[str, ...]
    start_ns: int
    end_ns: int
    range: str  # empty where the span was given by its ends
    step_s: int
    unit: str
    beside_ns: int
    beside: str
    plan: bool


def read(asked: Mapping[str, str], queries: Sequence[str], now_ns: int) -> Question:
    """The question of an address. Raises Invalid, naming the part that cannot be read."""
    kept = tuple(dict.fromkeys(text for text in (one.strip() for one in queries) if text))
    if len(kept) > QUERIES_AT_MOST:
        raise Invalid(
            f"{len(kept)} queries are too many for one chart",
            where="q",
            mend=f"ask at most {QUERIES_AT_MOST}",
        )
    range_text = asked.get("range", "") or "1h"
    end = min(parse_instant(asked.get("end", "")) or now_ns, now_ns)
    start = parse_instant(asked.get("start", ""))
    by_ends = 0 < start < end
    if not by_ends:
        start = end - int(parse_span(range_text, 3600) * SECOND_NS)
    step = _seconds(asked, "step")
    if step and (end - start) / SECOND_NS / step > POINTS_AT_MOST:
        raise Invalid(
            f"a step of {asked['step']} gives more than {POINTS_AT_MOST} points over this span",
            where="step",
            mend="choose a longer step or a shorter span",
        )
    beside = asked.get("beside", "")
    return Question(
        kept, start, end, "" if by_ends else range_text, step, asked.get("unit", "")[:12],
        _seconds(asked, "beside") * SECOND_NS, beside, asked.get("plan", "") == "1",
    )  # fmt: skip


def _seconds(asked: Mapping[str, str], name: str) -> int:
    text = asked.get(name, "")
    if not text:
        return 0
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise Invalid(str(error), where=name, mend="write one like 5m") from error
    if not 1 <= seconds <= 400 * 86400:
        raise Invalid(f"a {name} of {text} is out of bounds", where=name, mend="between 1s and 400d")
    return int(seconds)
