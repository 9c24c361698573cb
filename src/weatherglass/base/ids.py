"""Identifiers that people see: entities as `kind/name`, tenants, tokens' public halves.

The kinds are those of docs/site.md. UUIDs appear only where a protocol wants them.
"""

from __future__ import annotations

import re
from typing import NewType

from weatherglass.base.errors import Invalid

EntityId = NewType("EntityId", str)

SITE_TENANT = "site"
"""The tenant that holds what belongs to the cloud itself."""

KINDS = frozenset(
    (
        "site", "zone", "host", "service", "replica", "container", "hypervisor", "server", "volume", "pool", "device",
        "network", "router", "port", "share", "export", "tenant", "app", "run", "step",
    )
)  # fmt: skip

_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?")


def entity(kind: str, name: str) -> EntityId:
    """`entity("host", "ctl-1")` is `host/ctl-1`. Raises Invalid for a kind that docs/site.md does not know."""
    if kind not in KINDS:
        raise Invalid(f"{kind!r} is not a kind of entity", mend=f"one of {', '.join(sorted(KINDS))}")
    if not name or name != name.strip():
        raise Invalid(f"{name!r} cannot name a {kind}")
    return EntityId(f"{kind}/{name}")


def kind_of(entity_id: str) -> str:
    """`host` of `host/ctl-1`."""
    return entity_id.partition("/")[0]


def name_of(entity_id: str) -> str:
    """`ctl-1` of `host/ctl-1`."""
    return entity_id.partition("/")[2]


def replica_name(service: str, number: int, host: str) -> str:
    """`keystone.1@ctl-1`: the name of a replica; numbers count from 1 over the whole site."""
    return f"{service}.{number}@{host}"


def split_replica(name: str) -> tuple[str, int, str]:
    """`("keystone", 1, "ctl-1")` of `keystone.1@ctl-1`. Raises Invalid."""
    head, _, host = name.partition("@")
    service, _, number = head.rpartition(".")
    if not (service and number.isdigit() and host):
        raise Invalid(f"{name!r} is not a replica's name", mend="write one like keystone.1@ctl-1")
    return service, int(number), host


def is_plain_name(name: str) -> bool:
    """Whether a name may stand in a declaration: lower-case letters, digits, `-`, `_`, `.`, at most 63 long."""
    return len(name) <= 63 and _NAME.fullmatch(name) is not None
