"""The store: what was acknowledged is found, by every filter, sealed or not; limits, tenants, retention, faults."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt, Invalid, LimitExceeded, NotFound, TooLarge, Unavailable
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Event, RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs, Settings
from weatherglass.logs import blocks as block_format
from weatherglass.logs.catalogue import ROOM
from weatherglass.logs.parse import parse_event
from weatherglass.logs.query import terms_of

T0 = 1_800_000_000 * SECOND_NS
ALL = {"start_ns": 0, "end_ns": 1 << 62}
KEYSTONE = (
    ("host", "ctl-1"),
    ("replica", "keystone.1@ctl-1"),
    ("service", "keystone"),
    ("site", "aurora"),
    ("source", "/var/log/keystone/keystone.log"),
)
DATABASE = (("host", "ctl-2"), ("odd", "yes"), ("service", "mariadb"))
OPEN = Callable[..., Logs]


def raw(text: str, seen_ns: int = T0, labels: tuple = KEYSTONE) -> RawEvent:
    return RawEvent(seen_ns, labels, text)


def oslo(second: int, level: str = "INFO", message: str = "fine", request: str = "-") -> str:
    bracket = "-" if request == "-" else f"None {request} u{second % 3} p1 - - default default"
    return f"2027-01-15 08:{second // 60:02}:{second % 60:02}.123 77 {level} keystone.api [{bracket}] {message}\n"


# --- against a list --------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.builds(
        oslo,
        st.integers(0, 3599),
        st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        st.sampled_from(["fine", "Connection refused", "two\nlines", "naïve Straße", "timed out after 3 s"]),
        st.sampled_from(["-", "req-aaaaaaaa-1", "req-bbbbbbbb-2"]),
    ),
    st.sampled_from(
        ["plain connection\n", "", "\udce4 not UTF-8\n", "a\x00b", '{"levelname": "INFO", "message": "json"}']
    ),
    st.text(max_size=30),
)
BATCH = st.lists(
    st.tuples(TEXTS, st.integers(0, 3_600), st.sampled_from([KEYSTONE, DATABASE, ()])), max_size=12
)
STEP = st.one_of(BATCH, st.sampled_from(["seal", "reopen"]))
QUERY = st.fixed_dictionaries(
    {},
    optional={
        "words": st.sampled_from(
            ["connection", "CONNECTION refused", '"timed out"', "req-aaaaaaaa", "straße", "zzzzzz", "lines"]
        ),
        "entity": st.sampled_from(["service/keystone", "host/ctl-2", "replica/keystone.1@ctl-1"]),
        "level": st.sampled_from(["ERROR", "WARNING+", "INFO,DEBUG"]),
        "fields": st.dictionaries(
            st.sampled_from(["request_id", "format", "logger", "service", "label.odd", "user"]),
            st.sampled_from(["req-aaaaaaaa-1", "oslo", "key*", "keystone.api", "yes", "", "u1", "*"]),
            max_size=2,
        ),
        "start_ns": st.sampled_from([0, T0, T0 + 600 * SECOND_NS]),
        "end_ns": st.sampled_from([T0 + 900 * SECOND_NS, 1 << 62]),
    },
)
LEVELS = {"ERROR": {"ERROR"}, "WARNING+": {"WARNING", "ERROR", "CRITICAL"}, "INFO,DEBUG": {"INFO", "DEBUG"}}


def told(event: Event) -> str:
    """An event as text, its fields in an order of their own."""
    return repr(replace(event, fields=dict(sorted(event.fields.items()))))


def value_matches(value: str, wanted: str) -> bool:
    if wanted == "*":
        return value != ""
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def has_all(text: str, terms: tuple[str, ...]) -> bool:
    """Words one after the other, whatever stands between them that is no word."""
    for term in terms:
        words = re.findall(r"\w+", term.casefold())
        if not re.search(r"(?<!\w)" + r"\W+".join(words) + r"(?!\w)", text.casefold()):
            return False
    return True


def asked(event: Event, query: dict) -> bool:
    """What a query asks of an event, said again and plainly."""
    labels = dict(event.labels)
    values = {
        "logger": event.logger,
        "service": labels.get("service", ""),
        "label.odd": labels.get("odd", ""),
    }
    kind, _, name = query.get("entity", "").partition("/")
    return (
        query.get("start_ns", 0) <= event.time_ns < query.get("end_ns", 1 << 62)
        and has_all(event.raw, terms_of(query.get("words", "")))
        and (not kind or labels.get(kind) == name)
        and ("level" not in query or event.level in LEVELS[query["level"]])
        and all(
            value_matches(values.get(field, event.fields.get(field, "")), wanted)
            for field, wanted in query.get("fields", {}).items()
        )
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEP, max_size=8), query=QUERY, limit=st.integers(1, 7), rows=st.sampled_from([3, 8192])
)
def test_the_store_answers_as_a_list_would(
    tmp_path_factory: pytest.TempPathFactory, migrated: Path, steps: list, query: dict, limit: int, rows: int
) -> None:
    folder = tmp_path_factory.mktemp("model")
    (folder / "tables.db").write_bytes(migrated.read_bytes())
    tables, clock, kept = Tables(folder / "tables.db"), ManualClock(T0), block_format.GROUP_ROWS
    block_format.GROUP_ROWS = rows
    logs, model = Logs(folder / "logs", tables=tables, clock=clock), []
    try:
        for number, step in enumerate(steps):
            if step == "seal":
                logs.seal("site")
            elif step == "reopen":
                logs.stop()
                logs = Logs(folder / "logs", tables=tables, clock=clock)
            else:
                batch = [raw(text, T0 + second * SECOND_NS + number, labels) for text, second, labels in step]
                assert logs.write_raw("site", batch) == len(batch)
                model += [parse_event(one) for one in batch]
        want = [event for event in model if asked(event, query)]
        want.sort(key=lambda event: event.time_ns)
        got, cursors, following = [], [], ""
        while True:
            page = logs.search("site", **{**ALL, **query}, limit=limit, before=following)
            got += page.events
            cursors += page.cursors
            assert len(page.events) == limit or not page.next
            following = page.next
            if not following:
                break
        assert sorted(map(told, got)) == sorted(map(told, want))
        assert [event.time_ns for event in got] == [event.time_ns for event in reversed(want)]
        assert len(set(cursors)) == len(cursors)
        span = {**ALL, **query}
        bars = logs.histogram("site", **span, buckets=7)
        total: Counter[str] = Counter()
        for _, counts in bars:
            total.update(counts)
        assert total == Counter(event.level for event in want)
        errors = Counter(
            dict(event.labels).get("service", "")
            for event in model
            if event.level in ("ERROR", "CRITICAL") and span["start_ns"] <= event.time_ns < span["end_ns"]
        )
        assert logs.error_counts("site", span["start_ns"], span["end_ns"]) == errors
    finally:
        block_format.GROUP_ROWS = kept
        logs.stop()
        tables.close()


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [False, True])
def test_what_stands_around_an_event_is_of_its_own_source(open_logs: OPEN, sealed: bool) -> None:
    logs = open_logs()
    logs.write_raw("site", [raw(oslo(number, message=f"n{number}")) for number in range(40)])
    logs.write_raw("site", [raw(f"db {number}\n", T0 + number * SECOND_NS, DATABASE) for number in range(40)])
    if sealed:
        logs.seal("site")
    page = logs.search("site", **ALL, words="n20")
    (cursor,) = page.cursors
    around = logs.surrounding("site", cursor, 3)
    assert [event.message for event in around.events] == [f"n{number}" for number in range(23, 16, -1)]
    assert around.cursors[3] == cursor
    assert [event.message for event in logs.surrounding("site", cursor, 0).events] == ["n20"]
    with pytest.raises(NotFound):
        logs.surrounding("other", cursor, 3)


def test_a_histogram_has_even_buckets_and_the_empty_ones(open_logs: OPEN) -> None:
    logs = open_logs()
    begin = parse_event(raw(oslo(0))).time_ns
    logs.write_raw("site", [raw(oslo(0)), raw(oslo(1, "ERROR"))])
    logs.seal("site")
    logs.write_raw("site", [raw(oslo(31, "ERROR")), raw("plain\n", begin + 59 * SECOND_NS)])
    bars = logs.histogram("site", start_ns=begin, end_ns=begin + 60 * SECOND_NS, buckets=6)
    assert [start for start, _ in bars] == [begin + 10 * SECOND_NS * number for number in range(6)]
    assert [counts for _, counts in bars] == [{"INFO": 1, "ERROR": 1}, {}, {}, {"ERROR": 1}, {}, {"": 1}]


def test_a_rare_word_reads_one_group_of_many(open_logs: OPEN) -> None:
    logs = open_logs()
    logs.write_raw("site", [raw(oslo(n % 3600, message=f"task{n:06d} done")) for n in range(30_000)])
    logs.seal("site")
    page = logs.search("site", **ALL, words="task012345")
    assert [event.message for event in page.events] == ["task012345 done"]
    assert page.scanned <= 2 * block_format.GROUP_ROWS
    assert logs.search("site", **ALL, words="elsewhere").events == ()


def test_wrong_questions_are_told_together(open_logs: OPEN) -> None:
    with pytest.raises(Invalid) as refusal:
        open_logs().search(
            "site", start_ns=5, end_ns=1, level="LOUD", entity="keystone", query="a:)", before="?"
        )
    assert {problem.where for problem in refusal.value.problems} == {
        "end",
        "level",
        "entity",
        "before",
        "query:3",
    }


def test_blocks_are_plain_parquet(open_logs: OPEN, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    logs = open_logs()
    logs.write_raw("site", [raw(oslo(1, "ERROR", "boom", "req-1")), raw(oslo(2))])
    logs.seal("site")
    (path,) = (tmp_path / "logs" / "blocks").rglob("*.parquet")
    table = pq.read_table(path)
    assert table.column("level").to_pylist() == ["ERROR", "INFO"]
    assert table.column("shape").to_pylist() == [
        "{time:iso.3} {pid} {level} {logger} [None {request_id} {user} {project} - - {user_domain} {project_domain}] {message}\n",
        "{time:iso.3} {pid} {level} {logger} [-] {message}\n",
    ]
    assert "raw" not in table.column_names
    assert table.column("request_id").to_pylist() == ["req-1", None]
    assert table.column("template").to_pylist() == ["boom", "fine"]
    assert str(table.column("time").type) == "timestamp[ms, tz=UTC]"
    assert table.column("pid:int").to_pylist() == [77, 77]


# --- writing ---------------------------------------------------------------------------------------------


def test_what_a_template_went_into_is_known_after_a_restart(open_logs: OPEN) -> None:
    clock = ManualClock()
    logs = open_logs(clock=clock)
    given = [
        f"Volume {word} has gone away" for word in ("apple", "pear", "plum", "fig", "kiwi", "lime", "nut")
    ]
    ids = []
    for number, text in enumerate(given):
        clock.advance(301)
        logs.write_raw("site", [RawEvent(T0 + number, (), text)])
        logs.seal("site")
        ids.append(logs.templates("site")[0].id)
    before = logs._heads["site"].taker.miner
    assert before.aliases()
    again = open_logs()
    again.write_raw("site", [RawEvent(T0 + 9, (), "Volume pea has gone away")])
    again.seal("site")
    after = again._heads["site"].taker.miner
    assert after.aliases() == before.aliases()
    assert {after.alias(one) for one in before.aliases()} == {before.alias(one) for one in before.aliases()}
    again._catalogue.sealed(replace(again._shelf.of("site")[0], path="x"), 0, 0, {}, b"no state")
    assert open_logs().stats()["blocks"]


def test_a_repeated_write_is_stored_once(open_logs: OPEN) -> None:
    logs = open_logs()
    batch = [raw(oslo(number)) for number in range(5)]
    assert logs.write_raw("site", batch) == 5
    assert logs.write_raw("site", batch) == 5
    logs.stop()
    again = open_logs()
    assert again.write_raw("site", batch) == 5
    assert again.write_raw("genomics", batch) == 5
    assert len(again.search("site", **ALL).events) == 5
    assert again.stats()["repeated_events"] == 5


def test_tenants_are_apart(open_logs: OPEN) -> None:
    logs = open_logs()
    names = ["site", "genomics", "..", "a/b", "%2E%2E", "Ä"]
    for tenant in names:
        logs.write_raw(tenant, [raw(f"of {tenant}\n")])
        logs.seal(tenant)
        logs.write_raw(tenant, [raw(f"again {tenant}\n")])
    logs.stop()
    again = open_logs()
    for tenant in names:
        assert {event.message for event in again.search(tenant, **ALL).events} == {
            f"of {tenant}",
            f"again {tenant}",
        }
        assert sum(sum(counts.values()) for _, counts in again.histogram(tenant, **ALL)) == 2
    assert again.search("nobody", **ALL).events == ()


def test_a_tenant_over_its_day_is_refused_and_nobody_else(open_logs: OPEN) -> None:
    clock = ManualClock(T0)
    limits = {"genomics": 1000}
    options = {"clock": clock, "limits": lambda tenant: limits.get(tenant, 0)}
    logs = open_logs(**options)
    logs.write_raw("genomics", [raw("x" * 600)])
    logs.seal("genomics")
    with pytest.raises(LimitExceeded, match="1000"):
        logs.write_raw("genomics", [raw("a"), raw("y" * 600)])
    assert logs.write_raw("genomics", [raw("z" * 300)]) == 1
    assert logs.write_raw("site", [raw("y" * 6000)]) == 1
    logs.stop()
    again = open_logs(**options)
    with pytest.raises(LimitExceeded):
        again.write_raw("genomics", [raw("v" * 200)])
    assert len(again.search("genomics", **ALL).events) == 2
    clock.advance(86_400)
    assert again.write_raw("genomics", [raw("v" * 200)]) == 1


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (RawEvent(-1, (), "x"), Invalid),
        (RawEvent(1 << 63, (), "x"), Invalid),
        (RawEvent(T0, (), "x" * (5 << 20)), TooLarge),
        (RawEvent(T0, tuple((f"l{n}", "x") for n in range(40)), "x"), Invalid),
        (RawEvent(T0, (("l", "x" * 5000),), "x"), Invalid),
    ],
)
def test_what_cannot_be_kept_is_refused_whole(
    open_logs: OPEN, event: RawEvent, error: type[Exception]
) -> None:
    logs = open_logs()
    with pytest.raises(error):
        logs.write_raw("site", [raw("before it"), event])
    assert logs.search("site", **ALL).events == ()


def test_the_bus_is_told_in_counts(open_logs: OPEN) -> None:
    bus = LocalBus()
    heard = bus.subscribe("log")
    logs = open_logs(bus=bus)
    for number in range(3):
        logs.write_raw("site", [raw(oslo(number)), raw(oslo(number, "ERROR"))])
    logs.tick()
    assert heard.get(1) == ("log", {"tenant": "site", "events": 6, "errors": 3})
    assert heard.get(0.01) is None


def test_writers_searchers_and_the_sealer_do_not_miss_each_other(open_logs: OPEN) -> None:
    """Whatever was acknowledged before a search began is in it, once, while heads become blocks underneath."""
    logs = open_logs(settings=Settings(segment_bytes=4096))
    acknowledged: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(60):
            texts = [f"{writer} {number} {part}" for part in range(3)]
            logs.write_raw("site", [raw(text, T0 + number) for text in texts])
            acknowledged.extend(texts)
            time.sleep(0.005)  # or all is written before the sealer came by twice

    def seal() -> None:
        while not done.wait(0.01):
            logs.seal("site")

    with ThreadPoolExecutor() as pool:
        writers, sealer = [pool.submit(write, number) for number in range(3)], pool.submit(seal)
        try:
            while not all(writer.done() for writer in writers):
                before = list(acknowledged)
                found = [event.raw for event in logs.search("site", **ALL, limit=10_000).events]
                assert set(before) <= set(found)
                assert len(found) == len(set(found))
        finally:
            done.set()
        for one in (*writers, sealer):
            one.result(30)
    assert logs.stats()["events"] == 540
    assert int(logs.stats()["blocks"]) > 1
    logs.stop()
    assert open_logs().stats()["events"] == 540


def test_a_server_starts_without_pyarrow(tmp_path: Path, migrated: Path) -> None:
    (tmp_path / "tables.db").write_bytes(migrated.read_bytes())
    code = """
