"""Events that are JSON objects: oslo.log's JSON and Fluent forms, GELF, any other. Pure.

Of a make that is not known, time, level, logger and message are found under the names that are usual for them;
every other name becomes a field as it is, nested values too. Objects that carry a line of another make (the
journal's, containers') are `wrappers`'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from sys import intern
from typing import Any, Final

from weatherglass.logs.formats.access import REQUEST_MARK, request_fields
from weatherglass.logs.formats.oslo import IDENTITY, LEVEL_WORDS
from weatherglass.logs.formats.stamps import iso_ns, number_ns
from weatherglass.logs.formats.traces import exception_in, exception_of
from weatherglass.logs.reading import SEVERITY, Reading, Value, level_of

Document = Mapping[str, Any]


def _finite(text: str) -> float | str:
    """A number, or its text where no float holds it: an infinity is no JSON."""
    value = float(text)
    return value if abs(value) < float("inf") else text


def load(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is; None for what is none."""
    try:
        body = json.loads(text, parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and body else None


def json_object(text: str, seen_ns: int) -> Reading | None:
    """The event of a JSON object that carries no other; None for what is none."""
    body = load(text)
    return None if body is None else document(body, text, seen_ns)


def document(body: Document, text: str, seen_ns: int) -> Reading:
    """The event of an object that was read already; `text` is the message where it has none of its own."""
    for known, read in _MAKES:
        if known(body):
            return read(body, text, seen_ns)
    return _generic(body, text, seen_ns)


def _is_oslo(body: Document) -> bool:
    return isinstance(body.get("message"), str) and isinstance(body.get("levelname"), str) and "name" in body


def _is_fluent(body: Document) -> bool:
    return (
        all(isinstance(body.get(name), str) for name in ("message", "level", "name"))
        and "funcname" in body
        and "error_summary" in body
    )


def _oslo(body: Document, text: str, seen_ns: int) -> Reading:
    """oslo.log's JSONFormatter and FluentFormatter: the same names but for level and time."""
    fluent = "levelname" not in body
    fields: dict[str, Value] = {}
    for name, key in (("pid", "process"), ("code_line", "lineno")):
        if isinstance(body.get(key), int):
            fields[name] = body[key]
    for name, key in (
        ("host", "hostname"),
        ("code_func", "funcname"),
        ("code_file", "pathname"),
        ("program", "uwsgi_name"),
    ):
        if isinstance(body.get(key), str) and body[key]:
            fields[name] = intern(body[key])
    if fluent and isinstance(body.get("filename"), str):
        fields.setdefault("code_file", body["filename"])
    context = body.get("context")
    if isinstance(context, dict):
        for name in ("request_id", "global_request_id", "user_name", "project_name", *IDENTITY[6]):
            if isinstance(context.get(name), str) and context[name]:
                fields[name] = context[name]
        if isinstance(context.get("resource_uuid"), str):
            fields["instance"] = context["resource_uuid"]
    extra = body.get("extra")
    if isinstance(extra, dict) and extra:
        if isinstance(extra.get("instance_uuid"), str):
            fields["instance"] = extra["instance_uuid"]
        rest = {name: value for name, value in extra.items() if name != "instance_uuid"}
        if rest:
            fields["extra"] = rest
    trace = body.get("traceback")
    if isinstance(trace, list | str) and trace:
        lines = trace.split("\n") if isinstance(trace, str) else [str(line) for line in trace]
        fields.update(exception_of(lines))
    message = body["message"]
    if "exception" not in fields:
        fields.update(exception_in(message))
    if REQUEST_MARK in message:
        fields.update(request_fields(message))
    created = body.get("created")
    at = number_ns(created) if isinstance(created, float) else 0
    level = str(body["level" if fluent else "levelname"])
    return Reading(
        at or iso_ns(str(body.get("time" if fluent else "asctime"))),
        LEVEL_WORDS.get(level, level),
        str(body["name"]),
        message,
        "oslo-fluent" if fluent else "oslo-json",
        fields,
    )


# --- GELF, any other -------------------------------------------------------------------------------------


def _is_gelf(body: Document) -> bool:
    return isinstance(body.get("short_message"), str) and "version" in body and "host" in body


def _gelf(body: Document, text: str, seen_ns: int) -> Reading:
    level, stamp_ = body.get("level"), body.get("timestamp")
    fields: dict[str, Value] = {"host": str(body["host"])}
    read = ("short_message", "full_message", "version", "host", "level", "timestamp", "format")
    fields.update((name.removeprefix("_"), value) for name, value in body.items() if name not in read)
    fields.pop("format", None)
    message = (
        body["full_message"]
        if isinstance(body.get("full_message"), str) and body["full_message"]
        else body["short_message"]
    )
    return Reading(
        number_ns(stamp_) if isinstance(stamp_, int | float) and not isinstance(stamp_, bool) else 0,
        SEVERITY[level] if isinstance(level, int) and 0 <= level < 8 else "",
        str(fields.pop("logger", "")),
        message,
        "gelf",
        fields,
    )


TIMES: Final = (
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "asctime",
    "datetime",
    "eventTime",
    "date",
    "t",
    "Timestamp",
    "@t",
)
LEVEL_NAMES: Final = (
    "level",
    "levelname",
    "severity",
    "lvl",
    "loglevel",
    "log.level",
    "log_level",
    "severity_text",
    "SeverityText",
    "Level",
    "@l",
)
MESSAGES: Final = (
    "message",
    "msg",
    "log",
    "event",
    "short_message",
    "text",
    "body",
    "Body",
    "MESSAGE",
    "@m",
    "@mt",
)
LOGGERS: Final = ("logger", "logger_name", "name", "log.logger", "module", "component")
# bunyan's and pino's numbers.
_NUMBERED: Final = {10: "DEBUG", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "CRITICAL"}


def _generic(body: Document, text: str, seen_ns: int) -> Reading:
    rest = dict(body)
    nested = rest.get("log")
    if isinstance(nested, dict):  # Elastic's common schema
        for key in ("level", "logger"):
            if isinstance(nested.get(key), str):
                rest.setdefault(key, nested[key])
    message = next((rest.pop(key) for key in MESSAGES if isinstance(rest.get(key), str)), None)
    at = 0
    for key in TIMES:
        value = rest.get(key)
        at = (
            iso_ns(value)
            if isinstance(value, str)
            else number_ns(value)
            if isinstance(value, int | float) and not isinstance(value, bool)
            else 0
        )
        if at:
            del rest[key]
            break
    level = ""
    for key in LEVEL_NAMES:
        value = rest.get(key)
        if isinstance(value, str) and value and len(value) < 20:
            level = level_of(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            level = _NUMBERED.get(value, "")
        if level:
            del rest[key]
            break
    logger = next((rest.pop(key) for key in LOGGERS if isinstance(rest.get(key), str)), "")
    rest.pop("format", None)
    return Reading(at, level, logger, text.rstrip("\r\n") if message is None else message, "json", rest)


_MAKES: Final[tuple[tuple[Callable[[Document], bool], Callable[[Document, str, int], Reading]], ...]] = (
    (_is_oslo, _oslo),
    (_is_fluent, _oslo),
    (_is_gelf, _gelf),
)
"""How a make is known by its names → how it is read."""
