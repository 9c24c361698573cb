"""`statsd:` where the server takes statsd."""

from __future__ import annotations

import re

from weatherglass.site.fields import ListOf, Scalar
from weatherglass.site.section import Section

_ADDRESS = re.compile(r"(?:udp|tcp):(?:[\w.-]+:)?(\d{1,5})")


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= 65535:
        raise ValueError(f"{text!r} is not where statsd could be taken")
    return text


SECTION = Section(
    name="statsd",
    type=ListOf(Scalar(_address, {"type": "string"}, "udp:8125 or tcp:0.0.0.0:8125")),
    doc="Where the server takes statsd: udp:PORT, tcp:ADDRESS:PORT.",
)