import sys
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs
logs = Logs(sys.argv[1] + "/logs", tables=Tables(sys.argv[1] + "/tables.db"))
logs.start()
assert logs.error_counts("site", 0, 9) == {}
logs.stop()
assert "pyarrow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=30)


# --- sealing and dropping --------------------------------------------------------------------------------


def test_it_seals_by_itself_and_the_log_is_let_go(open_logs: OPEN) -> None:
    clock = ManualClock(T0)
    logs = open_logs(clock=clock, settings=Settings(seal_events=500, seal_age_s=60, segment_bytes=4096))
    for number in range(50):
        logs.write_raw("site", [raw(os.urandom(20).hex(), T0 + number * 100 + n) for n in range(10)])
    logs.tick()
    stats = logs.stats()
    assert (stats["blocks"], stats["head_events"], stats["events"]) == (1, 0, 500)
    assert stats["log_bytes"] < 8192
    logs.write_raw("site", [raw("young\n")])
    logs.tick()
    assert logs.stats()["blocks"] == 1
    clock.advance(61)
    logs.tick()
    assert logs.stats()["blocks"] == 2


def test_retention_by_age_and_by_size(open_logs: OPEN, tmp_path: Path) -> None:
    clock = ManualClock(T0)
    logs = open_logs(clock=clock, settings=Settings(retention_s=3600))
    for number in range(3):
        logs.write_raw("site", [raw(f"number {number}\n", clock.now_ns())])
        logs.seal("site")
        clock.advance(1500)
    assert logs.drop_old() == 1
    assert [event.message for event in logs.search("site", **ALL).events] == ["number 2", "number 1"]
    assert len(list((tmp_path / "logs" / "blocks").rglob("*.parquet"))) == 2
    logs.stop()
    stored = int(logs.stats()["bytes_stored"])
    small = open_logs(clock=clock, settings=Settings(retention_s=0, retention_bytes=stored - 1))
    assert small.drop_old() == 1
    assert [event.message for event in small.search("site", **ALL).events] == ["number 2"]


