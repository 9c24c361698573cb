"""Objects and entries that carry a line of another make: the journal's JSON and export format, containers' JSON. Pure."""

from __future__ import annotations

from typing import Any, Final

from weatherglass.logs.formats.documents import Document, document, load
from weatherglass.logs.formats.headers import basic, header
from weatherglass.logs.formats.inside import message_of
from weatherglass.logs.formats.oslo import LEVEL_WORDS
from weatherglass.logs.formats.stamps import iso_ns
from weatherglass.logs.formats.traces import exception_of, trace
from weatherglass.logs.reading import SEVERITY, Reading, Value

_JOURNAL_NAMES: Final = {
    "_HOSTNAME": "host",
    "SYSLOG_IDENTIFIER": "program",
    "_SYSTEMD_UNIT": "unit",
    "REQUEST_ID": "request_id",
    "PROJECT_ID": "project",
    "PROJECT_NAME": "project_name",
    "USER_ID": "user",
    "USER_NAME": "user_name",
    "CODE_FILE": "code_file",
    "CODE_FUNC": "code_func",
    "THREAD_NAME": "thread",
    "MESSAGE_ID": "message_id",
    "CONTAINER_NAME": "container",
}
_JOURNAL_NUMBERS: Final = {"_PID": "pid", "CODE_LINE": "code_line"}
_JOURNAL_READ: Final = frozenset(
    ("MESSAGE", "PRIORITY", "LOGGER_NAME", "LOGGER_LEVEL", "EXCEPTION_TEXT", "EXCEPTION_INFO", "SYSLOG_PID", "PROCESS_NAME",
     "SYSLOG_FACILITY", "SYSLOG_RAW", "SYSLOG_TIMESTAMP", *_JOURNAL_NAMES, *_JOURNAL_NUMBERS)
)  # fmt: skip


_MOST_FIELDS: Final = 1024  # of an entry: systemd-journald's own bound (ENTRY_FIELD_COUNT_MAX)


def _is_journal(body: Document) -> bool:
    return "__REALTIME_TIMESTAMP" in body and "MESSAGE" in body


def _words(value: Any) -> str:
    """A journal's value as text: bytes come as a list of numbers, several of a name as a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return "\n".join(_words(one) for one in value)
    return "" if value is None else str(value)


def journal(body: Document, text: str, seen_ns: int) -> Reading:
    """An entry of systemd's journal, oslo.log's own names for its handler among them."""
    fields: dict[str, Value] = {}
    for key, name in _JOURNAL_NAMES.items():
        if body.get(key):
            fields[name] = _words(body[key])
    for key, name in _JOURNAL_NUMBERS.items():
        digits = _words(body.get(key))
        if digits.isascii() and digits.isdigit() and len(digits) < 19:
            fields[name] = int(digits)
    extra: dict[str, Any] = {
        name: value for name, value in body.items() if name not in _JOURNAL_READ and not name.startswith("_")
    }
    if extra:
        fields["extra"] = extra
    trace = _words(body.get("EXCEPTION_TEXT") or body.get("EXCEPTION_INFO"))
    at = 0
    for key in ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"):
        micros = _words(body.get(key))
        if micros.isascii() and micros.isdigit() and len(micros) < 19:
            at = int(micros) * 1000
            break
    priority = _words(body.get("PRIORITY"))
    level = SEVERITY[int(priority)] if len(priority) == 1 and priority in "01234567" else ""
    said = _words(body.get("LOGGER_LEVEL"))
    level = LEVEL_WORDS.get(said, said) or level
    inner = message_of(_words(body["MESSAGE"]), at, level, str(fields.get("program", "")), fields, seen_ns)
    more = dict(inner.fields)
    if trace and "exception" not in more:
        more.update(exception_of(trace.split("\n")))
    # The time is the journal's own, finer and surer than what a program wrote into its message.
    return Reading(
        at,
        (said and level) or inner.level,
        _words(body.get("LOGGER_NAME")) or inner.logger,
        inner.message,
        "journal",
        more,
    )


def journal_export(text: str, seen_ns: int) -> Reading | None:
    """An entry of the journal's export format (`systemd.journal-export-formats`): NAME=value lines, or NAME, length, bytes."""
    if not text.startswith(("__CURSOR=", "__REALTIME_TIMESTAMP=")):
        return None
    data = text.encode("utf-8", "surrogateescape" if _escapable(text) else "surrogatepass")
    body: dict[str, Any] = {}
    at = 0
    for _ in range(_MOST_FIELDS):
        if at >= len(data):
            break
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end]
        name, equals, value = line.partition(b"=")
        at = end + 1
        if not equals:
            if not line.strip():
                break  # the entry's end
            size = int.from_bytes(data[at : at + 8], "little")
            if at + 8 + size > len(data):
                return None
            value = data[at + 8 : at + 8 + size]
            at += 9 + size
        key, told = name.decode("ascii", "backslashreplace"), value.decode("utf-8", "backslashreplace")
        body[key] = f"{body[key]}\n{told}" if key in body else told
    return journal(body, text, seen_ns) if _is_journal(body) else None


def _escapable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _is_container(body: Document) -> bool:
    return (
        isinstance(body.get("log"), str)
        and body.get("stream") in ("stdout", "stderr")
        and isinstance(body.get("time"), str)
    )


def _container(body: Document, text: str, seen_ns: int) -> Reading:
    """docker's json-file: the line that it carries is read for what it is."""
    line = body["log"]
    inner = message_of(line, 0, "", "", {}, seen_ns)
    if inner.format == "syslog":
        inner = trace(line) or header(line, seen_ns) or basic(line) or inner
    fields: dict[str, Value] = {**inner.fields, "stream": body["stream"]}
    return Reading(
        inner.time_ns or iso_ns(body["time"]),
        inner.level,
        inner.logger,
        inner.message,
        inner.format if inner.format != "syslog" else "docker",
        fields,
    )


def json_event(text: str, seen_ns: int) -> Reading | None:
    """The event of any JSON object; None for what is none."""
    body = load(text)
    if body is None:
        return None
    if _is_journal(body):
        return journal(body, text, seen_ns)
    if _is_container(body):
        return _container(body, text, seen_ns)
    return document(body, text, seen_ns)
