"""What a message is that something else carries: syslog, the journal, a container's runtime. Pure.

What a known make wrote into it (oslo.log, HAProxy, the kernel, JSON …) is read by its own format; what the carrier
says (time, level, program) fills in what that leaves out. Only formats that cannot be mistaken are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from sys import intern
from typing import Final

from weatherglass.logs.formats.access import combined, haproxy
from weatherglass.logs.formats.documents import json_object
from weatherglass.logs.formats.kubernetes import klog, logfmt
from weatherglass.logs.formats.oslo import devstack, oslo
from weatherglass.logs.formats.services import kernel, kernel_message, lustre, vlog
from weatherglass.logs.reading import Reading, Value, level_of

_OVS = re.compile(
    r"ovs\|(\d{1,10})\|([\w./-]{1,80})(?:\([^)|\n]{1,80}\))?\|(EMER|ERR|WARN|INFO|DBG)\|", re.ASCII
)


def message_of(
    rest: str, at: int, level: str, program: str, fields: dict[str, Value], seen_ns: int
) -> Reading:
    """The event of a message and of what its carrier said, by what the message itself is.

    `fields` are the carrier's and are changed; the format is the message's own where it has one, else `syslog`.
    """
    if program == "kernel":
        inner = kernel(rest, seen_ns) or kernel_message(rest, 0, level, {})
        return Reading(
            at, inner.level or level, inner.logger, inner.message, "syslog", {**fields, **inner.fields}
        )
    ovs = _OVS.match(rest)
    if ovs:
        fields["sequence"] = int(ovs[1])
        return Reading(at, level_of(ovs[3]), intern(ovs[2]), rest[ovs.end() :].rstrip("\r\n"), "vlog", fields)
    for read in _INNER.get(rest[:1], ()):
        inner_ = read(rest, seen_ns)
        if inner_ is not None:
            return Reading(
                inner_.time_ns or at,
                inner_.level or level,
                inner_.logger or program,
                inner_.message,
                inner_.format,
                {**fields, **inner_.fields},
            )
    return Reading(at, level, intern(program), rest.rstrip("\r\n"), "syslog", fields)


def _cee(text: str, seen_ns: int) -> Reading | None:
    return json_object(text.removeprefix("@cee:").lstrip(), seen_ns) if text.startswith("@cee:") else None


_Read = Callable[[str, int], Reading | None]
_INNER: Final[dict[str, tuple[_Read, ...]]] = {
    **dict.fromkeys("0123456789", (oslo, vlog, haproxy, combined)),
    **dict.fromkeys("DIWECF", (devstack, klog)),
    "L": (lustre,),
    "{": (json_object,),
    "@": (_cee,),
    **dict.fromkeys("tlm", (logfmt,)),
}
"""First character of the message → the formats that it may be written in, of those that cannot be mistaken."""
