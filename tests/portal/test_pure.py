"""The pure parts: geometry of charts, layered drawings, folding of the map, words for people."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.portal import signals, words
from weatherglass.portal.charts import Chart, Line, draw, nice_step, spark, stretches
from weatherglass.portal.evidence import states_over
from weatherglass.portal.explore import unit_of
from weatherglass.portal.fold import READABLE, fold, tally
from weatherglass.portal.layers import arrange, depths
from weatherglass.portal.map import around
from weatherglass.portal.web import restrict, visible, weave
from weatherglass.site.graph import Edge, Entity, Graph

VALUES = st.lists(st.none() | st.floats(-1e12, 1e12), max_size=60)


@given(VALUES)
def test_a_spark_stays_in_its_frame_and_breaks_at_gaps(values: list[float | None]) -> None:
    drawn = spark(values)
    runs = sum(v is not None and (i == 0 or values[i - 1] is None) for i, v in enumerate(values))
    assert len(drawn) == runs
    for points in drawn:
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 96.1 and 0 <= y <= 20


@given(VALUES, st.none() | st.floats(0, 1e9))
def test_a_chart_is_drawn_inside(values: list[float | None], threshold: float | None) -> None:
    chart = Chart(
        "t",
        "s",
        tuple(float(i) for i in range(len(values))),
        (Line("a", tuple(values)),),
        threshold=threshold,
    )
    drawing = draw(chart)
    for line in drawing.lines:
        for points in line:
            for pair in points.split():
                assert -0.1 <= float(pair.split(",")[1]) <= drawing.height
    assert chart.payload().startswith("{")


def test_a_lone_point_is_still_seen() -> None:
    assert stretches([0, 1, 2], [None, 5.0, None]) == ("1,5 1,5",)


@given(st.floats(1, 4e7))
def test_steps_are_round_and_few(seconds: float) -> None:
    assert 1 <= seconds / nice_step(seconds) <= 120 or nice_step(seconds) == 1


NODES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)


@given(NODES, st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=16))
def test_layers_never_overlap(nodes: list[str], flows: list[tuple[str, str]]) -> None:
    layout = arrange(nodes, flows, {n: n * 3 for n in nodes})
    assert {box.id for box in layout.boxes} == set(nodes)
    for i, a in enumerate(layout.boxes):
        assert (
            a.x >= 0
            and a.y >= 0
            and a.x + a.width <= layout.width + 1
            and a.y + a.height <= layout.height + 1
        )
        for b in layout.boxes[i + 1 :]:
            apart = (
                a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
            )
            assert apart, (a, b)


def test_depth_follows_the_longest_way_and_cuts_cycles() -> None:
    assert depths(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")]) == {"a": 0, "b": 1, "c": 2}
    assert set(depths(["a", "b"], [("a", "b"), ("b", "a")])) == {"a", "b"}


def cloud(hosts: int) -> Graph:
    entities = {f"host/h{i}": Entity(f"host/h{i}", "host", f"h{i}") for i in range(hosts)}
    entities |= {
        "service/s": Entity("service/s", "service", "s"),
        "tenant/t": Entity("tenant/t", "tenant", "t"),
    }
    entities |= {
        f"replica/s.{i}@h{i}": Entity(f"replica/s.{i}@h{i}", "replica", f"s.{i}@h{i}") for i in range(hosts)
    }
    edges = [Edge("tenant/t", "needs", "service/s")]
    for i in range(hosts):
        edges += [
            Edge(f"replica/s.{i}@h{i}", "runs_on", f"host/h{i}"),
            Edge(f"replica/s.{i}@h{i}", "part_of", "service/s"),
        ]
    return Graph(entities, tuple(edges))  # type: ignore[arg-type]


@given(st.integers(1, 120), st.sets(st.integers(0, 119)))
def test_folding_loses_nothing_and_keeps_the_ill_in_sight(hosts: int, ill: set[int]) -> None:
    web = weave(cloud(hosts))

    def state(id: str) -> str:
        return "sick" if id.startswith("host/") and int(id[6:]) in ill else "healthy"

    folded = fold(web, web.entities, state)
    assert sum(node.size for node in folded.nodes) + folded.hidden == len(web.entities)
    boxes = {node.id for node in folded.nodes}
    assert all(a in boxes and b in boxes for a, b in folded.flows)
    if hosts > READABLE:
        assert len([n for n in folded.nodes if n.kind == "host"]) <= 43
    assert any(b == "service/s" for _, b in folded.flows)
    assert sum(tally(web.entities, state).values()) == len(web.entities)


def test_ways_up_and_down() -> None:
    web = weave(cloud(2))
    assert around(web, "host/h1", "up") == {"host/h1", "replica/s.1@h1", "service/s", "tenant/t"}
    assert around(web, "tenant/t", "up") == {"tenant/t"}
    assert web.blast("host/h0") == {"replica": 1, "service": 1, "tenant": 1}
    narrow = restrict(web, visible(web, "t"))
    assert set(narrow.entities) == {"tenant/t", "service/s"} and narrow.depends_on("service/s") == ()


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0412, "s", "41 ms"), (2.9, "s", "2.9 s"), (0.963, "share", "96 %"), (0.004, "share", "0.4 %"), (2.1e9, "B", "2.1 GB"),
        (71, "", "71"), (0.00021, "", "0.00021"), (212_400, "", "212 k"), (None, "s", "–"), (float("nan"), "", "–"), (38, "lines", "38 lines"),
    ],
)  # fmt: skip
def test_quantities(value: float | None, unit: str, said: str) -> None:
    assert words.quantity(value, unit) == said


@given(st.text())
def test_words_of_state_are_coloured_and_the_rest_escaped(text: str) -> None:
    said = words.weathered(text + " sick <b>")
    assert '<span class="sick">sick</span>' in said and said.endswith("&lt;b&gt;")


def test_deeds_are_told_whatever_they_are_called() -> None:
    def told(what: str, **more: object) -> str:
        values = {"entity": "", "why": "", "generation": 0, "before": None, "after": None, **more}
        return words.plain(words.deed(SimpleNamespace(what=what, **values)))

    assert told("{generation}{x}", entity="service/a", why="{y}", generation=3) == "{generation}{x} a: {y}"
    assert (
        told("deploy.apply", generation=41, why="new", after={"state": "live"})
        == "Applied generation 41: new"
    )
    assert told("deploy.apply", generation=41, after={"state": "begun"}) == "Began to apply generation 41"
    assert (
        told("deploy.apply", generation=41, after={"state": "failed"})
        == "Began to apply generation 41, which failed"
    )
    assert told("token.create", entity="host/a", after={"name": "agent-a"}) == "Made token agent-a"
    assert told("incident.open", entity="service/a", after={"incident": 7}) == "Opened incident 7"


def test_states_fill_the_span() -> None:
    record = lambda s, t: SimpleNamespace(state=s, since_ns=t, at_ns=t)  # noqa: E731
    assert states_over([record("sick", 50), record("healthy", 1)], 10, 100) == [
        ("healthy", 10, 50),
        ("sick", 50, 100),
    ]


def test_units_by_name() -> None:
    assert [
        unit_of([q])
        for q in (
            "max by (a) (x_seconds)",
            "rate(x_seconds_total[1m])",
            "node_bytes",
            'x_share{a="-"}',
            "a_bytes / b_bytes",
        )
    ] == ["s", "", "B", "share", ""]


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [(0.0, "processes", "0 processes"), (1.0, "processes", "1 process"), (3.0, "probes", "3 probes"), (1.0, "s", "1.0 s")],
)  # fmt: skip
def test_one_of_a_counted_thing_is_told_as_one(value: float, unit: str, told: str) -> None:
    assert words.quantity(value, unit) == told


@pytest.mark.parametrize(
    ("values", "began", "first"),
    [
        ((None, None, 1.0, 2.0), 150, 150),  # the house began between
        ((None, None, 1.0, 2.0), 400, 200),  # data from before it began is kept
        ((1.0, None, 1.0, 2.0), 150, 0),
        ((None, None, None, None), 150, 0),
        ((None, 1.0, 1.0, 1.0), 0, 0),  # an old house: the span as asked for
    ],
)
def test_a_chart_begins_where_the_house_did(values: tuple[float | None, ...], began: int, first: int) -> None:
    chart = Chart("t", "s", (0.0, 100.0, 200.0, 300.0), (Line("a", values),), start=0.0, end=300.0)
    visit = SimpleNamespace(since=lambda start_ns: max(start_ns, began * 10**9))
    assert signals.first_ns(visit, chart) == first * 10**9  # type: ignore[arg-type]
