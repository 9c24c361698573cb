"""Work streams: delivery, results, idempotence, restart, bounds."""

import threading
import time

import pytest

from weatherglass.base.errors import Invalid, LimitExceeded, NotFound, Unavailable
from weatherglass.engine import work
from weatherglass.engine.protocols import WorkQueue, WorkResult
from weatherglass.engine.work import Queues


@pytest.fixture
def queues(tmp_path):
    made = Queues(tmp_path)
    yield made
    made.close()


def finished(item, status="done", **body):
    return WorkResult(item.offset, item.key, status, body)


def test_sent_streamed_answered(queues):
    hands: WorkQueue = queues
    sent = hands.send("ctl-1", "deploy.act", {"action": "restart"})
    assert list(queues.stream("ctl-1", 0, 0)) == [sent]
    assert list(queues.stream("cmp-1", 0, 0)) == []
    with pytest.raises(Unavailable, match=r"no answer from ctl-1 to 'deploy.act' within 0\.01 s"):
        hands.wait("ctl-1", sent, 0.01)
    queues.result("ctl-1", finished(sent, pid=7))
    assert hands.wait("ctl-1", sent, 0).body == {"pid": 7}
    assert list(queues.stream("ctl-1", 0, 0)) == []


def test_an_open_stream_is_woken_and_resumes(queues):
    got = []

    def agent():
        for item in queues.stream("ctl-1", 0, 2):
            got.append(item)
            queues.result("ctl-1", finished(item, n=item.body["n"]))
            if item.body["n"] == 4:
                return

    thread = threading.Thread(target=agent)
    thread.start()
    sent = []
    for n in range(5):
        sent.append(queues.send("ctl-1", "x", {"n": n}))
        assert queues.wait("ctl-1", sent[-1], 2).body == {"n": n}
    thread.join(5)
    assert got == sent
    later = queues.send("ctl-1", "x", {"n": 5})
    assert list(queues.stream("ctl-1", got[-1].offset + 1, 0)) == [later]


def test_each_send_is_new_work_unless_once(queues):
    first, second = (queues.send("h", "deploy.act", {"a": 1, "b": 2}) for _ in range(2))
    assert first.key != second.key
    one = queues.send("h", "collect", {"a": 1, "b": 2}, once=True)
    assert queues.send("h", "collect", {"b": 2, "a": 1}, once=True) == one
    queues.result("h", finished(one))
    again = queues.send("h", "collect", {"a": 1, "b": 2}, once=True)
    assert again.key == one.key and again.offset > one.offset


def test_senders_at_once_all_arrive(queues):
    def send(n):
        for number in range(20):
            queues.send("h", "x", {"n": n, "number": number})
            queues.send("h", "same", {"number": number}, once=True)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    got, start = [], 0
    for thread in threads:
        thread.start()
    while len(got) < 100:
        fresh = list(queues.stream("h", start, 0.5))
        assert fresh, f"only {len(got)} of 100 came"
        got += fresh
        start = got[-1].offset + 1
    for thread in threads:
        thread.join()
    assert sum(item.kind == "same" for item in got) == 20
    assert list(queues.stream("h", start, 0)) == []


def test_the_first_final_result_stands(queues):
    sent = queues.send("h", "x", {})
    queues.result("h", finished(sent, n=1))
    queues.result("h", finished(sent, "failed", n=2))
    assert queues.wait("h", sent, 0).body == {"n": 1}
    with pytest.raises(NotFound):
        queues.result("h", WorkResult(99, "made-up", "done"))


def test_follow_tells_progress_then_the_end(queues):
    sent = queues.send("h", "x", {})
    steps = []
    thread = threading.Thread(target=lambda: steps.extend(queues.follow("h", sent.key, 5)))
    thread.start()
    for share in range(300):
        queues.result("h", finished(sent, "progress", share=share))
    queues.result("h", finished(sent))
    thread.join(5)
    assert steps[-1].status == "done" and steps[-2].body == {"share": 299}
    assert len(list(queues.follow("h", sent.key))) == 257  # who comes late sees the last 256 and the end
    waiting = queues.send("h", "x", {})
    with pytest.raises(Unavailable, match="nothing from h within"):
        list(queues.follow("h", waiting.key, 0.01))


