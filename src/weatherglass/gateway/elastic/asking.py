"""One request as a handler sees it, and what it answers; between them and the socket: `serving`. Pure.

A handler is a plain function `Ask → Reply` that runs in a pool of threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from weatherglass.base.errors import Invalid
from weatherglass.gateway.elastic.faults import Fault, argument, content, parsing
from weatherglass.gateway.elastic.names import pattern
from weatherglass.gateway.limits import parse_json


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for which tenant, of what: the path's parts, the address' parameters, the body's bytes."""

    tenant: str
    method: str
    path: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes

    def part(self, name: str, otherwise: str = "") -> str:
        return unquote(self.path.get(name, otherwise))

    def json(self) -> dict[str, Any]:
        """The body's object; empty where there is none. Raises Fault."""
        body = self.body.strip() or self.params.get("source", "").encode()
        if not body:
            return {}
        try:
            value = parse_json(body)
        except Invalid as error:
            raise Fault("json_parse_exception", error.message) from None
        if not isinstance(value, dict):
            raise parsing("Expected [START_OBJECT] but found a value")
        return value

    def flag(self, name: str, otherwise: bool = False) -> bool:
        value = self.params.get(name)
        if value is None:
            return otherwise
        if value not in ("true", "false", ""):
            raise argument(f"Failed to parse value [{value[:40]}] as only [true] or [false] are allowed.")
        return value != "false"

    def number(self, name: str) -> int | None:
        value = self.params.get(name)
        if value is None:
            return None
        if not value.lstrip("-").isdigit() or len(value) > 18:
            raise argument(f"Failed to parse int parameter [{name}] with value [{value[:40]}]")
        return int(value)

    def lines(self) -> list[bytes]:
        """The lines of a body of NDJSON, the empty ones left out."""
        return [line for line in self.body.split(b"\n") if line.strip()]


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is JSON, or a text where it is a str; None for an answer without one."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Ask], Reply]

OK = {"acknowledged": True}


def acknowledged() -> Reply:
    return Reply(dict(OK))


def line_of(line: bytes) -> dict[str, Any]:
    """The object of one line of NDJSON. Raises Fault."""
    try:
        value = parse_json(line)
    except Invalid as error:
        raise content(error.message) from None
    if not isinstance(value, dict):
        raise argument("Malformed content, expected an object")
    return value


# --- filter_path -----------------------------------------------------------------------------------------


def filtered(body: Any, paths: str) -> Any:
    """What `filter_path=took,hits.hits._id,-x` leaves of an answer (`*` a name's part, `**` any depth)."""
    parts = [part.strip() for part in paths.split(",") if part.strip()]
    keep = [part.split(".") for part in parts if not part.startswith("-")]
    drop = [part[1:].split(".") for part in parts if part.startswith("-")]
    kept = _kept(body, keep) if keep else body
    if drop and kept is not None:
        kept = _without(kept, drop)
    return kept if kept is not None else {}


def _next(paths: Sequence[Sequence[str]], name: str) -> Iterator[Sequence[str]]:
    for path in paths:
        if not path:
            continue
        if path[0] == "**":
            yield path
            if len(path) > 1 and pattern(path[1]).match(name):
                yield path[2:]
        elif pattern(path[0]).match(name):
            yield path[1:]


def _kept(value: Any, paths: Sequence[Sequence[str]]) -> Any:
    if any(not path or list(path) == ["**"] for path in paths):
        return value
    if isinstance(value, list):
        found = [one for one in (_kept(one, paths) for one in value) if one is not None]
        return found or None
    if not isinstance(value, dict):
        return None
    made = {}
    for name, inner in value.items():
        further = list(_next(paths, str(name)))
        if further:
            one = _kept(inner, further)
            if one is not None:
                made[name] = one
    return made or None


def _without(value: Any, paths: Sequence[Sequence[str]]) -> Any:
    if isinstance(value, list):
        return [_without(one, paths) for one in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, inner in value.items():
        further = list(_next(paths, str(name)))
        if any(not path for path in further):
            continue
        made[name] = _without(inner, further) if further else inner
    return made


def written(body: Any, *, pretty: bool = False) -> bytes:
    return json.dumps(body, ensure_ascii=False, indent=2 if pretty else None).encode("utf-8", "replace")
