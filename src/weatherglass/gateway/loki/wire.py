"""What senders push: Loki's protobuf and JSON → streams. Pure.

The messages are `logproto`'s (pkg/push/push.proto), declared here by their numbers; `protobuf` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from weatherglass.base.errors import Invalid, TooLarge
from weatherglass.base.time import SECOND_NS
from weatherglass.gateway.limits import parse_json

MOST = 64 << 20
_FIELD = descriptor_pb2.FieldDescriptorProto
_MESSAGES: dict[str, tuple[tuple[int, str, Any, bool], ...]] = {
    "Pair": ((1, "name", _FIELD.TYPE_STRING, False), (2, "value", _FIELD.TYPE_STRING, False)),
    "Time": ((1, "seconds", _FIELD.TYPE_INT64, False), (2, "nanos", _FIELD.TYPE_INT32, False)),
    "Entry": (
        (1, "timestamp", "Time", False),
        (2, "line", _FIELD.TYPE_BYTES, False),
        (3, "metadata", "Pair", True),
    ),
    "Stream": ((1, "labels", _FIELD.TYPE_STRING, False), (2, "entries", "Entry", True)),
    "Push": ((1, "streams", "Stream", True),),
}


def _messages() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="weatherglass/loki.proto", package="wg_loki", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind, repeated in fields:
            made = message.field.add(name=field, number=number)
            made.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                made.type, made.type_name = _FIELD.TYPE_MESSAGE, f".wg_loki.{kind}"
            else:
                made.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("wg_loki.Push"))


PUSH: Any = _messages()


class Entry(NamedTuple):
    """One line: ns since the epoch, text, its structured metadata."""

    time_ns: int
    line: str
    metadata: Mapping[str, str]


class Stream(NamedTuple):
    labels: Mapping[str, str]
    entries: list[Entry]


def from_protobuf(body: bytes) -> list[Stream]:
    """Of snappy's bytes. Raises Invalid, TooLarge."""
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > MOST:
            raise TooLarge(f"the body unpacks to over {MOST} bytes", where="body", mend="smaller parts")
        push = PUSH.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    except cramjam.DecompressionError as error:
        raise Invalid(f"the body is not snappy: {error}", where="body") from None
    except DecodeError as error:
        raise Invalid(f"the body is no push request: {error}", where="body") from None
    return [
        Stream(
            labels_of(stream.labels),
            [
                Entry(
                    _ns(entry.timestamp.seconds * SECOND_NS + entry.timestamp.nanos),
                    entry.line.decode("utf-8", "replace"),
                    {pair.name: pair.value for pair in entry.metadata},
                )
                for entry in stream.entries
            ],
        )
        for stream in push.streams
    ]


def from_json(body: bytes) -> list[Stream]:
    """Of `{"streams": [{"stream": {…}, "values": [[ns, line, {…}], …]}]}`. Raises Invalid."""
    value = parse_json(body)
    streams = value.get("streams") if isinstance(value, dict) else None
    if not isinstance(streams, list):
        raise Invalid("the body has no streams", where="streams")
    return [_stream(one, f"streams[{number}]") for number, one in enumerate(streams)]


def _stream(one: Any, where: str) -> Stream:
    if not isinstance(one, dict):
        raise Invalid("this is not an object", where=where)
    if (
        "labels" in one and "entries" in one
    ):  # as before version 1: `{"labels": "{a=\"b\"}", "entries": [{"ts", "line"}]}`
        entries = one["entries"] if isinstance(one["entries"], list) else []
        return Stream(labels_of(str(one["labels"])), [_old(entry, where) for entry in entries])
    labels, values = one.get("stream"), one.get("values")
    if not isinstance(labels, dict) or not isinstance(values, list):
        raise Invalid("a stream has stream and values", where=where)
    return Stream(
        {str(name): str(value) for name, value in labels.items()}, [_entry(value, where) for value in values]
    )


def _entry(value: Any, where: str) -> Entry:
    if not isinstance(value, list) or not 2 <= len(value) <= 3 or not isinstance(value[1], str):
        raise Invalid(
            "a value is [nanoseconds, line] or [nanoseconds, line, metadata]", where=f"{where}.values"
        )
    more = value[2] if len(value) == 3 else {}
    if not isinstance(more, dict):
        raise Invalid("metadata is an object", where=f"{where}.values")
    text = str(value[0])
    if not re.fullmatch(r"\d{1,19}", text):
        raise Invalid(f"{text[:40]!r} is no time in nanoseconds", where=f"{where}.values")
    return Entry(_ns(int(text)), value[1], {str(name): str(one) for name, one in more.items()})


def _old(entry: Any, where: str) -> Entry:
    from weatherglass.base.time import parse_iso

    try:
        return Entry(_ns(parse_iso(str(entry["ts"]))), str(entry["line"]), {})
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Invalid("an entry has ts and line", where=f"{where}.entries") from None


def _ns(value: int) -> int:
    if not 0 < value < 1 << 62:
        raise Invalid(f"{value} is no time in nanoseconds since the epoch", where="values")
    return value


_LABELS = re.compile(r'\s*,?\s*([A-Za-z_][\w.]*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


def labels_of(text: str) -> dict[str, str]:
    """`{app="x", host="y"}`. Raises Invalid."""
    inner = text.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        raise Invalid(f"{text[:80]!r} are no labels", where="labels", mend='{app="x"}')
    inner, at, found = inner[1:-1], 0, {}
    while at < len(inner) and inner[at:].strip(" ,"):
        one = _LABELS.match(inner, at)
        if one is None:
            raise Invalid(f"{text[:80]!r} are no labels", where="labels", mend='{app="x"}')
        found[one[1]] = unquoted(one[2])
        at = one.end()
    return found
