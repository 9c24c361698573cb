"""Explore over a real store: several queries, an earlier time beside, plans, completion, mistakes with their place."""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import fake_cloud, real_metrics
from portal.fake_cloud import NOW, FakeRooms
from portal.pages import PAGE, client, read
from weatherglass.base.errors import Invalid
from weatherglass.metrics.histogram import Histogram, side
from weatherglass.metrics.native import NativeSamples
from weatherglass.metrics.promql import AGGREGATORS, FUNCTIONS
from weatherglass.portal.explore import asking, marked
from weatherglass.portal.explore.completing import reference


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRooms]:
    found = fake_cloud.rich()
    metrics, tables = real_metrics.opened(Path(tmp_path_factory.mktemp("explore")))
    found.metrics = metrics  # type: ignore[assignment]
    yield found
    metrics.stop()
    tables.close()


def asked(rooms: FakeRooms, who: str = "mira", **query: Any) -> str:
    answer = client(rooms, who).get("/explore", params=query, headers=PAGE)
    assert answer.status_code == 200 and read(answer.text).wrong == []
    return answer.text


def chart_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(html.unescape(re.findall(r'data-chart="([^"]*)"', page)[0]))
    return found


def test_several_queries_are_one_chart(rooms: FakeRooms) -> None:
    page = asked(rooms, q=["queue_seconds", "rate(jobs_done_total[1m])"], range="15m", step="15s")
    chart = chart_of(page)
    assert len(chart["labels"]) == 6 and chart["unit"] == ""
    assert {label[:3] for label in chart["labels"]} == {"A: ", "B: "}
    times, by_label = chart["data"][0], dict(zip(chart["labels"], chart["data"][1:], strict=True))
    assert {b - a for a, b in itertools.pairwise(times)} == {15}
    rates = [v for v in next(v for k, v in by_label.items() if k == "B: ctl-3, rack-0" or k.startswith("B: host=ctl-3")) if v is not None]  # fmt: skip
    assert rates and all(v == pytest.approx(0.2, rel=1e-3) for v in rates)


def test_an_earlier_time_stands_beside(rooms: FakeRooms) -> None:
    chart = chart_of(asked(rooms, q='jobs_done_total{host="ctl-1"}', range="15m", step="15s", beside="15m"))
    now, before = chart["data"][1], chart["data"][2]
    assert chart["labels"][1].startswith("15m before")
    assert {a - b for a, b in zip(now, before, strict=True)} == {60.0}


def test_a_unit_is_by_the_name_unless_chosen(rooms: FakeRooms) -> None:
    assert chart_of(asked(rooms, q="queue_seconds"))["unit"] == "s"
    assert chart_of(asked(rooms, q="queue_seconds", unit="none"))["unit"] == ""
    assert chart_of(asked(rooms, q="queue_seconds", unit="W"))["unit"] == "W"


def test_the_table_says_what_the_chart_shows(rooms: FakeRooms) -> None:
    page = asked(rooms, q='queue_seconds{host="ctl-1"}', range="15m", unit="none")
    cells = re.findall(
        r'<td class="n">([^<]*)</td>', page.partition('id="answer"')[2].partition("</table>")[0]
    )
    assert cells[1] == "0.5" and cells[3] == "3.5"


def test_a_plan_names_every_part(rooms: FakeRooms) -> None:
    page = asked(rooms, q="sum by (host) (rate(jobs_done_total[1m]))", plan="1")
    plan = page.partition('id="plan"')[2]
    for part in (
        "sum by (host) (rate(jobs_done_total[1m]))",
        "rate(jobs_done_total[1m])",
        "samples looked at",
    ):
        assert part in html.unescape(plan)
    assert 'id="plan"' not in asked(rooms, q="queue_seconds")


def test_a_mistake_is_shown_where_it_is(rooms: FakeRooms) -> None:
    page = asked(rooms, q=["queue_seconds", "sum(queue_seconds) bby"])
    assert 'role="alert"' in page and "B: " in page
    told = html.unescape(re.findall(r"<pre>([^<]*\^)</pre>", page)[0]).split("\n")
    assert told[0] == "sum(queue_seconds) bby" and told[1].index("^") == 19
    assert chart_of(page)["labels"]  # the good one is drawn all the same


