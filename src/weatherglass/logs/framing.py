"""Where an event begins and ends: text as it is read from a file or a pipe → whole events.

Here: what a line looks like (`Line`), what an event under way still takes (`JOINS`), and the machine that
walks the two tables. Not here: reading files, what an event means (`parse`), anything heavy: the agent
imports this module, so it stays on the standard library.

Theory of operation. Text is cut into pieces at line ends (and at the size bound). Every piece has a class by
its looks alone, with one exception: a line with oslo.log's exception prefix is SAME when timestamp, process
and logger equal those of the event under way. That, and no bracket, is the one rule that holds for real
tracebacks; "starts with a timestamp" keeps one in seven whole. `JOINS[state][class]` says that the piece
goes on with the event, and the next state; whatever is not in that table begins a new event, in the state
`STARTS[class]`. No piece is looked ahead for, changed, dropped or moved: the events, put together again,
are the text that came in, however it was cut on its way.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple

EVENT_LIMIT: Final = 256 * 1024
"""Characters; what is longer is cut there and both parts say so."""


class RawText(NamedTuple):
    """One event's text, line ends included; `cut` where the size bound parted it from its neighbour."""

    text: str
    seen_ns: int  # when its first piece came
    cut: bool = False


class Line(Enum):
    """What a line looks like."""

    OSLO = auto()  # oslo.log's head: timestamp, process, level, logger, [context]
    PREFIXED = auto()  # oslo.log's exception prefix: ERROR and no context
    SAME = auto()  # … with timestamp, process and logger of the event under way
    STAMP = auto()  # another head after which raw lines go on: Python logging, MariaDB, ISO times
    SYSLOG = auto()
    ALONE = auto()  # an access line, a JSON object: nothing follows it
    INTRO = auto()  # "Exception in thread …": a traceback follows
    TRACE = auto()  # "Traceback (most recent call last):"
    CHAIN = auto()  # "During handling of the above exception, …"
    TAIL = auto()  # what SQLAlchemy writes under its exceptions
    INDENT = auto()
    BLANK = auto()
    RAW = auto()  # none of these


class State(Enum):
    """What the event under way is."""

    IDLE = auto()
    OSLO = auto()
    TRACED = auto()  # an oslo.log event whose traceback is being read
    STAMPED = auto()
    SINGLE = auto()
    ALONE = auto()
    INTRO = auto()
    FRAMES = auto()  # a bare traceback: its frames
    ENDED = auto()  # … its exception was read
    CHAINED = auto()  # … and another is announced


def _all(state: State, *lines: Line) -> dict[Line, State]:
    return dict.fromkeys(lines, state)


_UNSTAMPED = (Line.INTRO, Line.TRACE, Line.CHAIN, Line.TAIL, Line.INDENT, Line.BLANK, Line.RAW)

JOINS: Final[dict[State, dict[Line, State]]] = {
    State.IDLE: {},
    State.OSLO: _all(State.OSLO, *_UNSTAMPED) | {Line.SAME: State.TRACED},
    State.TRACED: _all(State.TRACED, Line.SAME, Line.INDENT, Line.BLANK),
    State.STAMPED: _all(State.STAMPED, *_UNSTAMPED),
    State.SINGLE: _all(State.SINGLE, Line.INDENT, Line.BLANK),
    State.ALONE: _all(State.ALONE, Line.BLANK),
    State.INTRO: _all(State.INTRO, Line.INDENT, Line.BLANK) | {Line.TRACE: State.FRAMES},
    State.FRAMES: _all(State.FRAMES, Line.INDENT, Line.BLANK)
    | _all(State.ENDED, Line.RAW, Line.TAIL, Line.INTRO),
    State.ENDED: _all(State.ENDED, Line.BLANK, Line.TAIL, Line.INDENT) | {Line.CHAIN: State.CHAINED},
    State.CHAINED: _all(State.CHAINED, Line.BLANK) | {Line.TRACE: State.FRAMES},
}

STARTS: Final[dict[Line, State]] = {
    Line.OSLO: State.OSLO,
    Line.PREFIXED: State.TRACED,
    Line.SAME: State.TRACED,
    Line.STAMP: State.STAMPED,
    Line.SYSLOG: State.SINGLE,
    Line.ALONE: State.ALONE,
    Line.INTRO: State.INTRO,
    Line.TRACE: State.FRAMES,
    Line.CHAIN: State.SINGLE,
    Line.TAIL: State.SINGLE,
    Line.INDENT: State.SINGLE,
    Line.BLANK: State.SINGLE,
    Line.RAW: State.SINGLE,
}

KINDS: Final[dict[str, dict[Line, State]]] = {
    "auto": STARTS,
    "oslo": STARTS,
    "python": STARTS,
    "mariadb": STARTS,
    # One line is one event: no raw line ever goes on; indented lines and tracebacks are still kept whole.
    "syslog": STARTS | {Line.STAMP: State.SINGLE, Line.OSLO: State.SINGLE},
    "plain": STARTS | {Line.STAMP: State.SINGLE, Line.OSLO: State.SINGLE},
}
"""What a source is said to be → how its events begin. What it is not said to be, it is still recognised as."""

