"""Who may do what: Gnocchi's rules as a table of oslo.policy's check strings, and the few words that they use.

Pure. A check is `role:x`, `rule:name`, `kind:%(field)s` (what the caller has under `kind` against the target's
field, which must be there), `@`, `!`, joined by `and` and `or`; the empty check holds for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.metrics.gnocchi.errors import Forbidden

_ADMIN = "role:admin"
_ADMIN_SERVICE = "rule:admin_or_service"
_ADMIN_CREATOR = "rule:admin_or_creator"
_ADMIN_SERVICE_CREATOR = "rule:admin_or_service or rule:creator"
_OF_RESOURCE = "rule:admin_or_creator or rule:resource_owner"
_OF_METRIC = "rule:admin_or_creator or rule:metric_owner"
_SERVICE_OF_METRIC = "rule:admin_or_service or rule:creator or rule:metric_owner"

RULES: dict[str, str] = {
    "context_is_admin": _ADMIN,
    "admin_or_creator": "role:admin or user:%(creator)s or project_id:%(created_by_project_id)s",
    "admin_or_service": "role:admin or role:service",
    "creator": "user:%(creator)s or project_id:%(created_by_project_id)s",
    "resource_owner": "project_id:%(project_id)s",
    "metric_owner": "project_id:%(resource.project_id)s",
    "get status": _ADMIN,
    "create resource": "",
    "get resource": _OF_RESOURCE,
    "update resource": _ADMIN_SERVICE_CREATOR,
    "delete resource": _ADMIN_CREATOR,
    "delete resources": _ADMIN_CREATOR,
    "list resource": _OF_RESOURCE,
    "search resource": "rule:admin_or_service or rule:creator or rule:resource_owner",
    "create resource type": _ADMIN_SERVICE,
    "get resource type": "",
    "update resource type": _ADMIN_SERVICE,
    "delete resource type": _ADMIN,
    "list resource type": "",
    "create archive policy": _ADMIN_SERVICE,
    "get archive policy": "",
    "update archive policy": _ADMIN,
    "delete archive policy": _ADMIN,
    "list archive policy": "",
    "create archive policy rule": _ADMIN,
    "get archive policy rule": "",
    "update archive policy rule": _ADMIN,
    "delete archive policy rule": _ADMIN,
    "list archive policy rule": "",
    "create metric": "",
    "get metric": _SERVICE_OF_METRIC,
    "delete metric": _ADMIN_CREATOR,
    "list metric": _OF_METRIC,
    "search metric": _OF_METRIC,
    "post measures": _ADMIN_SERVICE_CREATOR,
    "get measures": _SERVICE_OF_METRIC,
}
"""Rule → check. An installation may put other checks in their place."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the rules see it.

    `creator` is written into what they make (`user:project` with projects, the bare user without); `scoped` says
    that lists show only what is theirs; `tenant` is the partition that their measures go to.
    """

    creator: str
    roles: frozenset[str]
    tenant: str
    user_id: str | None = None
    project_id: str | None = None
    scoped: bool = False
    rules: Mapping[str, str] = field(default_factory=lambda: RULES)

    def may(self, rule: str, target: Mapping[str, Any]) -> bool:
        """Whether `rule` holds for this caller on `target` (nested mappings are named with dots)."""
        return _holds(self.rules[rule], self, _flat(target))

    def enforce(self, rule: str, target: Mapping[str, Any]) -> None:
        """Raises Forbidden unless `may`."""
        if not self.may(rule, target):
            raise Forbidden()


def _flat(target: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in target.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _holds(check: str, caller: Caller, target: Mapping[str, Any]) -> bool:
    if not check.strip():
        return True
    return any(
        all(_term(term.strip(), caller, target) for term in part.split(" and "))
        for part in check.split(" or ")
    )


def _term(term: str, caller: Caller, target: Mapping[str, Any]) -> bool:
    if term in ("@", "!"):
        return term == "@"
    kind, _, wanted = term.partition(":")
    if kind == "role":
        return wanted.lower() in caller.roles
    if kind == "rule":
        return wanted in caller.rules and _holds(caller.rules[wanted], caller, target)
    mine = {"user": caller.creator, "user_id": caller.user_id, "project_id": caller.project_id}.get(kind)
    if mine is None or not (wanted.startswith("%(") and wanted.endswith(")s")):
        return False
    name = wanted[2:-2]
    return name in target and str(target[name]) == mine


Filter = dict[str, Any]


def resource_filter(caller: Caller, rule: str, resource_type: str | None, prefix: str = "") -> Filter | None:
    """What a list of resources is narrowed to; None: nothing is held back. Raises Forbidden."""
    if not caller.scoped or caller.may(rule, {"resource_type": resource_type}):
        return None

    def on(field_name: str) -> dict[str, Any]:
        target: dict[str, Any] = {"resource_type": resource_type, field_name: caller.project_id}
        return {prefix: target} if prefix else target

    found: list[Filter] = []
    if caller.may(rule, on("project_id")):
        found.append({"=": {"project_id": caller.project_id}})
    if caller.may(rule, on("created_by_project_id")):
        found.append(_made_by(caller))
    if not found:
        raise Forbidden("Insufficient privileges")
    return {"or": found}


def metric_filter(caller: Caller, rule: str) -> Filter | None:
    """What a list of metrics is narrowed to by their maker; None: nothing is held back; {}: nothing is their own,
    metrics of resources may be. Raises Forbidden."""
    if not caller.scoped or caller.may(rule, {}):
        return None
    if caller.may(rule, {"created_by_project_id": caller.project_id}):
        return {"or": [_made_by(caller)]}
    if caller.may(rule, {"resource": {"project_id": caller.project_id}}):
        return {}
    raise Forbidden("Insufficient privileges")


def _made_by(caller: Caller) -> Filter:
    if not caller.project_id:
        return {"=": {"creator": None}}
    return {"like": {"creator": f"%:{caller.project_id}"}}
