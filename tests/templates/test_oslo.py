"""oslo.log's own ground truth: its text read back, against the `msg` of the same records in JSON."""

import json
import subprocess
from pathlib import Path

import pytest

from peers import program
from templates.measure import scores, template_of
from weatherglass.house.logfiles import Told, events

SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """15,000 calls of 300 places in Debian's nova, neutron, glance, keystone and placement."""
    program("nova-compute", "nova-compute")
    folder = tmp_path_factory.mktemp("oslo")
    command = [SYSTEM_PYTHON, Path(__file__).with_name("oslo_corpus.py"), folder, "300", "15000", "1"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def test_templates_are_the_formats(corpus):
    truth = [json.loads(line) for line in (corpus / "truth.jsonl").read_text().splitlines()]
    read = list(events([corpus / "text.log"], Told()))
    assert [one["fields"]["message"].rstrip() for one in read] == [one["message"].rstrip() for one in truth]
    true = [template_of(one["msg"], formatted=bool(one["args"])).rstrip() for one in truth]
    found = scores(true, [one["template_id"] for one in read], [one["template"] for one in read])
    assert found.ga >= 0.99
    assert found.fta >= 0.90
