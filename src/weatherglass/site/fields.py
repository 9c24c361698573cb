"""The types a field of the declaration may have: how each is read, with its place, and its JSON Schema.

One table of `Field`s (name, type, default, doc) per record is what the reader, the schema for editors and the
reference page share. Reading never raises: it notes a problem and goes on, so that all of them come at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from weatherglass.base import units
from weatherglass.base.errors import Problem
from weatherglass.base.ids import is_plain_name
from weatherglass.site.tree import Node

REQUIRED: Any = object()
BAD: Any = object()
"""What `read` returns where a problem was noted; a record puts the default in its place."""


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean keystone?`, or what there is to choose from."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if not names:
        return "there is none yet"
    return f"one of {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"


@dataclass(slots=True)
class Report:
    """Problems as they are found, and the place (`file:line`) of every path that was read."""

    problems: list[Problem] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, message: str, mend: str = "", node: Node | None = None) -> None:
        place = f"{node.file}:{node.line}" if node else self.place(path)
        self.problems.append(Problem(message, f"{place}.{path}" if path else place, mend))

    def place(self, path: str) -> str:
        """`file:line` of a path, or of the nearest one around it."""
        while path and path not in self.places:
            path = re.sub(r"(\.[^.\[]*|\[\d+\]|^[^.\[]*)$", "", path)
        return self.places.get(path, "site")


class At(NamedTuple):
    """A node, the path by which it was reached, and where problems go."""

    node: Node
    path: str
    report: Report
    place: str = ""  # of the key; that of the node where there is none

    def bad(self, message: str, mend: str = "") -> Any:
        where = self.place or f"{self.node.file}:{self.node.line}"
        self.report.problems.append(Problem(message, f"{where}.{self.path}" if self.path else where, mend))
        return BAD

    def key(self, key: Node, node: Node) -> At:
        """What stands behind a key; its place is the key's line."""
        path = f"{self.path}.{key.text}" if self.path else key.text
        place = f"{key.file}:{key.line}"
        self.report.places.setdefault(path, place)
        return At(node, path, self.report, place)

    def item(self, number: int, node: Node) -> At:
        return At(node, f"{self.path}[{number}]", self.report).noted()

    def noted(self) -> At:
        self.report.places.setdefault(self.path, f"{self.node.file}:{self.node.line}")
        return self

    def pairs(self) -> dict[str, At] | None:
        """Keys and values of a mapping; a key that comes twice is a problem. None where it is no mapping."""
        if self.node.null:
            return {}
        if self.node.kind != "mapping":
            self.bad(f"a mapping belongs here, not a {_spoken(self.node)}", "write `name: value` lines")
            return None
        found: dict[str, At] = {}
        lines: dict[str, int] = {}
        for key, value in self.node.pairs:
            if key.text in found:
                self.report.add(
                    f"{self.path}.{key.text}" if self.path else key.text,
                    f"{key.text} is already given in line {lines[key.text]}",
                    "keep one of them",
                    key,
                )
                continue
            lines[key.text] = key.line
            found[key.text] = self.key(key, value)
        return found


def _spoken(node: Node) -> str:
    return {"scalar": f"single value ({node.text[:40]!r})", "list": "list", "mapping": "mapping"}[node.kind]


