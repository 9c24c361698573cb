"""syslog: RFC 3164 as it is found, with ISO times too (rsyslog's file format, journalctl), and RFC 5424. Pure.

What the message itself is, `inside` tells. The listener's framing (octet counts) is not here.
"""

from __future__ import annotations

import re
from sys import intern
from typing import Final

from weatherglass.logs.formats.inside import message_of
from weatherglass.logs.formats.stamps import iso_ns, stamp
from weatherglass.logs.reading import LEVELS, SEVERITY, Reading, Value

FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "security", "console", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
"""By number (RFC 5424 §6.2.1)."""

_TAG = (
    r"(?:(?P<program>[^\s:\[\]]{1,120}|[^\s:\[\]][^:\[\]\n]{0,60}(?=\[\d)|[\w-]{1,40} \d[\w.]{0,20}(?=: ))"
    r"(?:\[(?P<pid>\d{1,10})\](?: \((?P<part>[^()\n]{1,120})\))?)?:(?: |(?=[\r\n]|$)))?"
)
_HEAD = re.compile(
    r"(?:<(?P<pri>\d{1,3})>)?(?P<stamp>[A-Z][a-z]{2} {1,2}\d{1,2}(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d{1,9})?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) "
    r"(?:(?P<host>[^\s\[\]|=\"(){}<>]{0,254}[^\s\[\]|=\"(){}<>:]) (?: ?-- )?)?" + _TAG,
    re.ASCII,
)
_5424 = re.compile(
    r"(?:<(?P<pri>\d{1,3})>)?1 (?P<stamp>\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d)|-) (?P<host>\S{1,255}) (?P<program>\S{1,128}) (?P<pid>\S{1,128}) (?P<id>\S{1,64}) (?=-|\[)",
    re.ASCII,
)
_ELEMENT = re.compile(
    r"\[([^\s=\]\"]{1,64})((?: [^\s=\]\"]{1,64}=\"(?:[^\"\\\]]|\\.){0,65536}\")*) ?\]", re.DOTALL
)
_PARAMETER = re.compile(r" ([^\s=\]\"]{1,64})=\"((?:[^\"\\\]]|\\.)*)\"", re.DOTALL)
_ESCAPED = re.compile(r"\\([\"\\\]])")


def syslog(text: str, seen_ns: int) -> Reading | None:
    """One event of either RFC."""
    return _rfc5424(text, seen_ns) or _rfc3164(text, seen_ns)


def _priority(text: str | None, fields: dict[str, Value]) -> str:
    """The level of a priority; its facility into the fields."""
    if not text or int(text) > 191:
        return ""
    fields["facility"] = FACILITIES[int(text) // 8]
    return SEVERITY[int(text) % 8]


def _rfc3164(text: str, seen_ns: int) -> Reading | None:
    head = _HEAD.match(text)
    if head is None:
        return None
    host = head["host"] or ""
    # Programs on this machine write to the socket without a host; files always have one.
    if host in LEVELS or host.isdigit() or (not host and not (head["pri"] and head["program"])):
        return None
    when = stamp(head["stamp"], 0, seen_ns)
    if when is None:
        return None
    # An ISO time and words, or what begins like another header, are too little to take the first word for a host.
    if head["program"] is None and not text.startswith("--- last message", head.end()):
        if head["stamp"][0].isdigit():
            return None
        if not head["pri"] and text[head.end() : head.end() + 1] in "[{(-|":
            return None
    fields: dict[str, Value] = {"host": intern(host)} if host else {}
    level = _priority(head["pri"], fields)
    if head["program"]:
        fields["program"] = intern(head["program"])
    if head["pid"]:
        fields["pid"] = int(head["pid"])
    if head["part"]:
        fields["thread"] = head["part"]
    return message_of(text[head.end() :], when[0], level, head["program"] or "", fields, seen_ns)


def _rfc5424(text: str, seen_ns: int) -> Reading | None:
    head = _5424.match(text)
    if head is None:
        return None
    fields: dict[str, Value] = {}
    level = _priority(head["pri"], fields)
    for name, group in (("host", "host"), ("program", "program"), ("message_id", "id")):
        if head[group] != "-":
            fields[name] = intern(head[group])
    if head["pid"] != "-":
        fields["pid"] = int(head["pid"]) if head["pid"].isdigit() else head["pid"]
    at, structured = head.end(), {}
    if text[at] == "-":
        at += 1
    else:
        while element := _ELEMENT.match(text, at):
            structured[element[1]] = {
                name: _ESCAPED.sub(r"\1", value) for name, value in _PARAMETER.findall(element[2])
            }
            at = element.end()
        if not structured:
            return None
        fields["structured"] = structured
    begin = at + 1 if text[at : at + 1] == " " else at
    begin += text.startswith("\ufeff", begin)
    when = iso_ns(head["stamp"])
    program = "" if head["program"] == "-" else head["program"]
    return message_of(text[begin:], when, level, program, fields, seen_ns)
