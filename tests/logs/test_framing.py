"""Framing: both kinds of multi-line kept whole, nothing changed, wherever the text is cut."""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.logs.framing import Framer, Joiner, join

CASES = sorted((Path(__file__).parent / "cases" / "framing").glob("*.txt"))
SEPARATOR = "----\n"

HEAD = "2026-11-22 10:01:02.123 77 ERROR keystone.api [None req-1f2e u p - - d d] boom"
LINES = st.sampled_from(
    [
        HEAD,
        "2026-11-22 10:01:02.123 77 ERROR keystone.api Traceback (most recent call last):",
        "2026-11-22 10:01:02.123 77 ERROR keystone.api [instance: 1c6b] ",
        "2026-11-22 10:01:02.124 78 ERROR keystone.api x",
        "2026-11-22 10:01:02 0 [Warning] Aborted connection",
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "ValueError: no",
        "During handling of the above exception, another exception occurred:",
        "[SQL: SELECT 1]",
        "",
        "\t",
        "plain words",
        '127.0.0.1 - - [22/Nov/2026 10:01:02] "GET / HTTP/1.1" 200 -',
        "Nov 22 10:01:02 ctl-1 cron[3]: x",
        "Exception in thread Thread-1:",
        "x" * 90,
    ]
) | st.text(max_size=60)
TEXTS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", ""])), max_size=25).map(
    lambda lines: "".join(line + end for line, end in lines)
)


def frame(text: str, kind: str = "auto", limit: int = 256 * 1024) -> list[str]:
    framer = Framer(kind, limit=limit)
    return [event.text for event in framer.feed(text, 1) + framer.flush(2, 0)]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path) -> None:
    """A case is the events of one source, a line `----` between them."""
    events = case.read_text().split(SEPARATOR)
    assert frame("".join(events), kind=case.stem.partition("_")[0]) == events


@given(TEXTS, st.sampled_from(["auto", "plain", "oslo", "syslog"]), st.sampled_from([1, 7, 80, 10_000]))
def test_nothing_is_changed_or_moved(text: str, kind: str, limit: int) -> None:
    events = frame(text, kind, limit)
    assert "".join(events) == text
    assert all(0 < len(event) <= limit for event in events)


@given(TEXTS, st.lists(st.integers(0, 400), max_size=8), st.sampled_from([7, 80, 10_000]))
def test_the_cuts_of_reading_do_not_show(text: str, cuts: list[int], limit: int) -> None:
    framer, events, at = Framer(limit=limit), [], 0
    for cut in [*sorted(cuts), len(text)]:
        events += framer.feed(text[at:cut], 1)
        at = max(at, min(cut, len(text)))
        assert "".join(event.text for event in events) + framer.pending == text[:at]
    events += framer.flush(2, 0)
    assert [event.text for event in events] == frame(text, limit=limit)


def test_an_event_over_the_bound_is_cut_and_both_parts_say_so() -> None:
    framer = Framer(limit=200)
    events = framer.feed(HEAD + "\n" + "x" * 60 + "\n" + "y" * 90 + "\nplain\n" + HEAD + "\n", 5)
    assert [event.cut for event in events] == [True, True]
    assert events[1].text == "y" * 90 + "\nplain\n"
    (last,) = framer.flush(6, 0)
    assert not last.cut


def test_one_endless_line_keeps_memory_bounded() -> None:
    framer = Framer(limit=1000)
    for _ in range(100):
        framer.feed("z" * 500, 1)
        assert len(framer.pending) <= 2000


def test_idle_flush_waits_longer_for_a_line_half_written() -> None:
    framer = Framer()
    framer.feed(HEAD + "\n", 1_000_000_000)
    assert framer.flush(1_500_000_000, 1.0) == []
    assert [event.text for event in framer.flush(2_000_000_000, 1.0)] == [HEAD + "\n"]
    framer.feed("half a li", 3_000_000_000)
    assert framer.flush(5_000_000_000, 1.0) == []
    assert framer.feed("ne\n", 6_000_000_000) == []
    assert [event.text for event in framer.flush(7_000_000_000, 1.0)] == ["half a line\n"]


def test_seen_is_when_the_event_began() -> None:
    framer = Framer()
    framer.feed(HEAD + "\n", 10)
    framer.feed("goes on\n", 20)
    assert framer.flush(30, 0)[0].seen_ns == 10


def test_the_agent_may_import_it() -> None:
    code = (
        "import sys, weatherglass.logs.framing;"
        "heavy = {'numpy', 'pyarrow', 'sqlalchemy', 'yaml'} & set(sys.modules); assert not heavy, heavy;"
        "ours = [m for m in sys.modules if m.startswith('weatherglass.')]; assert len(ours) <= 3, ours"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_an_exception_group_is_whole_and_takes_no_more() -> None:
    try:
        raise ExceptionGroup("many", [ValueError("one"), TypeError("two")])
    except ExceptionGroup:
        told = traceback.format_exc()
    for before in ("a line\n", told, "Traceback (most recent call last):\n  File 'a'\nKeyError: 1\n"):
        assert frame(before + told + "next\n") == [before, told, "next\n"]
    assert frame(f"{HEAD}\n{told}") == [f"{HEAD}\n{told}"]


# --- lines of many sources, as protocols carry them ------------------------------------------------------

TRACE = [
    HEAD,
    HEAD[:-4].partition(" [None")[0] + " Traceback (most recent call last):",
    HEAD.partition(" [None")[0] + " ",
]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), LINES.map(lambda line: line.replace("\n", " "))), max_size=40)
)
def test_lines_of_many_sources_are_joined_as_if_each_came_alone(rows: list[tuple[str, str]]) -> None:
    joined = join((key, line, at) for at, (key, line) in enumerate(rows))
    for key in "abc":
        alone = frame("".join(line + "\n" for own, line in rows if own == key))
        assert [event.text for own, event in joined if own == key] == alone
    begins = [event.seen_ns for _, event in joined]
    assert begins == sorted(begins)


def test_a_source_that_is_quiet_is_given_out_and_forgotten() -> None:
    joiner = Joiner(most=2)
    assert joiner.feed("a", HEAD, 1) == []
    assert joiner.feed("b", TRACE[0], 2) == []
    assert joiner.feed("b", TRACE[1], 3) == []
    assert [key for key, _ in joiner.feed("c", "x", 4)] == ["a"]
    assert joiner.flush(5, 1.0) == []
    assert [(key, event.text.count("\n")) for key, event in joiner.flush(2_000_000_000, 1.0)] == [
        ("b", 2),
        ("c", 1),
    ]
    assert joiner.flush(3_000_000_000, 0) == []


@pytest.mark.parametrize("piece", ["a", " ", "1 ", "[", "a.", "- ", "A ", "1.", '"', "\t", "0:"])
def test_a_long_line_takes_no_longer_than_its_length(piece: str) -> None:
    for head in (
        "",
        "2026-11-22 10:01:02.123 77 ERROR nova.api [",
        "<34>Nov 22 10:01:02 ",
        "[",
        "1.1.1.1 ",
        "E",
    ):
        begin = time.process_time()
        frame(head + piece * ((1 << 20) // len(piece)), limit=2 << 20)
        assert time.process_time() - begin < 0.2, (head, piece)
