"""The general header: date form × level × process and thread × component × separators, in any usual order. Pure.

For every line that no format of its own reads. The header is walked token by token from its time on, and ends
after the last token that can be nothing else: a level, a name with a colon or a dash behind it, brackets before
such. What stands beyond is the message: of two readings the one that leaves more to the message is taken, since
what is not split off can still be found, and what is split off wrongly cannot.
"""

from __future__ import annotations

import re
from sys import intern
from typing import Final

from weatherglass.logs.formats.stamps import stamp
from weatherglass.logs.formats.traces import exception_in, java_exception_of
from weatherglass.logs.reading import LEVELS, Reading, Value

_WORDS: Final = {
    **LEVELS,
    "LOG": "INFO",
    "DETAIL": "INFO",
    "HINT": "INFO",
    "STATEMENT": "INFO",
    "INFORMATIONAL": "INFO",
}
_LETTERS: Final = {
    "V": "DEBUG",
    "D": "DEBUG",
    "I": "INFO",
    "W": "WARNING",
    "E": "ERROR",
    "F": "CRITICAL",
    "C": "CRITICAL",
}

_MARK = r"(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|[DIWECFV])"
_OPEN = re.compile(
    rf"(?:(?P<word>\[{_MARK}\]|{_MARK}):? {{1,4}})?(?P<bracket>[\[(<]?)(?:(?P<inner>{_MARK}) )?", re.ASCII
)
_BETWEEN = re.compile(r"[ \t]*(?:(?:---|[-|,;:]{1,2})(?=[ \t\[(<|]|$)[ \t]*)?", re.ASCII)
_LEVEL = re.compile(
    r"(?P<open>[\[(<]?) ?(?P<word>[A-Za-z]{3,13})(?P<depth>\d?) {0,4}(?P<close>[\])>]?)(?P<after>[:|,]?)(?![\w.$/=@-])",
    re.ASCII,
)
_LETTER = re.compile(r"(?P<open>[\[(<]?)(?P<word>[VDIWEFC])(?P<close>[\])>/]?)(?=[ \t|/])", re.ASCII)
_NUMBER = re.compile(r"(?:pid[:=] ?|\[(?=\d{1,10}\])|#)?(\d{1,10})\]?(?=[ \t|:]|$)", re.ASCII)
_BRACKET = re.compile(
    r"(?:\[((?:[^\[\]\n]|\[[^\[\]\n]{0,80}\]){0,400})\]|\(([^()\n]{1,100})\)(?= )|<([^<>\n]{1,80})>(?= ))",
    re.ASCII,
)
_NAME = r"[A-Za-z_/][\w.$/@#*~+-]{0,160}"
_COMPONENT = re.compile(
    r"(?P<name>"
    + _NAME
    + r"(?:::\w{1,80}){0,8})(?:\[(?P<pid>\d{1,10})\]|\((?P<part> ?\w[^()\n]{0,40})\)|:(?P<line>\d{1,6})(?=[: ]))? {0,30}(?P<end>::? |:$|:(?=\n)|- |\| |(?<= ) {2,})",
    re.ASCII,
)
_PADDED = re.compile(r"(?P<name>[A-Za-z][\w.$-]{0,60})(?: {2,40}|\t)(?=\S)", re.ASCII)
_PIPED = re.compile(r"\|(?P<name>[A-Za-z_][\w.$-]{0,80})\|(?:(?P<pid>\d{1,12})\|)?", re.ASCII)
_PLACE = re.compile(
    r"(?P<file>[\w./-]{1,200}\.(?:go|py|c|cc|cpp|rs|java|js|rb)):(?P<line>\d{1,7})(?:: |\t)", re.ASCII
)
_DOTTED = re.compile(r"(?P<name>(?:[a-z_]\w{0,60}\.){2,12}[\w$<>.]{1,120}) ", re.ASCII)
_JUL = re.compile(
    r"(?P<name>(?:\w{1,60}\.){1,12}[\w$]{1,80}) (?P<func>[\w$<>]{1,80})\r?\n(?P<level>[A-Z]{4,7}): ", re.ASCII
)
_TITLE = re.compile(r"(?P<name>" + _NAME + r") - ", re.ASCII)
_ZOOKEEPER = re.compile(r"(?P<thread>.{0,140}):(?P<name>[\w.$]{1,100})@(?P<line>\d{1,6})$", re.ASCII)
_BEFORE = re.compile(r"[A-Za-z_][\w.$:/@-]{0,160}(?=[ \t])", re.ASCII)
_WORD = re.compile(r"[A-Za-z][\w.$:/-]{1,160}", re.ASCII)
_CLOSE: Final = {"[": "]", "(": ")", "<": ">"}
_BASIC = re.compile(
    r"(?P<level>DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)(?::(?P<name>[A-Za-z_][\w.-]{0,100}):| {1,3}\[(?P<tag>[A-Za-z_][\w.-]{0,100})\] |: )",
    re.ASCII,
)
_NOT_NAMES: Final = frozenset(
    [
        "failed",
        "failure",
        "error",
        "errors",
        "warning",
        "exception",
        "cannot",
        "unable",
        "timeout",
        "note",
        "caused",
        "http",
        "https",
        "reason",
        "usage",
        "using",
        "found",
        "result",
        "total",
        "could",
        "see",
        "got",
        "unknown",
        "invalid",
        "missing",
        "is",
        "was",
        "to",
        "at",
        "in",
        "of",
        "the",
        "for",
        "with",
        "and",
        "on",
        "by",
    ]
)
_BARE = re.compile(r"\d{1,20}", re.ASCII)
_MOST_TOKENS: Final = 9


