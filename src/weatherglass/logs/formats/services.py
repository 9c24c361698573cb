"""The logs of what OpenStack stands on: MariaDB, RabbitMQ, Ceph, Open vSwitch, Lustre, the kernel. Pure."""

from __future__ import annotations

import re
from sys import intern
from typing import Final

from weatherglass.logs.formats.stamps import iso_ns, stamp
from weatherglass.logs.reading import SEVERITY, Reading, Value, level_of

_MARIADB = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T]+(\d{1,2}):(\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:?\d\d)?(?: (\d{1,20}))? \[(Note|Warning|ERROR|System)\] "
    r"(?:\[(MY-\d{1,7})\] )?(?:\[([\w ]{1,40})\]:? ?)?(?:(InnoDB|WSREP(?:-SST)?|Aria engine|Plugin|Slave|Server|RocksDB|SSL|Event Scheduler): )?",
    re.ASCII,
)
_MYSQL_OLD = re.compile(r"(\d{6} {1,2}\d{1,2}:\d\d:\d\d) \[(\w{1,10})\] ", re.ASCII)


def mariadb(text: str, seen_ns: int = 0) -> Reading | None:
    """MariaDB's and MySQL's error log."""
    head = _MARIADB.match(text)
    if head is None:
        old = _MYSQL_OLD.match(text)
        when = stamp(old[1], 0, seen_ns) if old else None
        if old is None or when is None:
            return None
        return Reading(when[0], level_of(old[2]), "", text[old.end() :].rstrip("\r\n"), "mariadb", {})
    day, hour, rest, zone, thread, level, code, tagged, part = head.groups()
    fields: dict[str, Value] = {}
    if thread and thread != "0":
        fields["thread"] = int(thread)
    if code:
        fields["error_code"] = code
    at = iso_ns(f"{day}T{hour:0>2}:{rest}{zone or ''}")
    message = text[head.end() :].rstrip("\r\n")
    return Reading(at, level_of(level), intern(part or tagged or ""), message, "mariadb", fields)


_RABBIT = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6}(?:Z|[+-]\d\d:\d\d)?) \[(debug|info|notice|warning|error|critical|alert|emergency|none)\] (?:<([\d.]{3,40})>|(\S{1,80})@(\S{1,120}):\d{1,6})? ?",
    re.ASCII,
)
_RABBIT_OLD = re.compile(
    r"=(INFO|WARNING|ERROR|CRASH) REPORT==== (\d{1,2}-\w{3}-\d{4}::\d\d:\d\d:\d\d) ===\r?\n", re.ASCII
)


def rabbitmq(text: str, seen_ns: int = 0) -> Reading | None:
    """RabbitMQ: lager's and logger's lines (3.7 on), and the reports of older ones."""
    head = _RABBIT.match(text)
    if head:
        fields: dict[str, Value] = {"pid": head[3]} if head[3] else {}
        level = "CRITICAL" if head[2] == "emergency" else "" if head[2] == "none" else level_of(head[2])
        # An event of several lines repeats time, level and process on each: they stay out of the message.
        message = text[head.end() :].replace("\n" + text[: head.end()], "\n").rstrip("\r\n ")
        return Reading(iso_ns(head[1]), level, "rabbitmq", message, "rabbitmq", fields)
    old = _RABBIT_OLD.match(text)
    if old is None:
        return None
    level = "ERROR" if old[1] == "CRASH" else level_of(old[1])
    when = stamp(old[2], 0, seen_ns)
    return Reading(
        when[0] if when else 0, level, "rabbitmq", text[old.end() :].rstrip("\r\n"), "rabbitmq", {}
    )


_CEPH_CLUSTER = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d\.\d{3,9})([+-]\d{4})? ((?:mon|osd|mgr|mds|client)\.\S{1,100}) \((\S{1,80})\) (\d{1,18}) : (\w{1,20}) (?:\[(DBG|INF|WRN|ERR|SEC)\] )?",
    re.ASCII,
)
_CEPH_LEVELS: Final = {"DBG": "DEBUG", "INF": "INFO", "WRN": "WARNING", "ERR": "ERROR", "SEC": "INFO"}
_CEPH_PART = re.compile(
    r"(?:(?:mon|osd|mgr|mds|bluestore|bluefs|rocksdb|asok|auth|heartbeat_map|rgw|rbd|cephx?|paxos|monclient|objecter|journal|filestore|bdev|freelist|client)\b[^\s:]{0,80}|--\d?-?)",
    re.ASCII,
)


def ceph(text: str, seen_ns: int = 0) -> Reading | None:
    """Ceph's daemons (time, thread in hexadecimal, debug level, subsystem) and its cluster log."""
    cluster = _CEPH_CLUSTER.match(text)
    if cluster:
        day, clock, zone, who, _, count, channel, word = cluster.groups()
        fields: dict[str, Value] = {"program": who, "sequence": int(count)}
        message = text[cluster.end() :].rstrip("\r\n")
        at = iso_ns(f"{day}T{clock}{zone or ''}")
        return Reading(at, _CEPH_LEVELS.get(word or "", "INFO"), intern(channel), message, "ceph", fields)
    head = _CEPH_HEAD.match(text)
    if head is None:
        return None
    day, clock, zone, thread, depth = head.groups()
    channel_line = _CEPH_CHANNEL.match(text, head.end())
    level, logger, begin = "ERROR" if depth == "-1" else "DEBUG" if int(depth) > 5 else "INFO", "", head.end()
    if channel_line:
        level, logger, begin = (
            _CEPH_LEVELS.get(channel_line[2] or "", level),
            channel_line[1],
            channel_line.end(),
        )
    else:
        part = _CEPH_PART.match(text, begin)
        logger = part[0].rstrip(":") if part else ""
    return Reading(
        iso_ns(f"{day}T{clock}{zone or ''}"),
        level,
        intern(logger),
        text[begin:].rstrip("\r\n"),
        "ceph",
        {"thread": thread},
    )


