"""Resource types: what attributes their resources have, how a type may change, and a resource's body. Pure.

The kinds of attributes are a table. Values rest as JSON: a UUID as its text, an instant as µs.
"""

from __future__ import annotations

import numbers
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jsonpatch
import voluptuous as v

from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.errors import Bad, fitting

RESERVED = frozenset(
    [
        "id",
        "type",
        "metrics",
        "revision",
        "revision_start",
        "revision_end",
        "started_at",
        "ended_at",
        "user_id",
        "project_id",
        "created_by_user_id",
        "created_by_project_id",
        "get_metric",
        "creator",
    ]
)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_]*")
_NAMESPACE = uuid.UUID("0a7a15ff-aa13-4ac2-897c-9bdf30ce175b")  # Gnocchi's own, for ids that are no UUIDs
_ID_MAX = 289


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError) as error:
        raise v.Invalid(str(error)) from error


def _instant(value: Any) -> int:
    try:
        return times.microseconds(value, 0)
    except ValueError as error:
        raise v.Invalid(str(error)) from error


class Kind(NamedTuple):
    """A kind of attribute: the options of its declaration, and what its values must be."""

    options: dict[Any, Any]
    values: Callable[[Mapping[str, Any]], Any]


_LENGTH = v.All(int, v.Range(min=0, max=256))
_BOUND = v.Any(None, numbers.Real)

KINDS: dict[str, Kind] = {
    "string": Kind(
        {
            v.Required("min_length", default=0): _LENGTH,
            v.Required("max_length", default=256): v.All(int, v.Range(min=1, max=256)),
        },
        lambda about: v.All(str, v.Length(min=about["min_length"], max=about["max_length"])),
    ),
    "uuid": Kind({}, lambda about: _uuid),
    "number": Kind(
        {v.Required("min", default=None): _BOUND, v.Required("max", default=None): _BOUND},
        lambda about: v.All(numbers.Real, v.Range(min=about["min"], max=about["max"])),
    ),
    "bool": Kind({}, lambda about: bool),
    "datetime": Kind({}, lambda about: _instant),
}

Attributes = dict[str, dict[str, Any]]
"""Attribute's name → its declaration: `type`, `required`, and the options of its kind."""


def _declaration(kind: str, *, changing: bool) -> dict[Any, Any]:
    more = {v.Required("options", default={}): {v.Optional("fill"): object}} if changing else {}
    return {
        v.Required("type"): kind,
        v.Required("required", default=True): bool,
        **more,
        **KINDS[kind].options,
    }


def _type_schema(*, changing: bool) -> v.Schema:
    kinds = [_declaration(kind, changing=changing) for kind in KINDS]
    return v.Schema({v.Required("name"): str, v.Required("attributes", default={}): {str: v.Any(*kinds)}})


_NEW, _CHANGED = _type_schema(changing=False), _type_schema(changing=True)


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A type of resources and the attributes that they have beside everybody's."""

    name: str
    attributes: Attributes

    def shown(self) -> dict[str, Any]:
        return {"name": self.name, "attributes": self.attributes, "state": "active"}


def new(body: Any) -> ResourceType:
    """A type of a request's body. Raises Bad."""
    fit = fitting(_NEW, body)
    return ResourceType(fit["name"], {name: _checked(name, one) for name, one in fit["attributes"].items()})


def _checked(name: str, about: dict[str, Any]) -> dict[str, Any]:
    for low, high in (("min_length", "max_length"), ("min", "max")):
        least, most = about.get(low), about.get(high)
        if least is not None and most is not None and least > most:
            raise Bad(
                f"Invalid input: Resource attribute value min (or min_length) {least} must be less  "
                f"than or equal to max (or max_length) {most}!"
            )
    if len(name) > 63 or name in RESERVED or not _NAME.match(name):
        raise Bad(f"Invalid input: Resource attribute name {name} is invalid")
    return about


def _path(value: Any) -> str:
    if isinstance(value, str) and value.startswith("/attributes"):
        return value
    raise ValueError("Only attributes can be modified")


_PATCH = v.Schema([{"op": v.Any("add", "remove"), "path": _path, v.Optional("value"): dict}])


@dataclass(frozen=True, slots=True)
class Change:
    """What a patch does to a type: the type after it, values that its resources get, attributes they lose."""

    after: ResourceType
    fills: dict[str, Any]
    lost: list[str]


