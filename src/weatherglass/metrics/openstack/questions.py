"""What a cloud is asked, one row a question; and the answers, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple


class Question(NamedTuple):
    """`answers[service][name]` will be the list under `key` of what `path` gives.

    With `each` it is asked once for each id of another question's answers, and gives {id: the whole body}.
    """

    service: str
    name: str
    path: str
    key: str = ""
    params: Mapping[str, str] = {}
    each: str = ""  # `service.question`
    slow: bool = False  # grows with the number of projects or providers
    optional: bool = False  # an extension: where it is not there nothing is said


_ALL = {"all_tenants": "1"}
_PAGED = {"limit": "1000"}

QUESTIONS: tuple[Question, ...] = (
    Question("identity", "domains", "/domains", "domains"),
    Question("identity", "projects", "/projects", "projects"),
    Question("identity", "users", "/users", "users"),
    Question("identity", "groups", "/groups", "groups"),
    Question("identity", "regions", "/regions", "regions"),
    Question("nova", "services", "/os-services", "services"),
    Question("nova", "hypervisors", "/os-hypervisors/detail", "hypervisors", _PAGED),
    Question("nova", "aggregates", "/os-aggregates", "aggregates"),
    Question("nova", "zones", "/os-availability-zone", "availabilityZoneInfo"),
    Question("nova", "flavors", "/flavors/detail", "flavors", {"is_public": "None", **_PAGED}),
    Question("nova", "servers", "/servers/detail", "servers", {**_ALL, **_PAGED}),
    Question("nova", "limits", "/limits", params={"tenant_id": "{id}"}, each="identity.projects", slow=True),
    Question("neutron", "agents", "/agents", "agents"),
    Question("neutron", "networks", "/networks", "networks", _PAGED),
    Question("neutron", "subnets", "/subnets", "subnets", _PAGED),
    Question("neutron", "ports", "/ports", "ports", _PAGED),
    Question("neutron", "routers", "/routers", "routers", _PAGED, optional=True),
    Question("neutron", "floatingips", "/floatingips", "floatingips", _PAGED, optional=True),
    Question("neutron", "security_groups", "/security-groups", "security_groups", _PAGED),
    Question("neutron", "l3", "/routers/{id}/l3-agents", each="neutron.routers", slow=True, optional=True),
    Question(
        "neutron", "availabilities", "/network-ip-availabilities", "network_ip_availabilities", optional=True
    ),
    Question("glance", "images", "/images", "images", _PAGED),
    Question("cinder", "services", "/os-services", "services"),
    Question("cinder", "volumes", "/volumes/detail", "volumes", {**_ALL, **_PAGED}),
    Question("cinder", "snapshots", "/snapshots/detail", "snapshots", {**_ALL, **_PAGED}),
    Question("cinder", "pools", "/scheduler-stats/get_pools", "pools", {"detail": "true"}, optional=True),
    Question(
        "cinder",
        "quotas",
        "/os-quota-sets/{id}",
        params={"usage": "true"},
        each="identity.projects",
        slow=True,
    ),
    Question("placement", "providers", "/resource_providers", "resource_providers"),
    Question(
        "placement",
        "inventories",
        "/resource_providers/{uuid}/inventories",
        each="placement.providers",
        slow=True,
    ),
    Question(
        "placement", "usages", "/resource_providers/{uuid}/usages", each="placement.providers", slow=True
    ),
    Question("loadbalancer", "loadbalancers", "/lbaas/loadbalancers", "loadbalancers", _PAGED),
    Question(
        "loadbalancer",
        "stats",
        "/lbaas/loadbalancers/{id}/stats",
        each="loadbalancer.loadbalancers",
        slow=True,
    ),
    Question("loadbalancer", "amphorae", "/octavia/amphorae", "amphorae", _PAGED, optional=True),
    Question("loadbalancer", "pools", "/lbaas/pools", "pools", _PAGED),
    Question("heat", "stacks", "/stacks", "stacks", {"global_tenant": "true", **_PAGED}),
)
SERVICES = tuple(dict.fromkeys(one.service for one in QUESTIONS))


Things = list[dict[str, Any]]


@dataclass(slots=True)
class Answers:
    """What a cloud said. A service that did not answer is in `failed`; what it did not say is not in `told`."""

    cloud: str
    region: str
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # service → why
    denied: dict[str, str] = field(default_factory=dict)  # `service.question` → why
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)  # (service, question) → time it took
    requests: int = 0
    project: str = ""
    blind: str = ""  # why nobody could be asked at all

    def list(self, service: str, name: str) -> Things:
        """The answer to a question that gives a list; nothing where it was not answered."""
        found = self.told.get(service, {}).get(name)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def things(self, service: str, name: str) -> Things:
        """Those of a list that have an id by which they can be known again."""
        return [
            one for one in self.list(service, name) if isinstance(one.get("id"), str) and one["id"].strip()
        ]

    def each(self, service: str, name: str) -> dict[str, dict[str, Any]]:
        """The answers to a question that was asked once an id."""
        found = self.told.get(service, {}).get(name)
        return (
            {id: one for id, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}
        )

    def has(self, service: str, name: str) -> bool:
        return name in self.told.get(service, {})


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts of a list; none where it is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def with_last(now: Answers, last: Answers | None) -> Answers:
    """The answers, and for services that are silent what they said last: what runs there runs on."""
    if last is None:
        return now
    told = dict(now.told)
    for service in now.failed:
        if service in last.told:
            told[service] = last.told[service] | now.told.get(service, {})
    return replace(now, told=told)


def unasked(last: Answers | None, cloud: str, region: str, why: str) -> Answers:
    """When Keystone lets nobody in: every service that was there is silent."""
    services = [*(last.told if last else ()), *(last.failed if last else ()), "identity"]
    return Answers(cloud, region, failed=dict.fromkeys(services, why), blind=why)