def test_a_search_outlives_the_drop_of_its_blocks(open_logs: OPEN) -> None:
    logs = open_logs(settings=Settings(retention_bytes=1, cache_bytes=1))
    logs.write_raw("site", [raw("one\n")])
    logs.seal("site")
    view = logs.view("site")
    assert logs.drop_old() == 1
    assert view.opened(view.blocks[0]) is None


def test_a_block_that_decays_is_named(open_logs: OPEN, tmp_path: Path) -> None:
    logs = open_logs()
    logs.write_raw("site", [raw(oslo(number)) for number in range(100)])
    logs.seal("site")
    (path,) = (tmp_path / "logs" / "blocks").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Corrupt) as failure:
        logs.search("site", **ALL)
    assert str(path) in failure.value.where
    logs.stop()
    path.unlink()
    with pytest.raises(Corrupt, match="gone"):
        open_logs().search("site", **ALL)


class FullDiskFiles(RealFiles):
    """A fake: the machine's files, on a disk that is full for whatever is named so."""

    full = ""

    def write_atomic(self, path: str | Path, data: bytes, mode: int = 0o600) -> None:
        if self.full and self.full in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        super().write_atomic(path, data, mode)


def test_a_full_disk_under_the_blocks_loses_nothing_and_mends_itself(open_logs: OPEN, tmp_path: Path) -> None:
    files = FullDiskFiles()
    logs = open_logs(files=files, settings=Settings(seal_events=1))
    files.full = "blocks"
    logs.write_raw("site", [raw("kept\n")])
    with pytest.raises(Unavailable, match="No space left"):
        logs.tick()
    assert logs.write_raw("site", [raw("kept too\n")]) == 1
    assert len(logs.search("site", **ALL).events) == 2
    files.full = ""
    logs.tick()
    assert logs.stats()["blocks"] == 1
    assert len(logs.search("site", **ALL).events) == 2


