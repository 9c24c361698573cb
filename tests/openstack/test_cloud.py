"""The cloud that other tests use: that it is real, and that it can be driven and broken."""

from __future__ import annotations

import pytest

from openstack.cloud import wait
from openstack.driver import Driver


def test_servers_boot_fail_and_go(openstack: Driver) -> None:
    server = openstack.create_server("smoke")
    told = openstack.server(server)
    assert told["status"] == "ACTIVE" and told["OS-EXT-SRV-ATTR:host"] == "fake1"
    assert told["addresses"]["net1"][0]["addr"].startswith("10.7.0.")
    too_large = openstack.create_server("too-large", flavor="huge")
    assert openstack.server(too_large)["fault"]["message"].startswith("No valid host was found")
    volume = openstack.create_volume("smoke")
    for one in (server, too_large):
        openstack.delete_server(one)
    openstack.ask("DELETE", "cinder", f"/v3/{openstack.project_id}/volumes/{volume}")


def test_each_service_keeps_its_log(openstack: Driver) -> None:
    for service in ("keystone", "glance", "placement", "neutron", "nova-api", "nova-conductor", "nova-scheduler",
                    "nova-compute", "cinder-api", "cinder-scheduler", "cinder-volume"):  # fmt: skip
        assert openstack.cloud.log(service).stat().st_size > 0, service


@pytest.mark.long
def test_a_silent_agent_and_a_paused_hypervisor_are_noticed(openstack: Driver) -> None:
    agent, compute = ("neutron-l3-agent", "net1"), ("nova-compute", "fake1")
    openstack.silence(agent)
    openstack.cloud.pause("nova-compute")
    try:
        wait(lambda: openstack.agents()[agent] is False, 30, lambda: str(openstack.agents()))
        wait(lambda: openstack.services()[compute] == "down", 30, lambda: str(openstack.services()))
    finally:
        openstack.silence()
        openstack.cloud.resume("nova-compute")
    wait(lambda: openstack.agents()[agent], 30, lambda: str(openstack.agents()))
    wait(lambda: openstack.services()[compute] == "up", 30, lambda: str(openstack.services()))
