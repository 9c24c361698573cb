"""docs/ingest.md: its examples run, and do what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from ingest.conftest import Door
from weatherglass.house.scraping import of_file
from weatherglass.metrics.scrape.discovery.kinds import KINDS
from weatherglass.metrics.scrape.statsd import read_address
from weatherglass.site.sections.statsd import SECTION

PAGE = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text()


def examples(kind: str) -> list[str]:
    return re.findall(rf"```\w+ {kind}\n(.*?)```", PAGE, re.S)


def test_the_jobs_are_taken(tmp_path: Path) -> None:
    (text,) = examples("scrape")
    path = tmp_path / "prometheus.yml"
    path.write_text(text)
    assert [(job.name, job.interval_s) for job in of_file(path)] == [("node", 15), ("ceph", 15), ("vms", 15)]
    assert [kind for kind in KINDS if f"`{kind}`" not in PAGE] == []


def test_the_listeners_are_taken() -> None:
    (text,) = examples("site")
    assert [read_address(one)[2] for one in yaml.safe_load(text)[SECTION.name]] == [8125, 8125]


@pytest.mark.parametrize("number", range(2))
def test_what_curl_sends_arrives(door: Door, number: int) -> None:
    script = examples("curl")[number].replace("http://127.0.0.1:9090", door.url)
    script = script.replace("curl -sf", f"curl -sf -H {shlex.quote(f'Authorization: Bearer {door.token}')}")
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    query, value = [
        ('http_requests_total{job="api"}', 17.0),
        ('oven_temperature{room="b12",db="lab"}', 451.5),
    ][number]
    assert list(door.query(query).values()) == [value]


def test_the_verb_is_there() -> None:
    from weatherglass.cli.metrics import cardinality

    (text,) = examples("verb")
    assert (
        text.split()[:3] == ["weatherglass", "metrics", "cardinality"]
        and cardinality.run.__annotations__["limit"]
    )
