"""The work stream: order, idempotence, resumption, results until acknowledged."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.conftest import FAST
from weatherglass.agent.agent import Agent, Link
from weatherglass.agent.work import ANSWERS_KEPT, Answers, Executor, parse_item
from weatherglass.base.errors import Conflict


class Recorder:
    """An executor that writes down what it did."""

    def __init__(self) -> None:
        self.did: list[object] = []
        self.hold = threading.Event()
        self.hold.set()

    def run(self, body, progress):
        progress(0.5, f"half of {body.get('n')}")
        self.hold.wait(10)
        self.did.append(body.get("n"))
        if body.get("n") == "conflict":
            raise Conflict("taken", where="here")
        if body.get("n") == "bug":
            raise KeyError("n")
        return {"did": body.get("n")}


@pytest.fixture
def recorder():
    return Recorder()


def test_items_are_done_in_order_with_progress_and_results(sink, run_agent, recorder):
    run_agent(kinds={"note": Executor(recorder.run, "Notes.")})
    offsets = [sink.send("note", {"n": n}) for n in range(5)]
    assert [sink.result(offset)["body"] for offset in offsets] == [{"did": n} for n in range(5)]
    assert recorder.did == list(range(5))
    progress = [r for r in sink.results if r["status"] == "progress"]
    assert progress[0]["body"] == {"share": 0.5, "text": "half of 0"}


def test_failures_are_answers(sink, run_agent, recorder):
    run_agent(kinds={"note": Executor(recorder.run, "Notes.")})
    failed = sink.result(sink.send("note", {"n": "conflict"}))
    assert (failed["status"], failed["error"]) == ("failed", "here: taken")
    assert sink.result(sink.send("note", {"n": "bug"}))["error"] == "KeyError: 'n'"
    assert "no executor for 'brew'" in sink.result(sink.send("brew", {}))["error"]
    bad = sink.result(sink.send("probes", {"probes": [{"entity": "service/x", "kind": "smoke"}]}))
    assert "unknown kind 'smoke'" in bad["error"]


def test_a_key_is_done_once_and_answered_again(sink, run_agent, recorder):
    run_agent(kinds={"note": Executor(recorder.run, "Notes.")})
    first, second = sink.send("note", {"n": 1}, "same"), sink.send("note", {"n": 1}, "same")
    assert sink.result(second)["body"] == sink.result(first)["body"] == {"did": 1}
    assert recorder.did == [1]


def test_a_long_item_of_one_kind_holds_up_no_other_kind(sink, run_agent, recorder):
    quick = Recorder()
    recorder.hold.clear()
    run_agent(kinds={"slow": Executor(recorder.run, ""), "quick": Executor(quick.run, "")})
    slow = sink.send("slow", {"n": "s"})
    assert sink.result(sink.send("quick", {"n": "q"}))["body"] == {"did": "q"}
    assert not [r for r in sink.results if r["offset"] == slow and r["status"] == "done"]
    recorder.hold.set()
    sink.result(slow)


def test_results_wait_for_a_server_that_went_away(sink, run_agent, recorder):
    recorder.hold.clear()
    run_agent(kinds={"note": Executor(recorder.run, "Notes.")})
    offset = sink.send("note", {"n": 1})
    sink.wait(lambda: sink.results)
    sink.stop()
    recorder.hold.set()
    time.sleep(0.3)
    sink.start()
    assert sink.result(offset)["body"] == {"did": 1}
    assert recorder.did == [1]


def test_after_a_restart_only_what_is_still_to_do_is_done(sink, settings, hands, recorder):
    def serve_until(offset):
        agent = Agent(Link(settings), hands, {"note": Executor(recorder.run, "Notes.")})
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            sink.result(offset)
        finally:
            agent.stop()
            thread.join(10)

    for n in range(3):
        sink.send("note", {"n": n})
    serve_until(2)
    # The server lost an answer (restored from a backup): the item comes again and is answered, not done.
    with sink.changed:
        sink.results = [r for r in sink.results if r["offset"] != 1]
    sink.send("note", {"n": 3})
    serve_until(3)
    assert sink.result(1)["body"] == {"did": 1}
    assert recorder.did == [0, 1, 2, 3]


def test_a_stream_that_breaks_amid_an_item_does_not_do_it_twice(sink, run_agent, recorder):
    recorder.hold.clear()
    agent = run_agent(kinds={"note": Executor(recorder.run, "Notes.")})
    offset = sink.send("note", {"n": 1})
    sink.wait(lambda: sink.results)
    opened = len(sink.asked_from)
    sink.stop()
    sink.start()
    sink.wait(lambda: len(sink.asked_from) > opened)
    other = sink.send("note", {"n": 2})
    time.sleep(0.3)
    recorder.hold.set()
    sink.result(other)
    assert sink.result(offset)["status"] == "done"
    assert (recorder.did, agent.work.items) == ([1, 2], 2)


def test_what_may_be_done_only_once_is_not_done_again_after_a_crash(sink, run_agent, settings, recorder):
    Answers(settings.state / "answers").put("k0", {"status": "started", "body": {}, "error": ""})
    kinds = {"fault": Executor(recorder.run, "", once=True), "note": Executor(recorder.run, "")}
    Answers(settings.state / "answers").put("k1", {"status": "started", "body": {}, "error": ""})
    run_agent(kinds=kinds)
    failed = sink.result(sink.send("fault", {"n": "kill"}))
    assert (failed["status"], recorder.did) == ("failed", [])
    assert "not done twice" in failed["error"]
    assert sink.result(sink.send("note", {"n": "again"}))["status"] == "done"


def test_answers_are_bounded_and_no_key_is_a_path(tmp_path):
    answers = Answers(tmp_path / "answers")
    for n in range(ANSWERS_KEPT + 3):
        answers._order.append(f"{n}.json")
    answers.put("../../etc/passwd", {"status": "done"})
    assert answers.get("../../etc/passwd") == {"status": "done"}
    assert len(answers._order) == ANSWERS_KEPT
    assert [p.parent for p in tmp_path.rglob("*.json")] == [tmp_path / "answers"]
    assert Answers(tmp_path / "answers").get("../../etc/passwd") == {"status": "done"}


@given(st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["offset", "kind", "key", "body"]), inner, max_size=4),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_line_is_an_item_a_keep_alive_or_refused(line):
    try:
        item = parse_item(line)
    except (ValueError, RecursionError):
        return
    assert item is None or isinstance(item.offset, int)


def test_the_pace_of_these_tests_is_not_the_default():
    assert type(FAST)() != FAST
