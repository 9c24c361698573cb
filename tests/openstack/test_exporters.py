"""Debian's exporters of a cloud, scraped by our scraper."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scrape.exporter import within
from scrape.test_scraper import RecordingSink

from openstack.cloud import _listens, free_ports, wait
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