class _Header:
    """What was found on the way; `end` is where the message begins as far as is known."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.level = ""
        self.logger = ""
        self.numbers: list[int] = []
        self.bracketed = False  # the level stood in brackets: what stands so next to it is header, too
        self.fields: dict[str, Value] = {}

    def name_thread(self, value: Value) -> None:
        self.fields.setdefault("thread", value)


def header(text: str, seen_ns: int) -> Reading | None:
    """The event of a line that begins with a time, or with a level and a time."""
    begin = _OPEN.match(text)
    if begin is None:
        return None
    when = stamp(text, begin.end(), seen_ns)
    if when is None:
        return None
    at = when[1]
    found = _Header(at)
    bracket = begin["bracket"]
    word = begin["word"] or begin["inner"]
    if word:
        found.level = _level_word(word.strip("[]"))
    if bracket:
        closed = text.startswith(_CLOSE[bracket], at)
        if closed:
            found.end = at = at + 1
        elif text[at : at + 1] not in (" ", ":"):
            return None
    end = text.find("\n", at)
    limit = min(len(text) if end < 0 else end, at + 600)
    line = text[:limit].rstrip("\r")
    jul = _JUL.match(text, at + 1) if not bracket and end >= 0 else None
    if jul and jul["level"] in _WORDS:
        found.level, found.logger, found.end = _WORDS[jul["level"]], jul["name"], jul.end()
        found.fields["code_func"] = jul["func"]
    elif bracket and not closed:
        _within(line, at, _CLOSE[bracket], found)
        if found.end == at:
            return None
    else:
        _walk(line, at, found)
        if not (found.level or found.logger) and _BARE.fullmatch(text, begin.end(), at):
            return None  # a number like any other
    return _reading(text, when[0], found)


def _level_word(word: str) -> str:
    return _LETTERS[word] if word in _LETTERS else _WORDS.get(word.upper(), "")


def _within(line: str, at: int, close: str, found: _Header) -> None:
    """`[2026-11-22T10:01:02Z ERROR module] message`: the header ends with its bracket."""
    end = line.find(close, at)
    if end < 0:
        return
    for word in line[at:end].lstrip(":").split():
        first, slash, rest = word.partition("/")
        level = _level_word(first)
        if level and not found.level:
            found.level = level
            if slash:
                found.name_thread(rest)
        elif word.isascii() and word.isdigit() and len(word) <= 10 and "pid" not in found.fields:
            found.fields["pid"] = int(word)
        elif not found.logger:
            found.logger = word
    found.end = _BETWEEN.match(line, end + 1).end()  # type: ignore[union-attr] # it matches nothing, too


def _walk(line: str, at: int, found: _Header) -> None:
    """Token by token; `found.end` moves only past what the header surely has."""
    piped = _PIPED.match(line, at)
    if piped:
        found.logger, found.end = piped["name"], piped.end()
        if piped["pid"]:
            found.fields["pid"] = int(piped["pid"])
        return
    pending: list[
        tuple[str, bool]
    ] = []  # names and brackets that only a later token can make part of the header
    for _ in range(_MOST_TOKENS):
        gap = _BETWEEN.match(line, at)
        assert gap is not None
        dashed, at = gap[0].strip() != "", gap.end()
        if found.end >= gap.start() and (not pending):
            found.end = max(found.end, at)
        if not found.level and (token := _level(line, at, found)):
            _settle(pending, found)
            found.end = at = token
            continue
        number = _NUMBER.match(line, at)
        if number and len(found.numbers) < 2 and not (found.level and not _number_fits(line, number)):
            found.numbers.append(int(number[1]))
            at = number.end()
            if number[0][:1] in "[p#":
                _settle(pending, found)
                found.end = at
            continue
        bracket = _BRACKET.match(line, at)
        if bracket:
            inside = next(one for one in bracket.groups() if one is not None)
            if not _bracket(inside, line, bracket.end(), pending, found):
                return
            at = bracket.end()
            if not pending:
                found.end = at
            continue
        if _name(line, at, dashed, pending, found):
            return
        word = _BEFORE.match(line, at)
        if found.level or word is None or len(pending) >= 2:
            return
        # A name before the level: kept in mind until the level comes, if it does.
        if not (dashed or any(mark in word[0] for mark in "._@")):
            return
        pending.append((word[0], False))
        at = word.end()


def _level(line: str, at: int, found: _Header) -> int:
    """Where the level that begins at `at` ends; 0 where none does."""
    token = _LEVEL.match(line, at)
    if token and _CLOSE.get(token["open"], "") == token["close"]:
        word = token["word"]
        level = _WORDS.get(word.upper(), "")
        behind = line[token.end() : token.end() + 2]
        marked = (
            token["open"]
            or token["after"]
            or behind in ("  ", "\t", "- ", " -", "| ", " |")
            or behind[:1] == "\t"
        )
        if level and (word.isupper() or marked):
            found.level, found.bracketed = level, token["open"] == "["
            return token.end()
    letter = _LETTER.match(line, at)
    if letter and _CLOSE.get(letter["open"], "") == letter["close"].replace("/", ""):
        name = _COMPONENT.match(line, letter.end() + (line[letter.end() : letter.end() + 1] in " \t/"))
        if (
            letter["open"]
            or line.startswith(" |", letter.end())
            or (name and (found.numbers or "." in name["name"]))
        ):
            found.level = _LETTERS[letter["word"]]
            return letter.end()
    return 0


def _number_fits(line: str, number: re.Match[str]) -> bool:
    """Whether a number behind the level is a process's: brackets, dashes or a name with a colon follow."""
    rest = line[number.end() : number.end() + 200].lstrip(" \t")
    if rest.startswith(("---", "[", ": ")) or number[0][:1] in "[p#":
        return True
    name = _COMPONENT.match(rest)
    return bool(name and _is_name(name["name"], strict=True) and name["end"].startswith(":"))