def test_an_annotation_is_told(rooms: FakeRooms) -> None:
    assert "might not be a counter" in html.unescape(asked(rooms, q="rate(queue_seconds[1m])"))


def test_a_native_histogram_is_told_and_not_drawn_as_nought(rooms: FakeRooms) -> None:
    one = Histogram(count=2, sum=3.0, positive=side([0], [2.0]))
    batch = NativeSamples([(("__name__", "native_seconds"),)], [[real_metrics.NOW_MS]], [[one]])
    rooms.metrics.append_histograms("site", batch)  # type: ignore[attr-defined]
    page = asked(rooms, q="native_seconds", range="15m")
    assert "Native histograms are not drawn" in page and "data-chart" not in page
    assert chart_of(asked(rooms, q="histogram_count(native_seconds)", range="15m"))["data"][1][-1] == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"prefix": "jobs"}, ["jobs_done_total"]),
        ({"prefix": "hist"}, sorted(n for n in FUNCTIONS if n.startswith("hist"))),
        ({"what": "labels", "metric": "queue_seconds"}, ["host", "zone"]),
        ({"what": "labels", "prefix": "z"}, ["zone"]),
        ({"what": "values", "label": "host", "metric": "queue_seconds", "prefix": "2"}, ["ctl-2"]),
        ({"what": "values", "label": "nothing"}, []),
    ],
)
def test_completion(rooms: FakeRooms, query: dict[str, str], words: list[str]) -> None:
    found = client(rooms).get("/explore/names", params=query).json()
    assert [word for word, _, _ in found] == words


def test_a_tenant_completes_and_sees_its_own_alone(rooms: FakeRooms) -> None:
    assert client(rooms, "greta").get("/explore/names", params={"prefix": "jobs"}).json() == []
    assert "No series answers" in asked(rooms, "greta", q="queue_seconds")


def test_the_link_holds_all_that_was_asked(rooms: FakeRooms) -> None:
    given = {"q": ["queue_seconds", "jobs_done_total"], "step": "60s", "unit": "W", "beside": "1d", "plan": "1", "range": "6h"}  # fmt: skip
    page = asked(rooms, **given)
    link = html.unescape(re.findall(r'data-copy="([^"]*)"', page)[0])
    again = client(rooms).get(link, headers=PAGE).text
    assert chart_of(again)["labels"] == chart_of(page)["labels"]
    assert html.unescape(re.findall(r'data-copy="([^"]*)"', again)[0]) == link


def test_an_empty_box_is_offered_and_dropped(rooms: FakeRooms) -> None:
    assert asked(rooms, q="queue_seconds", more="1").count("<textarea") == 2
    assert asked(rooms, q=["queue_seconds", ""]).count("<textarea") == 1


def test_the_reference_holds_every_function() -> None:
    assert {one.name for one in reference()} == set(FUNCTIONS) | set(AGGREGATORS)
    assert all(one.doc and one.name in one.call for one in reference())


@pytest.mark.parametrize(
    ("given", "where"),
    [({"step": "soon"}, "step"), ({"step": "1s", "range": "30d"}, "step"), ({"beside": "-1d"}, "beside"), ({"range": "x"}, "range")],
)  # fmt: skip
def test_what_cannot_be_read_is_named(given: dict[str, str], where: str) -> None:
    with pytest.raises(Invalid) as why:
        asking.read(given, ["up"], NOW)
    assert why.value.where == where


def test_too_many_queries_are_refused() -> None:
    with pytest.raises(Invalid, match="too many"):
        asking.read({}, [f"m{i}" for i in range(9)], NOW)


@given(st.text(max_size=60), st.text(max_size=12))
def test_a_mark_never_fails(expr: str, where: str) -> None:
    told = marked(expr, where)
    assert told == "" or told.count("^") == expr.count("^") + 1
