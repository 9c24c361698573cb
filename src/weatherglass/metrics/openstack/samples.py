"""Answers of a cloud's APIs as samples, under openstack-exporter's names and labels. Pure.

Two things are added to its labels: `region` as it has it, and `project` (the id) wherever a sample belongs to one, by
which a project's own PromQL is told apart (docs/openstack.md). Odd answers give fewer samples, never an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weatherglass.engine.protocols import Labels
from weatherglass.metrics.openstack import statuses
from weatherglass.metrics.openstack.questions import SERVICES, Answers, items, texts

MEGABYTE, GIGABYTE = 1024**2, 1024**3
Sample = tuple[str, Mapping[str, Any], float]
"""(name without `openstack_`, labels, value)."""
_PROJECT = ("tenant_id", "project_id")


def samples(answers: Answers) -> dict[Labels, float]:
    """Every sample, by its labels with `__name__`. What two answers say twice is said once."""
    found: dict[Labels, float] = {}
    for name, labels, value in _every(answers):
        found[_labels(name, labels, answers.region)] = value
    return found


def _every(answers: Answers) -> Iterator[Sample]:
    for service in SERVICES:
        if service not in answers.told and service not in answers.failed:
            continue  # the catalogue does not have it
        yield f"{service}_up", {}, float(service not in answers.failed)
        if maker := MAKERS.get(service):
            yield from maker(answers)
    for (service, question), seconds in answers.seconds.items():
        yield (
            "metric_collect_seconds",
            {"openstack_service": f"openstack_{service}", "openstack_metric": question},
            seconds,
        )


def _labels(name: str, labels: Mapping[str, Any], region: str) -> Labels:
    told = {key: _text(value) for key, value in labels.items()}
    project = next((told[key] for key in _PROJECT if told.get(key)), "")
    whole = {**told, "region": region, "project": project, "__name__": f"openstack_{name}"}
    return tuple(sorted((key, value) for key, value in whole.items() if value))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> float:
    """A number that may come as text; NaN where it is none, and then there is no sample."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _sample(name: str, labels: Mapping[str, Any], value: Any, scale: float = 1.0) -> Iterator[Sample]:
    found = _number(value)
    if not math.isnan(found):
        yield name, labels, found * scale


def _count(answers: Answers, service: str, question: str, name: str) -> Iterator[Sample]:
    if answers.has(service, question):
        yield f"{service}_{name}", {}, float(len(answers.list(service, question)))


def _within(value: Any) -> dict[str, Any]:
    """What stands inside, where it is an object."""
    return value if isinstance(value, dict) else {}


# --- services --------------------------------------------------------------------------------------------


def _identity(answers: Answers) -> Iterator[Sample]:
    for name in ("domains", "projects", "users", "groups", "regions"):
        yield from _count(answers, "identity", name, name)
    for one in answers.list("identity", "domains"):
        yield "identity_domain_info", _pick(one, "id", "name", "description", "enabled"), 1.0
    for one in answers.list("identity", "projects"):
        labels = _pick(one, "id", "name", "description", "enabled", "domain_id", "is_domain", "parent_id")
        yield "identity_project_info", {**labels, "project": one.get("id")}, 1.0


def _pick(one: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: one.get(name) for name in names}


def _nova(answers: Answers) -> Iterator[Sample]:
    for question, name in (("flavors", "flavors"), ("zones", "availability_zones"), ("servers", "total_vms")):
        yield from _count(answers, "nova", question, name)
    for one in answers.list("nova", "flavors"):
        labels = {
            **_pick(one, "id", "name", "vcpus", "ram", "disk"),
            "is_public": one.get("os-flavor-access:is_public"),
        }
        yield "nova_flavor", labels, 1.0
    for one in answers.list("nova", "services"):
        labels = {
            "id": one.get("id"), "hostname": one.get("host"), "service": one.get("binary"),
            "adminState": one.get("status"), "zone": one.get("zone"), "disabledReason": one.get("disabled_reason"),
        }  # fmt: skip
        yield "nova_agent_state", labels, float(one.get("state") == "up")
    yield from _hypervisors(answers)
    for one in answers.list("nova", "servers"):
        yield from _server(one)
    names = {one["id"]: one.get("name") for one in answers.things("identity", "projects")}
    for project, body in answers.each("nova", "limits").items():
        absolute = _within(_within(body.get("limits")).get("absolute"))
        labels = {"tenant": names.get(project), "tenant_id": project}
        for name, field, scale in _LIMITS:
            yield from _sample(f"nova_limits_{name}", labels, absolute.get(field), scale)