def patched(before: ResourceType, patch: Any) -> Change:
    """The type after a JSON patch (RFC 6902) of its attributes. Raises Bad."""
    steps = fitting(_PATCH, patch)
    try:
        document = jsonpatch.apply_patch({"name": before.name, "attributes": before.attributes}, steps)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Bad(str(error)) from error
    try:
        fit = _CHANGED(document)
    except v.Error as error:
        raise Bad(f"Invalid input: {error}") from error
    after: Attributes = {}
    fills: dict[str, Any] = {}
    for name, declared in fit["attributes"].items():
        about = {key: value for key, value in declared.items() if key != "options"}
        old = before.attributes.get(name)
        if old == about:
            after[name] = about
            continue
        if old is not None and old["type"] != about["type"]:
            raise Bad(
                f"Type update is not available yet. Changing {old['type']} to {about['type']} "
                f"for attribute {name} of resource {before.name}"
            )
        after[name] = _checked(name, about)
        fill = _fill(name, about, declared["options"])
        if fill is not None and (old is None or about["required"]):
            fills[name] = fill
    lost = [name for name in before.attributes if name not in after]
    return Change(ResourceType(before.name, after), fills, lost)


def _fill(name: str, about: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """What existing resources get for an attribute; None: nothing. Raises Bad."""
    fill = options.get("fill")
    if fill is None:
        if about["required"]:
            raise _option(name, "must not be empty if required=True")
        return None
    try:
        return v.Schema(KINDS[about["type"]].values(about))(fill)
    except v.Error as error:
        raise _option(name, str(error)) from error


def _option(name: str, reason: str) -> Bad:
    return Bad(f"Invalid input: Option 'fill' of resource attribute {name} is invalid: {reason}")


# --- resources -------------------------------------------------------------------------------------------


def resource_id(value: Any, creator: str | None) -> str:
    """The UUID of a resource: its own, or one made of its name and its maker. Raises ValueError."""
    text = value if isinstance(value, str) else str(value)
    if "/" in text:
        raise ValueError("'/' is not supported in resource id")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        if len(text) > _ID_MAX:
            raise ValueError("transformable resource id >289 max allowed characters") from None
        return str(uuid.uuid5(_NAMESPACE, text + "\0" + ("\0" if creator is None else creator)))


def _metric(value: Any) -> Any:
    return v.Any(_uuid, METRIC)(value)


METRIC = v.Schema(
    {
        "archive_policy_name": str,
        "resource_id": object,
        "name": str,
        v.Optional("unit"): v.All(str, v.Length(max=31)),
    }
)
_METRICS = v.Schema({str: _metric})


def METRICS(value: Any) -> Any:
    """Metrics by their names, each an id or what is wanted of it. Raises Bad for a name with a slash."""
    if isinstance(value, dict) and any("/" in name and isinstance(one, dict) for name, one in value.items()):
        raise Bad("'/' is not supported in metric name")
    return _METRICS(value)


def resource_schema(about: ResourceType, creator: str | None, now_ns: int, *, fresh: bool) -> dict[Any, Any]:
    """The schema of a resource's body; `fresh` ones bring their id as (as given, UUID)."""

    def identity(value: Any) -> tuple[str, str]:
        try:
            return str(value), resource_id(value, creator)
        except ValueError as error:
            raise v.Invalid(str(error)) from error

    def at(value: Any) -> int:
        try:
            return times.microseconds(value, now_ns)
        except ValueError as error:
            raise v.Invalid(str(error)) from error

    schema: dict[Any, Any] = {
        v.Optional("started_at"): at,
        v.Optional("ended_at"): at,
        v.Optional("user_id"): v.Any(None, str),
        v.Optional("project_id"): v.Any(None, str),
        v.Optional("metrics"): METRICS,
    }
    for name, one in about.attributes.items():
        marker = name if one["required"] else v.Optional(name)
        schema[marker] = KINDS[one["type"]].values(one)
    if fresh:
        schema["id"] = identity
    return schema


def shown_attributes(about: ResourceType, values: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's attributes as they are answered: every one of its type, null where it has none."""
    return {
        name: times.shown_us(values.get(name)) if one["type"] == "datetime" else values.get(name)
        for name, one in about.attributes.items()
    }
