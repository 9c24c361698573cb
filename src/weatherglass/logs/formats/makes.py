"""Makes with a header of their own that is small: failure archives of large machines, Redis, libvirt. Pure."""

from __future__ import annotations

import re
from sys import intern
from typing import Final

from weatherglass.logs.formats.stamps import stamp
from weatherglass.logs.formats.syslog import syslog
from weatherglass.logs.reading import LEVELS, Reading, Value

_BLUE_GENE = re.compile(
    r"(?P<label>-|[A-Z][A-Z0-9_]{1,30}) (?P<epoch>\d{9,10}) \d{4}\.\d\d\.\d\d (?P<node>\S{1,120}) (?:(?P<at>\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d{6}) \S{1,120} (?P<kind>[A-Z]{2,12}) (?P<part>[A-Z_]{2,20}) (?P<level>[A-Z]{4,8})(?: |$))?",
    re.ASCII,
)


def supercomputer(text: str, seen_ns: int) -> Reading | None:
    """Lines as the failure data archives of large machines have them: alert, epoch, day, node; then RAS or syslog."""
    head = _BLUE_GENE.match(text)
    if head is None:
        return None
    fields: dict[str, Value] = {"node": intern(head["node"])}
    if head["label"] != "-":
        fields["label"] = intern(head["label"])
    if head["at"] is None:
        inner = syslog(text[head.end() :], int(head["epoch"]) * 1_000_000_000)
        if inner is None:
            return None
        return inner._replace(fields={**inner.fields, **fields})
    when = stamp(head["at"], 0, seen_ns)
    return Reading(
        when[0] if when else 0,
        LEVELS.get(head["level"], head["level"]),
        intern(head["part"]),
        text[head.end() :].rstrip("\r\n"),
        "ras",
        fields,
    )


_REDIS = re.compile(r"(\d{1,10}):([XCSM]) (\d\d \w{3} (?:\d{4} )?\d\d:\d\d:\d\d\.\d{3}) ([.*#-]) ", re.ASCII)
_REDIS_LEVELS: Final = {".": "DEBUG", "-": "INFO", "*": "INFO", "#": "WARNING"}


def redis(text: str, seen_ns: int) -> Reading | None:
    """Redis' and Valkey's: process:role, time, a mark for the level."""
    head = _REDIS.match(text)
    when = stamp(head[3], 0, seen_ns) if head else None
    if head is None or when is None:
        return None
    return Reading(
        when[0],
        _REDIS_LEVELS[head[4]],
        "redis",
        text[head.end() :].rstrip("\r\n"),
        "redis",
        {"pid": int(head[1])},
    )


_LIBVIRT = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d{4}): (?:(\d{1,10}): (debug|info|warning|error) : (?:([\w.]{1,120}):(\d{1,7}) : )?)?",
    re.ASCII,
)


def libvirt(text: str, seen_ns: int) -> Reading | None:
    """libvirtd's: time, thread, level, function and line; the first lines have a time alone."""
    head = _LIBVIRT.match(text)
    when = stamp(head[1], 0, seen_ns) if head else None
    if head is None or when is None:
        return None
    fields: dict[str, Value] = {"thread": int(head[2])} if head[2] else {}
    if head[4]:
        fields.update(code_func=intern(head[4]), code_line=int(head[5]))
    return Reading(
        when[0],
        LEVELS[head[3].upper()] if head[3] else "",
        "libvirt",
        text[head.end() :].rstrip("\r\n"),
        "libvirt",
        fields,
    )
