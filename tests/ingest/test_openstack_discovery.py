"""`openstack_sd_configs`: labels of answers as Nova gives them, and of a cloud that really runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openstack.driver import Driver

from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.discovery import openstack as discovery
from weatherglass.metrics.scrape.discovery.groups import merged
from weatherglass.metrics.scrape.job import configured

MAC, TYPE = "OS-EXT-IPS-MAC:mac_addr", "OS-EXT-IPS:type"
SERVER: dict[str, Any] = {
    "id": "s1", "name": "vm", "status": "ACTIVE", "tenant_id": "p1", "user_id": "u1", "image": "",
    "flavor": {"original_name": "m1"}, "metadata": {"a.b": "c"},
    "addresses": {
        "inside": [
            {"addr": "10.0.0.4", MAC: "fa:1", TYPE: "fixed"}, {"addr": "192.0.2.9", MAC: "fa:1", TYPE: "floating"},
            {"addr": "fd00::4", MAC: "fa:2", TYPE: "fixed"},
        ]
    },
}  # fmt: skip
FLOATING: list[dict[str, Any]] = [
    {"floating_ip_address": "192.0.2.9", "fixed_ip_address": "10.0.0.4", "port_details": {"device_id": "s1"}},
    {"floating_ip_address": "192.0.2.8", "fixed_ip_address": None, "project_id": "p1"},
    {"floating_ip_address": "192.0.2.7", "fixed_ip_address": "10.0.0.4", "port_details": {"device_id": "s2"}},
]


def test_a_target_a_private_address() -> None:
    one, two = discovery.instances([SERVER, {"id": "none"}], {}, discovery.leading(FLOATING), 9100)
    assert one["__address__"] == "10.0.0.4:9100" and two["__address__"] == "[fd00::4]:9100"
    assert {name.removeprefix("__meta_openstack_"): value for name, value in one.items()} == {
        "__address__": "10.0.0.4:9100", "instance_id": "s1", "instance_name": "vm", "instance_status": "ACTIVE",
        "instance_flavor": "m1", "instance_image": "", "project_id": "p1", "user_id": "u1", "tag_a_b": "c",
        "address_pool": "inside", "private_ip": "10.0.0.4", "public_ip": "192.0.2.9",
    }  # fmt: skip
    assert "__meta_openstack_public_ip" not in two


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"role": "loadbalancer", "clouds": "x"}, "role"),
        ({"role": "instance"}, "clouds"),
        ({"role": "instance", "clouds": "x", "password": "y"}, "password"),
        ({"role": "instance", "clouds": "x", "port": 0}, "port"),
        ({"role": "instance", "clouds": "x", "refresh_interval": "z"}, "refresh_interval"),
    ],
)
def test_what_is_refused(given: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as refused:
        configured({"job_name": "x", "openstack_sd_configs": [given]})
    assert f"openstack_sd_configs[0].{where}" in refused.value.problems[0].where


def test_a_cloud_that_does_not_answer_keeps_what_was_found(tmp_path: Path) -> None:
    clouds = tmp_path / "clouds.yaml"
    auth = "{auth_url: 'http://127.0.0.1:9/v3', username: a, password: b, project_name: c}"
    clouds.write_text(f"clouds: {{mine: {{auth: {auth}}}}}")
    finding = discovery.OpenStackDiscovery("instance", str(clouds)).look()
    assert not finding.groups and "Keystone does not answer" in finding.kept["instance"]
    before = {"instance": discovery.Group("instance", ({"__address__": "a:1"},))}
    assert merged(before, finding) == before
    missing = discovery.OpenStackDiscovery("instance", str(tmp_path / "none.yaml")).look()
    assert "none.yaml" in missing.kept["instance"]


def test_a_real_cloud(openstack: Driver, tmp_path: Path) -> None:
    server = openstack.create_server("found-by-discovery", metadata={"rack": "r7"})
    openstack.floating_ip(server)
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(openstack.cloud.clouds_yaml.read_text())
    job = configured(
        {
            "job_name": "vms",
            "openstack_sd_configs": [
                {"role": role, "clouds": str(clouds), "cloud": "admin", "all_tenants": True, "port": 9100}
                for role in ("instance", "hypervisor")
            ],
        }
    )
    (_, instances), (_, hypervisors) = job.discoveries
    finding = instances.look()
    assert not finding.kept
    (one,) = [
        labels for labels in finding.groups[0].targets if labels["__meta_openstack_instance_id"] == server
    ]
    assert one["__meta_openstack_instance_name"] == "found-by-discovery"
    assert one["__meta_openstack_instance_status"] == "ACTIVE" and one["__meta_openstack_tag_rack"] == "r7"
    assert (
        one["__meta_openstack_instance_flavor"] and one["__meta_openstack_project_id"] == openstack.project_id
    )
    assert one["__address__"] == f"{one['__meta_openstack_private_ip']}:9100"
    assert one["__meta_openstack_public_ip"] != one["__meta_openstack_private_ip"]
    found = hypervisors.look()
    assert not found.kept and found.groups[0].targets
    assert {labels["__meta_openstack_hypervisor_state"] for labels in found.groups[0].targets} <= {
        "up",
        "down",
    }
    assert all(labels["__meta_openstack_hypervisor_hostname"] for labels in found.groups[0].targets)