_LIMITS = (
    ("vcpus_max", "maxTotalCores", 1),
    ("vcpus_used", "totalCoresUsed", 1),
    ("memory_max", "maxTotalRAMSize", 1),
    ("memory_used", "totalRAMUsed", 1),
    ("instances_max", "maxTotalInstances", 1),
    ("instances_used", "totalInstancesUsed", 1),
)
_HYPERVISOR = (
    ("running_vms", "running_vms", 1),
    ("current_workload", "current_workload", 1),
    ("vcpus_available", "vcpus", 1),
    ("vcpus_used", "vcpus_used", 1),
    ("memory_available_bytes", "memory_mb", MEGABYTE),
    ("memory_used_bytes", "memory_mb_used", MEGABYTE),
    ("local_storage_available_bytes", "local_gb", GIGABYTE),
    ("local_storage_used_bytes", "local_gb_used", GIGABYTE),
    ("free_disk_bytes", "free_disk_gb", GIGABYTE),
)


def _hypervisors(answers: Answers) -> Iterator[Sample]:
    zones: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for one in answers.list("nova", "aggregates"):
        for host in texts(one.get("hosts")):
            if one.get("availability_zone"):
                zones[host] = str(one["availability_zone"])
            if one.get("name") != one.get("availability_zone"):
                groups.setdefault(host, []).append(str(one.get("name")))
    for one in answers.list("nova", "hypervisors"):
        host = str(_within(one.get("service")).get("host", ""))
        labels = {
            "hostname": one.get("hypervisor_hostname"), "availability_zone": zones.get(host),
            "aggregates": ",".join(sorted(groups.get(host, ()))),
        }  # fmt: skip
        for name, field, scale in _HYPERVISOR:
            yield from _sample(f"nova_{name}", labels, one.get(field), scale)


def _server(one: Mapping[str, Any]) -> Iterator[Sample]:
    flavor = _within(one.get("flavor"))
    labels = {
        **_pick(one, "id", "status", "name", "tenant_id", "user_id"), "uuid": one.get("id"),
        "address_ipv4": one.get("accessIPv4") or _address(one, 4),
        "address_ipv6": one.get("accessIPv6") or _address(one, 6),
        "host_id": one.get("hostId"), "hypervisor_hostname": one.get("OS-EXT-SRV-ATTR:hypervisor_hostname"),
        "availability_zone": one.get("OS-EXT-AZ:availability_zone"),
        "flavor_id": flavor.get("id") or flavor.get("original_name"),
        "instance_libvirt": one.get("OS-EXT-SRV-ATTR:instance_name"),
    }  # fmt: skip
    yield "nova_server_status", labels, statuses.number(statuses.SERVER, one.get("status"))
    yield from _sample("nova_server_local_gb", _pick(one, "id", "name", "tenant_id"), flavor.get("disk"))


def _address(one: Mapping[str, Any], version: int) -> str:
    for several in _within(one.get("addresses")).values():
        for address in items(several):
            if address.get("version") == version:
                return str(address.get("addr", ""))
    return ""


