r"""InfluxDB's line protocol, and the one statement of its language that is understood. Pure.

    measurement[,tag=value…] field=value[,field=value…] [ns]

Commas, spaces and equals signs are escaped by a backslash; texts in fields are passed over. Gnocchi's door and the
house's own read by the same `parse`; `received` is the house's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from weatherglass.base.errors import TooLarge
from weatherglass.base.time import MS_NS
from weatherglass.metrics.formats.taken import Taken

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


PRECISIONS = {
    "": 1, "n": 1, "ns": 1, "u": 1_000, "us": 1_000, "µ": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
"""What a time's unit is in ns, by `precision=` of InfluxDB 1 and 2."""

_LINES_MOST = 500_000
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_FAR_NS = (1 << 53) * MS_NS


def received(body: bytes, unit_ns: int, more: dict[str, str]) -> tuple[Taken, list[str]]:
    """(samples of a body's lines, what of it could not be read).

    A field is the series `measurement_field`, the field `value` the measurement's own name (as Telegraf and
    influxdb_exporter have it); tags are labels, with `more` beside. Raises TooLarge.
    """
    taken, wrong = Taken(), []
    lines = body.split(b"\n")
    if len(lines) > _LINES_MOST:
        raise TooLarge(f"{len(lines)} lines; at most {_LINES_MOST}", mend="send smaller batches")
    for number, raw in enumerate(lines, 1):
        if not raw.strip() or raw.lstrip().startswith(b"#"):
            continue
        try:
            line = parse(raw.decode().strip())
            time_ns = None if line.time_ns is None else line.time_ns * unit_ns
            if time_ns is not None and time_ns > _FAR_NS:
                raise ValueError("a time that is too far away")
        except ValueError as error:
            wrong.append(f"unable to parse line {number}: {str(error)[:200]}")
            continue
        labels = {**{_label(key): text for key, text in line.tags.items() if text}, **more}
        if len(line.fields) == 0:
            taken.skip("text")
        for field, value in line.fields.items():
            name = line.measurement if field == "value" else f"{line.measurement}_{field}"
            series = tuple(sorted({**labels, "__name__": _name(name)}.items()))
            taken.add(series, None if time_ns is None else time_ns // MS_NS, value)
    return taken, wrong


def _name(text: str) -> str:
    made = _NOT_NAME.sub("_", text)
    return f"_{made}" if made[:1].isdigit() else made


def _label(text: str) -> str:
    made = _NOT_LABEL.sub("_", text)
    return f"_{made}" if made[:1].isdigit() or made == "__name__" else made
