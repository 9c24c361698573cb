r"""InfluxDB's line protocol, and the one statement of its language that is understood. Pure.

    measurement[,tag=value…] field=value[,field=value…] [ns]

Commas, spaces and equals signs are escaped by a backslash; texts in fields are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"""(?:"(?:[^"\\]|\\.)*"|(?:[^ ,="\\]|\\.)(?:[^ ,=\\]|\\.)*)"""
_LINE = re.compile(
    rf"(?P<measurement>(?:[^ ,\\]|\\.)+)(?P<tags>(?:,{_NAME}={_NAME})*) "
    rf"(?P<fields>{_NAME}=(?:\"(?:[^\"\\]|\\.)*\"|[^ ,\"]+)(?:,{_NAME}=(?:\"(?:[^\"\\]|\\.)*\"|[^ ,\"]+))*)"
    r"(?: (?P<time>\d+))?\s*"
)
_PAIR = re.compile(rf",?(?P<key>{_NAME})=(?P<value>\"(?:[^\"\\]|\\.)*\"|(?:[^ ,=\\]|\\.)+)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[+-]?\.\d+")
_INTEGER = re.compile(r"[+-]?\d+[iu]")
_ESCAPE = re.compile(r"\\(.)")
_TRUTH = {"t": 1.0, "true": 1.0, "f": 0.0, "false": 0.0}
_CREATE = re.compile(r'\s*create\s+database\s+(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][A-Za-z0-9_]*))\s*;?\s*', re.I)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: numbers alone of its fields; `time_ns` None where it says none."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float]
    time_ns: int | None


def _plain(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return _ESCAPE.sub(r"\1", text)


def _pairs(text: str) -> dict[str, str]:
    return {_plain(found["key"]): found["value"] for found in _PAIR.finditer(text)}


def _number(text: str) -> float | None:
    """A field's value; None for a text. Raises ValueError."""
    if text.startswith('"'):
        return None
    if _INTEGER.fullmatch(text):
        return float(text[:-1])
    if _NUMBER.fullmatch(text):
        return float(text)
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    raise ValueError(f"{text!r} is no value of a field")


def parse(line: str) -> Line:
    """Raises ValueError."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("not of the line protocol")
    values = {key: _number(text) for key, text in _pairs(found["fields"]).items()}
    return Line(
        _plain(found["measurement"]),
        {key: _plain(text) for key, text in _pairs(found["tags"]).items()},
        {key: value for key, value in values.items() if value is not None},
        int(found["time"]) if found["time"] else None,
    )


def database(statement: str) -> str | None:
    """The name that `CREATE DATABASE name` gives; None for every other statement."""
    found = _CREATE.fullmatch(statement)
    if found is None:
        return None
    return _plain(f'"{found[1]}"') if found[1] is not None else found[2]