def test_items_and_results_survive_a_restart(tmp_path):
    before = Queues(tmp_path)
    done, failed, todo = (before.send("h", "x", {"n": n}) for n in range(3))
    before.result("h", finished(done, ok=True))
    before.result("h", WorkResult(failed.offset, failed.key, "failed", error="no such unit"))
    before.result("h", finished(todo, "progress"))
    before.close()
    after = Queues(tmp_path)
    assert after.wait("h", done, 0).body == {"ok": True}
    assert after.wait("h", failed, 0).error == "no such unit"
    assert list(after.stream("h", 0, 0)) == [todo]
    assert after.unfinished("h") == 1
    after.close()


def test_what_is_finished_is_trimmed_and_forgotten_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_SEGMENT_BYTES", 4096)
    monkeypatch.setattr(work, "_REMEMBERED", 10)
    queues = Queues(tmp_path)
    items = []
    for n in range(200):
        items.append(queues.send("h", "x", {"n": n, "pad": "p" * 100}))
        queues.result("h", finished(items[-1]))
    assert sum(path.stat().st_size for path in (tmp_path / "h").iterdir()) < 3 * 4096
    assert queues.wait("h", items[-10], 0).status == "done"
    with pytest.raises(NotFound):
        queues.wait("h", items[-11], 0)
    queues.result("h", finished(items[0], "failed"))  # told again by an agent that did not hear: passed over
    queues.close()
    after = Queues(tmp_path)
    assert list(after.stream("h", 0, 0)) == []
    assert after.wait("h", items[-1], 0).status == "done"


def test_a_host_that_never_answers_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_PENDING", 50)
    queues = Queues(tmp_path / "many")
    for n in range(50):
        queues.send("h", "x", {"n": n})
    with pytest.raises(LimitExceeded, match="50 items wait for h already"):
        queues.send("h", "x", {})
    monkeypatch.setattr(work, "_SEGMENT_BYTES", 4096)
    monkeypatch.setattr(work, "_LOG_BYTES", 16384)
    queues = Queues(tmp_path / "large")
    items = [queues.send("h", "x", {"n": n, "pad": "p" * 1000}) for n in range(40)]
    assert "given up" in queues.wait("h", items[0], 0).error
    assert list(queues.stream("h", 0, 0))[-1] == items[-1]
    assert sum(path.stat().st_size for path in (tmp_path / "large/h").iterdir()) < 16384 + 2 * 4096


def test_close_ends_streams_and_waits_at_once(tmp_path):
    queues = Queues(tmp_path)
    sent = queues.send("h", "x", {})
    ended = []

    def stream():
        list(queues.stream("h", 0, 30))
        ended.append("stream")

    def wait():
        with pytest.raises(Unavailable):
            queues.wait("h", sent, 30)
        ended.append("wait")

    threads = [threading.Thread(target=one) for one in (stream, wait)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    began = time.monotonic()
    queues.close()
    for thread in threads:
        thread.join(5)
    assert sorted(ended) == ["stream", "wait"] and time.monotonic() - began < 1
    with pytest.raises(Unavailable):
        queues.send("h", "x", {})


@pytest.mark.parametrize("host", ["", "..", "a/b", "../x", "UP"])
def test_names_that_are_no_hosts(queues, host):
    with pytest.raises(Invalid):
        queues.send(host, "x", {})


def test_a_body_that_is_not_json(queues):
    with pytest.raises(Invalid, match="not JSON"):
        queues.send("h", "x", {"a": object()})


def test_an_agent_that_knew_another_queue_gets_its_work(queues):
    sent = queues.send("h", "x", {})
    assert list(queues.stream("h", 500, 0)) == [sent]