def _bracket(inside: str, line: str, end: int, pending: list[tuple[str, bool]], found: _Header) -> bool:
    """Take brackets as part of the header; False where they are the message's."""
    inner = inside.strip()
    behind = line[end : end + 3]
    zookeeper = _ZOOKEEPER.match(inner)
    if zookeeper and found.level:
        found.name_thread(zookeeper["thread"])
        found.logger, found.fields["code_line"] = zookeeper["name"], int(zookeeper["line"])
        return True
    if inner.isascii() and inner.isdigit() and len(inner) <= 10:
        found.numbers.append(int(inner))
        return True
    if not found.level:
        level = _WORDS.get(inner.upper(), "")
        if level:
            found.level = level
            _settle(pending, found)
            return True
        if len(pending) >= 3 or len(inner) > 100:
            return False
        pending.append((inner, True))
        return True
    one_word = _WORD.fullmatch(inner) is not None
    if one_word and not found.logger and ("." in inner or found.bracketed):
        found.logger = inner
        return True
    component = _COMPONENT.match(line, _BETWEEN.match(line, end).end())  # type: ignore[union-attr] # it matches nothing, too
    followed = behind[:1] in ("[", ":") or behind.startswith((" [", " - ", " ("))
    if _DOTTED.match(line, end + 1) and behind[:1] == " ":
        found.name_thread(inner)
        return True
    named = (
        component is not None and _is_name(component["name"], strict=False) and component["end"][0] in ":-"
    )
    if (followed or named) and "=" not in inner[:40].partition("[")[0] and not inner.startswith("instance:"):
        found.name_thread(inner)
        return True
    return False


