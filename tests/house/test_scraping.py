"""The jobs a site comes to: what it declares, what its services expose, and what `check` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from weatherglass.base.errors import Invalid
from weatherglass.house.check import check
from weatherglass.house.scraping import jobs, targets
from weatherglass.metrics.scrape.job import target
from weatherglass.site import load

SITE = """
site: little
hosts: {one: {address: 127.0.0.1, roles: [all], zone: a}}
zones: {a: {}}
roles: {all: [web]}
services:
  web:
    command: [sleep, "1000"]
    metrics: [":9100/metrics", "127.0.0.2:9101"]
scrape:
  - job_name: edge
    scrape_interval: 30s
    sample_limit: 500
    honor_labels: true
    static_configs: [{targets: ["127.0.0.1:9999"], labels: {rack: "07"}}]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "site.yaml"
    file.write_text(text)
    return file


def test_services_endpoints_are_scraped_with_the_houses_labels(tmp_path: Path) -> None:
    site = load(write(tmp_path, SITE))
    assert [one["__address__"] for one in targets(site)] == ["127.0.0.1:9100", "127.0.0.2:9101"]
    edge, own = jobs(site, lambda: site)
    assert (edge.name, edge.interval_s, edge.sample_limit, edge.honor_labels) == ("edge", 30.0, 500, True)
    found = target(own, own.discoveries[0][1].look().groups[0].targets[0])
    assert found is not None
    assert found.url == "http://127.0.0.1:9100/metrics"
    labels = dict(found.labels)
    assert labels["service"] == "web" and labels["host"] == "one" and labels["zone"] == "a"
    assert labels["replica"] and labels["site"] == "little" and labels["job"] == "site"
    static = target(edge, edge.discoveries[0][1].look().groups[0].targets[0])
    assert static is not None and dict(static.labels)["rack"] == "07"


@pytest.mark.parametrize(
    ("old", "new", "words", "line"),
    [
        ("job_name: edge", "job_name: site", "two jobs site", ""),
        ("sample_limit: 500", "sample_limit: many", "no int", "site.yaml:11"),
        ("honor_labels: true", "oauth2: {}", "not spoken here", "site.yaml:11"),
        ("30s", "often", "not a duration", "site.yaml:11"),
    ],
)
def test_check_refuses_a_bad_job_with_its_place(
    tmp_path: Path, old: str, new: str, words: str, line: str
) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        check(write(tmp_path, SITE.replace(old, new)))
    assert line in refused.value.where
