"""What fields an event may be asked by, what other names they have, and the columns they lie in. Pure.

A field `a.b` lies in the column `a.b` where its value is text, and by the type of the value in `a.b:int`, `a.b:float`,
`a.b:bool`, `a.b:list` (JSON) side by side, so that no type ever keeps a document out. Where few events of a batch have
it, it lies in the map `rest`. Names that the store uses itself are written `f.NAME`.
"""

from __future__ import annotations

from typing import Final

LABELS: Final = ("site", "host", "zone", "service", "replica", "source")
"""Labels with a column of their own; any other lies in `labels` as JSON and is found too, as `label.NAME`."""

OWN: Final = frozenset(
    (
        *LABELS,
        *(
            "time",
            "sequence",
            "seen",
            "labels",
            "level",
            "logger",
            "template",
            "template_id",
            "variables",
            "shape",
        ),
        *("tail", "raw", "exact", "message", "index", "id", "form", "rest", "filter", "field_filter"),
    )
)
"""Columns of the store: a field of such a name has `f.` before it."""

COLON: Final = "\ua789"
"""In place of a colon in a field's name: a colon parts the name of a column from its type."""

KINDS: Final = ("", ":int", ":float", ":bool", ":list")

SPAN: Final = ("trace_id", "span_id", "parent_id", "span_name", "kind", "status")
"""Of a span (OTLP traces), beside `duration_ns`; lines that say which span they belong to have the first two."""

TIME: Final = "@timestamp"
TIMES: Final = {"@timestamp": "time", "time": "time", "seen": "seen", "event.ingested": "seen"}

TEXT: Final = frozenset(("message", "raw", "tail", "exception_message"))
"""Fields that are looked at word by word."""

ALIASES: Final = {
    "loglevel": "level",
    "log_level": "level",
    "severity": "level",
    "severity_text": "level",
    "log.level": "level",
    "detected_level": "level",
    "levelname": "level",
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
    "msg": "message",
    "event.original": "raw",
}
"""Other tools' names. A document's own field of that name is looked at as well."""


def column_of(name: str) -> str:
    """The column of a field, but for the type of its values."""
    return f"f.{name}" if name in OWN else name.replace(":", COLON)


def field_of(column: str) -> str:
    """The field whose values lie in a column."""
    return column.removeprefix("f.").partition(":")[0].replace(COLON, ":")


def bare(name: str) -> str:
    """A field's name as columns know it: `_index`, `x.keyword` are `index`, `x`."""
    return {"_index": "index", "_id": "id"}.get(name, name.removesuffix(".keyword"))


def is_text(name: str) -> bool:
    """Whether it is looked at word by word (see `filter`)."""
    return name in TEXT or ALIASES.get(name) in TEXT