_OSLO = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d+) ([A-Z]+) (\S+)(?: |$)")
# A context always is `-` or has a request id; an exception's own text may well begin with another bracket,
# `[SQL: …]` or `[instance: …]`.
_CONTEXT = re.compile(r"\[(?:-|(?:[^\] ]* )?req-[^\]]*)\]")
_EXCEPTION_LEVELS = frozenset(("ERROR", "CRITICAL", "TRACE"))
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[ T] ?\d{1,2}:\d\d:\d\d|\d{6} +\d{1,2}:\d\d:\d\d |\d{4}/\d\d/\d\d \d\d:")
_ACCESS = re.compile(
    r"[0-9a-fA-F.:]{3,45} \S+ \S+ \[\d\d/\w{3}/\d{4}[: ]|\S+ \S+ \S+ \[\d\d/\w{3}/\d{4}:\d\d:"
)
_LEVEL = re.compile(r"(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)(?::[\w.]+:| +\[)")
_APACHE = re.compile(r"\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} +\d")
_SYSLOG = re.compile(
    r"(?:<\d{1,3}>)?(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d |1 \d{4}-)"
)
_WORDS: Final = (
    ("Traceback (most recent call last):", Line.TRACE),
    ("During handling of the above exception, another exception", Line.CHAIN),
    ("The above exception was the direct cause of the following", Line.CHAIN),
    ("[SQL: ", Line.TAIL),
    ("[parameters: ", Line.TAIL),
    ("(Background on this error at: ", Line.TAIL),
    ("Exception in ", Line.INTRO),
    ("Exception ignored in", Line.INTRO),
    ("Unhandled exception", Line.INTRO),
    ("[pid: ", Line.ALONE),
    ("[uWSGI] ", Line.ALONE),
    ("*** ", Line.ALONE),
    ('{"', Line.ALONE),
)
_FIRST_OF_WORDS = frozenset(word[0] for word, _ in _WORDS)
_LETTERS_OF_LEVELS = frozenset("DIWEC")


def classify(line: str, key: tuple[str, str] | None = None) -> tuple[Line, tuple[str, str] | None]:
    """The class of a line, and (timestamp and process, logger) where it is oslo.log's.

    `key` is that of the event under way: it tells SAME from PREFIXED.
    """
    first = line[:1]
    if first.isdigit():
        oslo = _OSLO.match(line)
        if oslo:
            own = (oslo[1], oslo[3])
            if oslo[2] not in _EXCEPTION_LEVELS or _CONTEXT.match(line, oslo.end()):
                return Line.OSLO, own
            return (Line.SAME if own == key else Line.PREFIXED), own
        if _STAMP.match(line):
            return Line.STAMP, None
    if first in (" ", "\t"):
        return (Line.INDENT if line.strip() else Line.BLANK), None
    if first in ("\n", "\r", ""):
        return Line.BLANK, None
    if first in _FIRST_OF_WORDS:
        for word, kind in _WORDS:
            if line.startswith(word):
                return kind, None
    if first in _LETTERS_OF_LEVELS and _LEVEL.match(line):
        return Line.STAMP, None
    if first == "[" and _APACHE.match(line):
        return Line.STAMP, None
    if _SYSLOG.match(line):
        return Line.SYSLOG, None
    if _ACCESS.match(line):
        return Line.ALONE, None
    return Line.RAW, None


class Framer:
    """Puts one source's lines together into events. One source, one Framer, one thread.

    `feed` takes text exactly as it was read: line ends included, any number of lines, cut anywhere. An
    event is given out when the next one begins, or by `flush`.
    """

    def __init__(self, kind: str = "auto", *, limit: int = EVENT_LIMIT) -> None:
        self._starts = KINDS.get(kind, STARTS)
        self._limit = limit
        self._state = State.IDLE
        self._key: tuple[str, str] | None = None
        self._held: list[str] = []
        self._held_size = 0
        self._held_ns = 0
        self._held_cut = False
        self._partial = ""  # a line whose end has not come yet
        self._midline = False  # what was last taken had no line end
        self._last_ns = 0

    @property
    def pending(self) -> str:
        """The text that was fed and not yet given out: what would be read again after a restart."""
        return "".join(self._held) + self._partial

    def feed(self, text: str, seen_ns: int) -> list[RawText]:
        """The events that `text` completes, in order."""
        out: list[RawText] = []
        if not text:
            return out
        self._last_ns = seen_ns
        data = self._partial + text if self._partial else text
        at, size, limit = 0, len(data), self._limit
        while at < size:
            end = data.find("\n", at) + 1
            if end == 0:
                if size - at < limit:
                    break
                end = size
            end = min(end, at + limit)
            self._take(data[at:end], seen_ns, out)
            at = end
        self._partial = data[at:]
        return out

    def flush(self, now_ns: int, idle_s: float = 1.0) -> list[RawText]:
        """What is held, when nothing came for `idle_s`; with 0, everything at once.

        While a line is half written its event waits ten times as long: a slow writer's line stays whole.
        """
        idle_ns = int(idle_s * 1e9) * (10 if self._partial else 1)
        out: list[RawText] = []
        if now_ns - self._last_ns < idle_ns and idle_ns > 0:
            return out
        if self._partial:
            partial, self._partial = self._partial, ""
            self._take(partial, self._last_ns, out)
        if self._held:
            self._give(out)
        self._state, self._key = State.IDLE, None
        return out

    def _take(self, piece: str, seen_ns: int, out: list[RawText]) -> None:
        if self._midline and self._held:
            state: State | None = self._state
        else:
            line, key = classify(piece, self._key)
            state = JOINS[self._state].get(line)
            if state is None:
                if self._held:
                    self._give(out)
                self._state, self._key = self._starts[line], key
        self._midline = not piece.endswith("\n")
        if state is not None:
            self._state = state
            if self._held_size + len(piece) > self._limit:
                self._give(out, cut=True)
                self._held_cut = True
        if not self._held:
            self._held_ns = seen_ns
        self._held.append(piece)
        self._held_size += len(piece)

    def _give(self, out: list[RawText], *, cut: bool = False) -> None:
        out.append(RawText("".join(self._held), self._held_ns, cut or self._held_cut))
        self._held, self._held_size, self._held_cut = [], 0, False
