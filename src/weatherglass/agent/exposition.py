"""The Prometheus text format 0.0.4 → samples. Pure; what comes in is a stranger's.

Source: prometheus.io/docs/instrumenting/exposition_formats. Timestamps are read and dropped: the agent's round
dates its samples. A line that is not of the format makes the whole text Invalid, as Prometheus does it: half
of an endpoint is not the endpoint. Of an OpenMetrics text, `# EOF` and exemplars are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from weatherglass.base.errors import Invalid

Parsed = tuple[str, tuple[tuple[str, str], ...], float]

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))')
_END = re.compile(r"\s*\}")
_REST = re.compile(r"[ \t]+([^ \t]+)(?:[ \t]+(-?[0-9.eE+]+))?[ \t]*(?:#.*)?")
_NUMBER = re.compile(r"[+-]?(?:inf|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), text) if "\\" in text else text


def parse(text: str) -> Iterator[Parsed]:
    """(name, labels, value) of every sample. Raises Invalid with the number of the first bad line."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if line and not line.startswith("#"):
            yield _sample(line, number)


def _sample(line: str, number: int) -> Parsed:
    name = _NAME.match(line)
    if name is None:
        raise _bad(number, "no metric name")
    at, labels = name.end(), {}
    spaced = len(line) - len(line[at:].lstrip())
    if line[spaced : spaced + 1] == "{":
        at = spaced + 1
        while (end := _END.match(line, at)) is None:
            pair = _LABEL.match(line, at)
            if pair is None:
                raise _bad(number, "labels that do not parse")
            if pair[1] in labels:
                raise _bad(number, f"label {pair[1]} twice")
            labels[pair[1]] = _unescape(pair[2])
            at = pair.end()
        at = end.end()
        line, at = " " + line[at:].lstrip(), 0
    rest = _REST.fullmatch(line, at)
    if rest is None or _NUMBER.fullmatch(rest[1]) is None:
        raise _bad(number, "no value")
    return name[0], tuple(labels.items()), float(rest[1])


def _bad(number: int, what: str) -> Invalid:
    return Invalid(f"not of the Prometheus text format: {what}", where=f"line {number}")
