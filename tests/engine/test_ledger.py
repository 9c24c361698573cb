"""The ledger: order, questions by entity and time, what memory no longer holds, restart."""

import threading

import pytest

from weatherglass.base.errors import Invalid
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.protocols import Entry, Ledger


def entry(n, entity="service/keystone", **more):
    return Entry(n, "ada", "restart", entity, why=f"reason {n}", **more)


def test_read_back_newest_first(tmp_path):
    bus = LocalBus()
    heard = bus.subscribe("ledger")
    ledger: Ledger = FileLedger(tmp_path, bus=bus)
    first = ledger.append(entry(1, before={"replicas": 1}, after={"replicas": [2, None]}, generation=4))
    second = ledger.append(entry(2, "host/ctl-1"))
    assert [one.offset for one in ledger.read()] == [second, first]
    assert ledger.read(entity="service/keystone")[0] == entry(
        1, before={"replicas": 1}, after={"replicas": [2, None]}, generation=4, offset=first
    )
    assert heard.get(0) == (
        "ledger",
        {"offset": 0, "at_ns": 1, "who": "ada", "what": "restart", "entity": "service/keystone"},
    )


@pytest.mark.parametrize("held", [1, 7, 1000])
def test_answers_do_not_depend_on_what_memory_holds(tmp_path, held):
    made = [entry(n * 10, f"host/h-{n % 3}", after='"host/h-1"') for n in range(60)]
    ledger = FileLedger(tmp_path, held=held)
    for one in made:
        ledger.append(one)
    for reopened in (False, True):
        if reopened:
            ledger.close()
            ledger = FileLedger(tmp_path, held=held)
        for question in (
            {},
            {"limit": 5},
            {"entity": "host/h-1"},
            {"entity": "host/h-1", "limit": 3},
            {"start_ns": 100, "end_ns": 200},
            {"entity": "host/h-2", "end_ns": 300, "limit": 2},
            {"entity": "host/none"},
        ):
            entity, start, end = (
                question.get("entity"),
                question.get("start_ns", 0),
                question.get("end_ns", 10**9),
            )
            expected = [
                one.why
                for one in reversed(made)
                if (not entity or one.entity == entity) and start <= one.at_ns < end
            ]
            assert [one.why for one in ledger.read(**question)] == expected[: question.get("limit", 200)]


def test_memory_is_bounded_by_bytes(tmp_path):
    ledger = FileLedger(tmp_path, held_bytes=10_000)
    for n in range(30):
        ledger.append(entry(n, after="x" * 1000))
    assert len(ledger._window) < 10 and ledger._bytes <= 10_000
    assert len(ledger.read()) == 30


def test_writers_at_once_keep_one_order(tmp_path):
    ledger = FileLedger(tmp_path)

    def write(who):
        for n in range(25):
            ledger.append(Entry(n, who, "plan", f"host/{who}"))

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.offset for one in ledger.read()] == list(range(99, -1, -1))
    assert [one.at_ns for one in ledger.read(entity="host/w2")] == list(range(24, -1, -1))
    assert [one.offset for one in ledger.follow(90, 0)] == list(range(90, 100))


def test_follow_waits_for_what_comes(tmp_path):
    ledger = FileLedger(tmp_path)
    later = threading.Timer(0.05, lambda: ledger.append(entry(1)))
    later.start()
    assert next(ledger.follow(0, 5)).at_ns == 1
    later.join()


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_what_is_not_json_is_refused_and_not_recorded(tmp_path, value):
    ledger = FileLedger(tmp_path)
    with pytest.raises(Invalid):
        ledger.append(entry(1, after=value))
    assert ledger.read() == []
