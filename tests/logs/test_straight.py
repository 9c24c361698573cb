"""Common lines go straight into columns: the events are those of the grammar, for any line and any change of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.engine.protocols import Event, RawEvent
from weatherglass.logs.head import frame_of
from weatherglass.logs.straight import Straight
from weatherglass.logs.taking import Taker, Write

SEEN = 1_800_000_000_000_000_000
LABELS = (("host", "ctl-1"), ("service", "nova"))
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "loghub" / "OpenStack" / "OpenStack_2k.log"
UUID = "96abccce-8d1f-4e07-b6d1-4b2ab87e23b4"
HEAD = "2027-01-15 08:00:01.123 77"
LINES = (
    f"{HEAD} INFO nova.compute.manager [-] Took 1.5 seconds\n",
    f"{HEAD} INFO nova.compute.manager [req-{UUID} u1 p1 - - -] [instance: {UUID}] Took 1.5 seconds\n",
    f"{HEAD} WARNING nova.x [None req-{UUID} u1 p1 - d d] odd {{braces}}\n",
    f"{HEAD} ERROR nova.x [req-aa req-{UUID} u1 p1 - d d -] both ids\r\n",
    f"{HEAD} ERROR nova.x [ req-{UUID} ] empty id\n",
    f"{HEAD} ERROR nova.x [- req-{UUID} a b c] three words",
    f"{HEAD} DEBUG nova.x [req-{UUID} u1 p1 - - -] begin f /usr/lib/nova/x.py:12\n",
    f"{HEAD} DEBUG nova.x [-] lines\ngo on f /usr/lib/nova/x.py:12\n",
    f'{HEAD} INFO nova.wsgi [req-{UUID} u p - - -] 10.11.10.1 "GET /v2/x HTTP/1.1" status: 200 len: 1893 time: 0.2477829\n',
    f'{HEAD} INFO nova.wsgi [-] 10.11.10.1 "GET /v2/x HTTP/1.1" status: 200  len: 18 microversion: 2.1 time: 0.5\n',
    f'{HEAD} INFO nova.wsgi [-] 10.11.10.1,10.2.2.2 "POST /v2/x HTTP/1.1" status: 500 len: 7 time: 1.0\n',
    f'{HEAD} INFO nova.wsgi [-] said "x" status: nothing\n',
    f"{HEAD} ERROR nova.x [-] \n",
    f"{HEAD} ERROR nova.x Traceback (most recent call last):\n{HEAD} ERROR nova.x ValueError: 1\n{HEAD} ERROR nova.x \n",
    f"{HEAD} TRACE nova.x [-] of long ago\n",
    f"{HEAD} INFO nova.x [-] grün <*> und {{}}\n",
    f"{HEAD} INFO nova.x [-] \udcff no UTF-8\n",
    "2027-01-15 08:00:60.123 77 INFO nova.x [-] a leap second\n",
    "2027-01-15 08:00:01.123 077 INFO nova.x [-] a zero before\n",
    "Jan 15 08:00:01 host sshd[7]: another format\n",
    "",
)


class Nothing(Straight):
    """Leaves everything to the grammar."""

    def read(self, texts):  # type: ignore[no-untyped-def]
        _, rows, messages, columns = super().read([])
        return list(range(len(texts))), rows, messages, columns


def events(texts: list[str], taker: Taker) -> list[Event]:
    raws = [RawEvent(SEEN + number, LABELS, text) for number, text in enumerate(texts)]
    table = taker.take([Write(1, raws[:3]), Write(4, raws[3:])]).sort_by("sequence")
    frame = frame_of(table)
    import numpy as np

    return frame.events(np.arange(frame.rows))


def same(texts: list[str]) -> None:
    plain = Taker()
    plain._straight = Nothing()
    straight = events(texts, Taker())
    for one, other, text in zip(straight, events(texts, plain), texts, strict=True):
        assert one == other
        assert one.raw == text


def test_what_is_common_goes_straight() -> None:
    left, rows, messages, _ = Straight().read(list(LINES))
    assert rows.tolist() == [0, 1, 2, 5, 6, 8, 9, 10, 11, 15]
    assert left == [number for number in range(len(LINES)) if number not in rows.tolist()]
    assert messages[:2] == ["Took 1.5 seconds"] * 2
    assert messages[4] == "begin"


def test_both_ways_give_the_same_events() -> None:
    same(list(LINES))
    same(list(LINES[:1]))
    same(list(LINES[-1:]))


def test_real_lines() -> None:
    if not SAMPLE.exists():
        pytest.skip("no Loghub sample beside the checkout")
    lines = [line.partition(" ")[2] for line in SAMPLE.read_text().splitlines(keepends=True)]
    assert len(Straight().read(lines)[1]) > 0.99 * len(lines)
    same(lines)


SIGNS = st.sampled_from([*' \n\r\t[]{}-.:"0aZé<*>\x00\udcff', "req-", "None ", "] ", "\n" + HEAD])


@given(st.data(), st.lists(st.sampled_from(LINES), min_size=1, max_size=5))
@settings(max_examples=600, deadline=None)
def test_any_change_of_a_line(data: st.DataObject, texts: list[str]) -> None:
    """A character taken away, put in or replaced, anywhere."""
    changed = []
    for text in texts:
        at = data.draw(st.integers(0, len(text)))
        changed.append(text[:at] + data.draw(SIGNS) + text[at + data.draw(st.integers(0, 2)) :])
    same(changed)
