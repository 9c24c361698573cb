"""A real cloud watched: nothing but reads leaves the house, what is there is on the graph, one fault blinds no other."""

from __future__ import annotations

import pytest

from openstack.cloud import wait
from openstack.conftest import Watching
from openstack.driver import Driver
from weatherglass.metrics.openstack.client import Client


@pytest.fixture(scope="module")
def things(openstack: Driver, watching: Watching) -> dict[str, str]:
    """A server with an address outside, one in error, a volume: there before the cloud is adopted."""
    found = {
        "server": openstack.create_server("vm1"),
        "failed": openstack.create_server("too-large", flavor="huge"),
        "volume": openstack.create_volume("data"),
    }
    openstack.floating_ip(found["server"])
    told = watching.http.post(
        "/api/v1/openstack/clouds", json={"name": "real", "entry": watching.entry, "every_s": 2}
    )
    assert told.status_code == 201, told.text
    assert told.json()["failed"] == {} and told.json()["denied"] == {}
    return found


def test_only_reads_and_log_ins_leave_the_house(watching: Watching, things: dict[str, str]) -> None:
    asked = list(watching.recorder.asked)
    assert {one.service for one in asked} == set(watching.recorder.ports)
    assert {(one.method, one.path) for one in asked if one.method != "GET"} == {("POST", "/v3/auth/tokens")}


def test_what_is_there_becomes_entities_that_hang_together(
    watching: Watching, things: dict[str, str]
) -> None:
    graph = watching.house.inventory.graph()
    entity = {
        name: watching.get(f"/api/v1/openstack/resources/{id}")["entity"] for name, id in things.items()
    }
    assert entity["server"] == f"server/vm1.{things['server'][:8]}"
    edges = {(edge.source, edge.relation, edge.target) for edge in graph.edges if edge.known_from == "seen"}
    assert (entity["server"], "runs_on", "hypervisor/fake1") in edges
    assert (entity["server"], "member_of", "tenant/admin") in edges
    assert ("hypervisor/fake1", "runs_on", "host/fake1") in edges
    assert ("replica/nova-compute@fake1", "part_of", "service/nova") in edges
    assert (entity["volume"], "served_by", "replica/cinder-volume@vol1:fakes") in edges
    kinds = {one.partition("/")[0] for one in graph.entities}
    assert {
        "network",
        "router",
        "tenant",
        "service",
        "host",
        "hypervisor",
        "volume",
        "server",
        "replica",
    } <= kinds
    (router,) = [one for one in graph.entities if one.startswith("router/r1.")]
    (inside,) = [one for one in graph.entities if one.startswith("network/net1.")]
    assert (inside, "served_by", router) in edges
    assert (entity["server"], "attached_to", inside) in edges


def test_states_are_what_the_cloud_says(watching: Watching, things: dict[str, str]) -> None:
    state = watching.house.inventory.state
    failed = watching.get(f"/api/v1/openstack/resources/{things['failed']}")["entity"]
    assert state("service/nova").state == "healthy"
    assert state("hypervisor/fake1").state == "healthy"
    assert state(failed).state == "dead"
    assert state(failed).evidence[0].text.startswith("nova says ERROR")


def test_samples_have_the_exporters_names(watching: Watching, things: dict[str, str]) -> None:
    assert watching.value(f'openstack_nova_server_status{{id="{things["server"]}"}}') == 0
    assert watching.value(f'openstack_nova_server_status{{id="{things["failed"]}"}}') == 4
    assert watching.value('openstack_nova_agent_state{service="nova-compute",hostname="fake1"}') == 1
    assert watching.value('openstack_nova_running_vms{hostname="fake1"}') >= 1
    assert watching.value('openstack_nova_vcpus_available{hostname="fake1"}') == 1000
    assert watching.value('openstack_neutron_agent_state{service="neutron-l3-agent"}') == 1
    assert watching.value('openstack_cinder_volume_gb{name="data"}') == 1
    assert watching.value('openstack_nova_limits_instances_used{tenant="admin"}') >= 1
    assert watching.value('openstack_placement_resource_total{hostname="fake1",resourcetype="VCPU"}') == 1000
    assert watching.value("openstack_identity_projects") == 3
    for service in ("identity", "nova", "neutron", "glance", "cinder", "placement"):
        assert watching.value(f"openstack_{service}_up") == 1, service
    assert watching.value('up{job="openstack",instance="real"}') == 1


def test_pages_show_it(watching: Watching, things: dict[str, str]) -> None:
    entity = watching.get(f"/api/v1/openstack/resources/{things['server']}")["entity"]
    page = watching.http.get(f"/e/{entity}")
    assert page.status_code == 200 and "fake1" in page.text
    assert "vm1" in watching.http.get("/search", params={"q": "vm1"}).text
    assert watching.http.get("/map").status_code == 200


def test_gnocchis_resource_is_the_same_entity(watching: Watching, things: dict[str, str]) -> None:
    room = watching.house.gnocchi
    caller = room.caller(creator="ceilometer", roles=frozenset({"admin"}), tenant="site")
    room.resources.create(caller, "generic", {"id": things["server"], "project_id": None})
    watching.house.openstack.poll("real")
    entity = watching.get(f"/api/v1/openstack/resources/{things['server']}")["entity"]
    assert watching.house.inventory.entity(entity).attributes["gnocchi"] == {
        "id": things["server"], "type": "generic",
    }  # fmt: skip


