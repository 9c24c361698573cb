"""What of a text is not done but only said: comments, documentation, messages. Pure: text in, text of one length out.

Every function keeps lines and columns: what is taken out becomes blanks. False alarms come from here, so whatever is
not surely a comment or a message stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Characters [start, end) of a text; for strings with their quotes."""

    start: int
    end: int


def without(text: str, spans: Iterable[Span]) -> str:
    """The text with the spans blanked; line ends stay."""
    parts, at = [], 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        parts.append(text[at : max(start, at)])
        parts.append(re.sub(r"[^\n]", " ", text[max(start, at) : end]))
        at = end
    return "".join([*parts, text[at:]])


def scan(
    text: str, *, line: tuple[str, ...], block: bool = False, triple: bool = True
) -> tuple[list[Span], list[Span]]:
    """(comments, strings) of Python-like or C-like text. `line` are the marks that begin a comment to the line's end."""
    comments, strings = [], []
    at, size = 0, len(text)
    while at < size:
        char = text[at]
        if char in "\"'":
            end = _string_end(text, at, triple)
            strings.append(Span(at, end))
            at = end
        elif block and text.startswith("/*", at):
            end = text.find("*/", at + 2)
            comments.append(Span(at, size if end < 0 else end + 2))
            at = comments[-1].end
        elif text.startswith(line, at) and not (char == "/" and at and text[at - 1] == ":"):
            end = text.find("\n", at)
            comments.append(Span(at, size if end < 0 else end))
            at = comments[-1].end
        else:
            at += 1
    return comments, strings


def _string_end(text: str, at: int, triple: bool) -> int:
    quote = text[at]
    if triple and text.startswith(quote * 3, at):
        end = at + 3
        while True:
            end = text.find(quote * 3, end)
            if end < 0:
                return len(text)
            if text[end - 1] != "\\":
                return end + 3
            end += 1
    end = at + 1
    while end < len(text):
        if text[end] == "\\":
            end += 2
        elif text[end] == quote:
            return end + 1
        elif text[end] == "\n":
            return end  # never closed: a line of its own is lost, not the rest
        else:
            end += 1
    return len(text)


_SAID_BEFORE = re.compile(
    r"(?:\bprint\w*|\blog(?:ger|ging)?(?:\.\w+)+|\bwarnings?\.warn|\bstd(?:err|out)\.write|\braise\s+\w+|\bexit|"
    r"\berror|\bthrow\s+new\s+\w+|\bmessage|\bwarning|\bstop|\bcat)\s*(?:\([^()\"']*|\s+(?:\d+\s*,\s*)?)[rfbRFB]*$"
    r"|\b(?:help|description|epilog|usage|tooltip|message|label|doc)\s*[:=]\s*[rfbRFB]*$|\bmessage:\s*[rfbRFB]*$"
)


def said(text: str, strings: Iterable[Span]) -> list[Span]:
    """Those strings that are documentation or the arguments of a print, a log line, an error."""
    found = []
    for span in strings:
        before = text[max(0, span.start - 400) : span.start]
        line = before[before.rfind("\n") + 1 :]
        if (
            _SAID_BEFORE.search(line)
            or (not line.strip() and _SAID_BEFORE.search(before.rstrip() + " "))
            or (not line.strip(" \trRuU") and _is_doc(text, span, before))
        ):
            found.append(span)
    return found


def _is_doc(text: str, span: Span, before: str) -> bool:
    if span.start == 0 or text[span.start - 1] == "\n":
        return text.startswith(('"""', "'''"), span.start)
    opening = before.rstrip()
    last = opening[opening.rfind("\n") + 1 :]
    return bool(
        re.match(r"\s*(?:rule|checkpoint|def|class|async\s+def)\b.*:\s*$", last)
    ) or last.rstrip().endswith(") -> None:")


# --- shell -------------------------------------------------------------------------------------------------

