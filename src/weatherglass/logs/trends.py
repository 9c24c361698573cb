"""Templates over time: how often each occurred, when, in which services; and one event taken apart. Pure but for reading.

Counted from codes; no message is put together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.engine.protocols import Event
from weatherglass.logs import filter as f
from weatherglass.logs.answers import MAX_BUCKETS, Span, View, chosen, window
from weatherglass.logs.frame import Frame
from weatherglass.logs.matching import prepare
from weatherglass.logs.query import Key, cursor

if TYPE_CHECKING:
    import numpy as np

BY = ("template", "logger", "level", "service")


@dataclass(slots=True)
class Trend:
    """One template (of one logger) over a span: `counts` in even buckets, and how they part by level and service."""

    text: str
    logger: str
    id: int
    first_ns: int
    last_ns: int
    counts: list[int]
    levels: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One event and how it is kept: the template of its message and what stands in its places."""

    event: Event
    cursor: str
    template_id: int
    template: str
    variables: tuple[str, ...]


def trends_of(view: View, filter: f.Filter, span: Span, buckets: int) -> list[Trend]:
    """Every template that occurs in the span, the most frequent first. Raises Invalid."""
    start, end = span
    if not 0 < buckets <= MAX_BUCKETS or end <= start:
        raise Invalid(f"{buckets} buckets cannot be counted", where="buckets", mend=f"1 to {MAX_BUCKETS}")
    width = max(1, -(-(end - start) // buckets))
    asked = prepare(filter)
    found: dict[tuple[str, str], Trend] = {}
    for frame in view.frames(window(filter, span), newest=False, wanted=lambda times: True):
        rows = chosen(frame, asked, window(filter, span))
        if rows is not False and frame.coded("template") is not None:
            _add(found, frame, rows, start, width, buckets)
    return sorted(found.values(), key=lambda one: (-one.count, one.text, one.logger))


def _add(
    found: dict[tuple[str, str], Trend], frame: Frame, rows: Any, start: int, width: int, buckets: int
) -> None:
    import numpy as np

    numbers = np.arange(frame.rows) if rows is None else rows
    times = frame.ints("time")[numbers]
    keys: np.ndarray = np.zeros(len(numbers), np.int64)
    lists: list[list[str | None]] = []
    for name in BY:
        coded = frame.coded(name)
        shown: list[str | None] = [*(coded.values.to_pylist() if coded else []), None]
        keys = keys * len(shown) + (coded.codes[numbers] if coded else 0)
        lists.append(shown)
    keys = keys * buckets + np.minimum((times - start) // width, buckets - 1)
    distinct, first, inverse, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    low, high = np.full(len(distinct), np.iinfo(np.int64).max), np.zeros(len(distinct), np.int64)
    np.minimum.at(low, inverse, times)
    np.maximum.at(high, inverse, times)
    ids = frame.numbers("template_id")
    of = ids[0][numbers[first]].tolist() if ids else [0] * len(distinct)
    for key, count, begin, finish, id_ in zip(
        distinct.tolist(), counts.tolist(), low.tolist(), high.tolist(), of, strict=True
    ):
        rest, bucket = divmod(key, buckets)
        parts: list[str | None] = []
        for shown in reversed(lists):
            rest, code = divmod(rest, len(shown))
            parts.append(shown[code])
        service, level, logger, text = parts
        if text is None:
            continue
        one = found.get((text, logger or ""))
        if one is None:
            one = found[text, logger or ""] = Trend(text, logger or "", id_, begin, finish, [0] * buckets)
        if finish >= one.last_ns:
            one.id = id_
        one.first_ns, one.last_ns = min(one.first_ns, begin), max(one.last_ns, finish)
        one.counts[bucket] += count
        one.levels[level or ""] += count
        one.services[service or ""] += count


def anatomy_at(view: View, key: Key) -> Anatomy:
    """The event at a place, taken apart. Raises NotFound."""
    import numpy as np

    time_ns, sequence = key
    for frame in view.frames((time_ns, time_ns + 1), newest=True, wanted=lambda times: True):
        rows = np.flatnonzero((frame.ints("time") == time_ns) & (frame.ints("sequence") == sequence))
        if len(rows):
            return _taken_apart(frame, rows[:1], key)
    raise NotFound("this event is not there (any more)", where="at", mend="search for it again")


def _taken_apart(frame: Frame, rows: np.ndarray, key: Key) -> Anatomy:
    row = int(rows[0])
    [event] = frame.events(rows)
    templates, variables, ids = (
        frame.coded("template"),
        frame.array("variables"),
        frame.numbers("template_id"),
    )
    code = int(templates.codes[row]) if templates else -1
    text = templates.values[code].as_py() if templates and code < len(templates.values) else ""
    held = variables[row].as_py() if variables is not None and text else None
    return Anatomy(event, cursor(key), int(ids[0][row]) if ids else 0, text, tuple(held or ()))