def _name(line: str, at: int, dashed: bool, pending: list[tuple[str, bool]], found: _Header) -> bool:
    """A component's name, which ends the header."""
    component = _COMPONENT.match(line, at)
    if component:
        name, ending = component["name"], component["end"]
        known = found.level or component["pid"]
        surely = bool(found.numbers or found.fields.get("thread") or component["pid"] or component["line"])
        if known and not found.logger and ending.strip() != "|" and _is_name(name, strict=not surely):
            found.logger = name
            if component["pid"]:
                found.fields["pid"] = int(component["pid"])
            if component["part"]:
                found.numbers.append(int(component["part"])) if component[
                    "part"
                ].strip().isdigit() else found.name_thread(component["part"])
            if component["line"]:
                found.fields["code_line"] = int(component["line"])
            found.end = component.end()
            return True
    place = _PLACE.match(line, at)
    if place:
        found.fields.update(code_file=place["file"], code_line=int(place["line"]))
        found.end = place.end()
        return True
    if found.level and not found.logger:
        dotted = _DOTTED.match(line, at) if "thread" in found.fields else None
        if dotted:
            found.logger, found.end = dotted["name"], dotted.end()
            return True
        padded = _PADDED.match(line, at)
        if padded and _is_name(padded["name"], strict=False):
            found.logger, found.end = padded["name"], padded.end()
            return True
    title = _TITLE.match(line, at)
    if (
        title
        and not found.level
        and not pending
        and _level_after(line, title.end()) is False
        and ("." in title["name"] or not dashed)
    ):
        found.logger, found.end = title["name"], title.end()
        return True
    return False


def _level_after(line: str, at: int) -> bool:
    token = _LEVEL.match(line, at)
    return token is not None and token["word"].upper() in _WORDS


def _is_name(name: str, *, strict: bool) -> bool:
    """Whether a word before a colon is a component's name: dotted, camel case, a known spelling; not `Failed:`."""
    if name.lower() in _NOT_NAMES or name.upper() in _WORDS:
        return False
    if any(mark in name for mark in "._$/@-") or not strict:
        return True
    return (
        name.islower()
        or (any(one.isupper() for one in name[1:]) and not name.isupper())
        or (name.isupper() and len(name) > 1)
    )


def _settle(pending: list[tuple[str, bool]], found: _Header) -> None:
    """What stood before the level: a bare or dotted name is the logger, other brackets are the thread."""
    for name, bracketed in reversed(pending):
        if not found.logger and (not bracketed or ("." in name and " " not in name)):
            found.logger = name
        else:
            found.name_thread(name)
    pending.clear()


def _reading(text: str, at: int, found: _Header) -> Reading:
    if found.numbers and (found.level or found.logger):
        found.fields.setdefault("pid", found.numbers[0])
        if len(found.numbers) > 1:
            found.name_thread(found.numbers[1])
    message = text[found.end :].rstrip("\r\n")
    if "\n" in message:
        found.fields.update(exception_in(message) or java_exception_of(message))
    return Reading(at, found.level, intern(found.logger), message, "header", found.fields)


def basic(text: str, seen_ns: int = 0) -> Reading | None:
    """A level first and no time: Python's basicConfig (`INFO:root:…`), Alembic's (`INFO  [alembic] …`), `WARNING: …`."""
    head = _BASIC.match(text)
    if head is None:
        return None
    message = text[head.end() :].rstrip("\r\n")
    fields: dict[str, Value] = exception_in(message)
    return Reading(
        0, LEVELS[head["level"]], intern(head["name"] or head["tag"] or ""), message, "header", fields
    )