_HEREDOC = re.compile(r"<<-?\s*(\\?[\"']?)([A-Za-z_]\w*)\1?")
_ECHO = re.compile(
    r"(?m)(?:^|[;&|({`]|\b(?:then|do|else)\b)[ \t]*(echo|printf|die|usage|err|error|warn|info|log\w*|msg|say)[ \t]+"
)
_TO_NOWHERE = re.compile(
    r"\s*(?:&?\d?|\s*/dev/\w+|[^\s;|&]*\.(?:log|txt|err|out|md|html)\b|[\"']?\$\{?\w*(?:log|LOG)\w*\}?[\"']?)"
)
_TO_PEOPLE = re.compile(r"\|\s*(?:tee|mail|mailx|cat|logger|wall)\b")


def shell(text: str) -> str:
    """Shell without comments, texts for people (`cat <<EOF` to the screen), and what is only echoed."""
    comments, heredocs = _shell_comments(text)
    text = without(text, comments)
    told = [span for span in heredocs if _shown(text, span)]
    return without(text, [*told, *echoed(text)])


def _shell_comments(text: str) -> tuple[list[Span], list[Span]]:
    comments: list[Span] = []
    heredocs: list[Span] = []
    waiting: list[str] = []
    at, size, quote = 0, len(text), ""
    while at < size:
        char = text[at]
        if char == "\n" and waiting and not quote:
            at = _skip_heredocs(text, at + 1, waiting, heredocs)
            waiting = []
            continue
        if quote:
            if char == "\\" and quote == '"':
                at += 1
            elif char == quote:
                quote = ""
        elif char == "\\":
            at += 1
        elif char in "\"'":
            quote = char
        elif char == "#" and (at == 0 or text[at - 1] in " \t\n;(&|"):
            end = text.find("\n", at)
            end = size if end < 0 else end
            comments.append(Span(at, end))
            at = end
            continue
        elif char == "<" and text.startswith("<<", at) and not text.startswith("<<<", at):
            match = _HEREDOC.match(text, at)
            if match:
                waiting.append(match[2])
                at = match.end()
                continue
        elif char == "<" and text.startswith("<<<", at):
            at += 3
            continue
        at += 1
    return comments, heredocs


def _skip_heredocs(text: str, at: int, waiting: list[str], heredocs: list[Span]) -> int:
    for mark in waiting:
        match = re.compile(rf"^[ \t]*{re.escape(mark)}[ \t]*$", re.MULTILINE).search(text, at)
        end = match.start() if match else len(text)
        heredocs.append(Span(at, end))
        at = match.end() if match else len(text)
    return at


def _shown(text: str, span: Span) -> bool:
    """Whether a here-document goes to the screen: what begins it writes into no file and feeds no program but cat."""
    line = text[text.rfind("\n", 0, span.start - 1) + 1 : span.start]
    return bool(re.search(r"\bcat\b", line)) and not re.search(
        r"(?<![&\d])>(?!&)|\|", line.replace("<<-", "").replace("<<", "")
    )


def echoed(text: str) -> list[Span]:
    found = []
    for match in _ECHO.finditer(text):
        end = _arguments_end(text, match.end())
        rest = text[end:].split("\n", 1)[0]
        if rest.startswith("|") and not rest.startswith("||") and not _TO_PEOPLE.match(rest):
            continue
        if rest.startswith(">") and not _TO_NOWHERE.match(rest.lstrip("> ")):
            continue
        found.append(Span(match.end(), end))
    return found


def _arguments_end(text: str, at: int) -> int:
    """Where the words of a command end: at an unquoted line end, ; | & or >."""
    quote = ""
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "\n;|&>":
            return at
        at += 1
    return at


def hash_lines(text: str) -> str:
    """YAML, R, Dockerfile: comments from a # at the beginning of a word, outside quotes, to the line's end."""
    return "\n".join(_hash_line(line) for line in text.split("\n"))


def _hash_line(line: str) -> str:
    if "#" not in line:
        return line
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote and line[at - 1] != "\\" else quote
        elif char in "\"'" and (at == 0 or line[at - 1] in " \t:=([{,"):
            quote = char
        elif char == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at] + " " * (len(line) - at)
    return line
