"""What a line looks like, by itself: the classes that framing goes by. On the standard library alone (the agent's).

A head is a line that begins an event of a format in which raw lines go on (`STAMP`, `OSLO`) or not (`SYSLOG`,
`ALONE`). To be taken for a head a line needs a whole time, not a number that might be one: a raw line that is
taken for a head breaks an event, which is worse than a head that is not.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final


class Line(Enum):
    """What a line looks like."""

    OSLO = auto()  # oslo.log's head: timestamp, process, level, logger, [context]
    PREFIXED = auto()  # oslo.log's exception prefix: ERROR and no context
    SAME = auto()  # a line with the prefix of the event under way
    STAMP = auto()  # another head after which raw lines go on
    SYSLOG = auto()  # a head after which only indented lines do
    ALONE = auto()  # an access line: nothing follows it
    DATA = (
        auto()
    )  # a JSON object or pairs on one line: an event, but under oslo.log's head a part of its message
    INTRO = auto()  # "Exception in thread …": a traceback follows
    TRACE = auto()  # "Traceback (most recent call last):"
    GROUP = auto()  # "  + Exception Group Traceback (most recent call last):"
    CHAIN = auto()  # "During handling of the above exception, …"
    TAIL = auto()  # what SQLAlchemy writes under its exceptions
    CAUSE = auto()  # Java's "Caused by: …"
    FILE = auto()  # '  File "…", line 1': a frame, or a SyntaxError's first line
    OPEN = auto()  # "{" by itself: JSON over several lines
    CLOSE = auto()  # "}" by itself
    REPORT = auto()  # "=ERROR REPORT==== …": RabbitMQ's before 3.7
    KERNEL = auto()  # "[   12.345678]": the kernel's ring
    JOURNAL = auto()  # the first line of an entry of the journal's export
    INDENT = auto()
    BLANK = auto()
    RAW = auto()  # none of these


Key = tuple[str, str]
"""What must be equal for two lines to be of one event: oslo.log's timestamp and process, logger; RabbitMQ's prefix."""

_OSLO = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d+) ([A-Z]+) (\S+)(?: |$)")
# A context always is `-` or has a request id; an exception's own text may well begin with another bracket,
# `[SQL: …]` or `[instance: …]`.
_CONTEXT = re.compile(r"\[(?:-|(?:[^\] ]* )?req-[^\]]*)\]")
_EXCEPTION_LEVELS = frozenset(("ERROR", "CRITICAL", "TRACE"))
# To the microsecond only: within one millisecond a process may well say two things.
_RABBIT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\S{0,6} \[\w+\]) (<[\d.]+>) ")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DATES = (
    r"\d{4}-\d\d-\d\d(?:[ T] ?\d{1,2}:\d\d:\d\d|-\d\d\.\d\d\.\d\d\.)|\d{4}[/.]\d\d[/.]\d\d[ -]\d\d:\d\d:\d\d"
    r"|\d{6} +\d{1,2}:\d\d:\d\d |\d{6} \d{6} \d|\d{8}[-T_ ]\d{1,2}:\d{1,2}:\d{1,2}|\d\d/\d\d/\d{2}(?:\d\d)?,? \d{1,2}:\d\d:\d\d"
    rf"|\d{{1,2}}[-/ ]{_MONTH}[-/ ]\d{{4}}[: ]{{1,2}}\d{{1,2}}:\d\d:\d\d|\d\d[-./]\d\d(?:\.\d{{4}})? \d\d:\d\d:\d\d|\d\d:\d\d:\d\d[.,]\d{{3}} [\[(A-Z]"
)
_STAMP = re.compile(_DATES)
_BRACKETED = re.compile(rf"\[(?:{_WEEKDAY} {_MONTH} +\d|(?:[DIWECF] )?(?:{_DATES}))")
_KERNEL = re.compile(r"(?:<\d{1,3}>|\w{3,8} *:\w{3,6} *: )?\[ *\d+\.\d{6}\]")
_LETTERED = re.compile(
    rf"(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)(?::[\w.]+:| +\[| [\w.-]+ \[(?:-\]|None |req-)|:? +(?:{_DATES}))"
    rf"|[DIWEF]\d{{4}}(?:\d{{4}})? \d\d:\d\d:\d\d\.\d{{6}} |{_WEEKDAY},? (?:{_MONTH} +\d|\d{{1,2}} {_MONTH})|{_MONTH} \d{{1,2}}, \d{{4}} "
)
_SYSLOG = re.compile(
    rf"(?:<\d{{1,3}}>)?(?:{_MONTH} [ \d]?\d (?:\d{{4}} )?\d\d:\d\d:\d\d[ .]|1 \d{{4}}-)|<\d{{1,3}}>\d{{4}}-\d\d-\d\dT"
)
# ISO time, host, program with a colon: rsyslog's file format, journalctl's. `INFO` is no host.
_ISO_SYSLOG = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*(?:Z|[+-]\d\d:?\d\d) (?!(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL) )[^\s\[\]|=]+ [^\s:\[\]]+(?:\[\d+\])?: "
)
_ARCHIVED = re.compile(r"(?:-|[A-Z][A-Z0-9_]+) \d{9,10} \d{4}\.\d\d\.\d\d ")
_ACCESS = re.compile(
    r"[0-9a-fA-F.:]{3,45} \S+ \S+ \[\d\d/\w{3}/\d{4}[: ]|\S+ \S+ \S+ \[\d\d/\w{3}/\d{4}:\d\d:"
    r"|[0-9a-fA-F.:]{3,60}:\d+ \[\d\d/\w{3}/\d{4}:|\d+:[XCSM] \d\d \w{3} "
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
    ("Caused by: ", Line.CAUSE),
    ("[pid: ", Line.ALONE),
    ("[uWSGI] ", Line.ALONE),
    ("*** ", Line.ALONE),
    ('{"', Line.DATA),
    ("{'", Line.DATA),
    ("time=", Line.DATA),
    ("ts=", Line.DATA),
    ("level=", Line.DATA),
    ("__CURSOR=", Line.JOURNAL),
    ("=INFO REPORT==== ", Line.REPORT),
    ("=WARNING REPORT==== ", Line.REPORT),
    ("=ERROR REPORT==== ", Line.REPORT),
    ("=CRASH REPORT==== ", Line.REPORT),
)
_BY_FIRST: Final = {
    letter: tuple(one for one in _WORDS if one[0][0] == letter) for letter in {word[0] for word, _ in _WORDS}
}
_LETTERED_FIRST: Final = frozenset("DIWECFMTSJAON")
_BRACES: Final = {"{": Line.OPEN, "}": Line.CLOSE}


def classify(line: str, key: Key | None = None) -> tuple[Line, Key | None]:
    """The class of a line, and its key where it has one. `key` is that of the event under way: it tells SAME."""
    first = line[:1]
    if first.isdigit():
        return _digits(line, key)
    if first in (" ", "\t"):
        if line.startswith('  File "'):
            return Line.FILE, None
        if line.startswith("  + Exception Group Traceback"):
            return Line.GROUP, None
        return (Line.INDENT if line.strip() else Line.BLANK), None
    if first in ("\n", "\r", ""):
        return Line.BLANK, None
    for word, kind in _BY_FIRST.get(first, ()):
        if line.startswith(word):
            return kind, None
    if first in _LETTERED_FIRST and _LETTERED.match(line):
        return Line.STAMP, None
    if first == "[" and _BRACKETED.match(line):
        return Line.STAMP, None
    if first in _BRACES and line.rstrip("\r\n, ") == first:
        return _BRACES[first], None
    if _KERNEL.match(line):
        return Line.KERNEL, None
    if _SYSLOG.match(line) or _ARCHIVED.match(line):
        return Line.SYSLOG, None
    if _ACCESS.match(line):
        return Line.ALONE, None
    return Line.RAW, None


def _digits(line: str, key: Key | None) -> tuple[Line, Key | None]:
    oslo = _OSLO.match(line)
    if oslo:
        own = (oslo[1], oslo[3])
        if oslo[2] not in _EXCEPTION_LEVELS or _CONTEXT.match(line, oslo.end()):
            return Line.OSLO, own
        return (Line.SAME if own == key else Line.PREFIXED), own
    if _STAMP.match(line):
        rabbit = _RABBIT.match(line)
        if rabbit:
            own = (rabbit[1], rabbit[2])
            return (Line.SAME if own == key else Line.STAMP), own
        return (Line.SYSLOG if _ISO_SYSLOG.match(line) else Line.STAMP), None
    if line.startswith("1 ") and _SYSLOG.match(line):
        return Line.SYSLOG, None
    return (Line.ALONE if _ACCESS.match(line) else Line.RAW), None
