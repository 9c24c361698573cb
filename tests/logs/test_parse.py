"""Parsing: what a text says, on cases, on oslo.log's own ground truth, on real samples, and on anything at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.time import parse_iso
from weatherglass.engine.protocols import RawEvent
from weatherglass.logs.framing import Framer
from weatherglass.logs.parse import parse_event, parse_text
from weatherglass.logs.reading import FIELDS, LEVELS

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases" / "parse.json").read_text())
LOGHUB = Path(__file__).parents[3] / "shared" / "data" / "loghub"
SEEN = parse_iso("2026-11-22T10:02:00Z")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict) -> None:
    event = parse_event(RawEvent(SEEN, (), case["text"]))
    got = {
        "time": event.time_ns,
        "level": event.level,
        "logger": event.logger,
        "message": event.message,
        "fields": dict(event.fields),
    }
    want = dict(case["event"])
    want["time"] = parse_iso(want["time"]) if want["time"] else SEEN
    assert got == want
    assert event.raw == case["text"]


@given(st.text(max_size=300) | st.sampled_from([case["text"] for case in CASES]), st.data())
def test_anything_is_an_event(text: str, data: st.DataObject) -> None:
    """Any text, and any real one with a piece cut out and another put in."""
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.text(max_size=20)) + text[at + data.draw(st.integers(0, 40)) :]
    event = parse_event(RawEvent(SEEN, (), text))
    assert event.raw == text
    assert event.time_ns > 0
    assert set(event.fields) <= set(FIELDS)
    assert all(isinstance(value, str) and value for value in event.fields.values())
    assert event.fields["format"] == "oslo-json" or event.message in text


def frame(text: str) -> list[str]:
    framer = Framer()
    return [event.text for event in framer.feed(text, SEEN) + framer.flush(SEEN, 0)]


def oslo_truth(folder: Path, events: int, seed: int) -> tuple[str, list[dict]]:
    """oslo.log's text of `events` records and its own JSON of each; skips where it is not installed."""
    probe = subprocess.run(["/usr/bin/python3", "-c", "import oslo_log"], capture_output=True, timeout=30)
    if probe.returncode != 0:
        pytest.skip("no oslo.log for /usr/bin/python3 (Debian: python3-oslo.log)")
    command = ["/usr/bin/python3", str(HERE / "emit_oslo.py"), str(folder), str(events), str(seed)]
    subprocess.run(command, check=True, timeout=60)
    truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    return (folder / "text.log").read_text(), truth


def test_oslo_log_against_its_own_json(tmp_path: Path) -> None:
    """Every event of oslo.log's text form: its bounds, its fields and its exception, as its JSON form has them."""
    text, truth = oslo_truth(tmp_path, 1500, 7)
    events = frame(text)
    assert len(events) == len(truth) == 1500
    seen = {"traceback": 0, "instance": 0, "global": 0, "multi-line": 0}
    for raw, want in zip(events, truth, strict=True):
        got = parse_text(raw, SEEN)
        said = want["message"]
        if want["error_summary"]:
            said += f": {want['error_summary']}"
        elif want["levelname"] == "DEBUG":
            said += f" {want['funcname']} {want['pathname']}:{want['lineno']}"
        assert got.message == said
        assert (got.level, got.logger, got.fields["pid"]) == (
            want["levelname"],
            want["name"],
            str(want["process"]),
        )
        assert abs(got.time_ns / 1e9 - want["created"]) < 0.001001
        context = want["context"]
        if "[-]" not in raw.split("\n")[0]:
            for name in ("request_id", "global_request_id", "system_scope", "user_domain", "project_domain"):
                assert got.fields.get(name) == context.get(name), name
            assert got.fields.get("user") == context["user"]
            assert got.fields.get("project") == context["project"]
        assert got.fields.get("instance") == want["extra"].get("instance_uuid")
        if want["traceback"]:
            assert all(line in raw for line in want["traceback"])
            last = [line for line in want["traceback"] if line and not line.startswith((" ", "["))]
            assert got.fields["exception"] in "\n".join(last)
            assert got.fields["exception"] == want["error_summary"].partition(":")[0].rstrip()
        parsed_json = parse_text(json.dumps(want), SEEN)
        assert parsed_json.fields["format"] == "oslo-json"
        assert parsed_json.fields.get("exception") == got.fields.get("exception")
        assert parsed_json.fields.get("exception_message") == got.fields.get("exception_message")
        seen["traceback"] += bool(want["traceback"])
        seen["instance"] += "instance" in got.fields
        seen["global"] += "global_request_id" in got.fields
        seen["multi-line"] += "\n" in got.message
    assert min(seen.values()) > 50, seen


def test_openstack_sample_of_loghub() -> None:
    """2,000 real lines (after the file name that Loghub puts before each): none left over, fields as labelled."""
    sample = LOGHUB / "OpenStack" / "OpenStack_2k.log"
    if not sample.exists():
        pytest.skip(f"no {sample}")
    lines = [line.partition(" ")[2] for line in sample.read_text().splitlines(keepends=True)]
    events = frame("".join(lines))
    assert len(events) == len(lines)
    parsed = [parse_text(text, SEEN) for text in events]
    assert {one.fields["format"] for one in parsed} == {"oslo"}
    assert all(one.level in LEVELS and one.logger.startswith("nova.") for one in parsed)
    assert sum("instance" in one.fields for one in parsed) > 500
    assert sum("request_id" in one.fields for one in parsed) > 1000
    assert sum("project" in one.fields for one in parsed) > 900
