"""The fixture `openstack`: one real cloud for the whole run, brought up when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openstack.cloud import Cloud
from openstack.driver import Driver
from peers import program

NEEDS = {
    "mariadbd": "mariadb-server",
    "rabbitmqctl": "rabbitmq-server",
    "uwsgi_python3": "uwsgi-plugin-python3",
    "keystone-manage": "keystone",
    "glance-api": "glance-api",
    "placement-api": "placement-api",
    "neutron-server": "neutron-server",
    "nova-api": "nova-api",
    "nova-compute": "nova-compute",
    "nova-conductor": "nova-conductor",
    "nova-scheduler": "nova-scheduler",
    "cinder-api": "cinder-api",
    "cinder-scheduler": "cinder-scheduler",
    "cinder-volume": "cinder-volume",
}


@pytest.fixture(scope="session")
def openstack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The administrator of a running cloud (`.cloud` has its processes, logs and clouds.yaml), furnished so that
    `create_server` works. Who breaks something mends it again, for the tests that come after."""
    for name, package in NEEDS.items():
        program(name, package)
    cloud = Cloud(tmp_path_factory.mktemp("openstack"), request.config.cache.mkdir("openstack"))
    cloud.up(lambda up: Driver(up).catalogue())
    try:
        driver = Driver(cloud)
        driver.ready()
        driver.furnish()
        yield driver
    finally:
        cloud.down()
