"""What fields an event may be asked by, what other names they have, and the columns they lie in. Pure.

A column of the house has its field's own name. A document's field `a.b` lies in `f.a.b` and, by the type of its value,
in `f.a.b:number`, `f.a.b:bool`, `f.a.b:list` (several values, as text) side by side; in `rest` where few documents
of a block have it.
"""

from __future__ import annotations

from typing import Final

from weatherglass.logs.reading import FIELDS

LABELS: Final = ("site", "host", "zone", "service", "replica", "source")
"""Labels with a column of their own; any other lies in `labels` as JSON and is found too, as `label.NAME`."""

SPAN: Final = ("trace_id", "span_id", "parent_id", "span_name", "kind", "status")
"""Of a span (OTLP traces) and of lines that say which span they belong to, beside `duration_ns`."""

NUMBERS: Final = ("duration_ns", "template_id")

TIME: Final = "@timestamp"
TIMES: Final = {
    "@timestamp": "time",
    "timestamp": "time",
    "time": "time",
    "seen": "seen",
    "event.ingested": "seen",
}

TEXT: Final = frozenset(("message", "raw", "tail", "exception_message", "traceback"))
"""Fields that are looked at word by word."""

ALIASES: Final = {
    "loglevel": "level",
    "log_level": "level",
    "severity": "level",
    "severity_text": "level",
    "log.level": "level",
    "detected_level": "level",
    "module": "logger",
    "log.logger": "logger",
    "logger_name": "logger",
    "filename": "source",
    "log.file.path": "source",
    "hostname": "host",
    "host.name": "host",
    "service.name": "service",
    "programname": "program",
    "syslog_program": "program",
    "syslog.appname": "program",
    "process.pid": "pid",
    "trace.id": "trace_id",
    "span.id": "span_id",
    "error.type": "exception",
    "error.message": "exception_message",
    "error.stack_trace": "tail",
    "traceback": "tail",
    "log": "message",
    "body": "message",
    "event.original": "raw",
}
"""Other tools' names. A document's own field of that name is looked at as well."""

HOUSE: Final = frozenset(
    (*LABELS, *FIELDS, *SPAN, *NUMBERS, "level", "logger", "template", "index", "id", "tail")
)


def places(name: str) -> tuple[str, ...]:
    """The names under which a field's values may lie: its own, and that of the house it is another name of."""
    name = {"_index": "index", "_id": "id"}.get(name, name.removesuffix(".keyword"))
    other = ALIASES.get(name)
    return (name,) if other is None else (name, other)


def is_text(name: str) -> bool:
    """Whether it is looked at word by word (see `filter`)."""
    return name in TEXT or ALIASES.get(name) in TEXT
