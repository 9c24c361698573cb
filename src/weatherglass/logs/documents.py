"""Events that come with fields of their own: Elasticsearch's documents, OTLP's records and spans, Loki's lines. Pure.

`Logs.write_documents(tenant, documents)` takes them; from there on they are events like any other. Their text is kept
as it came, byte for byte; their fields are columns, each type of value beside the others (`fields` says where).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as made
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.logs.fields import ALIASES, LABELS, SPAN
from weatherglass.logs.reading import FIELDS, LEVELS

MAX_DEPTH = 20
LINE = "line"
SOURCE = "source"
SPAN_FORM = "span"


@dataclass(frozen=True, slots=True)
class Document:
    """One of them.

    `form` says what the text is: `source`, a JSON object whose members are the fields (`fields` may add to them);
    `line`, a line that is parsed as an agent's is, with `fields` beside it (they win); `span`, the span's JSON
    with `fields` of the house's names: trace_id, span_id, parent_id, span_name, kind, status, duration_ns …

    `time_ns` 0: what the text says, else when it was seen.
    """

    text: str
    seen_ns: int
    time_ns: int = 0
    labels: Labels = ()
    fields: Mapping[str, Any] = made(default_factory=dict)
    index: str = ""
    id: str = ""
    form: str = SOURCE


def check_document(document: Document) -> None:
    """Raises Invalid for one that cannot be read again."""
    if document.form not in (SOURCE, LINE, SPAN_FORM):
        raise Invalid(f"no form {document.form!r} of documents", where="form")
    if document.form != LINE:
        try:
            found = json.loads(document.text)
        except (ValueError, RecursionError) as error:
            raise Invalid(f"not JSON: {error}", where="text") from error
        if not isinstance(found, dict):
            raise Invalid("a document is a JSON object", where="text")
    if not 0 <= document.time_ns < 1 << 62:
        raise Invalid(f"{document.time_ns} is no time in nanoseconds since the epoch", where="time_ns")


def flattened(fields: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(dotted name, scalar or list of scalars) of a JSON object; null and empty lists have no value.

    A list of objects gives a list of each of their members. What lies deeper than `MAX_DEPTH` is given as JSON.
    """
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            if depth >= MAX_DEPTH:
                yield path, json.dumps(value)
            else:
                yield from flattened(value, path + ".", depth + 1)
        elif isinstance(value, list | tuple):
            plain = [one for one in value if isinstance(one, str | int | float | bool)]
            nested: dict[str, list[Any]] = {}
            for one in value:
                if isinstance(one, Mapping):
                    for inner, what in flattened(one, path + ".", depth + 1) if depth < MAX_DEPTH else ():
                        nested.setdefault(inner, []).extend(what if isinstance(what, list) else [what])
                elif isinstance(one, list) and one:
                    plain.append(json.dumps(one))
            if plain:
                yield path, plain
            yield from nested.items()
        elif value is not None:
            yield path, value


_OWN = frozenset((*FIELDS, *SPAN, *LABELS, "logger"))
_LEVEL = (
    "level",
    "log.level",
    "loglevel",
    "log_level",
    "severity",
    "severity_text",
    "levelname",
    "detected_level",
)
_MESSAGE = ("message", "msg", "body", "log")


def known(fields: Mapping[str, Any]) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    """(level, message, fields of the house, the document's own) of flattened fields.

    A field of the house's name that holds a text is the house's; whatever else keeps its own name.
    """
    own = dict(fields)
    level = next((str(own[name]) for name in _LEVEL if isinstance(own.get(name), str)), "")
    message = ""
    for name in _MESSAGE:
        if isinstance(own.get(name), str):
            message = own.pop(name)
            break
    if own.get("level") == level:
        own.pop("level", None)
    house = {}
    for name in list(own):
        place = name if name in _OWN else ALIASES.get(name, "")
        if place in _OWN and place not in house and isinstance(own[name], str) and own[name]:
            house[place] = own.pop(name) if place == name else own[name]
    return LEVELS.get(level.upper(), level.upper() if len(level) < 16 else ""), message, house, own