@pytest.mark.parametrize("status", [503, 500, 404])
def test_one_service_down_blinds_no_other(watching: Watching, things: dict[str, str], status: int) -> None:
    before = len(watching.house.inventory.graph().entities)
    watching.recorder.down["nova"] = status
    try:
        told = watching.house.openstack.poll("real")
        assert set(told.failed) == {"nova"}
        assert watching.value("openstack_nova_up") == 0 and watching.value("openstack_neutron_up") == 1
        assert watching.query("openstack_nova_total_vms") == []  # stale, not repeated
        assert len(watching.house.inventory.graph().entities) == before
        assert watching.house.inventory.state("service/nova").state == "dead"
        assert watching.house.inventory.state("hypervisor/fake1").state == "unknown"
        assert watching.house.inventory.state("replica/neutron-l3-agent@net1").state == "healthy"
    finally:
        del watching.recorder.down["nova"]
    assert watching.house.openstack.poll("real").failed == {}
    assert watching.house.inventory.state("hypervisor/fake1").state == "healthy"


def test_keystone_down_is_said_and_forgets_nothing(watching: Watching, things: dict[str, str]) -> None:
    before = len(watching.house.inventory.graph().entities)
    watching.recorder.down["keystone"] = 503
    watching.house.openstack._watched["real"].client._session = None  # as after the token's end
    try:
        assert "Keystone" in watching.house.openstack.poll("real").error
        assert watching.value('up{job="openstack"}') == 0
        assert watching.house.inventory.state("service/keystone").state == "dead"
        assert watching.house.inventory.state("service/nova").state == "unknown"
        assert len(watching.house.inventory.graph().entities) == before
    finally:
        del watching.recorder.down["keystone"]
    assert watching.house.openstack.poll("real").error == ""


@pytest.mark.parametrize(
    ("service", "path", "key"),
    [
        ("neutron", "/networks", "networks"),
        ("neutron", "/ports", "ports"),
        ("nova", "/servers/detail", "servers"),
        ("glance", "/images", "images"),
    ],
)
def test_small_pages_come_to_the_same(
    watching: Watching, things: dict[str, str], service: str, path: str, key: str
) -> None:
    client = Client(watching.house.openstack.cloud("real"))
    try:
        whole = client.list(service, path, key)
        paged = client.list(service, path, key, {"limit": "1"})
    finally:
        client.close()
    assert whole and [one["id"] for one in paged] == [one["id"] for one in whole]


def test_a_service_that_hangs_is_waited_for_so_long_and_no_longer(
    watching: Watching, things: dict[str, str]
) -> None:
    watching.recorder.down["glance"] = 0
    try:
        told = watching.house.openstack.poll("real")
    finally:
        del watching.recorder.down["glance"]
    assert told.failed == {"glance": "it does not answer in time"} and told.seconds < 20
    assert watching.value("openstack_glance_up") == 0 and watching.value("openstack_nova_up") == 1


def test_a_token_that_was_revoked_is_renewed(
    watching: Watching, openstack: Driver, things: dict[str, str]
) -> None:
    client = watching.house.openstack._watched["real"].client
    old = client.session().token
    openstack.ask("DELETE", "keystone", "/v3/auth/tokens", **{"X-Subject-Token": old})
    assert watching.house.openstack.poll("real").failed == {}
    assert client.session().token != old


@pytest.mark.long
def test_it_is_kept_fresh(watching: Watching, openstack: Driver, things: dict[str, str]) -> None:
    graph = watching.house.inventory.graph
    late = openstack.create_server("latecomer")
    wait(lambda: any("latecomer" in one for one in graph().entities), 20, "the new server")
    openstack.delete_server(late)
    wait(lambda: not any("latecomer" in one for one in graph().entities), 20, "the end of the new server")
    assert any("latecomer" in change.before for change in watching.house.inventory.changes(0, 1 << 62))


@pytest.mark.long
def test_a_hypervisor_that_dies_is_dead(
    watching: Watching, openstack: Driver, things: dict[str, str]
) -> None:
    state = watching.house.inventory.state
    openstack.cloud.pause("nova-compute")
    openstack.silence(("neutron-l3-agent", "net1"))
    try:
        wait(lambda: state("replica/nova-compute@fake1").state == "dead", 40, "nova-compute is dead")
        assert state("hypervisor/fake1").state == "dead" and state("service/nova").state == "sick"
        wait(lambda: state("replica/neutron-l3-agent@net1").state == "dead", 40, "the L3 agent is dead")
    finally:
        openstack.cloud.resume("nova-compute")
        openstack.silence()
    wait(lambda: state("hypervisor/fake1").state == "healthy", 40, "it is well again")


def test_after_all_that_still_only_reads(watching: Watching, things: dict[str, str]) -> None:
    assert {(one.method, one.path) for one in watching.recorder.asked if one.method != "GET"} == {
        ("POST", "/v3/auth/tokens")
    }
