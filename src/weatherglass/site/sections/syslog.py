"""`syslog:` where the server takes syslog: network equipment and hosts without an agent send to it."""

from __future__ import annotations

import re

from weatherglass.site.fields import ListOf, Scalar
from weatherglass.site.section import Section

_ADDRESS = re.compile(r"(?:(?:udp|tcp):(?:[\w.-]+:)?|tls:(?:[\w.-]+:)?)(\d{1,5})(:[^:]+:[^:]+)?")


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= 65535 or text.startswith("tls") != bool(found[2]):
        raise ValueError(f"{text!r} is not where syslog could be taken")
    return text


SECTION = Section(
    name="syslog",
    type=ListOf(
        Scalar(_address, {"type": "string"}, "udp:5514, tcp:0.0.0.0:5514 or tls:6514:CERTIFICATE:KEY")
    ),
    doc="Where the server takes syslog: udp:PORT, tcp:ADDRESS:PORT, tls:PORT:CERTIFICATE:KEY.",
)
