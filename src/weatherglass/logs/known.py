"""Which templates occur, how often, since when: counted from codes, no message is put together. Pure but for reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weatherglass.logs import filter as f
from weatherglass.logs.answers import Span, View, chosen, window
from weatherglass.logs.matching import prepare


@dataclass(frozen=True, slots=True)
class KnownTemplate:
    """One template as it occurs in a span of time. `id` is that of its newest event; `levels`: events by level."""

    id: int
    text: str
    logger: str
    count: int
    first_ns: int
    last_ns: int
    levels: dict[str, int]


def templates_of(view: View, filter: f.Filter, span: Span) -> list[KnownTemplate]:
    """The most frequent first."""
    import numpy as np

    asked, span = prepare(filter), window(filter, span)
    found: dict[tuple[str, str], list[Any]] = {}
    for frame in view.frames(span, newest=False, wanted=lambda times: True):
        rows = chosen(frame, asked, span)
        templates = frame.coded("template")
        if rows is False or templates is None:
            continue
        numbers = np.arange(frame.rows) if rows is None else rows
        codes = templates.codes[numbers].astype(np.int64)
        times = frame.ints("time")[numbers]
        loggers, levels = frame.coded("logger"), frame.coded("level")
        names = [*(loggers.values.to_pylist() if loggers else []), ""]
        shown = [*(levels.values.to_pylist() if levels else []), ""]
        logger_codes = loggers.codes[numbers] if loggers else np.zeros(len(numbers), np.int64)
        level_codes = levels.codes[numbers] if levels else np.zeros(len(numbers), np.int64)
        keys = (codes * len(names) + logger_codes) * len(shown) + level_codes
        distinct, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        first = np.full(len(distinct), np.iinfo(np.int64).max)
        last = np.zeros(len(distinct), np.int64)
        np.minimum.at(first, inverse, times)
        np.maximum.at(last, inverse, times)
        place = np.zeros(len(distinct), np.int64)
        place[inverse] = numbers
        ids = frame.array("template_id")
        texts = templates.values.to_pylist()
        for key, count, low, high, row in zip(
            distinct.tolist(), counts.tolist(), first.tolist(), last.tolist(), place.tolist(), strict=True
        ):
            rest, level = divmod(key, len(shown))
            template, logger = divmod(rest, len(names))
            if template == len(texts):
                continue
            one = found.setdefault((texts[template], names[logger]), [0, 0, low, high, {}])
            one[0] += count
            if high >= one[3] or not one[1]:
                one[1] = ids[row].as_py() if ids is not None else 0
            one[2], one[3] = min(one[2], low), max(one[3], high)
            one[4][shown[level]] = one[4].get(shown[level], 0) + count
    listed = [
        KnownTemplate(id_, text, logger, count, first_ns, last_ns, levels)
        for (text, logger), (count, id_, first_ns, last_ns, levels) in found.items()
    ]
    return sorted(listed, key=lambda one: (-one.count, one.text))
