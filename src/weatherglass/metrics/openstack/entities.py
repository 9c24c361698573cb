"""Answers of a cloud's APIs as entities, edges and states of the graph. Pure.

Names are what people call a thing with the first eight signs of its id behind, as names are not unique; a host, a
hypervisor, a service and a project keep theirs alone. `ids` leads from OpenStack's ids, which Gnocchi's resources
have as well, to entities. Edges read as docs/site.md has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.base.ids import EntityId, entity
from weatherglass.inventory import Evidence, State
from weatherglass.metrics.openstack.questions import SERVICES, Answers, items
from weatherglass.site import Edge, Entity

SEEN = "seen"
_ODD = re.compile(r"[^A-Za-z0-9_.@:-]+")
_BAD_SERVER = {"ERROR": State.DEAD, "UNKNOWN": State.UNKNOWN, "DELETED": State.UNKNOWN}
_QUIET_SERVER = frozenset(("SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "SOFT_DELETED"))


@dataclass(slots=True)
class Seen:
    """What a cloud is made of, and how it says that it is."""

    entities: dict[EntityId, Entity] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    states: dict[EntityId, tuple[State, str]] = field(default_factory=dict)  # (state, why in a sentence)
    ids: dict[str, EntityId] = field(default_factory=dict)  # OpenStack's id → entity
    silent: str = ""  # the service that is being read, where what it said is old

    def add(self, kind: str, name: str, id: str = "", /, **attributes: Any) -> EntityId:
        """One more, or one that is there already with more said of it."""
        one = entity(kind, name)
        known = self.entities.get(one)
        kept = {key: value for key, value in attributes.items() if value not in (None, "", [])}
        more = {**known.attributes, **kept} if known else kept
        if id:
            more["id"] = id
            self.ids[id] = one
        self.entities[one] = Entity(one, kind, name, known.labels if known else {}, more)
        return one

    def join(self, source: EntityId, relation: str, target: EntityId | None) -> None:
        if target is not None and target != source and target in self.entities:
            self.edges[Edge(source, relation, target, SEEN)] = None

    def told(self, one: EntityId, state: State, why: str) -> None:
        """The worse of what is said counts; of what a silent service said last, nothing is known."""
        if self.silent:
            state, why = State.UNKNOWN, f"{self.silent} does not answer"
        before = self.states.get(one)
        if before is None or _WORSE.index(state) > _WORSE.index(before[0]):
            self.states[one] = (state, why)


_WORSE = (State.UNKNOWN, State.HEALTHY, State.SICK, State.DYING, State.DEAD)


def evidence(why: str, at_ns: int) -> tuple[Evidence, ...]:
    """A state's reason as the inventory keeps it."""
    return (Evidence("witness", why, at_ns=at_ns),) if why else ()


def plain(text: Any, otherwise: str = "") -> str:
    """A name as it may stand in an entity's."""
    return _ODD.sub("-", str(text or "")).strip("-") or otherwise


def named(one: Mapping[str, Any], name: str = "name") -> str:
    """`vm1.1a2b3c4d`; the id's beginning alone where there is no name."""
    short = plain(one.get("id"))[:8]
    called = plain(one.get(name))
    return f"{called}.{short}" if called and called != plain(one.get("id")) else short


def seen(answers: Answers, tenants: Mapping[str, str] | None = None) -> Seen:
    """The graph of a cloud. `tenants` are those declared, by their project's id: one project is one entity."""
    found = Seen()
    _services(found, answers)
    _projects(found, answers, tenants or {})
    for service, makers in _MAKERS:
        found.silent = service if service in answers.failed else ""
        for maker in makers:
            maker(found, answers, service)
    return _labelled(found, answers.cloud)


def _labelled(found: Seen, cloud: str) -> Seen:
    """Labels under which they are searched: the cloud, and the name that people gave."""
    for id, one in found.entities.items():
        labels = {"cloud": cloud}
        if one.attributes.get("name"):
            labels["name"] = str(one.attributes["name"])
        found.entities[id] = Entity(id, one.kind, one.name, labels, {**one.attributes, "cloud": cloud})
    return found


_CALLED = {"identity": "keystone", "loadbalancer": "octavia"}
_NEEDS = {
    "nova": ("placement", "neutron", "glance", "keystone"),
    "neutron": ("keystone",),
    "glance": ("keystone",),
    "cinder": ("keystone", "glance"),
    "placement": ("keystone",),
    "octavia": ("keystone", "neutron", "nova"),
    "heat": ("keystone",),
}
"""What one OpenStack service cannot do without: what its own configuration names."""