def _neutron(answers: Answers) -> Iterator[Sample]:
    for name in ("networks", "subnets", "ports", "routers", "floatingips", "security_groups"):
        yield from _count(answers, "neutron", name, {"floatingips": "floating_ips"}.get(name, name))
    for one in answers.list("neutron", "agents"):
        labels = {
            "id": one.get("id"), "hostname": one.get("host"), "service": one.get("binary"),
            "adminState": "up" if one.get("admin_state_up") else "down", "availability_zone": one.get("availability_zone"),
        }  # fmt: skip
        yield "neutron_agent_state", labels, float(one.get("alive") is True)
    for one in answers.list("neutron", "floatingips"):
        labels = _pick(
            one, "id", "floating_ip_address", "floating_network_id", "project_id", "router_id", "status"
        )
        yield "neutron_floating_ip", labels, 1.0
    if answers.has("neutron", "floatingips"):
        idle = [one for one in answers.list("neutron", "floatingips") if not one.get("port_id")]
        yield "neutron_floating_ips_associated_not_active", {}, float(_idle_but_bound(answers))
        yield "neutron_floating_ips_not_associated", {}, float(len(idle))
    for one in answers.list("neutron", "networks"):
        labels = {
            **_pick(one, "id", "name", "status", "tenant_id"), "is_shared": one.get("shared"),
            "is_external": one.get("router:external"), "subnets": ",".join(texts(one.get("subnets"))),
            "provider_network_type": one.get("provider:network_type"),
            "provider_physical_network": one.get("provider:physical_network"),
            "provider_segmentation_id": one.get("provider:segmentation_id"),
        }  # fmt: skip
        yield "neutron_network", labels, 1.0
    for one in answers.list("neutron", "routers"):
        outside = _within(one.get("external_gateway_info")).get("network_id")
        labels = {
            **_pick(one, "id", "name", "project_id", "status", "admin_state_up"),
            "external_network_id": outside,
        }
        yield "neutron_router", labels, 1.0
    if answers.has("neutron", "ports"):
        without = [one for one in answers.list("neutron", "ports") if not one.get("fixed_ips")]
        yield "neutron_ports_no_ips", {}, float(len(without))
        unbound = [
            one for one in answers.list("neutron", "ports") if one.get("binding:vif_type") == "binding_failed"
        ]
        yield "neutron_ports_lb_not_active", {}, float(_balancers_down(answers))
        yield "neutron_ports_binding_failed", {}, float(len(unbound))
    for router, body in answers.each("neutron", "l3").items():
        for one in items(body.get("agents")):
            labels = {
                "router_id": router, "l3_agent_id": one.get("id"), "ha_state": one.get("ha_state"),
                "agent_alive": one.get("alive"), "agent_admin_up": one.get("admin_state_up"), "agent_host": one.get("host"),
            }  # fmt: skip
            yield "neutron_l3_agent_of_router", labels, float(one.get("alive") is True)
    for network in answers.list("neutron", "availabilities"):
        for one in items(network.get("subnet_ip_availability")):
            labels = {
                **_pick(network, "network_id", "network_name", "project_id"), "subnet_name": one.get("subnet_name"),
                "cidr": one.get("cidr"), "ip_version": one.get("ip_version"),
            }  # fmt: skip
            yield from _sample("neutron_network_ip_availabilities_total", labels, one.get("total_ips"))
            yield from _sample("neutron_network_ip_availabilities_used", labels, one.get("used_ips"))


def _idle_but_bound(answers: Answers) -> int:
    return sum(
        1
        for one in answers.list("neutron", "floatingips")
        if one.get("port_id") and one.get("status") != "ACTIVE"
    )


def _balancers_down(answers: Answers) -> int:
    return sum(
        1
        for one in answers.list("neutron", "ports")
        if str(one.get("device_owner")).startswith("neutron:LOADBALANCERV2") and one.get("status") != "ACTIVE"
    )


def _glance(answers: Answers) -> Iterator[Sample]:
    yield from _count(answers, "glance", "images", "images")
    for one in answers.list("glance", "images"):
        labels = {**_pick(one, "id", "name"), "tenant_id": one.get("owner")}
        yield from _sample("glance_image_bytes", labels, one.get("size"))


def _cinder(answers: Answers) -> Iterator[Sample]:
    yield from _count(answers, "cinder", "volumes", "volumes")
    yield from _count(answers, "cinder", "snapshots", "snapshots")
    counts = dict.fromkeys(statuses.VOLUME, 0)
    for one in answers.list("cinder", "volumes"):
        attached = next((held.get("server_id") for held in items(one.get("attachments"))), None)
        labels = {
            **_pick(one, "id", "name", "status", "bootable", "volume_type", "user_id"), "server_id": attached,
            "tenant_id": one.get("os-vol-tenant-attr:tenant_id"),
        }  # fmt: skip
        yield from _sample("cinder_volume_gb", labels, one.get("size"))
        del labels["user_id"]
        yield (
            "cinder_volume_status",
            {**labels, "size": one.get("size")},
            statuses.number(statuses.VOLUME, one.get("status")),
        )
        if isinstance(one.get("status"), str) and one["status"] in counts:
            counts[one["status"]] += 1
    if answers.has("cinder", "volumes"):
        for status, count in counts.items():
            yield "cinder_volume_status_counter", {"status": status}, float(count)
    for one in answers.list("cinder", "services"):
        labels = {
            "hostname": one.get("host"), "service": one.get("binary"), "adminState": one.get("status"),
            "zone": one.get("zone"), "disabledReason": one.get("disabled_reason"),
        }  # fmt: skip
        yield "cinder_agent_state", labels, float(one.get("state") == "up")
    for one in answers.list("cinder", "pools"):
        able = _within(one.get("capabilities"))
        labels = {
            "name": one.get("name"), "volume_backend_name": able.get("volume_backend_name"),
            "vendor_name": able.get("vendor_name"),
        }  # fmt: skip
        yield from _sample("cinder_pool_capacity_free_gb", labels, able.get("free_capacity_gb"))
        yield from _sample("cinder_pool_capacity_total_gb", labels, able.get("total_capacity_gb"))
    names = {one["id"]: one.get("name") for one in answers.things("identity", "projects")}
    for project, body in answers.each("cinder", "quotas").items():
        quota = _within(_within(body.get("quota_set")).get("gigabytes"))
        labels = {"tenant": names.get(project), "tenant_id": project}
        yield from _sample("cinder_limits_volume_max_gb", labels, quota.get("limit"))
        yield from _sample("cinder_limits_volume_used_gb", labels, quota.get("in_use"))