class Type(Protocol):
    """How a value is read and what its JSON Schema is."""

    def read(self, at: At) -> Any: ...

    def schema(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, turned from its text by `parse` (ValueError says what is accepted)."""

    parse: Callable[[str], Any]
    json: Mapping[str, Any]
    spoken: str

    def read(self, at: At) -> Any:
        if at.node.kind != "scalar":
            return at.bad(f"{self.spoken} belongs here, not a {_spoken(at.node)}", f"write {self.spoken}")
        try:
            return self.parse(at.node.text)
        except (ValueError, OverflowError) as error:
            return at.bad(str(error), f"write {self.spoken}")

    def schema(self) -> dict[str, Any]:
        return dict(self.json)


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character is not accepted")
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing is given here")
    return _text(text)


def plain_name(text: str) -> str:
    if not is_plain_name(text):
        raise ValueError(
            f"{text!r} is not a name: lower-case letters, digits, - _ . and at most 63 of them, "
            "a letter or digit at both ends"
        )
    return text


def beside(text: str) -> str:
    """The name of a file in the declaration's folder or below; never one outside. Raises ValueError."""
    if text.startswith("/") or ".." in text.split("/") or not text.strip() or "\0" in text:
        raise ValueError(
            f"{text!r} is not a file beside the declaration; name it without / before or .. in it"
        )
    return text


_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")


def integer(text: str) -> int:
    """An integer of YAML 1.2: `010` is ten, `0o10` eight, `0x10` sixteen."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = integer(text)
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    return parse


def boolean(text: str) -> bool:
    """`true` or `false`, as YAML 1.2 has them; `yes` and `on` are words."""
    if text.lower() not in ("true", "false") or text not in (text.lower(), text.upper(), text.title()):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


_ANY = {"type": ["string", "number", "boolean"]}
TEXT = Scalar(_text, _ANY, "a text")
FILLED = Scalar(_filled, _ANY, "a text")
NAME = Scalar(plain_name, {"type": ["string", "integer"]}, "a name")
BOOLEAN = Scalar(boolean, {"type": "boolean"}, "true or false")
DURATION = Scalar(units.parse_duration, {"type": "string"}, "a duration like 300ms, 5m or 7d")
SIZE = Scalar(units.parse_size, {"type": "string"}, "a size like 512MiB or 50GB")
SHARE = Scalar(units.parse_share, {"type": ["string", "number"]}, "a share like 99.9% or 0.25")
COUNT = Scalar(units.parse_count, {"type": ["string", "integer"]}, "a count like 500 or 200k")


def whole(low: int, high: int) -> Scalar:
    """An integer within bounds."""
    return Scalar(
        between(low, high),
        {"type": "integer", "minimum": low, "maximum": high},
        f"a number from {low} to {high}",
    )


PORT = whole(1, 65535)


def choice(*words: str) -> Scalar:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not known here; {near(text, words)}")
        return text

    return Scalar(parse, {"enum": list(words)}, f"one of {', '.join(words)}")


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one type, as a tuple; `single` lets one value stand for a list of one."""

    item: Type
    single: bool = False
    least: int = 0

    def read(self, at: At) -> Any:
        if self.single and at.node.kind == "scalar" and not at.node.null:
            value = self.item.read(at)
            return BAD if value is BAD else (value,)
        if at.node.kind != "list":
            return at.bad(f"a list belongs here, not a {_spoken(at.node)}", "write [one, two]")
        values = [self.item.read(at.item(number, node)) for number, node in enumerate(at.node.items)]
        if len(values) < self.least:
            return at.bad("the list is empty", f"give at least {self.least}")
        return BAD if any(value is BAD for value in values) else tuple(values)

    def schema(self) -> dict[str, Any]:
        listed: dict[str, Any] = {"type": "array", "items": self.item.schema()}
        if self.least:
            listed["minItems"] = self.least
        return {"anyOf": [self.item.schema(), listed]} if self.single else listed


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from names (checked by `key`) to values of one type."""

    value: Type
    key: Callable[[str], Any] = _text
    nullable: bool = False  # `name:` with nothing behind it is an empty record

    def read(self, at: At) -> Any:
        pairs = at.pairs()
        if pairs is None:
            return BAD
        found = {}
        for name, inner in pairs.items():
            try:
                self.key(name)
            except ValueError as error:
                inner.bad(str(error), "give it another name")
                continue
            value = self.value.read(inner)
            if value is not BAD:
                found[name] = value
        return found

    def schema(self) -> dict[str, Any]:
        inner = self.value.schema()
        if self.nullable:
            inner = {"anyOf": [inner, {"type": "null"}]}
        return {"type": ["object", "null"], "additionalProperties": inner}


ARGV = ListOf(FILLED, least=1)
TEXTS = MapOf(TEXT)


class Field(NamedTuple):
    """One field of a record. `default` is what stands where nothing is given; the schema says it.

    `shown` is how a computed default is written down.
    """

    type: Type
    doc: str
    default: Any = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known fields, turned into a value by `build(**fields)`.

    `later` names fields of the language that this version has not. `short` reads what is not a mapping
    (a role as a plain list of services).
    """

    fields: Mapping[str, Field]
    build: Callable[..., Any]
    later: Mapping[str, str] = field(default_factory=dict)
    short: tuple[str, ...] = ()  # (kind of node, field it fills), e.g. ("list", "services")

    def read(self, at: At) -> Any:
        if self.short and at.node.kind == self.short[0] and not at.node.null:
            name = self.short[1]
            value = self.fields[name].type.read(at)
            return BAD if value is BAD else self.build(**{**self.defaults(), name: value})
        pairs = at.pairs()
        if pairs is None:
            return BAD
        values, good = self.defaults(), True
        for name, inner in pairs.items():
            if name in self.later:
                inner.bad(f"{name} is not yet in this version ({self.later[name]})", "leave it out for now")
            elif name not in self.fields:
                inner.bad(f"{name} is not a field here", near(name, self.fields))
            elif not inner.node.null:
                value = self.fields[name].type.read(inner)
                if value is not BAD:
                    values[name] = value
                elif self.fields[name].default is REQUIRED:
                    good = False
        for name, spec in self.fields.items():
            if spec.default is REQUIRED and (name not in pairs or pairs[name].node.null):
                at.bad(f"{name} is missing", f"give {name}: {spec.doc}")
                good = False
        return self.build(**values) if good else BAD

    def defaults(self) -> dict[str, Any]:
        return {name: spec.default for name, spec in self.fields.items() if spec.default is not REQUIRED}

    def schema(self) -> dict[str, Any]:
        properties = {}
        for name, spec in self.fields.items():
            told = spec.shown or (
                "required" if spec.default is REQUIRED else f"default: {_written(spec.default)}"
            )
            inner = spec.type.schema()
            if spec.default is not REQUIRED:
                inner = {"anyOf": [inner, {"type": "null"}]}
            properties[name] = {"description": f"{spec.doc} ({told})", **inner}
        record: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        required = [name for name, spec in self.fields.items() if spec.default is REQUIRED]
        if required:
            record["required"] = required
        if not self.short:
            return record
        return {"anyOf": [self.fields[self.short[1]].type.schema(), record]}


def _written(default: Any) -> str:
    if default is None or default in ((), {}, ""):
        return "none"
    return str(default)