def _services(found: Seen, answers: Answers) -> None:
    for service in SERVICES:
        if service not in answers.told and service not in answers.failed:
            continue
        one = found.add("service", _CALLED.get(service, service))
        why = answers.failed.get(service, "")
        if answers.blind and service != "identity":
            found.told(one, State.UNKNOWN, f"it cannot be asked: {answers.blind}")
        elif why:
            found.told(one, State.DEAD, f"its API: {why}")
        else:
            found.told(one, State.HEALTHY, "its API answers")
    for name, needs in _NEEDS.items():
        one = EntityId(f"service/{name}")
        if one in found.entities:
            for other in needs:
                found.join(one, "needs", EntityId(f"service/{other}"))


def _projects(found: Seen, answers: Answers, tenants: Mapping[str, str]) -> None:
    projects = [one for one in answers.things("identity", "projects") if not one.get("is_domain")]
    names = [plain(one.get("name")) for one in projects]
    for one, plain_name in zip(projects, names, strict=True):
        id = str(one.get("id", ""))
        called = tenants.get(id) or (
            plain_name if plain_name and names.count(plain_name) == 1 else named(one)
        )
        if called and id:
            attributes = {
                "name": one.get("name"),
                "domain": one.get("domain_id"),
                "enabled": one.get("enabled"),
            }
            found.add("tenant", called, id, project=id, **attributes)


def _owner(found: Seen, one: Mapping[str, Any], *fields: str) -> EntityId | None:
    for name in (*fields, "project_id", "tenant_id"):
        if one.get(name):
            return found.ids.get(str(one[name]))
    return None


def _agents(found: Seen, answers: Answers, service: str) -> None:
    for one in answers.list(service, "services"):
        up, admin = one.get("state") == "up", one.get("status") != "disabled"
        _agent(found, one, service, up=up, admin=admin, reason=one.get("disabled_reason"))
    for one in answers.list(service, "agents"):
        _agent(found, one, service, up=one.get("alive") is True, admin=one.get("admin_state_up") is not False)


def _agent(
    found: Seen, one: Mapping[str, Any], service: str, *, up: bool, admin: bool, reason: Any = None
) -> None:
    """nova-compute on fake1 is `replica/nova-compute@fake1`. Who is switched off by hand is not ill."""
    binary, host = plain(one.get("binary")), plain(one.get("host"))
    if not binary or not host:
        return
    machine = plain(host.partition("@")[0].partition("#")[0])
    on = found.add("host", machine)
    replica = found.add(
        "replica", f"{binary}@{host.replace('@', ':')}", str(one.get("id") or ""), binary=binary, host=machine,
        zone=one.get("zone") or one.get("availability_zone"), up=up, enabled=admin, disabled_reason=reason,
    )  # fmt: skip
    whole = found.add("service", service)
    found.join(replica, "part_of", whole)
    found.join(replica, "runs_on", on)
    if up:
        found.told(replica, State.HEALTHY, f"{service} hears of it" + ("" if admin else "; it is disabled"))
    elif admin:
        found.told(replica, State.DEAD, f"{service} has not heard of it for too long")
        found.told(whole, State.SICK, f"{binary} on {machine} is down")
    else:
        found.told(replica, State.UNKNOWN, f"it is disabled: {reason or 'nobody says why'}")


def _hypervisors(found: Seen, answers: Answers, service: str) -> None:
    for one in answers.list(service, "hypervisors"):
        name = plain(one.get("hypervisor_hostname"))
        if not name:
            continue
        compute = one.get("service")
        host = plain(compute.get("host")) if isinstance(compute, dict) else ""
        made = found.add(
            "hypervisor", name, str(one.get("id") or ""), type=one.get("hypervisor_type"), status=one.get("status"),
            vcpus=one.get("vcpus"), memory_mb=one.get("memory_mb"), local_gb=one.get("local_gb"),
        )  # fmt: skip
        if host:
            found.join(made, "runs_on", found.add("host", host))
            found.join(made, "served_by", EntityId(f"replica/nova-compute@{host}"))
        if one.get("state") == "up":
            found.told(made, State.HEALTHY, "its nova-compute is up")
        else:
            found.told(made, State.DEAD, "its nova-compute is down")