def test_when_nothing_can_be_sealed_for_long_writes_are_refused(open_logs: OPEN) -> None:
    logs = open_logs(settings=Settings(seal_bytes=1))
    logs.write_raw("site", [raw("x" * (4 << 20), T0 + number) for number in range(4)])
    with pytest.raises(Unavailable, match="cannot be written"):
        logs.write_raw("site", [raw("one more" * 2000)])
    assert logs.write_raw("other", [raw("of another tenant")]) == 1
    logs.seal("site")
    assert logs.write_raw("site", [raw("one more")]) == 1


def test_tables_and_migrations_agree(tmp_path: Path) -> None:
    tables = Tables(tmp_path / "t.db")
    assert tables.migrate(ROOM)
    assert tables.differences(ROOM) == []
    tables.close()


# --- killed ----------------------------------------------------------------------------------------------

WRITER = textwrap.dedent(
    """
    import sys, threading, time
    import pyarrow.compute, pyarrow.parquet
    pyarrow.array([1])  # looks for pandas, which takes longer than this writer lives
    from weatherglass.engine.protocols import RawEvent
    from weatherglass.engine.tables import Tables
    from weatherglass.logs import Logs, Settings

    folder, begin = sys.argv[1], int(sys.argv[2])
    settings = Settings(seal_events=40, segment_bytes=4096)
    logs = Logs(folder + "/logs", tables=Tables(folder + "/tables.db"), settings=settings)

    def write():
        for number in range(begin, begin + 10_000):
            events = [RawEvent(time.time_ns(), (), f"event {number}.{part}\\n") for part in range(3)]
            logs.write_raw("site", events)
            print(number, flush=True)

    threading.Thread(target=write, daemon=True).start()
    while True:
        logs.tick()
        time.sleep(0.002)
    """
)


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.long)])
def test_a_killed_writer_loses_nothing_it_acknowledged(open_logs: OPEN, tmp_path: Path, kills: int) -> None:
    acknowledged, begin = set(), 0
    for round_ in range(kills):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(begin)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            for line in writer.stdout:
                acknowledged.add(int(line))
                if len(acknowledged) >= 40 * (round_ + 1) + 200 * (round_ // 10):
                    os.kill(writer.pid, signal.SIGKILL)
            writer.wait(20)
        begin = max(acknowledged) + 10
    logs = open_logs()
    events, before = list[str](), ""
    while True:
        page = logs.search("site", **ALL, limit=10_000, before=before)
        events += [event.message for event in page.events]
        before = page.next
        if not before:
            break
    assert len(events) == len(set(events))
    assert {f"event {number}.{part}" for number in acknowledged for part in range(3)} <= set(events)
    numbers = Counter(message.split()[1].partition(".")[0] for message in events)
    assert set(numbers.values()) == {3}, "a write is there whole or not at all"
    assert int(logs.stats()["blocks"]) > 0
