"""Parsing: what a text says, on cases, on oslo.log's own ground truth, on real samples, and on anything at all."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers import data
from weatherglass.base.time import parse_iso
from weatherglass.engine.protocols import RawEvent
from weatherglass.logs.formats import FORMATS
from weatherglass.logs.formats.stamps import iso_ns
from weatherglass.logs.framing import Framer
from weatherglass.logs.parse import Parser, parse_batch, parse_event, parse_text
from weatherglass.logs.reading import FIELDS, LEVELS

HERE = Path(__file__).parent
CASES = [
    {**case, "family": path.stem}
    for path in sorted((HERE / "cases" / "parse").glob("*.json"))
    for case in json.loads(path.read_text())
]
TEXTS = [case["text"] for case in CASES]
SEEN = parse_iso("2026-11-22T10:02:00Z")
OURS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['family']}-{case['name']}")
def test_case(case: dict) -> None:
    got, want = parse_text(case["text"], SEEN), case["event"]
    assert {**got._asdict(), "fields": dict(got.fields)} == {
        "time_ns": iso_ns(want["time"]) if want["time"] else 0,
        **{name: want[name] for name in ("level", "logger", "message", "format", "fields")},
    }


def test_every_format_has_cases_and_is_documented() -> None:
    doc = (HERE.parents[1] / "docs" / "log-formats.md").read_text()
    seen = {case["event"]["format"] for case in CASES}
    # Those four are other ways to write `header`, `oslo` and `access`.
    for name in {one.name for one in FORMATS} - {"basic", "devstack", "labelled", "uwsgi"}:
        assert name in seen, f"no case of {name}"
        assert f"`{name}`" in doc, f"docs/log-formats.md does not tell of {name}"
    for name in FIELDS:
        assert f"`{name}`" in doc, f"docs/log-formats.md does not tell of the field {name}"


# --- anything at all -------------------------------------------------------------------------------------


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Any text, and any real one with a piece cut out, another put in, or two of them run together."""
    text = draw(st.text(max_size=300) | st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        piece = draw(st.text(max_size=20) | st.sampled_from(TEXTS))
        text = text[:at] + piece + text[at + draw(st.integers(0, 40)) :]
    return text


@given(mutated())
def test_anything_is_an_event(text: str) -> None:
    read = parse_text(text, SEEN)
    assert read.format
    assert isinstance(read.message, str)
    json.dumps(dict(read.fields), allow_nan=False)
    event = parse_event(RawEvent(SEEN, (), text))
    assert event.raw == text
    assert event.time_ns > 0
    assert set(event.fields) <= set(FIELDS)
    assert all(isinstance(value, str) for value in event.fields.values())


@given(st.lists(mutated(), max_size=12), st.integers(0, 5))
def test_a_batch_says_what_its_events_say_one_by_one(texts: list[str], repeat: int) -> None:
    """Whatever came before in the same batch or in those before it: what a Parser remembers changes no answer."""
    parser = Parser()
    texts = texts * (1 + repeat)
    labels = [(("source", f"/var/log/{number % 3}"),) for number in range(len(texts))]
    events = [RawEvent(SEEN, label, text) for label, text in zip(labels, texts, strict=True)]
    for _ in range(2):
        batch = parser.parse(events)
        assert len(batch) == len(events)
        for number, text in enumerate(texts):
            one = parse_text(text, SEEN)
            at = one.time_ns if 0 < one.time_ns < 1 << 62 else SEEN
            assert (
                batch.time_ns[number],
                batch.level[number],
                batch.logger[number],
                batch.message[number],
                batch.format[number],
                batch.fields[number] or {},
                batch.raw[number],
            ) == (at, one.level, one.logger, one.message, one.format, one.fields, text)


OSLO = re.compile(r"\d{4}-\d\d")
MUTABLE = [text for text in TEXTS if OSLO.match(text)]


@given(
    st.sampled_from(MUTABLE),
    st.integers(0, 200),
    st.sampled_from(list(" []\n\r\t-.:0aZ\x0b\u00a0\u0661")),
    st.booleans(),
)
def test_the_quick_reader_and_the_grammar_agree(text: str, at: int, put: str, over: bool) -> None:
    """One character changed or put into a real line: the quick reader takes it as the grammar does, or not at all."""
    changed = text[:at] + put + text[at + over :]
    batch = parse_batch([RawEvent(SEEN, (), one) for one in (text, changed, text, changed)])
    for number, one in enumerate((text, changed, text, changed)):
        read = parse_text(one, SEEN)
        assert (
            batch.message[number],
            batch.level[number],
            batch.logger[number],
            batch.fields[number] or {},
        ) == (
            read.message,
            read.level,
            read.logger,
            read.fields,
        )


SPITEFUL = [
    "{piece}" * 1,
    "2026-11-22 10:01:02.123 77 INFO nova.api [{piece}",
    "2026-11-22 10:01:02.123 77 DEBUG nova.api [-] {piece}",
    "2026-11-22 10:01:02,123 INFO [{piece}",
    "[2026-11-22 10:01:02] {piece}",
    '10.0.0.7 - - [22/Nov/2026:10:01:02 +0000] "GET {piece}',
    '10.0.0.7 - - [22/Nov/2026:10:01:02 +0000] "{piece}" 200 1 "',
    "10.0.1.2:33317 [22/Nov/2026:10:01:02.655] {piece}",
    '<34>1 2026-11-22T10:01:02.003Z h a - - [x a="{piece}',
    "<34>Nov 22 10:01:02 {piece}",
    "time=1 level=info {piece}",
    'level=info msg="{piece}',
    '{{"level":"info","msg":"{piece}',
    "__CURSOR=1\n{piece}",
    "Traceback (most recent call last):\n{piece}",
    "- 1117838570 2005.06.03 {piece}",
    "2026-11-22 10:01:02.123456+00:00 [info] <0.5.0> {piece}",
]


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "[",
        "]",
        '"',
        "\\",
        "a=b ",
        "a.",
        "[a]",
        "{",
        "a: ",
        "\n",
        "- ",
        "1",
        "/",
        "a/",
        '\\"',
        "::",
        "|",
        "\u0661",
    ],
)
def test_a_long_line_takes_no_longer_than_its_length(piece: str) -> None:
    """A megabyte after any beginning: under 50 ms each (CPU; the middle of three, as the machine is shared)."""
    for head in SPITEFUL:
        text = head.format(piece=piece * ((1 << 20) // len(piece)))
        took = []
        for _ in range(3):
            begin = time.process_time()
            parse_text(text, SEEN)
            took.append(time.process_time() - begin)
            if took[-1] < 0.05:
                break
        assert min(took) < 0.05, (head, piece, took)


# --- ground truth ----------------------------------------------------------------------------------------


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
    seen = {"traceback": 0, "instance": 0, "global": 0, "multi-line": 0, "place": 0, "request": 0}
    for raw, want in zip(events, truth, strict=True):
        got = parse_text(raw, SEEN)
        assert got.message == want["message"]
        assert (got.level, got.logger, got.fields["pid"]) == (
            want["levelname"],
            want["name"],
            want["process"],
        )
        assert abs(got.time_ns / 1e9 - want["created"]) < 0.001001
        context = want["context"]
        if "[-]" not in raw.split("\n")[0]:
            for name in ("request_id", "global_request_id", "system_scope", "user_domain", "project_domain"):
                assert got.fields.get(name) == context.get(name), name
            assert got.fields.get("user") == context["user"]
            assert got.fields.get("project") == context["project"]
        assert got.fields.get("instance") == want["extra"].get("instance_uuid")
        if want["levelname"] == "DEBUG":
            place = (got.fields["code_func"], got.fields["code_file"], got.fields["code_line"])
            assert place == (want["funcname"], want["pathname"], want["lineno"])
        if want["traceback"]:
            assert all(line in raw for line in want["traceback"])
            last = [line for line in want["traceback"] if line and not line.startswith((" ", "["))]
            assert str(got.fields["exception"]) in "\n".join(last)
            assert got.fields["exception"] == want["error_summary"].partition(":")[0].rstrip()
        parsed_json = parse_text(json.dumps(want), SEEN)
        assert parsed_json.format == "oslo-json"
        assert parsed_json.message == got.message
        for name in (
            "exception",
            "exception_message",
            "instance",
            "request_id",
            "user",
            "status",
            "duration",
        ):
            assert parsed_json.fields.get(name) == got.fields.get(name), name
        seen["traceback"] += bool(want["traceback"])
        seen["instance"] += "instance" in got.fields
        seen["global"] += "global_request_id" in got.fields
        seen["multi-line"] += "\n" in got.message
        seen["place"] += "code_line" in got.fields
        seen["request"] += "status" in got.fields
    assert min(seen.values()) > 50, seen


# What each system's columns are called, where it has them. Loghub splits Zookeeper's bracket at its colons; the
# component is what stands before the @.
SYSTEMS = {
    "Apache": {"level": "Level"},
    "BGL": {"level": "Level", "logger": "Component", "node": "Node"},
    "HDFS": {"level": "Level", "logger": "Component", "pid": "Pid"},
    "Hadoop": {"level": "Level", "logger": "Component", "thread": "Process"},
    "Linux": {"logger": "Component", "pid": "PID"},
    "OpenSSH": {"host": "Component", "pid": "Pid"},
    "OpenStack": {"level": "Level", "logger": "Component", "pid": "Pid", "label": "Logrecord"},
    "Zookeeper": {"level": "Level", "logger": "Component", "code_line": "Id"},
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_real_lines_of_loghub(system: str) -> None:
    """2,000 lines each: every line its event, its message the labelled content, level and component as labelled."""
    folder = data("loghub", system)
    with (folder / f"{system}_2k.log_structured.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    events = frame((folder / f"{system}_2k.log").read_text())
    assert len(events) == len(rows) == 2000
    wrong = []
    for text, row in zip(events, rows, strict=True):
        read = parse_text(text, SEEN)
        message = read.message
        if system == "OpenStack" and "instance" in read.fields:
            message = (
                f"[instance: {read.fields['instance']}] {message}"  # oslo.log's own prefix, a field of ours
            )
        assert message.strip() == row["Content"].strip()
        assert read.time_ns > 0
        for name, column in SYSTEMS[system].items():
            want = row[column].removesuffix(".0") if column == "PID" else row[column]
            if system == "Zookeeper" and name == "logger":
                want = want.rpartition(":")[2]
            if name == "level":
                want = LEVELS[want.upper()]
            got = {"level": read.level, "logger": read.logger}.get(name, read.fields.get(name, ""))
            if str(got) != want:
                wrong.append((name, got, want))
    # Of Linux one component, `-- root`.
    assert len(wrong) <= (system == "Linux"), wrong[:5]


def test_a_source_with_every_format_mixed_stays_right() -> None:
    """All cases as one source, in turns: each event what it is alone."""
    events = [RawEvent(SEEN, (("source", "/x"),), text) for text in TEXTS[::2] + TEXTS[1::2] + TEXTS]
    batch = parse_batch(events)
    assert batch.format == [parse_text(event.text, SEEN).format for event in events]
    assert {one for one in batch.level if one} <= OURS
    assert batch.plain == batch.formats["plain"] > 0