def _placement(answers: Answers) -> Iterator[Sample]:
    for provider in answers.list("placement", "providers"):
        uuid, host = str(provider.get("uuid")), provider.get("name")
        inventories = _within(answers.each("placement", "inventories").get(uuid, {}).get("inventories"))
        for kind, one in inventories.items():
            labels = {"hostname": host, "resourcetype": kind}
            for name in ("total", "reserved", "allocation_ratio"):
                yield from _sample(f"placement_resource_{name}", labels, _within(one).get(name))
        for kind, used in _within(answers.each("placement", "usages").get(uuid, {}).get("usages")).items():
            yield from _sample("placement_resource_usage", {"hostname": host, "resourcetype": kind}, used)


def _loadbalancer(answers: Answers) -> Iterator[Sample]:
    for name in ("loadbalancers", "amphorae", "pools"):
        yield from _count(answers, "loadbalancer", name, f"total_{name}")
    for one in answers.list("loadbalancer", "loadbalancers"):
        owner = _pick(one, "id", "name", "project_id")
        labels = {**owner, **_pick(one, "operating_status", "provisioning_status", "provider", "vip_address")}
        value = statuses.number(statuses.LOADBALANCER, one.get("operating_status"))
        yield "loadbalancer_loadbalancer_status", labels, value
        stats = _within(answers.each("loadbalancer", "stats").get(str(one.get("id")), {}).get("stats"))
        for name in ("active_connections", "bytes_in", "bytes_out", "request_errors", "total_connections"):
            yield from _sample(f"loadbalancer_loadbalancer_{name}", owner, stats.get(name))
    for one in answers.list("loadbalancer", "amphorae"):
        labels = {
            **_pick(one, "id", "loadbalancer_id", "compute_id", "status", "role", "lb_network_ip", "ha_ip"),
            "cert_expiration": one.get("cert_expiration"),
        }  # fmt: skip
        yield "loadbalancer_amphora_status", labels, statuses.number(statuses.AMPHORA, one.get("status"))
    for one in answers.list("loadbalancer", "pools"):
        labels = {
            **_pick(one, "id", "name", "provisioning_status", "operating_status", "protocol", "project_id"),
            "lb_algorithm": one.get("lb_algorithm"),
            "loadbalancers": ",".join(str(b.get("id")) for b in items(one.get("loadbalancers"))),
        }  # fmt: skip
        yield (
            "loadbalancer_pool_status",
            labels,
            statuses.number(statuses.POOL, one.get("provisioning_status")),
        )


def _heat(answers: Answers) -> Iterator[Sample]:
    counts = dict.fromkeys(statuses.STACK, 0)
    for one in answers.list("heat", "stacks"):
        status = one.get("stack_status")
        labels = {
            "id": one.get("id"),
            "name": one.get("stack_name"),
            "project_id": one.get("project"),
            "status": status,
        }
        yield "heat_stack_status", labels, statuses.number(statuses.STACK, status)
        if isinstance(status, str) and status in counts:
            counts[status] += 1
    if answers.has("heat", "stacks"):
        for name, count in counts.items():
            yield "heat_stack_status_counter", {"status": name}, float(count)


MAKERS: dict[str, Callable[[Answers], Iterator[Sample]]] = {
    "identity": _identity,
    "nova": _nova,
    "neutron": _neutron,
    "glance": _glance,
    "cinder": _cinder,
    "placement": _placement,
    "loadbalancer": _loadbalancer,
    "heat": _heat,
}
