"""Where an event begins and ends: text as it is read from a file or a pipe → whole events.

Here: what an event under way still takes (`JOINS`), and the machine that walks that table and `STARTS`. What a
line looks like is told by `lines`. Not here: reading files, what an event means (`parse`), anything heavy: the
agent imports this module, so it stays on the standard library.

Theory of operation. Text is cut into pieces at line ends (and at the size bound). Every piece has a class by
its looks alone, with one exception: a line whose prefix is that of the event under way is SAME. oslo.log writes
timestamp, process and logger before each line of an exception, RabbitMQ time, level and process before each line
of anything. That, and no bracket, is the one rule that holds for real tracebacks; "starts with a timestamp" keeps
one in seven whole. `JOINS[state][class]` says that the piece
goes on with the event, and the next state; whatever is not in that table begins a new event, in the state
`STARTS[class]`. No piece is looked ahead for, changed, dropped or moved: the events, put together again,
are the text that came in, however it was cut on its way.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from enum import Enum, auto
from typing import Final, NamedTuple

from weatherglass.logs.lines import Line, classify

EVENT_LIMIT: Final = 256 * 1024
"""Characters; what is longer is cut there and both parts say so."""


class RawText(NamedTuple):
    """One event's text, line ends included; `cut` where the size bound parted it from its neighbour."""

    text: str
    seen_ns: int  # when its first piece came
    cut: bool = False


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
    OBJECT = auto()  # JSON that is printed over several lines
    JOURNAL = auto()  # an entry of the journal's export


def _all(state: State, *lines: Line) -> dict[Line, State]:
    return dict.fromkeys(lines, state)


_UNSTAMPED = (
    *(
        Line.INTRO,
        Line.TRACE,
        Line.GROUP,
        Line.CHAIN,
        Line.TAIL,
        Line.CAUSE,
        Line.FILE,
        Line.INDENT,
        Line.BLANK,
    ),
    *(Line.RAW, Line.OPEN, Line.CLOSE),
)

# Under oslo.log's head these are what a service was told and tells (a body, a guest's console), not events.
_TOLD = (Line.DATA, Line.REPORT, Line.KERNEL, Line.JOURNAL)

JOINS: Final[dict[State, dict[Line, State]]] = {
    State.IDLE: {},
    State.OSLO: _all(State.OSLO, *_UNSTAMPED, *_TOLD) | {Line.SAME: State.TRACED},
    State.TRACED: _all(State.TRACED, Line.SAME, Line.INDENT, Line.FILE, Line.BLANK),
    State.STAMPED: _all(State.STAMPED, *_UNSTAMPED, Line.SAME),
    State.SINGLE: _all(State.SINGLE, Line.INDENT, Line.CAUSE, Line.BLANK),
    State.ALONE: _all(State.ALONE, Line.BLANK),
    State.INTRO: _all(State.INTRO, Line.INDENT, Line.FILE, Line.CAUSE, Line.BLANK)
    | {Line.TRACE: State.FRAMES, Line.GROUP: State.INTRO},
    State.FRAMES: _all(State.FRAMES, Line.INDENT, Line.FILE, Line.CAUSE, Line.BLANK)
    | _all(State.ENDED, Line.RAW, Line.TAIL, Line.INTRO),
    State.ENDED: _all(State.ENDED, Line.BLANK, Line.TAIL, Line.INDENT, Line.CAUSE)
    | {Line.CHAIN: State.CHAINED},
    State.CHAINED: _all(State.CHAINED, Line.BLANK) | {Line.TRACE: State.FRAMES},
    State.OBJECT: _all(State.OBJECT, Line.INDENT, Line.FILE, Line.BLANK) | {Line.CLOSE: State.ALONE},
    # Its values may hold anything, blank lines too; only the next entry's first line ends it.
    State.JOURNAL: _all(State.JOURNAL, *(line for line in Line if line is not Line.JOURNAL)),
}

STARTS: Final[dict[Line, State]] = {
    Line.OSLO: State.OSLO,
    Line.PREFIXED: State.TRACED,
    Line.SAME: State.TRACED,
    Line.STAMP: State.STAMPED,
    Line.SYSLOG: State.SINGLE,
    Line.ALONE: State.ALONE,
    Line.DATA: State.ALONE,
    Line.INTRO: State.INTRO,
    Line.TRACE: State.FRAMES,
    Line.GROUP: State.SINGLE,
    Line.CHAIN: State.SINGLE,
    Line.TAIL: State.SINGLE,
    Line.CAUSE: State.SINGLE,
    Line.FILE: State.FRAMES,  # a SyntaxError's, which has no "Traceback" before it
    Line.OPEN: State.OBJECT,
    Line.CLOSE: State.SINGLE,
    Line.REPORT: State.STAMPED,
    Line.KERNEL: State.SINGLE,
    Line.JOURNAL: State.JOURNAL,
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


class Joiner:
    """The same for many sources whose lines come one by one and whole, as protocols carry them: a Framer each.

    `key` says whose line it is. Bounded: of more than `most` sources the one that was quiet the longest is given
    out and forgotten.
    """

    def __init__(self, kind: str = "auto", *, limit: int = EVENT_LIMIT, most: int = 4096) -> None:
        self._kind, self._limit, self._most = kind, limit, most
        self._framers: dict[Hashable, Framer] = {}

    def feed(self, key: Hashable, line: str, seen_ns: int) -> list[tuple[Hashable, RawText]]:
        """The events that the line completes. A line end is added where it has none."""
        out: list[tuple[Hashable, RawText]] = []
        framer = self._framers.pop(key, None)
        if framer is None:
            framer = Framer(self._kind, limit=self._limit)
            if len(self._framers) >= self._most:
                oldest = next(iter(self._framers))
                out += [(oldest, event) for event in self._framers.pop(oldest).flush(seen_ns, 0)]
        self._framers[key] = framer
        out += [(key, event) for event in framer.feed(line if line.endswith("\n") else line + "\n", seen_ns)]
        return out

    def flush(self, now_ns: int, idle_s: float = 1.0) -> list[tuple[Hashable, RawText]]:
        """What is held of sources that were quiet for `idle_s`; with 0, of all."""
        out: list[tuple[Hashable, RawText]] = []
        for key, framer in list(self._framers.items()):
            out += [(key, event) for event in framer.flush(now_ns, idle_s)]
            if not framer.pending:
                del self._framers[key]
        return out


def join(lines: Iterable[tuple[Hashable, str, int]], kind: str = "auto") -> list[tuple[Hashable, RawText]]:
    """A request's lines (key, text, seen_ns) as whole events, each where its first line stood. Nothing is held back."""
    whole: dict[tuple[Hashable, int], RawText] = {}
    order: list[tuple[Hashable, int]] = []
    joiner = Joiner(kind)
    begun: dict[Hashable, int] = {}
    given: dict[Hashable, int] = {}

    def take(events: Iterable[tuple[Hashable, RawText]]) -> None:
        for key, event in events:
            whole[key, given.get(key, 0)] = event
            given[key] = given.get(key, 0) + 1

    for key, text, seen_ns in lines:
        if begun.get(key, 0) == given.get(key, 0):
            order.append((key, begun.get(key, 0)))
            begun[key] = begun.get(key, 0) + 1
        take(joiner.feed(key, text, seen_ns))
        while begun.get(key, 0) <= given.get(key, 0):  # it ended one, and is the first of the next
            order.append((key, begun[key]))
            begun[key] += 1
    take(joiner.flush(0, 0))
    return [(place[0], whole[place]) for place in order if place in whole]
