"""What a traceback says, Python's and Java's: its lines → the exception that was raised last. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from weatherglass.logs.reading import Reading, Value

BEGIN = "Traceback (most recent call last):"
GROUP = "Exception Group Traceback (most recent call last):"
_CLASS = re.compile(r"([A-Za-z_][\w.]{0,300})(?:: ?(.*))?$", re.DOTALL)
_NOT_A_CLASS = ("During handling of", "The above exception", "[SQL: ", "[parameters: ", "(Background on")
_SYNTAX_PLACE = re.compile(r":  {0,3}File \"[^\"\n]{1,300}\", line \d{1,9}$", re.ASCII)
_MOST_LINES = 500
_OPENINGS = (
    BEGIN,
    "Exception in ",
    "Exception ignored in",
    "Unhandled exception",
    "  + " + GROUP,
    '  File "',
)
_SYNTAX = re.compile(r'  File "[^"\n]{1,500}", line \d+')
_JAVA = re.compile(
    r"(?:Exception in thread \"([^\"\n]{1,200})\" )?((?:[a-z_]\w{0,60}\.){1,12}[A-Z]\w{0,120}(?:Exception|Error|Throwable|Failure)\w{0,60})(?:: ?([^\n]*))?(?:\r?\n\s+(?:at |\.\.\. ))"
)


def _raised(lines: Sequence[str]) -> tuple[Sequence[str], re.Match[str], bool] | None:
    """The lines from the last exception's own on, its class, and whether it is a group."""
    group = next(
        (number for number, line in enumerate(lines) if line.endswith(GROUP) and line[:4] == "  + "), -1
    )
    if group >= 0:
        lines = [line[4:] if line[:4] in ("  | ", "  + ") else line for line in lines[group:]]
        at = 0
    else:
        at = next((number for number in range(len(lines) - 1, -1, -1) if lines[number] == BEGIN), -1)
    for number in range(at + 1, len(lines)):
        line = lines[number]
        if not line or line[0].isspace() or line.startswith(_NOT_A_CLASS):
            continue
        found = _CLASS.match(line)
        if found is not None:
            return lines[number:], found, group >= 0
    return None


def exception_of(lines: Sequence[str]) -> dict[str, Value]:
    """`exception` (its class, dotted) and `exception_message` of the last traceback; empty when there is none.

    Lines come without a logger's prefix and without line ends. An exception logged without frames is its
    first line that looks like one. Of an ExceptionGroup it is the group.
    """
    raised = _raised(lines)
    if raised is None:
        return {}
    lines, found, group = raised
    message = [found[2] or ""]
    for more in lines[1:]:
        if not more or more.startswith(_NOT_A_CLASS) or (group and more.startswith(" ")):
            break
        message.append(more)
    fields: dict[str, Value] = {"exception": found[1]}
    text = "\n".join(message).strip()
    if text:
        fields["exception_message"] = text
    return fields


def exception_in(message: str) -> dict[str, Value]:
    """The exception of a traceback that stands in a message's own lines; empty when there is none."""
    if BEGIN not in message:
        return {}
    lines = message.split("\n")
    return exception_of(lines) if BEGIN in lines or any(line.endswith(GROUP) for line in lines) else {}


def without_summary(message: str, lines: Sequence[str]) -> str:
    """The message without the summary of the exception that oslo.log puts behind it, which the traceback says again.

    The summary is what the traceback's lines say from the exception's class on (of a SyntaxError the place alone,
    without notes). The exception's own text may hold another traceback, so every such line is looked at.
    """
    lines = [line[4:] if line.startswith("  | ") else line for line in lines]  # a group's margin
    for number in range(len(lines) - 1, max(len(lines) - _MOST_LINES, -1), -1):
        line = lines[number]
        if not line or line[0].isspace():
            continue
        at = message.rfind(f": {line.rstrip()}")
        if at < 0:
            continue
        told = message[at + 2 :]
        if "\n".join(lines[number : number + told.count("\n") + 1]).rstrip() == told.rstrip():
            return message[:at]
    place = _SYNTAX_PLACE.search(message, max(len(message) - 500, 0))
    return message[: place.start()] if place else message


def java_exception_of(message: str) -> dict[str, Value]:
    """The exception of Java's stack trace in a message: the first, which is the one that was thrown last."""
    at = message.find("\n")
    if at < 0 or "\n\tat " not in message:
        return {}
    begin = message.rfind("\n", 0, message.find("\n\tat ")) + 1
    found = _JAVA.match(message, begin) or _JAVA.match(message)
    if found is None:
        return {}
    fields: dict[str, Value] = {"exception": found[2]}
    if found[3] and found[3].strip():
        fields["exception_message"] = found[3].strip()
    return fields


def trace(text: str, seen_ns: int = 0) -> Reading | None:
    """A bare traceback: Python's (SyntaxError's without a head, too), or Java's."""
    message = text.rstrip("\r\n")
    if text.startswith(_OPENINGS):
        if text.startswith("  File ") and _SYNTAX.match(text) is None:
            return None
        fields = exception_of(message.split("\n"))
        if "exception" in fields and ("\n" in message):
            return Reading(0, "ERROR", "", message, "traceback", fields)
    found = _JAVA.match(text)
    if found is None:
        return None
    fields = {"exception": found[2]}
    if found[3] and found[3].strip():
        fields["exception_message"] = found[3].strip()
    if found[1]:
        fields["thread"] = found[1]
    return Reading(0, "ERROR", "", message, "traceback", fields)