def _networks(found: Seen, answers: Answers, service: str) -> None:
    subnets: dict[str, list[str]] = {}
    for one in answers.list(service, "subnets"):
        subnets.setdefault(str(one.get("network_id")), []).append(str(one.get("cidr")))
    for one in answers.things(service, "networks"):
        id = str(one.get("id") or "")
        made = found.add(
            "network", named(one), id, name=one.get("name"), status=one.get("status"), subnets=subnets.get(id, []),
            external=one.get("router:external"), shared=one.get("shared"), type=one.get("provider:network_type"),
        )  # fmt: skip
        found.join(made, "member_of", _owner(found, one))
        good = one.get("status") == "ACTIVE"
        found.told(made, State.HEALTHY if good else State.SICK, f"neutron says {one.get('status')}")
    for one in answers.things(service, "routers"):
        outside = one.get("external_gateway_info")
        made = found.add(
            "router", named(one), str(one.get("id") or ""), name=one.get("name"), status=one.get("status"),
            distributed=one.get("distributed"), ha=one.get("ha"),
        )  # fmt: skip
        found.join(made, "member_of", _owner(found, one))
        if isinstance(outside, dict):
            found.join(made, "attached_to", found.ids.get(str(outside.get("network_id"))))
        good = one.get("status") == "ACTIVE"
        found.told(made, State.HEALTHY if good else State.SICK, f"neutron says {one.get('status')}")
    for router, body in answers.each(service, "l3").items():
        for one in items(body.get("agents")):
            if router in found.ids:
                found.join(found.ids[router], "served_by", found.ids.get(str(one.get("id"))))
    for one in answers.list("neutron", "ports"):
        network, device = found.ids.get(str(one.get("network_id"))), found.ids.get(str(one.get("device_id")))
        if str(one.get("device_owner", "")).startswith("network:router_") and network and device:
            found.join(network, "served_by", device)


def _servers(found: Seen, answers: Answers, service: str) -> None:
    for one in answers.things(service, "servers"):
        id, status = str(one.get("id") or ""), str(one.get("status"))
        flavor = one.get("flavor")
        addresses = one.get("addresses")
        made = found.add(
            "server", named(one), id, name=one.get("name"), status=status,
            flavor=flavor.get("original_name") if isinstance(flavor, dict) else None,
            zone=one.get("OS-EXT-AZ:availability_zone"), instance=one.get("OS-EXT-SRV-ATTR:instance_name"),
            addresses=[
                address.get("addr")
                for several in (addresses.values() if isinstance(addresses, dict) else ())
                for address in items(several)
            ],
        )  # fmt: skip
        found.join(made, "member_of", _owner(found, one))
        hypervisor = plain(one.get("OS-EXT-SRV-ATTR:hypervisor_hostname"))
        if hypervisor:
            found.join(made, "runs_on", EntityId(f"hypervisor/{hypervisor}"))
        if status in _BAD_SERVER:
            fault = one.get("fault")
            more = f": {fault['message']}" if isinstance(fault, dict) and fault.get("message") else ""
            found.told(made, _BAD_SERVER[status], f"nova says {status}{more}")
        elif status in _QUIET_SERVER:
            found.told(made, State.UNKNOWN, f"nova says {status}, as somebody asked for")
        else:
            found.told(made, State.HEALTHY, f"nova says {status}")
    for one in answers.list("neutron", "ports"):
        server, network = found.ids.get(str(one.get("device_id"))), found.ids.get(str(one.get("network_id")))
        if server and server.startswith("server/"):
            found.join(server, "attached_to", network)


def _volumes(found: Seen, answers: Answers, service: str) -> None:
    for one in answers.things(service, "volumes"):
        status = str(one.get("status"))
        made = found.add(
            "volume", named(one), str(one.get("id") or ""), name=one.get("name"), status=status,
            size_gb=one.get("size"), type=one.get("volume_type"),
        )  # fmt: skip
        found.join(made, "member_of", _owner(found, one, "os-vol-tenant-attr:tenant_id"))
        back = plain(str(one.get("os-vol-host-attr:host") or "").partition("#")[0])
        if back:
            found.join(made, "served_by", EntityId(f"replica/cinder-volume@{back.replace('@', ':')}"))
        for held in items(one.get("attachments")):
            server = found.ids.get(str(held.get("server_id")))
            if server:  # the server depends on its volume
                found.join(server, "attached_to", made)
        bad = status.startswith("error")
        found.told(made, State.DEAD if bad else State.HEALTHY, f"cinder says {status}")


_MAKERS = (
    ("nova", (_agents, _hypervisors)),
    ("neutron", (_agents, _networks)),
    ("cinder", (_agents,)),
    ("nova", (_servers,)),
    ("cinder", (_volumes,)),
)
"""What is made of whose answers, in an order in which ends of edges are there before the edges."""
