"""oslo.log against itself: what its text form says of a record is what its JSON form says, event for event.

Any records that hypothesis thinks of: messages of several lines, tracebacks (chained, groups, SyntaxErrors, notes),
several processes in one file within one millisecond, read in pieces, across a rotation.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers import venv
from weatherglass.logs.framing import Framer
from weatherglass.logs.lines import Line, classify
from weatherglass.logs.parse import parse_text

UUIDS = st.uuids().map(str)
LINES = st.sampled_from(
    [
        *("", "  ", "plain words", "<domain type='kvm'>", "  <name>x</name>", "SELECT a, b", "\tindented"),
        *(
            '{"server": {"id": 1}}',
            "{",
            "}",
            "time=1",
            "Traceback (most recent call last):",
            '  File "a.py", line 1',
        ),
        *("[SQL: SELECT 1]", "[parameters: {}]", "[instance: x] y", "ValueError: not one", "Caused by: x"),
        *(
            "During handling of the above exception, another exception occurred:",
            "Exception in thread",
            "100 % of",
        ),
        *(
            "status: 200 len: 3",
            "ERROR in it",
            "req-1 words",
            "a\u2028b\x0bc\x85d",
            "\u00fcml\u00e4ut \U0001f300",
            "x" * 300,
        ),
    ]
) | st.text(st.characters(exclude_categories=["Cs", "Nd"], exclude_characters="\n\r"), max_size=40)
# The one limit: a raw line that is a whole head of another format (a time and what follows) begins an event.
HEADS = {Line.OSLO, Line.PREFIXED, Line.STAMP, Line.SYSLOG, Line.ALONE}
MESSAGES = st.lists(LINES.filter(lambda line: classify(line)[0] not in HEADS), min_size=1, max_size=4).map(
    "\n".join
)
RECORDS = st.fixed_dictionaries(
    {
        "logger": st.sampled_from(
            ["nova.compute.manager", "keystone", "oslo.messaging._drivers.impl_rabbit"]
        ),
        "level": st.sampled_from([10, 20, 30, 40, 50]),
        "message": MESSAGES,
        "pid": st.sampled_from([7, 8, 25746]),
        "at": st.sampled_from([1795341662.5, 1795341662.501, 1795341663.0]),
        "instance": st.just("") | UUIDS,
        "context": st.none()
        | st.fixed_dictionaries(
            {
                "user_id": st.none() | UUIDS.map(lambda text: text.replace("-", "")),
                "project_id": st.none() | UUIDS.map(lambda text: text.replace("-", "")),
                "user_domain_id": st.sampled_from(["default", None]),
                "project_domain_id": st.sampled_from(["default", None]),
                "system_scope": st.sampled_from([None, "all"]),
                "request_id": UUIDS.map(lambda text: f"req-{text}"),
                "global_request_id": st.none() | UUIDS.map(lambda text: f"req-{text}"),
            }
        ),
        "raises": st.lists(
            st.tuples(
                st.sampled_from(
                    [
                        "ValueError",
                        "KeyError",
                        "RuntimeError",
                        "OSError",
                        "LookupError",
                        "Domain",
                        "SyntaxError",
                    ]
                ),
                MESSAGES,
            ),
            max_size=3,
        ),
        "group": st.booleans(),
    }
)


class Writer:
    """The peers' oslo.log in a process of its own."""

    def __init__(self) -> None:
        command = [str(venv("logs") / "python"), str(Path(__file__).parent / "oslo_writer.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write(self, records: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"records": records}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["text"], answer["truth"]

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    made = Writer()
    yield made
    made.close()


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_every_event_is_whole_and_says_what_its_json_says(
    writer: Writer, records: list[dict[str, Any]], data: st.DataObject
) -> None:
    texts, truth = writer.write(records)
    whole = "".join(texts)
    framer, events, at = Framer(), [], 0
    for cut in sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5))):
        events += framer.feed(whole[at:cut], 1)
        events += framer.flush(2, 1.0)  # nothing was idle for long: nothing is given out too early
        at = cut
    events += framer.feed(whole[at:], 1)
    events += framer.flush(2, 0)
    assert [event.text for event in events] == texts
    for text, record, want in zip(texts, records, truth, strict=True):
        got = parse_text(text, 1)
        assert got.format == "oslo"
        # What a message ends in cannot be told from the line end.
        message = want["message"].rstrip("\r\n") if not record["raises"] else want["message"]
        summary = f": {want['error_summary']}" if want["error_summary"] and not want["traceback"] else ""
        assert got.message.rstrip("\r\n") == (message + summary).rstrip("\r\n")
        assert (got.level, got.logger, got.fields["pid"]) == (
            want["levelname"],
            want["name"],
            want["process"],
        )
        assert got.time_ns // 1_000_000 == round(record["at"] * 1000)
        assert got.fields.get("instance", "") == record["instance"]
        context = record["context"] or {}
        for ours, theirs in (
            ("request_id", "request_id"),
            ("global_request_id", "global_request_id"),
            ("user", "user_id"),
            ("project", "project_id"),
            ("system_scope", "system_scope"),
        ):
            assert got.fields.get(ours) == context.get(theirs), ours
        again = parse_text(json.dumps(want), 1)
        assert again.message == want["message"]
        names = ["request_id", "instance", "user", "project"]
        # The JSON form breaks lines anew (at U+2028, too), so another traceback in the exception's text reads otherwise.
        if not any("Traceback" in told for _, told in record["raises"]):
            names.append("exception")
        for name in names:
            assert again.fields.get(name) == got.fields.get(name), name