_CEPH_HEAD = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d\.\d{3,9})([+-]\d{4})? ([0-9a-f]{8,16}) {1,2}(-1|\d{1,2}) ",
    re.ASCII,
)
_CEPH_CHANNEL = re.compile(r"log_channel\((\w{1,40})\) log \[(\w{1,5})\] : ", re.ASCII)


_VLOG = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?)\|(\d{1,10})\|([\w./-]{1,80})(?:\(([^)|\n]{1,80})\))?\|(EMER|ERR|WARN|INFO|DBG|OFF)\|",
    re.ASCII,
)


def vlog(text: str, seen_ns: int = 0) -> Reading | None:
    """Open vSwitch's and OVN's: time|sequence|module(thread)|level|message."""
    head = _VLOG.match(text)
    if head is None:
        return None
    fields: dict[str, Value] = {"sequence": int(head[2])}
    if head[4]:
        fields["thread"] = head[4]
    return Reading(
        iso_ns(head[1]), level_of(head[5]), intern(head[3]), text[head.end() :].rstrip("\r\n"), "vlog", fields
    )


_LUSTRE_DEBUG = re.compile(
    r"([0-9a-f]{8}):([0-9a-f]{8}):(\d{1,4}\.\d{1,3}[A-Z]?):(\d{9,11}\.\d{6}):(\d{1,7}):(\d{1,10}):(\d{1,10}):\((\w[\w.-]{0,80}\.[ch]):(\d{1,7}):([\w.]{1,120})\(\)\) ",
    re.ASCII,
)
_LUSTRE = re.compile(
    r"(Lustre|LustreError|LNet|LNetError): (?:(\d{1,10}):(\d{1,10}):\((\w[\w.-]{0,80}\.[ch]):(\d{1,7}):([\w.]{1,120})\(\)\) )?",
    re.ASCII,
)


def lustre(text: str, seen_ns: int = 0) -> Reading | None:
    """Lustre's console lines (without the kernel's head, which is `kernel`'s) and its debug log (lctl dk)."""
    head = _LUSTRE.match(text)
    if head:
        level, logger, fields = _lustre(head)
        return Reading(0, level, logger, text[head.end() :].rstrip("\r\n"), "lustre", fields)
    debug = _LUSTRE_DEBUG.match(text)
    if debug is None:
        return None
    subsystem, mask, _, at, _, pid, _, file, line, function = debug.groups()
    fields = {
        "pid": int(pid),
        "code_file": intern(file),
        "code_line": int(line),
        "code_func": intern(function),
    }
    whole, _, part = at.partition(".")
    bits = int(mask, 16)
    # libcfs_debug.h: D_ERROR 0x20000, D_EMERG 0x40000, D_WARNING 0x400, D_CONSOLE 0x2000000.
    level = (
        "CRITICAL"
        if bits & 0x40000
        else "ERROR"
        if bits & 0x20000
        else "WARNING"
        if bits & 0x400
        else "DEBUG"
    )
    return Reading(
        int(whole) * 1_000_000_000 + int(part) * 1000,
        level,
        subsystem,
        text[debug.end() :].rstrip("\r\n"),
        "lustre",
        fields,
    )


def _lustre(head: re.Match[str]) -> tuple[str, str, dict[str, Value]]:
    name, pid, _, file, line, function = head.groups()
    fields: dict[str, Value] = {}
    if pid:
        fields.update(pid=int(pid), code_file=intern(file), code_line=int(line), code_func=intern(function))
    return "ERROR" if name.endswith("Error") else "INFO", name.removesuffix("Error"), fields


_KERNEL = re.compile(
    r"(?:<(\d{1,3})>)?(?:(kern|user|daemon|syslog)? *:(emerg|alert|crit|err|warn|notice|info|debug) *: )?\[ *(\d{1,9}\.\d{6})\](?:\[ *[TC]\d{1,10}\])? ",
    re.ASCII,
)
_KERNEL_BAD = re.compile(
    r"(?:BUG|Oops|Kernel panic|general protection fault|Call Trace|INFO: task \S{1,80} blocked)", re.ASCII
)


def kernel(text: str, seen_ns: int = 0) -> Reading | None:
    """The kernel's ring: `dmesg` with seconds since boot (and -x's facility and level), `/dev/kmsg`'s priority."""
    head = _KERNEL.match(text)
    if head is None:
        return None
    priority, _, word, since = head.groups()
    level = SEVERITY[int(priority) % 8] if priority else level_of(word) if word else ""
    fields: dict[str, Value] = {"uptime": float(since)}
    return kernel_message(text[head.end() :], 0, level, fields)


def kernel_message(rest: str, at: int, level: str, fields: dict[str, Value]) -> Reading:
    """What the kernel said, Lustre's own head read off; a level where the words alone tell it."""
    inner = _LUSTRE.match(rest)
    if inner:
        told, logger, more = _lustre(inner)
        return Reading(at, told, logger, rest[inner.end() :].rstrip("\r\n"), "lustre", {**fields, **more})
    if not level and _KERNEL_BAD.match(rest):
        level = "ERROR"
    return Reading(at, level, "kernel", rest.rstrip("\r\n"), "kernel", fields)
