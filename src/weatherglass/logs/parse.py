"""What events say: framed texts → time, level, logger, message, format, fields, as columns or one by one.

Here: the batch, and how a source's usual format is tried first. Not here: the formats (`formats`, a table), where
an event ends (`framing`), storage. Pure: the same text gives the same event, alone or in any batch. What fits no
format is kept whole as a message under the format `plain`; nothing is refused.

A source's own times are read as UTC unless they carry an offset. Text without a time is dated by when it was
seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

from weatherglass.engine.protocols import Event, RawEvent
from weatherglass.logs.formats import read_text
from weatherglass.logs.formats.oslo import Row, quick_reader
from weatherglass.logs.reading import FIELDS, Reading, Value

_LAST_NS: Final = 1 << 62
"""The year 9999 is a date, but no 64-bit count of nanoseconds."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Events as columns, all of one length and in the order of the batch.

    `fields[i]` is None where there are none, and may be one mapping for many events: it is never to be changed.
    """

    time_ns: list[int]
    level: list[str]
    logger: list[str]
    message: list[str]
    format: list[str]
    fields: list[Mapping[str, Value] | None]
    raw: list[str]

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def plain(self) -> int:
        """How many fitted no format."""
        return self.format.count("plain")

    @property
    def formats(self) -> Counter[str]:
        """How many of each format."""
        return Counter(self.format)


class Parser:
    """Parses batches; remembers what comes again and again (seconds, contexts, loggers, a source's format).

    What is remembered is bounded and changes no answer. One thread at a time.
    """

    def __init__(self) -> None:
        self._quick = quick_reader()

    def parse(self, events: Sequence[RawEvent]) -> Parsed:
        """The events of framed texts."""
        texts = [event.text for event in events]
        rows = list(map(self._quick, texts))
        number = 0
        with suppress(ValueError):  # no more of them
            while True:
                number = rows.index(None, number)
                rows[number] = self._read(events[number])
        if not rows:
            return Parsed([], [], [], [], [], [], [])
        times, levels, loggers, messages, formats, fields = zip(*cast("list[Row]", rows), strict=True)
        return Parsed(
            list(times), list(levels), list(loggers), list(messages), list(formats), list(fields), texts
        )

    def _read(self, event: RawEvent) -> Row:
        at, level, logger, message, form, fields = read_text(event.text, event.seen_ns)
        return at if 0 < at < _LAST_NS else event.seen_ns, level, logger, message, form, fields or None


def parse_batch(events: Sequence[RawEvent]) -> Parsed:
    """The events of framed texts, as columns. Whoever parses many batches keeps a `Parser`."""
    return Parser().parse(events)


def parse_text(text: str, seen_ns: int) -> Reading:
    """What one text says; never fails."""
    return read_text(text, seen_ns)


def parse_event(raw: RawEvent) -> Event:
    """The event of a framed text, its standard fields as text. `raw` is that text."""
    read = read_text(raw.text, raw.seen_ns)
    fields = {"format": read.format}
    for name, value in read.fields.items():
        if name in FIELDS and value is not None and not isinstance(value, dict | list):
            fields[name] = (
                value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
            )
    return Event(
        read.time_ns if 0 < read.time_ns < _LAST_NS else raw.seen_ns,
        raw.seen_ns,
        raw.labels,
        read.level,
        read.logger,
        read.message,
        raw.text,
        fields,
    )
