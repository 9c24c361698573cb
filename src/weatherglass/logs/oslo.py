"""oslo.log's forms: text with and without a context, prefixed tracebacks, and its JSON. Pure."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from sys import intern
from typing import Final

from weatherglass.base.time import MS_NS
from weatherglass.logs.reading import LEVELS, Parsed, second_ns, stamp_ns
from weatherglass.logs.traces import BEGIN, exception_of

IDENTITY: Final = {
    5: ("user", "project", "domain", "user_domain", "project_domain"),
    6: ("user", "project", "domain", "system_scope", "user_domain", "project_domain"),
}
"""oslo.context's user identity as oslo.log prints it: six fields since system scope, five before."""

_INSTANCE = r"(?:\[instance: ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\] )?"
_OSLO = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) (\d+) ([A-Z]+) (\S+)(?: \[(-|(?:[^\] ]* )?req-[^\]]*)\])? ?"
    + _INSTANCE
)


def context_fields(context: str) -> dict[str, str]:
    """The fields of oslo.log's bracket: `[global id] request id, user identity`; what does not fit as `context`."""
    if context == "-":
        return {}
    words = context.split(" ")
    fields: dict[str, str] = {}
    at = 0 if words[0].startswith("req-") and not (len(words) > 1 and words[1].startswith("req-")) else 1
    if at and words[0] not in ("", "-", "None"):
        fields["global_request_id"] = words[0]
    fields["request_id"] = words[at]
    if at + 1 < len(words):
        fields.update(_identity(" ".join(words[at + 1 :])))
    return fields


@lru_cache(4096)
def _identity(text: str) -> dict[str, str]:
    """The fields of a user's identity. Cached, as few speak often; not to be changed."""
    words = text.split(" ")
    names = IDENTITY.get(len(words))
    if names is None:
        return {"context": text}
    return {
        name: intern(value)
        for name, value in zip(names, words, strict=True)
        if value not in ("-", "", "None")
    }


def oslo(text: str) -> Parsed | None:
    """One event of the text form, its traceback with it."""
    head = _OSLO.match(text)
    if head is None:
        return None
    second, millis, pid, level, logger, context, instance = head.groups()
    fields = {"format": "oslo", "pid": intern(pid)}
    if context is not None and context != "-":
        fields.update(context_fields(context))
    if instance:
        fields["instance"] = intern(instance)
    if text.find("\n", head.end(), -1) < 0:
        message = text[head.end() :].rstrip("\r\n")
    else:
        prefix = f"{second}.{millis} {pid} "
        begin = head.end()
        if context is None and LEVELS.get(level) == "ERROR":
            # A traceback whose head was lost: all of it is the message.
            message, lines = text[begin:], text.split("\n")
        else:
            cut = text.find("\n" + prefix, begin - 1)
            message, lines = (text[begin:], []) if cut < 0 else (text[begin:cut], text[cut + 1 :].split("\n"))
        message = message.rstrip("\r\n")
        if lines:
            fields.update(_exception(lines, prefix, logger))
        elif BEGIN in message:
            fields.update(exception_of(message.split("\n")))
    at = second_ns(second)
    return Parsed(
        at + int(millis) * MS_NS if at else 0, LEVELS.get(level, level), intern(logger), message, fields
    )


def _exception(lines: list[str], prefix: str, logger: str) -> dict[str, str]:
    """The exception of prefixed lines. Its end is looked at first: tracebacks are long."""
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].endswith(BEGIN) and _unprefixed(lines[number], prefix, logger) == BEGIN:
            lines = lines[number:]
            break
    return exception_of([_unprefixed(line, prefix, logger) for line in lines])


def _unprefixed(line: str, prefix: str, logger: str) -> str:
    """A traceback line without oslo.log's exception prefix."""
    if not line.startswith(prefix):
        return line
    rest = line[len(prefix) :].partition(" ")[2]
    rest = rest[len(logger) :].removeprefix(" ") if rest.startswith(logger) else rest
    if rest.startswith("[instance: "):
        rest = rest.partition("] ")[2]
    return rest.rstrip("\r")


def oslo_json(text: str) -> Parsed | None:
    """oslo.log's JSONFormatter. JSON of any other make is left to `plain`."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("message"), str) or "levelname" not in body:
        return None
    fields = {"format": "oslo-json"}
    if isinstance(body.get("process"), int):
        fields["pid"] = str(body["process"])
    context = body.get("context")
    if isinstance(context, dict):
        for name in ("request_id", "global_request_id", *IDENTITY[6]):
            if isinstance(context.get(name), str) and context[name]:
                fields[name] = context[name]
        if isinstance(context.get("resource_uuid"), str):
            fields["instance"] = context["resource_uuid"]
    trace = body.get("traceback")
    if isinstance(trace, list | str) and trace:
        lines = trace.split("\n") if isinstance(trace, str) else [str(line) for line in trace]
        fields.update(exception_of(lines))
    created = body.get("created")
    at = int(created * 1e6) * 1000 if isinstance(created, float) and 0 < created < 4e9 else 0
    level = str(body["levelname"])
    return Parsed(
        at or stamp_ns(str(body.get("asctime"))),
        LEVELS.get(level, level),
        str(body.get("name", "")),
        body["message"],
        fields,
    )
