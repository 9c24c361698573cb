"""The pure part of dashboards: Grafana's form and ours, variables in queries, and Debian's dashboards for Ceph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Conflict, Invalid
from weatherglass.house.boards import checked, taken_over
from weatherglass.metrics.dashboards import (
    ALL,
    Panel,
    Span,
    Variable,
    choose,
    fill,
    from_grafana,
    from_yaml,
    read,
    read_query,
    sifted,
    to_yaml,
)
from weatherglass.metrics.dashboards.units import UNITS, unit
from weatherglass.metrics.promql import parse
from weatherglass.metrics.promql.ast import Selector
from weatherglass.metrics.regex import compiled

SPAN = Span(0, 3_600_000, 30_000)
CEPH = Path("/etc/grafana/dashboards/ceph-dashboard")
HERE = Path(__file__).parent


@pytest.mark.skipif(not CEPH.is_dir(), reason="Debian's ceph-grafana-dashboards is not installed")
@pytest.mark.parametrize("file", sorted(path.name for path in CEPH.glob("*.json")))
def test_a_dashboard_of_debians_is_taken_over(file: str, tmp_path: Path) -> None:
    """Every panel with every query; each query parses; what is not shown is told."""
    source = json.loads((CEPH / file).read_text())
    every = [p for p in source["panels"] if p["type"] != "row"]
    every += [inner for p in source["panels"] if p["type"] == "row" for inner in p.get("panels", [])]
    made = taken_over(CEPH / file, tmp_path)
    board = read(made.file)
    assert board == read(CEPH / file) and len(board.panels) == len(every)
    expected = sum(bool(t.get("expr")) and not t.get("hide") for p in every for t in p.get("targets", []))
    assert sum(len(panel.queries) for panel in board.panels) == expected
    assert checked(made.file) == []
    assert [p.title for p in board.panels if p.kind == "unknown"] == []
    pies = [p.title for p in board.panels if "drawn as bars, not as a pie" in p.told]
    assert sorted(pies) == sorted(p["title"] for p in every if "pie" in p["type"])
    with pytest.raises(Conflict):
        taken_over(CEPH / file, tmp_path)


def test_a_newer_dashboard() -> None:
    board = from_grafana((HERE / "cases" / "newer.json").read_text())
    by_title = {panel.title: panel for panel in board.panels}
    assert [row.title for row in board.rows] == ["", "Folded"] and board.rows[1].folded
    assert (board.range, board.refresh_s, board.title) == ("6h", 60, "Newer")
    cpu = by_title["CPU"]
    assert (cpu.kind, cpu.unit, cpu.scale, cpu.stacked, cpu.width) == ("timeseries", "share", 0.01, True, 16)
    assert [(t.at, t.state) for t in cpu.thresholds] == [(None, "healthy"), (70.0, "sick"), (90.0, "dying")]
    assert cpu.told == ("what is set for single series is not taken over",)
    assert by_title["Free"].kind == "bars" and by_title["Free"].calculation == "most"
    assert "a query of loki is left out" in by_title["Lines"].told
    assert by_title["Odd"].kind == "unknown" and "geomap" in by_title["Odd"].told[0]
    assert by_title["List"].queries[0].instant and "organize" in by_title["List"].told[0]
    kinds = {one.name: one.kind for one in board.variables}
    assert kinds == {"host": "query", "step": "list", "job": "constant", "word": "text"}
    assert list(board.told) == ["the variable $filters is of the type adhoc, which is not known here", "1 annotation query not drawn"]  # fmt: skip
    assert from_yaml(to_yaml(board), "x.yaml") == board


def test_an_old_dashboard_with_rows() -> None:
    text = json.dumps({"title": "Old", "rows": [{"title": "A", "collapse": True, "panels": [
        {"type": "singlestat", "title": "One", "span": 4, "format": "bytes", "valueName": "avg", "thresholds": "70,90",
         "colorValue": True, "colors": ["#299c46", "rgba(237, 129, 40, 0.89)", "#d44a3a"], "targets": [{"expr": "up"}]},
    ]}]})  # fmt: skip
    (row,) = from_grafana(text).rows
    one = row.panels[0]
    assert row.folded and (one.kind, one.unit, one.width, one.calculation) == ("stat", "B", 8, "mean")
    assert [(t.at, t.state) for t in one.thresholds] == [(None, "healthy"), (70.0, "sick"), (90.0, "dying")]


HOST = Variable("host", "query", multi=True, all=True)
ONE = Variable("one", "list", values=("a", "b"))
FIXED = Variable("all", "query", all=True, all_value=".+")


@pytest.mark.parametrize(
    ("text", "chosen", "told"),
    [
        ('up{h=~"$host"}', {"host": ["a.b"]}, 'up{h=~"a\\\\.b"}'),
        ('up{h=~"${host}"}', {"host": ["a", "b"]}, 'up{h=~"(a|b)"}'),
        ('up{h=~"[[host]]"}', {"host": [ALL]}, 'up{h=~"(x|y)"}'),
        ('up{h=~"$all"}', {"all": [ALL]}, 'up{h=~".+"}'),
        ("${host:pipe} ${host:csv} ${host:doublequote}", {"host": ["a", "b"]}, 'a|b a,b "a","b"'),
        ("topk($one, up)", {"one": ["b"]}, "topk(b, up)"),
        ('up{h="$one"}', {"one": ['"']}, 'up{h="\\""}'),
        ("rate(x[$__rate_interval])", {}, "rate(x[60s])"),
        ("rate(x[$__interval]) $__interval_ms", {}, "rate(x[30s]) 30000"),
        ("x[$__range] ${__range_s}", {}, "x[3600s] 3600"),
        ('label_replace(x, "a", "$1", "b", "(.*)")', {}, 'label_replace(x, "a", "$1", "b", "(.*)")'),
    ],
)
def test_variables_are_put_in(text: str, chosen: dict[str, list[str]], told: str) -> None:
    found = fill(text, [HOST, ONE, FIXED], chosen, {"host": ["x", "y"]}, SPAN)
    assert found.text == told and found.unknown == ()


def test_a_variable_that_is_not_there_is_named() -> None:
    assert fill("a $b ${c:csv} $b", [], {}, {}, SPAN).unknown == ("b", "c")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1, max_size=4))
def test_any_values_match_themselves_and_nothing_escapes_its_quotes(values: list[str]) -> None:
    text = fill('up{h=~"$host"}', [HOST], {"host": values}, {}, SPAN).text
    tree = parse(text)
    assert isinstance(tree, Selector)
    (matcher,) = [m for m in tree.matchers if m.name == "h"]
    form = compiled(matcher.value)
    assert all(form.fullmatch(value) for value in values)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_single_value_stands_between_quotes_as_it_is(value: str) -> None:
    tree = parse(fill('up{h="$one"}', [ONE], {"one": [value]}, {}, SPAN).text)
    assert isinstance(tree, Selector)
    assert [m.value for m in tree.matchers if m.name == "h"] == [value]


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("label_values(host)", ("label_values", "", "host")),
        ('label_values(up{a=~"x,y"}, host)', ("label_values", 'up{a=~"x,y"}', "host")),
        ("label_names()", ("label_names", "", "")),
        ("metrics(node_.*)", ("metrics", "", "node_.*")),
        ("query_result(topk(5, up))", ("query_result", "topk(5, up)", "")),
    ],
)
def test_queries_of_variables(text: str, ask: tuple[str, str, str]) -> None:
    assert read_query(text) == ask


@pytest.mark.parametrize("text", ["", "up", "label_values()", "label_values(up, a b)"])
def test_what_is_no_query_of_a_variable(text: str) -> None:
    assert read_query(text) is None


def test_a_regex_sifts_values() -> None:
    assert sifted(["mon.a", "mon.b", "osd.1", "mon.a"], "mon.(.*)") == ["a", "b"]
    assert sifted(["a", "b"], "/B/") == [] and sifted(["a", "b"], "(") == ["a", "b"]
    assert sifted(["x=1"], "/(?<text>x)=(?<value>.)/") == ["1"]


def test_choosing() -> None:
    assert choose(HOST, ["a", "c"], ["a", "b"]) == ["a"]
    assert choose(HOST, [], ["a"]) == [ALL] and choose(ONE, [], ["a", "b"]) == ["a"]
    assert choose(ONE, ["a", "b"], ["a", "b"]) == ["a"] and choose(ONE, [ALL], ["a"]) == ["a"]
    assert choose(ONE._replace(default=("b",)), ["zz"], ["a", "b"]) == ["b"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "empty", "x.yaml"),
        ("title: A", "rows", "x.yaml:1"),
        ("title: A\nrows:\n- panels:\n  - {kind: pie}", "pie", "x.yaml:4"),
        ("title: A\nrows:\n- panels:\n  - {query: up, width: 25}", "25", "x.yaml:4"),
        ("title: A\nrange: soon\nrows: []", "duration", "x.yaml:2"),
        ("title: A\nrows:\n- panels:\n  - query: [{legend: b}]", "expr", "x.yaml:4"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, message: str, place: str) -> None:
    with pytest.raises(Invalid) as why:
        from_yaml(text, "x.yaml")
    assert message in why.value.message and why.value.where.startswith(place)


def test_a_query_may_be_short() -> None:
    board = from_yaml(
        "title: A\nrows: [{panels: [{query: up, legend: '{{a}}'}, {query: [a, {expr: b}]}]}]", "x"
    )
    first, second = board.panels
    assert isinstance(first, Panel) and first.queries[0] == ("up", "{{a}}", False)
    assert [q.expr for q in second.queries] == ["a", "b"]


def test_units_are_known_or_told() -> None:
    assert unit("ms") == ("s", 1e-3, True) and unit("suffix:cats") == ("cats", 1.0, True)
    assert unit("furlongs") == ("furlongs", 1.0, False)
    assert all(factor > 0 for _, factor in UNITS.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
PANEL_LIKE = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["graph", "stat", "table", "row", "timeseries", "heatmap", "text", "pie"]) | JSON,
        "title": JSON, "targets": st.lists(st.fixed_dictionaries({"expr": JSON}) | JSON, max_size=2) | JSON,
        "fieldConfig": st.fixed_dictionaries({"defaults": JSON}) | JSON, "gridPos": JSON, "options": JSON,
        "yaxes": JSON, "thresholds": JSON, "styles": JSON, "transformations": JSON, "panels": JSON, "format": JSON,
        "colors": JSON, "seriesOverrides": JSON, "repeat": JSON, "datasource": JSON, "gauge": JSON,
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"panels": st.lists(PANEL_LIKE, max_size=4)},
        optional={"rows": JSON, "templating": st.fixed_dictionaries({"list": st.lists(JSON, max_size=2)}) | JSON,
                  "title": JSON, "time": JSON, "refresh": JSON, "tags": JSON, "annotations": JSON},
    )
)  # fmt: skip
def test_any_json_is_read_or_refused_and_comes_back_from_yaml(body: dict[str, Any]) -> None:
    board = from_grafana(json.dumps(body))
    assert from_yaml(to_yaml(board), "x.yaml") == board


@given(st.binary(max_size=80))
def test_bytes_that_are_no_dashboard_are_refused(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with pytest.raises(Invalid):
        from_grafana(text)


def test_what_a_file_lacks_is_listed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("title: A\nrows: [{panels: [{title: P, query: ['sum(', 'x{a=\"$who\"}']}]}]\n")
    problems = checked(bad)
    assert (
        any(p.startswith("P: parse error") for p in problems) and "P: there is no variable $who" in problems
    )
    assert "no such file" in checked(tmp_path / "none.yaml")[0].lower()


@pytest.mark.parametrize(
    "file", sorted((HERE.parents[1] / "examples").glob("*/dashboards/*.yaml")), ids=lambda p: p.name
)
def test_the_examples_are_good(file: Path) -> None:
    assert checked(file) == [] and read(file).panels
