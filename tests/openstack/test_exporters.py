"""Debian's exporters of a cloud, scraped by our scraper."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scrape.exporter import within
from scrape.test_scraper import RecordingSink

from openstack import configs
from openstack.cloud import _listens, free_ports, wait
from openstack.driver import Driver
from peers import program
from weatherglass.base.time import SystemClock
from weatherglass.metrics.scrape.job import configured
from weatherglass.metrics.scrape.scraper import Scraper


@contextmanager
def libvirt_exporter(uri: str) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [
        program("prometheus-libvirt-exporter"),
        f"--web.listen-address=127.0.0.1:{port}",
        f"--libvirt.uri={uri}",
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait(lambda: _listens(port), 20, "the exporter")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@contextmanager
def scraping(sink: RecordingSink, address: str) -> Iterator[None]:
    job = {
        "job_name": "libvirt",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [address]}],
    }
    scraper = Scraper(sink, SystemClock())
    scraper.start()
    scraper.configure([configured(job, "site.yaml:1", list)])
    try:
        yield
    finally:
        scraper.stop()


def test_libvirts_own_test_driver_is_scraped(sink: RecordingSink) -> None:
    """`test:///default` is libvirt's driver without a daemon: one domain, `test`, that runs."""
    with libvirt_exporter("test:///default") as address, scraping(sink, address):
        within(10, lambda: len(sink.of("up", job="libvirt")) >= 2)
    assert {value for _, value in sink.of("up", job="libvirt")} == {1.0}
    assert sink.of("libvirt_up")[-1][1] == 1.0
    assert sink.of("libvirt_domain_info_maximum_memory_bytes", domain="test")[-1][1] == 8 << 30
    assert sink.of("libvirt_domain_info_virtual_cpus", domain="test")[-1][1] == 2


def test_without_libvirt_the_exporter_says_so_itself(sink: RecordingSink) -> None:
    """No libvirtd runs here: the target answers (`up` 1), and says `libvirt_up` 0."""
    with libvirt_exporter("qemu+unix:///system?socket=/nowhere") as address, scraping(sink, address):
        within(10, lambda: len(sink.of("up", job="libvirt")) >= 1)
    assert sink.of("libvirt_up")[-1][1] == 0.0


MENDS = {
    "from cinderclient.v2 import": "from cinderclient.v3 import",
    "import swift.common.utils\n": "",
    "from swift.common.ring.ring import Ring\n": "",
    "output = ''\n": "output = b''\n",
    "self.wfile.write(traceback.format_exc())": "self.wfile.write(traceback.format_exc().encode())",
}
"""What lib2to3 leaves to do: bytes, a client that is gone, and Swift, which is not asked here."""


def test_debians_openstack_exporter_once_it_is_python_3(
    openstack: Driver, sink: RecordingSink, tmp_path: Path
) -> None:
    """Debian 12 ships it (0.1.4) in Python 2 for Python 3: as it is, it does not start. A mended copy is scraped."""
    shipped = program("prometheus-openstack-exporter")
    refused = subprocess.run([shipped, "--help"], capture_output=True, text=True, timeout=60, check=False)
    if refused.returncode:
        assert "No module named 'urlparse'" in refused.stderr
    script = tmp_path / "exporter.py"
    script.write_text(Path(shipped).read_text())
    translate = ["/usr/bin/python3", "-W", "ignore", "-m", "lib2to3", "-w", "-n", str(script)]
    subprocess.run(translate, capture_output=True, timeout=60, check=True)
    text = script.read_text()
    for before, after in MENDS.items():
        text = text.replace(before, after)
    script.write_text(text)
    (port,) = free_ports(1)
    (tmp_path / "exporter.yaml").write_text(
        f"listen_port: {port}\ncache_refresh_interval: 300\ncache_file: {tmp_path}/cache\ncloud: mine\nlog_level: DEBUG\n"
        "openstack_allocation_ratio_vcpu: 2.5\nopenstack_allocation_ratio_ram: 1.1\nopenstack_allocation_ratio_disk: 1.0\n"
        "enabled_collectors: [cinder, neutron, nova]\n"
    )
    environment = {
        **os.environ, "OS_IDENTITY_API_VERSION": "3", "OS_USERNAME": "admin", "OS_PASSWORD": configs.PASSWORD,
        "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_AUTH_URL": f"{openstack.cloud.url('keystone')}/v3",
    }  # fmt: skip
    server = openstack.create_server("exported")
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["/usr/bin/python3", str(script), str(tmp_path / "exporter.yaml")],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
        )  # fmt: skip
    try:
        wait((tmp_path / "cache").exists, 60, log.read_text)
        with scraping(sink, f"127.0.0.1:{port}"):
            wait(lambda: 1.0 in [value for _, value in sink.of("up", job="libvirt")], 20, log.read_text)
        assert sink.of("hypervisor_vcpus_total", cloud="mine", hypervisor_hostname="fake1")[-1][1] == 1000
        assert sink.of("nova_instances", cloud="mine", instance_state="ACTIVE", tenant="admin")[-1][1] >= 1
    finally:
        process.terminate()
        process.wait(10)
        openstack.delete_server(server)
